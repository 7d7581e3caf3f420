"""HTTP/1.1 messages read byte for byte, as strictly as RFC 9110 and RFC 9112 allow.

The same reader parses the gateway's answers and the requests that it sends upstream, so every test also checks
that what the gateway writes is well formed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])\Z")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:;[\x20-\x7e\t]*)?)\Z")
HEAD_MAX = 1 << 20


class WireError(AssertionError):
    """The peer wrote something that is not HTTP/1.1."""


class ConnectionEnded(WireError):
    """The peer closed (or reset) where a message had to go on; `partial` is what had arrived of it."""

    def __init__(self, message: str, partial: bytes = b"", reset: bool = False):
        super().__init__(message + (f" after {partial[:200]!r}" if partial else ""))
        self.partial = partial
        self.reset = reset


class Fields(list):
    """The field lines of a message in their order, as (name, value) strings in Latin-1."""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self if key.lower() == name.lower()]

    def get(self, name: str, default: str | None = None) -> str | None:
        """The one value of `name`; a repeated field joins with a comma (RFC 9110 5.3)."""
        values = self.all(name)
        return ", ".join(values) if values else default

    def __getitem__(self, name):  # type: ignore[override]
        if isinstance(name, str):
            value = self.get(name)
            if value is None:
                raise AssertionError(f"no field {name} in {list(self)}")
            return value
        return super().__getitem__(name)

    def __contains__(self, name) -> bool:
        return bool(self.all(name)) if isinstance(name, str) else super().__contains__(name)

    def tokens(self, name: str) -> list[str]:
        """The members of a list of tokens, in lower case."""
        return [part.strip().lower() for value in self.all(name) for part in value.split(",") if part.strip()]


@dataclass
class Head:
    fields: Fields
    raw: bytes
    version: str = "1.1"


@dataclass
class Request(Head):
    method: str = ""
    target: str = ""
    body: bytes = b""
    trailers: Fields = field(default_factory=Fields)


@dataclass
class Response(Head):
    status: int = 0
    reason: str = ""
    body: bytes = b""
    trailers: Fields = field(default_factory=Fields)
    informational: list["Response"] = field(default_factory=list)
    complete: bool = True
    """False where the connection ended before the framing said that the body does."""
    framing: str = "none"
    """How the body was delimited: none, length, chunked or close."""
    chunks: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<{self.status} {list(self.fields)} {self.body[:200]!r}{'' if self.complete else ' (cut short)'}>"


def parse_fields(lines: list[bytes]) -> Fields:
    fields = Fields()
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name):
            raise WireError(f"malformed field line {line!r}")
        value = value.strip(b" \t")
        if not FIELD_VALUE.match(value):
            raise WireError(f"forbidden byte in the field value {line!r}")
        fields.append((name.decode("ascii"), value.decode("latin-1")))
    return fields


class Reader:
    """Reads messages from `receive`, a function that returns the next bytes, or b"" at the end of the stream."""

    def __init__(self, receive):
        self._receive = receive
        self.buffer = bytearray()
        self.ended = False
        self.was_reset = False

    def fill(self) -> bool:
        if self.ended:
            return False
        try:
            data = self._receive()
        except (ConnectionResetError, BrokenPipeError):
            self.ended = self.was_reset = True
            return False
        if not data:
            self.ended = True
            return False
        self.buffer += data
        return True

    def _need(self, what: str):
        if not self.fill():
            how = "reset" if self.was_reset else "closed"
            raise ConnectionEnded(f"the connection was {how} within {what}", bytes(self.buffer), self.was_reset)

    def line(self, what: str) -> bytes:
        """One line without its CRLF; a bare CR or LF inside is refused."""
        searched = 0
        while (end := self.buffer.find(b"\n", searched)) < 0:
            searched = len(self.buffer)
            if searched > HEAD_MAX:
                raise WireError(f"{what} has no end")
            self._need(what)
        line = bytes(self.buffer[: end + 1])
        del self.buffer[: end + 1]
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise WireError(f"bare CR or LF in {what}: {line!r}")
        return line[:-2]

    def exactly(self, count: int, what: str) -> bytes:
        while len(self.buffer) < count:
            self._need(what)
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def head_lines(self, what: str) -> list[bytes]:
        lines = [self.line(what)]
        while True:
            line = self.line(what)
            if not line:
                return lines
            lines.append(line)

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        while self.fill():
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def framing(self, fields: Fields) -> tuple[str, int]:
        lengths, codings = fields.all("Content-Length"), fields.all("Transfer-Encoding")
        if lengths and codings:
            raise WireError("both Content-Length and Transfer-Encoding were written")
        if codings:
            if [c.lower() for c in codings] != ["chunked"]:
                raise WireError(f"Transfer-Encoding {codings} was written")
            return "chunked", 0
        if lengths:
            if len(lengths) != 1 or not re.fullmatch("[0-9]+", lengths[0]):
                raise WireError(f"Content-Length {lengths} was written")
            return "length", int(lengths[0])
        return "none", 0

    def chunked(self, into: list[bytes]) -> Fields:
        """Reads chunks into `into` and returns the trailers."""
        while True:
            match = CHUNK_LINE.match(self.line("a chunk's size"))
            if not match:
                raise WireError("malformed chunk size line")
            size = int(match.group(1), 16)
            if size == 0:
                break
            into.append(self.exactly(size, "a chunk"))
            if self.exactly(2, "the end of a chunk") != b"\r\n":
                raise WireError("a chunk does not end in CRLF")
        lines = []
        while line := self.line("the trailers"):
            lines.append(line)
        return parse_fields(lines)

    def request_head(self) -> Request:
        lines = self.head_lines("a request head")
        match = REQUEST_LINE.match(lines[0])
        if not match:
            raise WireError(f"malformed request line {lines[0]!r}")
        raw = b"\r\n".join(lines) + b"\r\n\r\n"
        request = Request(parse_fields(lines[1:]), raw, "1." + match.group(3).decode())
        request.method, request.target = match.group(1).decode(), match.group(2).decode("latin-1")
        return request

    def request_body(self, request: Request) -> Request:
        kind, length = self.framing(request.fields)
        if kind == "length":
            request.body = self.exactly(length, "a request body")
        elif kind == "chunked":
            chunks: list[bytes] = []
            request.trailers = self.chunked(chunks)
            request.body = b"".join(chunks)
        return request

    def request(self) -> Request:
        return self.request_body(self.request_head())

    def response_head(self, what: str = "a response head") -> Response:
        lines = self.head_lines(what)
        match = STATUS_LINE.match(lines[0])
        if not match:
            raise WireError(f"malformed status line {lines[0]!r}")
        raw = b"\r\n".join(lines) + b"\r\n\r\n"
        response = Response(parse_fields(lines[1:]), raw, "1." + match.group(1).decode())
        response.status, response.reason = int(match.group(2)), match.group(3).decode("latin-1")
        return response

    def response(self, method: str = "GET", allow_cut: bool = False) -> Response:
        """One final response with the 1xx before it. `allow_cut` reports a body cut short as not complete."""
        informational = []
        while True:
            response = self.response_head()
            kind, length = self.framing(response.fields)
            if response.status >= 200 or response.status == 101:
                break
            if kind != "none":
                raise WireError(f"a {response.status} carries {kind} framing")  # RFC 9110 8.6, RFC 9112 6.1
            informational.append(response)
        response.informational = informational
        if response.status == 101:
            return response
        if response.status == 204 and kind != "none":
            raise WireError(f"a 204 carries {kind} framing: {list(response.fields)}")
        if method == "HEAD" or response.status in (204, 304):
            return response
        response.framing = kind if kind != "none" else "close"
        try:
            if kind == "length":
                response.body = self.exactly(length, "a response body")
            elif kind == "chunked":
                response.trailers = self.chunked(response.chunks)
                response.body = b"".join(response.chunks)
            else:
                response.body = self.rest()
                response.complete = not self.was_reset
        except ConnectionEnded as end:
            if not allow_cut:
                raise
            response.complete = False
            response.body = b"".join(response.chunks) + end.partial
        return response
