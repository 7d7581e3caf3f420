#!/usr/bin/env python3
"""Writes the table of media types by file extension from mime-types.txt.

    mime_types.py            writes the Swift file
    mime_types.py --check    says by its exit status whether the committed file is current
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE / "mime-types.txt"
OUTPUT = HERE.parent.parent / "Sources" / "HTTPCore" / "Values" / "MediaTypes+Table.swift"

# What a UInt64 holds.
PACKED_MAX = 8

HEADER = """\
// Written by Tools/generate/mime_types.py from mime-types.txt; change those, not this file.

internal import ChimeraBytes

extension MediaTypes {
    /// How many extensions the table has.
    package static var count: Int { %d }

    /// The type for an extension in small letters, packed with its first octet lowest.
    static func type(packed key: UInt64) -> StaticString? {
        switch key {
"""

LONG = """\
        default: nil
        }
    }

    /// The type for an extension of more than eight octets, in any case.
    static func type(long text: Span<UInt8>) -> StaticString? {
"""

FOOTER = """\
        return nil
    }
}
"""


def fail(message):
    sys.exit(f"mime-types.txt: {message}")


def read():
    """The table as a dictionary from extension to type."""
    table = {}
    for number, line in enumerate(SOURCE.read_text().splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        media_type, extensions = words[0], words[1:]
        if not re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", media_type):
            fail(f"line {number}: {media_type} is no media type")
        if extensions and extensions[0] == "+utf-8":
            media_type += "; charset=utf-8"
            extensions = extensions[1:]
        for extension in extensions:
            if not re.fullmatch(r"[a-z0-9]{1,16}", extension):
                fail(f"line {number}: {extension} is no extension of small letters and digits")
            if extension in table:
                fail(f"line {number}: {extension} has a type already")
            table[extension] = media_type
    return table


def packed(extension):
    return int.from_bytes(extension.encode(), "little")


def swift(table):
    by_type = {}
    short = {extension: media_type for extension, media_type in table.items() if len(extension) <= PACKED_MAX}
    for extension, media_type in sorted(short.items(), key=lambda item: packed(item[0])):
        by_type.setdefault(media_type, []).append(extension)
    lines = [HEADER % len(table)]
    for media_type, extensions in sorted(by_type.items()):
        keys = [f"0x{packed(extension):X}" for extension in extensions]
        rows = [", ".join(keys[start : start + 4]) for start in range(0, len(keys), 4)]
        lines.append("        case " + ",\n            ".join(rows) + f":  // {' '.join(extensions)}\n")
        lines.append(f'            "{media_type}"\n')
    lines.append(LONG)
    for extension, media_type in sorted(table.items()):
        if extension not in short:
            lines.append(f'        if text.equalsIgnoringCase("{extension}") {{ return "{media_type}" }}\n')
    return "".join(lines) + FOOTER


def main():
    text = swift(read())
    if sys.argv[1:] == ["--check"]:
        if not OUTPUT.exists() or OUTPUT.read_text() != text:
            sys.exit(f"{OUTPUT.name} is not current: run Tools/generate/mime_types.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        OUTPUT.write_text(text)


main()
