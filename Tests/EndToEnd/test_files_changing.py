"""The verb `files` over time: large files, and files that are replaced, truncated or removed while they are served."""

import hashlib
import os
import time

import pytest

from rig.client import wait_until
from rig.origin import PATTERN, pattern, pattern_digest
from rig.process import MiB, PeakMemory
from rig.wire import ConnectionEnded

LARGE = 256 * MiB


def digest_of_body(connection, response_head, step: int = 1 << 20) -> tuple[int, str]:
    length = int(response_head.fields["Content-Length"])
    digest, left = hashlib.sha256(bytes(connection.reader.buffer)), length - len(connection.reader.buffer)
    connection.reader.buffer.clear()
    buffer = bytearray(step)
    while left > 0:
        count = connection.socket.recv_into(buffer, min(step, left))
        assert count, f"closed with {left} bytes missing"
        digest.update(memoryview(buffer)[:count])
        left -= count
    return length, digest.hexdigest()


def test_a_large_file_is_whole_and_costs_no_memory(start_gateway):
    """Issue: streams with the gateway's memory under 64 MB; a sparse file of 256 MB with markers in it."""
    gateway = start_gateway("site test { files ./root }", start=False)
    path = gateway.directory / "conf.d/root/large.bin"
    path.parent.mkdir(parents=True)
    with open(path, "wb") as file:
        for place in (0, 65536, 100 * MiB + 7, LARGE - len(PATTERN)):
            file.seek(place)
            file.write(PATTERN)
    with open(path, "rb") as file:
        expected = hashlib.file_digest(file, "sha256").hexdigest()
    gateway.start()
    with PeakMemory(gateway.vitals) as peak, gateway.connect() as connection:
        connection.send(b"GET /large.bin HTTP/1.1\r\nHost: test\r\n\r\n")
        assert digest_of_body(connection, connection.reader.response_head()) == (LARGE, expected)
        part = connection.get("/large.bin", Range=f"bytes={100 * MiB + 7}-{100 * MiB + 106}")
        assert part.body == PATTERN[:100]
        beyond = connection.get("/large.bin", Range=f"bytes={LARGE - 5}-")
        assert beyond.body == PATTERN[-5:]
    assert peak.bytes < 64 * MiB


@pytest.fixture
def changing(start_gateway):
    gateway = start_gateway("site test { files ./root }", start=False)
    (gateway.directory / "conf.d/root").mkdir(parents=True)
    return gateway.start(), gateway.directory / "conf.d/root"


STALE = 4.0
"""Seconds after which a changed file must be served: about two, and patience for a loaded machine."""


