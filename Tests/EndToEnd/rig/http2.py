"""A client of HTTP/2 at the level of frames: it sends exactly what it is told, and checks all that the gateway sends.

Whatever a test is about, each frame that comes is held against RFC 9113: sizes, streams that are open, windows that are
not exceeded, fields in small letters without those of a connection. Field blocks are coded and decoded by PyPI's hpack.
"""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass, field

import hpack

from .client import PATIENCE
from .wire import ConnectionEnded, Fields, WireError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
END_STREAM = ACK = 1
END_HEADERS, PADDED, PRIORITY_FLAG = 4, 8, 32
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY,
 HTTP_1_1_REQUIRED) = range(14)
(HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE,
 ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES) = 1, 2, 3, 4, 5, 6, 8, 9
OF_A_CONNECTION = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}


@dataclass
class Frame:
    type: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of RST_STREAM and GOAWAY."""
        return struct.unpack(">I", self.payload[:4] if self.type == RST_STREAM else self.payload[4:8])[0]

    @property
    def last_stream(self) -> int:
        return struct.unpack(">I", self.payload[:4])[0] & 0x7FFFFFFF


@dataclass
class Answer:
    """What came on one stream."""
    status: int = 0
    fields: Fields = field(default_factory=Fields)
    body: bytearray = field(default_factory=bytearray)
    trailers: Fields | None = None
    informational: list = field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    """The error code, where the stream was reset."""

    @property
    def is_over(self) -> bool:
        return self.ended or self.reset is not None


def frame(type: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([type, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def request_fields(target: str = "/", method: str = "GET", host: str = "test", fields=(), scheme: str = "http"):
    return [(":method", method), (":scheme", scheme), (":path", target), (":authority", host), *fields]


class Http2:
    """One connection. `read` takes frames until there is what was asked for; answers gather in `answers`."""

    def __init__(self, address, *pairs: tuple[int, int], preface: bool = True, timeout: float = PATIENCE,
                 receive_buffer: int | None = None, credit: bool = True, secure: ssl.SSLContext | None = None,
                 name: str | None = None):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            self.socket = secure.wrap_socket(self.socket, server_hostname=name)
            assert self.socket.selected_alpn_protocol() == "h2"
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.credit = credit
        """Whether what comes is given back to the gateway's windows at once."""
        self.buffer = bytearray()
        self.answers: dict[int, Answer] = {}
        self.last_stream = -1
        self.window, self.windows = 65535, {}
        """What the gateway may still send, on the connection and on each stream."""
        self.send_window, self.send_windows = 65535, {}
        self.initial = dict(pairs).get(INITIAL_WINDOW_SIZE, 65535)
        self.peer: dict[int, int] = {}
        self.goaways: list[Frame] = []
        self.pongs: list[bytes] = []
        self.settings_acks = 0
        self.block: tuple[int, int, bytearray] | None = None
        if preface:
            self.send(PREFACE + settings(*pairs))

    def __enter__(self) -> "Http2":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.socket.close()

    # Sending

    def send(self, data: bytes) -> "Http2":
        """Sends all of `data`. A peer that has closed already is left to the next read to report."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass
        return self

    def frame(self, *arguments, **options) -> "Http2":
        return self.send(frame(*arguments, **options))

    def open(self) -> int:
        """The next stream's number."""
        self.last_stream += 2
        self.answers[self.last_stream] = Answer()
        self.windows[self.last_stream] = self.initial
        self.send_windows[self.last_stream] = self.peer.get(INITIAL_WINDOW_SIZE, 65535)
        return self.last_stream

    def head(self, fields, end: bool = True, stream: int | None = None) -> int:
        """Sends a field block that opens a stream, in one frame."""
        stream = stream or self.open()
        self.frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, self.encoder.encode(fields))
        return stream

    def request(self, target: str = "/", method: str = "GET", host: str = "test", fields=(), body: bytes | None = None,
                end: bool = True, scheme: str = "http") -> int:
        """Sends a request, its body as far as the gateway's windows let it; the stream's number."""
        stream = self.head(request_fields(target, method, host, fields, scheme), end and body is None)
        if body is not None:
            self.body(stream, body, end)
        return stream

    def body(self, stream: int, body: bytes, end: bool = True) -> None:
        sent = 0
        while sent < len(body) or end:
            part = body[sent:sent + 16384]
            while len(part) > min(self.send_window, self.send_windows[stream]):
                if self.answers[stream].is_over:
                    return
                self.read()
            sent += len(part)
            self.send_window -= len(part)
            self.send_windows[stream] -= len(part)
            self.frame(DATA, END_STREAM if end and sent == len(body) else 0, stream, part)
            if sent == len(body):
                return

    # Reading

    def raw(self) -> Frame:
        """The next frame, unchecked."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                raise ConnectionEnded(f"the gateway reset the connection{self._last_words()}", bytes(self.buffer),
                                      reset=True) from None
            if not data:
                raise ConnectionEnded(f"the gateway closed the connection{self._last_words()}", bytes(self.buffer))
            self.buffer += data
        size = int.from_bytes(self.buffer[:3], "big")
        type, flags = self.buffer[3], self.buffer[4]
        stream = int.from_bytes(self.buffer[5:9], "big")
        payload = bytes(self.buffer[9:9 + size])
        del self.buffer[:9 + size]
        if stream >> 31:
            raise WireError("the reserved bit is set (RFC 9113 4.1)")
        if size > 16384:
            raise WireError(f"a frame of {size} octets (RFC 9113 4.2)")
        return Frame(type, flags, stream, payload)

    def _last_words(self) -> str:
        return "".join(f", after GOAWAY {frame.payload[4:]!r}" for frame in self.goaways[-1:])

    def read(self) -> Frame:
        """The next frame, checked and taken."""
        frame = self.raw()
        if self.block and frame.type != CONTINUATION:
            raise WireError("a field block is interrupted (RFC 9113 4.3)")
        if frame.type in (DATA, HEADERS, RST_STREAM, CONTINUATION) and frame.stream not in self.answers:
            raise WireError(f"frame {frame.type} on stream {frame.stream}, which was not opened (RFC 9113 5.1)")
        take = {DATA: self._data, HEADERS: self._headers, CONTINUATION: self._continuation, RST_STREAM: self._reset,
                SETTINGS: self._settings, PING: self._ping, GOAWAY: self._goaway,
                WINDOW_UPDATE: self._window_update}.get(frame.type)
        if take is None:
            raise WireError(f"a server does not send frame {frame.type}")
        take(frame)
        return frame

    def until(self, done, frames: int = 100_000):
        """Reads until `done()` says something, and gives that."""
        for _ in range(frames):
            if found := done():
                return found
            self.read()
        raise AssertionError(f"not after {frames} frames")

    def answer(self, stream: int) -> Answer:
        """The stream's answer, once it is over."""
        return self.until(lambda: self.answers[stream].is_over and self.answers[stream])

    def get(self, target: str = "/", **options) -> Answer:
        return self.answer(self.request(target, **options))

    def goaway(self) -> Frame:
        """The last GOAWAY, once the connection has ended behind it."""
        while True:
            try:
                self.read()
            except ConnectionEnded:
                assert self.goaways, "the connection ended without GOAWAY"
                return self.goaways[-1]

    def ping(self, content: bytes = b"12345678") -> None:
        """Sends a PING and reads until its answer: all that was sent before has been taken then."""
        before = len(self.pongs)
        self.frame(PING, payload=content)
        self.until(lambda: len(self.pongs) > before)

    # Frames that come

    def _data(self, frame: Frame) -> None:
        content = frame.payload
        if frame.flags & PADDED:
            content = content[1:len(content) - content[0]]
        answer = self.answers[frame.stream]
        if not answer.status or answer.ended:
            raise WireError(f"DATA on stream {frame.stream} before its head or behind its end")
        self.window -= len(frame.payload)
        self.windows[frame.stream] -= len(frame.payload)
        # A frame without content needs no window, also where settings have made that negative.
        if frame.payload and (self.window < 0 or self.windows[frame.stream] < 0):
            raise WireError("more DATA than the windows allow (RFC 9113 6.9.1)")
        answer.body += content
        answer.ended = bool(frame.flags & END_STREAM)
        if self.credit and frame.payload:
            self.give(0, len(frame.payload))
            if not answer.ended:
                self.give(frame.stream, len(frame.payload))

    def give(self, stream: int, count: int) -> None:
        """Lets the gateway send so many octets more."""
        if stream:
            self.windows[stream] += count
        else:
            self.window += count
        self.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", count))

    def _headers(self, frame: Frame) -> None:
        if frame.flags & (PADDED | PRIORITY_FLAG):
            raise WireError("padding or priority in HEADERS, which the gateway does not send")
        self.block = (frame.stream, frame.flags, bytearray(frame.payload))
        if frame.flags & END_HEADERS:
            self._block_ended()

    def _continuation(self, frame: Frame) -> None:
        if not self.block or self.block[0] != frame.stream:
            raise WireError("CONTINUATION without HEADERS (RFC 9113 6.10)")
        self.block[2].extend(frame.payload)
        if frame.flags & END_HEADERS:
            self._block_ended()

    def _block_ended(self) -> None:
        stream, flags, block = self.block
        self.block = None
        lines = [(str(n), str(v)) for n, v in self.decoder.decode(bytes(block))]
        answer, end = self.answers[stream], bool(flags & END_STREAM)
        if answer.ended:
            raise WireError("HEADERS behind the end of a stream (RFC 9113 5.1)")
        for name, value in lines:
            if name != name.lower() or name in OF_A_CONNECTION:
                raise WireError(f"a field {name} (RFC 9113 8.2)")
            if any(c in value for c in "\r\n\0"):
                raise WireError(f"a value {value!r} (RFC 9113 8.2.1)")
        pseudo = [line for line in lines if line[0].startswith(":")]
        fields = Fields(lines[len(pseudo):])
        if any(name.startswith(":") for name, _ in fields):
            raise WireError("pseudo-fields behind fields (RFC 9113 8.3)")
        if answer.status:
            if pseudo or not end:
                raise WireError("trailers with pseudo-fields or without an end (RFC 9113 8.1)")
            answer.trailers = fields
        elif [name for name, _ in pseudo] != [":status"]:
            raise WireError(f"a response with {pseudo} (RFC 9113 8.3.2)")
        elif pseudo[0][1].startswith("1"):
            if end or pseudo[0][1] == "101":
                raise WireError("an interim head that ends its stream, or 101 (RFC 9113 8.1, 8.6)")
            answer.informational.append((int(pseudo[0][1]), fields))
        else:
            answer.status, answer.fields = int(pseudo[0][1]), fields
        if end:
            answer.ended = True

    def _reset(self, frame: Frame) -> None:
        if len(frame.payload) != 4:
            raise WireError("RST_STREAM has four octets (RFC 9113 6.4)")
        self.answers[frame.stream].reset = frame.code

    def _settings(self, frame: Frame) -> None:
        if frame.stream or len(frame.payload) % 6:
            raise WireError("SETTINGS on a stream or of a wrong size (RFC 9113 6.5)")
        if frame.flags & ACK:
            self.settings_acks += 1
            return
        before = self.peer.get(INITIAL_WINDOW_SIZE, 65535)
        for position in range(0, len(frame.payload), 6):
            key, value = struct.unpack(">HI", frame.payload[position:position + 6])
            self.peer[key] = value
        difference = self.peer.get(INITIAL_WINDOW_SIZE, 65535) - before
        for stream in self.send_windows:
            self.send_windows[stream] += difference
        self.frame(SETTINGS, ACK)

    def _ping(self, frame: Frame) -> None:
        if frame.stream or len(frame.payload) != 8:
            raise WireError("PING on a stream or of a wrong size (RFC 9113 6.7)")
        if frame.flags & ACK:
            self.pongs.append(frame.payload)
        else:
            self.frame(PING, ACK, 0, frame.payload)

    def _goaway(self, frame: Frame) -> None:
        if frame.stream or len(frame.payload) < 8:
            raise WireError("GOAWAY on a stream or of a wrong size (RFC 9113 6.8)")
        if self.goaways and frame.last_stream > self.goaways[-1].last_stream:
            raise WireError("GOAWAY that takes more streams than the one before (RFC 9113 6.8)")
        self.goaways.append(frame)

    def _window_update(self, frame: Frame) -> None:
        increment = int.from_bytes(frame.payload, "big")
        if len(frame.payload) != 4 or not 0 < increment < 1 << 31:
            raise WireError("WINDOW_UPDATE of a wrong size or of nothing (RFC 9113 6.9)")
        if frame.stream == 0:
            self.send_window += increment
        else:
            self.send_windows[frame.stream] += increment
