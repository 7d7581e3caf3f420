"""WebSockets that the gateway cuts off: RFC 6455 5.5.1 and 7.4, and 1012 ("Service Restart") of IANA's registry."""

import signal
import threading

import pytest
from websockets.exceptions import ConnectionClosed

from rig.client import request_bytes, wait_until
from rig.websocket import KEY, REQUEST, RESTART, SWITCH, dial, frame, is_restart


def behind(start_gateway, target: str, machine: str = "drain 1s"):
    return start_gateway(f"site test {{\n/fine respond 200 fine\n/* proxy {target}\n}}", machine)


def cut_off(gateway, how: str = "drain"):
    """Ends it, or lets another data plane take over, with a `drain` that is over soon."""
    if how == "upgrade":
        gateway.upgrade()
    else:
        gateway.signal(signal.SIGTERM)
        if how == "second signal":
            gateway.await_stderr("draining")
            gateway.signal(signal.SIGTERM)


@pytest.mark.parametrize("how, drain", [("drain", "1s"), ("upgrade", "1s"), ("second signal", "10m")])
def test_what_outlives_drain_is_closed_with_1012(start_gateway, websocket_server, how, drain):
    """Issue: what outlives `drain` is closed, a WebSocket with 1012; both ends, with a real library, hear of it."""
    gateway = behind(start_gateway, websocket_server.target, f"drain {drain}")
    with dial(gateway) as chat:
        for message in ("text", b"\x00\xff" * 100, "x" * 70_000):
            chat.send(message)
            assert chat.recv(timeout=10) == message
        cut_off(gateway, how)
        if how != "second signal":
            # Until then it is used.
            chat.send("still here")
            assert chat.recv(timeout=10) == "still here"
        with pytest.raises(ConnectionClosed) as closed:
            chat.recv(timeout=20)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    wait_until(lambda: websocket_server.closed, what="the close at the server")
    assert websocket_server.closed == [(1012, "")]
    if how != "upgrade":
        assert gateway.await_exit() == 0
    assert [r["close"] for r in gateway.records(1, where=lambda r: r["status"] == 101)] == ["draining"]


class Scripted:
    """A WebSocket's upstream that sends some bytes behind its 101, and keeps what comes."""

    def __init__(self, origins, said: bytes = b""):
        self.said, self.received = said, None
        self.origin = origins(self._run)

    def _run(self, connection):
        connection.read_head()
        connection.send(SWITCH + self.said)
        self.connection = connection
        self.received = connection.reader.rest()

    def all(self) -> bytes:
        """Everything that came until the gateway's end."""
        wait_until(lambda: self.received is not None, what="the end of the upstream's connection")
        return self.received


def open_tunnel(gateway, upstream, said: bytes = b"", hears: bytes = b""):
    """A client that has said and heard this through the gateway."""
    client = gateway.connect()
    client.send(REQUEST)
    assert client.reader.response_head().status == 101
    client.send(said)
    assert client.read_exactly(len(hears)) == hears
    wait_until(lambda: bytes(upstream.origin.connection().received).endswith(said), what="what the client said")
    return client


def test_in_the_middle_of_a_frame_it_is_closed_without_one(start_gateway, origins):
    """operations.md: what is in the middle of a frame cannot be told; the other direction is."""
    half = frame(b"a message of some length")[:10]
    upstream = Scripted(origins, half)
    gateway = behind(start_gateway, upstream.origin.target)
    with open_tunnel(gateway, upstream, frame(b"whole", key=KEY), half) as client:
        cut_off(gateway)
        assert client.read_until_close() == b""
    received = upstream.all()
    assert received.startswith(frame(b"whole", key=KEY)) and is_restart(received[11:])


def test_a_client_in_the_middle_of_a_frame(start_gateway, origins):
    """The same the other way round, in the middle of a header."""
    upstream = Scripted(origins, frame(b"a fragment", final=False))
    gateway = behind(start_gateway, upstream.origin.target)
    header = frame(b"x" * 300, key=KEY)[:3]
    with open_tunnel(gateway, upstream, header, frame(b"a fragment", final=False)) as client:
        cut_off(gateway)
        assert client.read_until_close() == RESTART
    assert upstream.all() == header


def test_both_in_the_middle_of_a_frame(start_gateway, origins):
    """The same where nobody can be told."""
    upstream = Scripted(origins, b"\x82")
    gateway = behind(start_gateway, upstream.origin.target)
    with open_tunnel(gateway, upstream, b"\x81\x85", b"\x82") as client:
        cut_off(gateway)
        assert client.read_until_close() == b""
    assert upstream.all() == b"\x81\x85"


@pytest.mark.parametrize("side", ["client", "upstream"])
def test_after_a_close_of_one_side_none_is_injected(start_gateway, origins, side):
    """RFC 6455 5.5.1: nothing follows a Close; the closing handshake is theirs from then on."""
    said = frame(b"\x03\xe8", opcode=8, key=KEY) if side == "client" else b""
    heard = frame(b"\x03\xe8", opcode=8) if side == "upstream" else b""
    upstream = Scripted(origins, heard)
    gateway = behind(start_gateway, upstream.origin.target)
    with open_tunnel(gateway, upstream, said, heard) as client:
        cut_off(gateway)
        assert client.read_until_close() == b""
    assert upstream.all() == said


def test_a_client_that_goes_on_sending_sees_the_close(start_gateway, origins):
    """RFC 9112 9.6 for this end as well: no reset destroys what was sent last."""
    upstream = Scripted(origins)
    gateway = behind(start_gateway, upstream.origin.target)
    with open_tunnel(gateway, upstream) as client:
        done = threading.Event()

        def chatter():
            while not done.is_set():
                client.send(frame(b"x" * 1000, key=KEY))
        thread = threading.Thread(target=chatter)
        thread.start()
        try:
            cut_off(gateway)
            assert client.read_exactly(4) == RESTART
        finally:
            done.set()
            thread.join(10)
    received = upstream.all()
    whole = frame(b"x" * 1000, key=KEY)
    count, rest = divmod(len(received), len(whole))
    assert received[:count * len(whole)] == whole * count
    tail = received[count * len(whole):]
    # Behind the last frame stands the Close, unless that frame was not whole.
    assert is_restart(tail) or (tail and whole.startswith(tail))


def test_a_tunnel_of_another_protocol_is_just_closed(start_gateway, origins):
    """Only a WebSocket has a Close frame."""
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
        received.append(connection.reader.rest())
    received = []
    gateway = behind(start_gateway, origins(script).target)
    with gateway.connect() as client:
        client.send(request_bytes(fields=[("Connection", "Upgrade"), ("Upgrade", "other")]))
        assert client.response().status == 101
        cut_off(gateway)
        assert client.read_until_close() == b""
    wait_until(lambda: received, what="the upstream's end")
    assert received == [b""]
