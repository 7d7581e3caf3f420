"""A client on a raw socket: it sends exactly the bytes it is given and reads answers strictly."""

from __future__ import annotations

import random
import socket
import struct
import time

from .wire import ConnectionEnded, Reader, Response

PATIENCE = 20.0
"""Seconds that any single step may take before the test fails."""


class Connection:
    """One client connection."""

    def __init__(self, address, timeout: float = PATIENCE, receive_buffer: int | None = None,
                 source: str | None = None):
        family = socket.AF_UNIX if isinstance(address, str) else \
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(lambda: self.socket.recv(1 << 16))

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data: bytes) -> "Connection":
        """Sends all of `data`. A peer that has closed already is left to the next read to report."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def send_pieces(self, pieces, pause: float = 0.0003) -> "Connection":
        """Sends each piece as a segment of its own, with a pause that lets the peer read it alone."""
        for piece in pieces:
            try:
                self.socket.send(piece)
            except (BrokenPipeError, ConnectionResetError):
                return self
            time.sleep(pause)
        return self

    def response(self, method: str = "GET", allow_cut: bool = False) -> Response:
        return self.reader.response(method, allow_cut)

    def request(self, method: str = "GET", target: str = "/", host: str = "test", fields=(), body: bytes | None = None,
                version: str = "1.1") -> Response:
        """Sends a well-formed request and reads its response."""
        self.send(request_bytes(method, target, host, fields, body, version))
        return self.response(method)

    def get(self, target: str = "/", host: str = "test", **fields) -> Response:
        return self.request("GET", target, host, [(n.replace("_", "-"), v) for n, v in fields.items()])

    def read_some(self) -> bytes:
        """The next bytes, whatever they are; b"" at the end of the stream."""
        if not self.reader.buffer and not self.reader.fill():
            return b""
        data = bytes(self.reader.buffer)
        self.reader.buffer.clear()
        return data

    def read_exactly(self, count: int) -> bytes:
        return self.reader.exactly(count, f"{count} bytes of a stream")

    def read_until_close(self) -> bytes:
        return self.reader.rest()

    def expect_close(self, within: float = PATIENCE) -> None:
        """Asserts that the peer closes and sends nothing more before it does."""
        self.socket.settimeout(within)
        try:
            rest = self.reader.rest()
        except TimeoutError:
            raise AssertionError(f"the connection is still open after {within} s") from None
        assert rest == b"", f"bytes after the last response: {rest[:300]!r}"

    def expect_open(self, host: str = "test", target: str = "/") -> Response:
        """Asserts that the connection still serves requests."""
        return self.request("GET", target, host)

    def finish_sending(self) -> None:
        """Half-closes: sends FIN and goes on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


def request_bytes(method: str = "GET", target: str = "/", host: str | None = "test", fields=(),
                  body: bytes | None = None, version: str = "1.1") -> bytes:
    """A well-formed request; a body is sent with Content-Length unless the fields frame it."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in fields]
    framed = any(name.lower() in ("content-length", "transfer-encoding") for name, _ in fields)
    if body is not None and not framed:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    """A chunked body with its last chunk and trailers."""
    return b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n" + trailers + b"\r\n"


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i:i + 1] for i in range(len(data))]


def random_pieces(data: bytes, seed: int) -> list[bytes]:
    """A reproducible random split."""
    source, pieces, at = random.Random(seed), [], 0
    while at < len(data):
        step = source.choice((1, 2, 3, 5, 11, 40))
        pieces.append(data[at:at + step])
        at += step
    return pieces


def wait_until(condition, within: float = PATIENCE, what: str = "the condition", every: float = 0.01):
    """Asks `condition` again until it returns something true, and returns that."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {within} s (last: {value!r})")
        time.sleep(every)


__all__ = ["Connection", "ConnectionEnded", "PATIENCE", "byte_by_byte", "chunked", "random_pieces",
           "request_bytes", "wait_until"]
