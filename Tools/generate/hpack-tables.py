#!/usr/bin/env python3
"""Writes the tables of HPACK (RFC 7541): Sources/HTTP2/HPACK/Huffman+Table.swift and StaticTable+Entries.swift.

The Huffman code of Appendix B is canonical: codes are given out by length, and among equal lengths by symbol, so the
lengths alone say all of it."""
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).parents[2] / "Sources/HTTP2/HPACK"

# RFC 7541 Appendix B: the bits of each symbol's code; the last symbol is EOS.
LENGTHS = [int(n) for n in """
13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10
13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6
15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28
20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
30
""".split()]

# RFC 7541 Appendix A.
STATIC = """
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
""".strip().split("\n")

# Codes of up to so many bits are found by one look at as many bits.
SHORT_BITS = 8


def codes():
    """The code of each symbol, by the rule of canonical codes."""
    result, code, before = [0] * len(LENGTHS), 0, 0
    for length, symbol in sorted((n, s) for s, n in enumerate(LENGTHS)):
        code <<= length - before
        before = length
        result[symbol] = code
        code += 1
    if code != 1 << before:
        sys.exit("hpack-tables.py: the code is not complete")
    return result


def rows(values, width):
    return ["        " + ", ".join(values[i:i + width]) + "," for i in range(0, len(values), width)]


def huffman():
    code = codes()
    short = ["0"] * (1 << SHORT_BITS)
    for symbol, length in enumerate(LENGTHS):
        if length <= SHORT_BITS:
            spare = SHORT_BITS - length
            for rest in range(1 << spare):
                short[(code[symbol] << spare) | rest] = str(length << 8 | symbol)
    ordered = [s for n, s in sorted((n, s) for s, n in enumerate(LENGTHS)) if n > SHORT_BITS]
    groups = []
    for length in sorted({LENGTHS[s] for s in ordered}):
        members = [s for s in ordered if LENGTHS[s] == length]
        # Left-aligned to 32 bits, the first code that is longer than this length.
        end = (code[members[-1]] + 1) << (32 - length)
        groups.append((length, min(end, 0xFFFFFFFF), code[members[0]], ordered.index(members[0])))
    return [
        "enum HuffmanTable {",
        "    /// The code of each octet, right-aligned.",
        "    static let codes: [256 of UInt32] = [", *rows([f"0x{c:x}" for c in code[:256]], 8), "    ]", "",
        "    /// How many bits each code has.",
        "    static let lengths: [256 of UInt8] = [", *rows([str(n) for n in LENGTHS[:256]], 24), "    ]", "",
        f"    /// By the next {SHORT_BITS} bits: the octet, and above it the length of its code; 0 where that is longer.",
        f"    static let short: [{1 << SHORT_BITS} of UInt16] = [", *rows(short, 16), "    ]", "",
        "    /// Symbols of longer codes in the order of their codes; 256 is EOS.",
        f"    static let long: [{len(ordered)} of UInt16] = [", *rows([str(s) for s in ordered], 20), "    ]", "",
        "    /// The lengths of longer codes: the length, the first code beyond it, left-aligned to 32 bits, the first",
        "    /// of its codes, and where its symbols begin in `long`.",
        f"    static let groups: [{len(groups)} of HuffmanGroup] = [",
        *[f"        HuffmanGroup(length: {a}, end: 0x{b:x}, first: 0x{c:x}, start: {d})," for a, b, c, d in groups],
        "    ]", "}", ""]


def static_table():
    names = set(re.findall(r"static var (\w+): FieldName \{ FieldName\(rawValue: (?!0\b)",
                           (FOLDER.parents[1] / "HTTPCore/FieldName+Table.swift").read_text()))
    out = ["extension StaticTable {",
           "    /// RFC 7541 Appendix A, in its order.",
           f"    static let entries: [StaticEntry] = ["]
    for line in STATIC:
        name, _, value = line.partition(" ")
        if name.startswith(":"):
            token = "." + name[1:]
        else:
            head, *rest = name.split("-")
            identifier = head + "".join(part.capitalize() for part in rest)
            token = f"WireName(.{identifier})" if identifier in names else ".other"
        out.append(f'        StaticEntry({token}, "{name}", "{value}"),')
    return out + ["    ]", "}", ""]


def main():
    for file, lines in (("Huffman+Table.swift", huffman()), ("StaticTable+Entries.swift", static_table())):
        text = "\n".join(["// Generated by Tools/generate/hpack-tables.py; do not edit.", "",
                          *(["internal import ChimeraHTTPCore", ""] if "Static" in file else []), *lines])
        path = FOLDER / file
        if "--check" in sys.argv:
            if path.read_text() != text:
                sys.exit(f"{path} is not what the generator writes")
        else:
            path.write_text(text)


main()