@pytest.mark.parametrize("size", [10, 5000, 3_000_000], ids=["tiny", "small", "large"])
def test_staleness_is_bounded(changing, size):
    """Issue: an open-file cache with bounded staleness. New content, removal and creation show within seconds, with new
    validators."""
    gateway, root = changing
    path = root / "file.txt"
    assert gateway.get("/file.txt").status == 404

    def shows(what: str, body: bytes | None, target: str = "/file.txt"):
        """Waits until several connections in a row, which meet both workers, get `body` (None: 404); their tags."""
        def asked():
            try:
                found = [gateway.get(target) for _ in range(8)]
            except ConnectionEnded:  # A file that has just become shorter than it was looked up.
                return None
            fits = all(r.status == 404 if body is None else (r.status, r.body) == (200, body) for r in found)
            return {r.fields.get("ETag") for r in found} if fits else None
        return wait_until(asked, STALE, what, every=0.05)
    path.write_bytes(b"a" * size)
    first = shows("the new file", b"a" * size)
    (root / "next").write_bytes(b"b" * size)
    os.rename(root / "next", path)
    second = shows("the replaced file", b"b" * size)
    assert not first & second, "new content under an old tag"
    with open(path, "r+b") as file:
        file.write(b"c" * size)
    wait_until(lambda: not shows("the overwritten file", b"c" * size) & second, 2 * STALE, "a new tag for what was overwritten")
    with open(path, "ab") as file:
        file.write(b"d")
    shows("the longer file", b"c" * size + b"d")
    os.truncate(path, size // 2)
    shows("the shorter file", b"c" * (size // 2))
    path.unlink()
    shows("the removal", None)
    path.mkdir()
    (path / "index.html").write_text("now a directory")
    shows("the directory", b"now a directory", "/file.txt/")


def test_every_answer_is_consistent_while_a_file_is_rewritten(changing):
    """User promise: replacing a file by rename never shows a mixture of old and new, nor a wrong length."""
    gateway, root = changing
    contents = [bytes([65 + n]) * (1000 + 997 * n) for n in range(8)]
    (root / "file").write_bytes(contents[0])
    seen = set()
    with gateway.connect() as connection:
        end = time.monotonic() + 3
        number = 0
        while time.monotonic() < end:
            number += 1
            (root / "next").write_bytes(contents[number % 8])
            os.rename(root / "next", root / "file")
            for _ in range(20):
                response = connection.get("/file")
                assert response.status == 200 and response.body in contents
                seen.add(response.body)
    assert len(seen) >= 1


BIG = 24 * MiB


def start_download(gateway, root, target="/file"):
    with open(root / "file", "wb") as file:
        for piece in pattern(BIG):
            file.write(piece)
    connection = gateway.connect(receive_buffer=65536)
    connection.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return connection, connection.reader.response_head()


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_download_survives_its_file_being(changing, what):
    """User promise: a deploy does not break downloads that run; they go on with the file they began with."""
    gateway, root = changing
    connection, head = start_download(gateway, root)
    with connection:
        if what == "removed":
            (root / "file").unlink()
        else:
            (root / "next").write_bytes(b"short")
            os.rename(root / "next", root / "file")
        assert digest_of_body(connection, head) == (BIG, pattern_digest(BIG))


def test_a_file_truncated_while_it_is_served_cuts_the_answer(changing):
    """RFC 9112 8: the client must see that the body is incomplete; the gateway lives (no SIGBUS)."""
    gateway, root = changing
    connection, head = start_download(gateway, root)
    with connection:
        os.truncate(root / "file", 1 * MiB)
        got = len(connection.read_until_close())
    assert int(head.fields["Content-Length"]) == BIG and got < BIG
    gateway.assert_alive()
    (root / "other").write_text("fine")
    wait_until(lambda: gateway.get("/other").body == b"fine", STALE)


def test_a_directory_moved_under_the_open_root(changing):
    """A release switched by renaming directories inside DIR is seen within the bound of staleness."""
    gateway, root = changing
    for name in ("v1", "v2"):
        (root / name).mkdir()
        (root / name / "x").write_text(name)
    os.rename(root / "v1", root / "current")
    wait_until(lambda: gateway.get("/current/x").body == b"v1", STALE)
    os.rename(root / "current", root / "old")
    os.rename(root / "v2", root / "current")
    wait_until(lambda: gateway.get("/current/x").body == b"v2", STALE)


def test_a_release_switched_by_a_link_to_the_root(start_gateway):
    """User promise: `files ./current` with a link that moves to the next release serves that one within seconds."""
    gateway = start_gateway("site test { files ./current }", start=False)
    base = gateway.directory / "conf.d"
    for name in ("v1", "v2"):
        (base / name).mkdir(parents=True)
        (base / name / "x").write_text(name)
    os.symlink("v1", base / "current")
    gateway.start()
    assert gateway.get("/x").body == b"v1"
    os.symlink("v2", base / "next")
    os.rename(base / "next", base / "current")
    wait_until(lambda: gateway.get("/x").body == b"v2", STALE, "the switched release")


def test_descriptors_of_served_files_are_bounded(changing):
    """quality.md: every table has a limit; the cache of open files does not eat the descriptors of connections."""
    gateway, root = changing
    for number in range(3000):
        with open(root / f"f{number}", "wb") as file:
            file.truncate(100_000)
    before = gateway.vitals.descriptors
    with gateway.connect() as connection:
        for number in range(3000):
            assert len(connection.get(f"/f{number}").body) == 100_000
    assert gateway.vitals.descriptors <= before + 2100
