"""WebSockets over HTTP/2 (RFC 8441), spoken by PyPI's h2 for the streams and by its wsproto and websockets for the frames:
what other authors have understood of both."""

import contextlib

import pytest
import wsproto.events as wsproto
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import PerMessageDeflate as WebsocketsDeflate
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri
from wsproto.connection import Connection, ConnectionType
from wsproto.extensions import PerMessageDeflate

from rig import tls
from rig.h2_client import H2Client
from rig.sessions import Marked, shell, site
from rig.tls import trusting_anybody

HANDSHAKE = [("sec-websocket-version", "13"), ("origin", "http://test")]


class WsprotoFrames:
    """wsproto's frames; it leaves the handshake of RFC 8441 to whoever speaks HTTP/2."""

    def __init__(self, deflate: str | None):
        extension = PerMessageDeflate()
        if deflate:
            extension.offer()
            extension.finalize(deflate)
        self.connection = Connection(ConnectionType.CLIENT, [extension] if deflate else [])
        self.texts, self.partial, self.code = [], "", None

    def text(self, text: str) -> bytes:
        return self.connection.send(wsproto.TextMessage(text))

    def ping(self) -> bytes:
        return self.connection.send(wsproto.Ping(b"there?"))

    def close(self) -> bytes:
        return self.connection.send(wsproto.CloseConnection(1000, "done"))

    def receive(self, data: bytes) -> bytes:
        self.connection.receive_data(data)
        answer = b""
        for event in self.connection.events():
            match event:
                case wsproto.TextMessage():
                    self.partial += event.data
                    if event.message_finished:
                        self.texts.append(self.partial)
                        self.partial = ""
                case wsproto.Pong():
                    self.texts.append(f"pong {bytes(event.payload).decode()}")
                case wsproto.CloseConnection():
                    self.code = event.code
                    with contextlib.suppress(Exception):
                        answer += self.connection.send(event.response())
        return answer


class WebsocketsFrames:
    """The frames of the websockets library, whose handshake knows HTTP/1.1 alone."""

    def __init__(self, deflate: str | None):
        self.protocol = ClientProtocol(parse_uri("ws://test/"), state=State.OPEN, max_size=None)
        if deflate:
            self.protocol.extensions = [WebsocketsDeflate(False, False, 15, 15)]
        self.texts, self.code, self.partial = [], None, b""

    def sent(self) -> bytes:
        return b"".join(self.protocol.data_to_send())

    def text(self, text: str) -> bytes:
        self.protocol.send_text(text.encode())
        return self.sent()

    def ping(self) -> bytes:
        self.protocol.send_ping(b"there?")
        return self.sent()

    def close(self) -> bytes:
        self.protocol.send_close(1000, "done")
        return self.sent()

    def receive(self, data: bytes) -> bytes:
        self.protocol.receive_data(data)
        for frame in self.protocol.events_received():
            if frame.opcode in (Opcode.TEXT, Opcode.CONT):
                self.partial += bytes(frame.data)
                if frame.fin:
                    self.texts.append(self.partial.decode())
                    self.partial = b""
            elif frame.opcode is Opcode.PONG:
                self.texts.append(f"pong {bytes(frame.data).decode()}")
            elif frame.opcode is Opcode.CLOSE:
                self.code = self.protocol.close_rcvd.code
        assert self.protocol.parser_exc is None or isinstance(self.protocol.parser_exc, (EOFError, ConnectionClosed))
        return self.sent()


class Stream:
    """One WebSocket on one stream."""

    def __init__(self, client: H2Client, frames, deflate: bool, path: str = "/"):
        self.client, offer = client, [("sec-websocket-extensions", "permessage-deflate")] if deflate else []
        self.stream = client.request(path, "CONNECT", [*HANDSHAKE, *offer], end=False, pseudo=[(":protocol", "websocket")])
        self.told = client.told[self.stream]
        client.until(lambda: self.told.status)
        assert self.told.status == 200 and "sec-websocket-accept" not in self.told.fields
        agreed = self.told.fields.get("sec-websocket-extensions")
        assert bool(agreed) == deflate
        self.frames = frames(agreed)

    def send(self, data: bytes) -> None:
        self.client.send(self.stream, data)

    def until(self, done):
        """Reads the stream until `done()` is true."""
        while not done():
            assert self.told.body or not self.told.ended, "the stream ended"
            if not self.told.body:
                self.client.read()
            data, self.told.body[:] = bytes(self.told.body), b""
            if data and (answer := self.frames.receive(data)):
                self.send(answer)

    def next(self) -> str:
        self.until(lambda: self.frames.texts)
        return self.frames.texts.pop(0)


@pytest.fixture
def marked():
    mark = Marked()
    yield mark
    mark.await_gone()


@pytest.fixture(params=["plain", "tls"])
def connect(request, start_gateway, marked, tmp_path):
    """connect(*command): h2's client of a gateway with that session."""
    def made(*command):
        text = site(*command, options=f"{marked.option} origin=*")
        if request.param == "plain":
            return H2Client(start_gateway(text).address)
        certificate = tls.certify(tmp_path, "test", "test")
        gateway = start_gateway(text.replace("site test {", f"site test {{\ntls {certificate.line}"), tls.LISTEN)
        context = trusting_anybody()
        context.set_alpn_protocols(["h2"])
        return H2Client(("127.0.0.1", tls.port(gateway)), secure=context, name="test")
    return made


@pytest.mark.parametrize("frames", [WsprotoFrames, WebsocketsFrames])
@pytest.mark.parametrize("deflate", [False, True])
def test_libraries_speak_with_a_program_over_http2(connect, frames, deflate):
    """Issue: `websockets` and `wsproto` clients by `h2` over HTTP/2; several WebSockets on one connection."""
    with connect("cat") as client:
        streams = [Stream(client, frames, deflate) for _ in range(3)]
        messages = ["hello", "grüße 😀 " * 500, "x" * 100_000, ""]
        for number, stream in enumerate(streams):
            for message in messages:
                stream.send(stream.frames.text(f"{number}{message}"))
        for number, stream in enumerate(streams):
            assert [stream.next() for _ in messages] == [f"{number}{message}" for message in messages]
        for stream in streams:
            stream.send(stream.frames.ping())
            assert stream.next() == "pong there?"
            stream.send(stream.frames.close())
            stream.until(lambda stream=stream: stream.frames.code is not None)
            assert stream.frames.code == 1000
            client.send(stream.stream, b"", end=True)
            assert client.answer(stream.stream).reset is None


@pytest.mark.parametrize("frames", [WsprotoFrames, WebsocketsFrames])
def test_libraries_hear_how_a_program_has_ended_over_http2(connect, frames):
    with connect(*shell("echo last; exit 7")) as client:
        stream = Stream(client, frames, False)
        assert stream.next() == "last"
        stream.until(lambda: stream.frames.code is not None)
        assert stream.frames.code == 4007
