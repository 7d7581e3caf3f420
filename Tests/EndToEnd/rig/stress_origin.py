"""An origin that answers in every framing and with every fault, as the request's path says, and says the same each time."""

from __future__ import annotations

import base64
import hashlib
import random
import time

from .origin import PATTERN, Origin, OriginConnection
from .wire import Request

_CONTENT = PATTERN * 96
LINK = "</style.css>; rel=preload"


def content(seed: int, count: int) -> bytes:
    """`count` octets, other ones for each seed."""
    start = seed * 7919 % len(PATTERN)
    return _CONTENT[start:start + count]


def digest(body: bytes) -> bytes:
    """What the echo answers to a body."""
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()


class StressOrigin(Origin):
    """/…/KIND/COUNT/SEED: the method of that name answers, with COUNT octets of `content(SEED)`.

    A request's body is read before the answer, but for those kinds that say otherwise. A request to switch protocols gets
    back what it sends, until its client ends.
    """

    def __init__(self, **options):
        super().__init__(self._serve, **options)

    def _serve(self, connection: OriginConnection) -> None:
        while True:
            head = connection.read_head()
            if head.fields.get("Upgrade"):
                return self._tunnel(connection, head)
            kind, count, seed = head.target.partition("?")[0].split("/")[-3:]
            answer = getattr(self, f"_{kind}")
            if kind != "early":
                self._read_body(connection, head)
            chance = random.Random(int(seed))
            answer(connection, head, content(int(seed), int(count)), chance)
            # Nobody asks for them, and they would be all that the load ever sent.
            connection.received.clear()
            connection.heads.clear()
            if kind in ("close", "early", "cut", "garbage", "reset", "silence"):
                return

    @staticmethod
    def _read_body(connection: OriginConnection, head: Request) -> None:
        if "100-continue" in head.fields.tokens("Expect"):
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.reader.request_body(head)

    @staticmethod
    def _head(status: int, *fields: tuple[str, object]) -> bytes:
        return "\r\n".join([f"HTTP/1.1 {status} Reason", *(f"{n}: {v}" for n, v in fields), "", ""]).encode()

    @staticmethod
    def _pieces(body: bytes, chance: random.Random):
        at = 0
        while at < len(body):
            size = chance.choice((1, 100, 1500, 16384, 50_000, 200_000))
            yield body[at:at + size]
            at += size

    # What ends well

    def _length(self, connection, request, body, chance) -> None:
        head = self._head(200, ("Content-Length", len(body)))
        if request.method == "HEAD":
            return connection.send(head)
        if len(body) < 50_000:
            return connection.send(head + body)
        connection.send(head)
        for piece in self._pieces(body, chance):
            connection.send(piece)

    def _chunked(self, connection, request, body, chance, trailers=b"", pause=0.0) -> None:
        connection.send(self._head(200, ("Transfer-Encoding", "chunked")))
        if request.method == "HEAD":
            return
        for piece in self._pieces(body, chance):
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            if pause:
                time.sleep(chance.random() * pause)
        connection.send(b"0\r\n" + trailers + b"\r\n")

    def _trailers(self, connection, request, body, chance) -> None:
        self._chunked(connection, request, body, chance, f"X-Sum: {len(body)}\r\n".encode())

    def _slow(self, connection, request, body, chance) -> None:
        self._chunked(connection, request, body, chance, pause=0.02)

    def _events(self, connection, request, body, chance) -> None:
        connection.send(self._head(200, ("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")))
        if request.method == "HEAD":
            return
        for at in range(0, len(body), 40):
            piece = body[at:at + 40]
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            time.sleep(chance.random() * 0.01)
        connection.send(b"0\r\n\r\n")

    def _close(self, connection, request, body, chance) -> None:
        connection.send(self._head(200, ("Connection", "close")))
        if request.method != "HEAD":
            for piece in self._pieces(body, chance):
                connection.send(piece)

    def _nothing(self, connection, request, body, chance) -> None:
        connection.send(self._head(204))

    def _unchanged(self, connection, request, body, chance) -> None:
        connection.send(self._head(304, ("ETag", '"a"')))

    def _interim(self, connection, request, body, chance) -> None:
        connection.send(self._head(103, ("Link", LINK)) * chance.randrange(1, 4))
        self._length(connection, request, body, chance)

    def _echo(self, connection, request, body, chance) -> None:
        self._length(connection, request, digest(request.body), chance)

    def _early(self, connection, request, body, chance) -> None:
        """Answers before the body has come, and reads a part of it."""
        connection.send(self._head(200, ("Content-Length", len(body)), ("Connection", "close")) + body)
        connection.finish_sending()
        connection.wait_closed()

    # What does not

    def _cut(self, connection, request, body, chance) -> None:
        connection.send(self._head(200, ("Content-Length", len(body) + 1)) + body)

    def _reset(self, connection, request, body, chance) -> None:
        connection.send(self._head(200, ("Transfer-Encoding", "chunked")) + b"%x\r\n%b" % (len(body) + 1, body))
        connection.reset()

    def _garbage(self, connection, request, body, chance) -> None:
        connection.send(chance.choice((b"garbage\r\n\r\n", b"HTTP/1.1 20 x\r\n\r\n", b"\0" * 100, b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n")))

    def _silence(self, connection, request, body, chance) -> None:
        """Closes without a word."""

    # Tunnels

    def _tunnel(self, connection: OriginConnection, request: Request) -> None:
        token = request.fields["Upgrade"]
        fields = [("Upgrade", token), ("Connection", "Upgrade")]
        if key := request.fields.get("Sec-WebSocket-Key"):
            proof = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            fields.append(("Sec-WebSocket-Accept", base64.b64encode(proof).decode()))
        connection.send(self._head(101, *fields))
        while data := connection.read_some():
            connection.received.clear()
            connection.send(data)
