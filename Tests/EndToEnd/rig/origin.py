"""Backends for the proxy tests: one that follows a script byte for byte, and a simple, honest one."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import threading
import time
from urllib.parse import parse_qs, urlsplit

from .client import PATIENCE, wait_until
from .wire import ConnectionEnded, Reader, Request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class OriginConnection:
    """One connection that the gateway opened to an origin, from the origin's side."""

    def __init__(self, sock: socket.socket, number: int):
        self.socket = sock
        self.number = number
        self.received = bytearray()
        """Every byte that arrived, in order."""
        self.requests: list[Request] = []
        """The requests that arrived completely."""
        self.heads: list[Request] = []
        self.ended = threading.Event()
        """Set when the script is done with this connection."""
        self.reader = Reader(self._receive)

    def _receive(self) -> bytes:
        data = self.socket.recv(1 << 16)
        self.received += data
        return data

    def read_head(self) -> Request:
        head = self.reader.request_head()
        self.heads.append(head)
        return head

    def read_request(self) -> Request:
        """The next complete request; raises ConnectionEnded where the gateway closes."""
        request = self.reader.request_body(self.read_head())
        self.requests.append(request)
        return request

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, OSError):
            raise ConnectionEnded("the gateway closed while the origin was sending") from None

    def read_exactly(self, count: int) -> bytes:
        return self.reader.exactly(count, "a stream")

    def read_some(self) -> bytes:
        if not self.reader.buffer and not self.reader.fill():
            return b""
        data = bytes(self.reader.buffer)
        self.reader.buffer.clear()
        return data

    def wait_closed(self) -> None:
        """Returns when the gateway has closed its end."""
        self.reader.rest()

    def finish_sending(self) -> None:
        """Half-closes; nothing happens where the gateway has closed already."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Origin:
    """Accepts connections and runs `script(connection)` for each in a thread of its own.

    A script may be bytes: then each complete request is answered with them, on a kept-alive connection.
    """

    def __init__(self, script=OK, family: int = socket.AF_INET, path: str | None = None, port: int = 0,
                 patience: float = PATIENCE, receive_buffer: int | None = None, address: str | None = None):
        self.script = script if callable(script) else _answer_all(script)
        self.connections: list[OriginConnection] = []
        self.failures: list[BaseException] = []
        self.patience = patience
        self._lock = threading.Lock()
        self._receive_buffer = receive_buffer
        self._family, self._path, self._port = family, path, port
        self._address = address or ("::1" if family == socket.AF_INET6 else "127.0.0.1")
        self.listener: socket.socket | None = None
        self.listen()

    def listen(self) -> None:
        listener = socket.socket(self._family, socket.SOCK_STREAM)
        if self._receive_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._family == socket.AF_UNIX:
            if os.path.exists(self._path):
                os.unlink(self._path)
            listener.bind(self._path)
        else:
            listener.bind((self._address, self._port))
            self._port = listener.getsockname()[1]
        listener.listen(1024)
        self.listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    @property
    def port(self) -> int:
        return self._port

    @property
    def target(self) -> str:
        """How the configuration names this origin."""
        if self._family == socket.AF_UNIX:
            return f"unix:{self._path}"
        return f"[::1]:{self._port}" if self._family == socket.AF_INET6 else f"127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[Request]:
        """Every request that arrived completely, over all connections."""
        return [r for c in list(self.connections) for r in c.requests]

    @property
    def heads(self) -> list[Request]:
        return [r for c in list(self.connections) for r in c.heads]

    @property
    def received(self) -> bytes:
        return b"".join(bytes(c.received) for c in list(self.connections))

    def request(self, index: int = 0) -> Request:
        """The request number `index`, once it has arrived."""
        return wait_until(lambda: len(self.requests) > index and [self.requests[index]],
                          what=f"request {index} at the origin")[0]

    def connection(self, index: int = 0) -> OriginConnection:
        return wait_until(lambda: len(self.connections) > index and self.connections[index],
                          what=f"connection {index} at the origin")

    def forget(self) -> None:
        self.connections = [c for c in self.connections if not c.ended.is_set()]
        for c in self.connections:
            c.requests.clear()
            c.heads.clear()
            c.received.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(self.patience)
            if self._family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                connection = OriginConnection(sock, len(self.connections))
                self.connections.append(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: OriginConnection) -> None:
        try:
            self.script(connection)
        except (ConnectionEnded, ConnectionResetError, BrokenPipeError):
            pass
        except TimeoutError:
            pass
        except OSError as error:
            if error.errno != 9:  # A script or the end of the test has closed the socket already.
                self.failures.append(error)
        except BaseException as error:
            self.failures.append(error)
        finally:
            connection.close()
            connection.ended.set()

    def stop(self) -> None:
        """Stops listening, so that connection attempts are refused, and closes all connections."""
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None
        for connection in list(self.connections):
            connection.close()

    def assert_unharmed(self) -> None:
        """No script failed and whatever arrived was well-formed HTTP."""
        assert not self.failures, f"the origin's script failed: {self.failures!r}"

    def __enter__(self) -> "Origin":
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            self.assert_unharmed()


def _answer_all(data: bytes):
    def script(connection: OriginConnection):
        while True:
            connection.read_request()
            connection.send(data)
    return script


def answers(*steps):
    """A script that answers the requests of each connection in turn, then closes it.

    A step is bytes, or a function of (connection, request).
    """
    def script(connection: OriginConnection):
        for step in steps:
            request = connection.read_request()
            step(connection, request) if callable(step) else connection.send(step)
    return script


def in_turn(*scripts):
    """A script for each connection by its number; the last one serves all that follow."""
    scripts = [s if callable(s) else _answer_all(s) for s in scripts]

    def script(connection: OriginConnection):
        scripts[min(connection.number, len(scripts) - 1)](connection)
    return script


def response_bytes(status: int = 200, fields=(), body: bytes = b"", length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status} Reason"] + [f"{n}: {v}" for n, v in fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class EchoOrigin(Origin):
    """An honest HTTP/1.1 origin.

    /bytes/N streams N bytes · /chunked/N in chunks · /status/N · /slow?seconds=S · /name answers its name ·
    anything else answers a JSON description of the request.
    """

    def __init__(self, name: str = "origin", **options):
        self.name = name
        super().__init__(self._serve, **options)

    def _serve(self, connection: OriginConnection):
        while True:
            head = connection.read_head()
            if "100-continue" in head.fields.tokens("Expect"):
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            request = connection.reader.request_body(head)
            connection.requests.append(request)
            self._answer(connection, request)
            if "close" in request.fields.tokens("Connection"):
                return

    def _answer(self, connection: OriginConnection, request: Request):
        url = urlsplit(request.target)
        last = url.path.rpartition("/")[2]
        if "/bytes/" in url.path:
            self._stream(connection, request, int(last), chunked=False)
        elif "/chunked/" in url.path:
            self._stream(connection, request, int(last), chunked=True)
        elif "/status/" in url.path:
            status = int(last)
            body = b"" if status in (204, 304) else b"status %d" % status
            connection.send(response_bytes(status, [], b"" if request.method == "HEAD" else body,
                                           length=status not in (204, 304)))
        else:
            if "/slow" in url.path:
                time.sleep(float(parse_qs(url.query).get("seconds", ["0.2"])[0]))
            body = self.name.encode() if last == "name" else self.describe(request)
            fields = [("Content-Type", "application/json")]
            if request.method == "HEAD":
                fields.append(("Content-Length", str(len(body))))
                connection.send(response_bytes(200, fields, b"", length=False))
            else:
                connection.send(response_bytes(200, fields, body))

    def describe(self, request: Request) -> bytes:
        return json.dumps({
            "origin": self.name, "method": request.method, "target": request.target, "version": request.version,
            "fields": list(request.fields), "length": len(request.body),
            "sha256": hashlib.sha256(request.body).hexdigest(), "trailers": list(request.trailers),
        }).encode()

    @staticmethod
    def _stream(connection: OriginConnection, request: Request, count: int, chunked: bool):
        framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(count))
        connection.send(response_bytes(200, [framing], length=False))
        if request.method == "HEAD":
            return
        for piece in pattern(count):
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            connection.send(b"0\r\n\r\n")


PATTERN = hashlib.shake_256(b"chimera").digest(65521)
"""A prime number of bytes, so that a lost or doubled block never goes unnoticed."""


def pattern(count: int):
    """`count` reproducible bytes, in pieces of 64 KiB or so."""
    while count > 0:
        piece = PATTERN[:count]
        yield piece
        count -= len(piece)


def pattern_digest(count: int) -> str:
    digest = hashlib.sha256()
    for piece in pattern(count):
        digest.update(piece)
    return digest.hexdigest()


__all__ = ["EchoOrigin", "OK", "Origin", "OriginConnection", "PATTERN", "answers", "in_turn", "pattern",
           "pattern_digest", "response_bytes"]
