"""PyPI's h2 as a client: what it takes for HTTP/2, another author has understood so; and hyperframe for what h2 would not send."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import Settings
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame

from .client import PATIENCE


@dataclass
class Told:
    """What h2 said of one stream."""
    status: int = 0
    fields: dict = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    trailers: list | None = None
    informational: list = field(default_factory=list)
    ended: bool = False
    reset: int | None = None


class H2Client:
    """One connection. `credit` says whether what came is given back to the gateway's windows at once."""

    def __init__(self, address, secure: ssl.SSLContext | None = None, name: str | None = None, credit: bool = True,
                 settings: dict | None = None):
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            self.socket = secure.wrap_socket(self.socket, server_hostname=name)
        self.credit, self.host, self.scheme = credit, name or "test", "https" if secure else "http"
        self.machine = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        if settings:
            self.machine.local_settings = Settings(client=True, initial_values=settings)
        self.machine.initiate_connection()
        self.told: dict[int, Told] = {}
        self.last_stream = -1
        self.goaways: list[events.ConnectionTerminated] = []
        self.pongs: list[bytes] = []
        self.afterwards: list[Frame] = []
        """What came behind a GOAWAY, with which a connection is over for h2."""
        self.buffer = bytearray()
        self.has_ended = False
        self.flush()

    def __enter__(self) -> "H2Client":
        return self

    def __exit__(self, *_):
        self.socket.close()

    # Sending

    def flush(self) -> None:
        self.socket.sendall(self.machine.data_to_send())

    def raw(self, *frames: Frame) -> None:
        """Sends frames of which h2 is not told."""
        try:
            self.socket.sendall(b"".join(frame.serialize() for frame in frames))
        except (BrokenPipeError, ConnectionResetError):
            pass

    def block(self, path: str = "/", method: str = "GET") -> bytes:
        """The head of a request, for frames that h2 is not told of."""
        return self.machine.encoder.encode(self._fields(path, method))

    def _fields(self, path: str, method: str) -> list[tuple[str, str]]:
        return [(":method", method), (":scheme", self.scheme), (":path", path), (":authority", self.host)]

    def next_stream(self) -> int:
        """The number of a stream for frames that h2 is not told of."""
        self.last_stream += 2
        return self.last_stream

    def request(self, path: str = "/", method: str = "GET", fields=(), end: bool = True, pseudo=(),
                octets: bytes | None = None) -> int:
        """Sends a request's head; the stream's number. `octets` go in the place of what h2 would write."""
        stream = self.machine.get_next_available_stream_id()
        self.told[stream] = Told()
        self.machine.send_headers(stream, [*self._fields(path, method), *pseudo, *fields], end_stream=end)
        if octets is not None:
            self.machine.clear_outbound_data_buffer()
            self.raw(HeadersFrame(stream, octets, flags=["END_HEADERS", "END_STREAM"]))
        self.flush()
        return stream

    def send(self, stream: int, content: bytes, end: bool = False) -> None:
        """Sends content as far as the windows go, and reads until they go on."""
        while True:
            room = min(self.machine.local_flow_control_window(stream), self.machine.max_outbound_frame_size, len(content))
            if room or not content:
                part, content = content[:room], content[room:]
                self.machine.send_data(stream, part, end_stream=end and not content)
                self.flush()
            if not content:
                return
            if not room:
                self.read()

    # Reading

    def read(self) -> None:
        """Takes the octets that come next."""
        data = self.socket.recv(1 << 16)
        if not data:
            self.has_ended = True
            return
        self.buffer += data
        for octets in self._whole_frames():
            if self.goaways:
                self.afterwards.append(parse(octets))
                continue
            for event in self.machine.receive_data(octets):
                self._take(event)
        self.flush()

    def _whole_frames(self):
        while len(self.buffer) >= 9 and len(self.buffer) >= (size := 9 + int.from_bytes(self.buffer[:3], "big")):
            octets = bytes(self.buffer[:size])
            del self.buffer[:size]
            yield octets

    def _take(self, event) -> None:
        told = self.told.get(getattr(event, "stream_id", 0) or 0)
        match event:
            case events.InformationalResponseReceived():
                told.informational.append(dict(event.headers))
            case events.ResponseReceived():
                told.fields = dict(event.headers)
                told.status = int(told.fields.pop(":status"))
            case events.DataReceived():
                told.body += event.data
                if self.credit and event.flow_controlled_length:
                    self.machine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case events.TrailersReceived():
                told.trailers = list(event.headers)
            case events.StreamEnded():
                told.ended = True
            case events.StreamReset():
                told.reset = event.error_code
            case events.ConnectionTerminated():
                self.goaways.append(event)
            case events.PingAckReceived():
                self.pongs.append(event.ping_data)

    def until(self, done):
        """Reads until `done()` says something, and gives that."""
        while not (found := done()):
            assert not self.has_ended, "the gateway closed the connection"
            self.read()
        return found

    def answer(self, stream: int) -> Told:
        told = self.told[stream]
        self.until(lambda: told.ended or told.reset is not None)
        return told

    def get(self, path: str = "/", **options) -> Told:
        return self.answer(self.request(path, **options))

    def goaway(self) -> GoAwayFrame:
        """The GOAWAY of a connection that then ends, whatever h2 would have said of the frames before."""
        last = None
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            self.buffer += data
            for frame in map(parse, self._whole_frames()):
                last = frame if isinstance(frame, GoAwayFrame) else last
            if not data:
                assert last, "the connection ended without GOAWAY"
                return last


def parse(octets: bytes) -> Frame:
    frame, _ = Frame.parse_frame_header(memoryview(octets[:9]))
    frame.parse_body(memoryview(octets[9:]))
    return frame
