"""Upgrades through the proxy: a tunnel of bytes, both directions, each with its own end (RFC 9110 7.8)."""

import asyncio
import hashlib
import os
import socket
import threading
import time

import pytest
from websockets.asyncio.client import connect as websocket_connect

from rig.client import request_bytes, wait_until
from rig.origin import OK, PATTERN, response_bytes
from rig.process import MiB, PeakMemory

UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "test-protocol")]
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test-protocol\r\n\r\n"


def behind(start_gateway, target: str, settings: str = ""):
    block = f" {{ {settings} }}" if settings else ""
    return start_gateway(f"site test {{\n/fine respond 200 fine\n/* proxy {target}{block}\n}}")


def switched(gateway, fields=(), behind_head: bytes = b"", **options):
    connection = gateway.connect(**options)
    connection.send(request_bytes(target="/tunnel", fields=[*UPGRADE, *fields]) + behind_head)
    response = connection.response()
    assert response.status == 101, response
    assert "upgrade" in response.fields.tokens("Connection")
    assert response.fields["Upgrade"] == "test-protocol"
    return connection


def echo(connection):
    connection.read_head()
    connection.send(SWITCH)
    while data := connection.read_some():
        connection.send(data)


def test_the_upgrade_reaches_the_upstream(start_gateway, origins):
    """RFC 9110 7.8: Upgrade with its Connection option, and the fields of the protocol beside them."""
    origin = origins(echo)
    gateway = behind(start_gateway, origin.target)
    with switched(gateway, [("Sec-Test", "1")]) as connection:
        connection.send(b"ping")
        assert connection.read_exactly(4) == b"ping"
    head = origin.heads[0]
    assert head.fields["Upgrade"] == "test-protocol"
    assert head.fields.tokens("Connection") == ["upgrade"]
    assert head.fields["Sec-Test"] == "1"


def test_bytes_pass_in_both_directions(start_gateway, origins):
    """A tunnel is transparent: every byte value, any size, in order."""
    gateway = behind(start_gateway, origins(echo).target)
    with switched(gateway) as connection:
        for size in (1, 2, 255, 65536, 1_000_000):
            data = os.urandom(size)
            sender = threading.Thread(target=connection.send, args=(data,))
            sender.start()
            assert connection.read_exactly(size) == data
            sender.join()
        data = b"GET /fine HTTP/1.1\r\nHost: test\r\n\r\n"
        assert connection.send(data).read_exactly(len(data)) == data, "what looks like HTTP is not HTTP here"


def test_bytes_behind_the_101_pass(start_gateway, origins):
    """RFC 9110 7.8: the first bytes of the new protocol may share a segment with the head of the 101."""
    def script(connection):
        connection.read_head()
        connection.send(SWITCH + b"hello at once")
        connection.wait_closed()
    gateway = behind(start_gateway, origins(script).target)
    with switched(gateway) as connection:
        assert connection.read_exactly(13) == b"hello at once"


def test_bytes_behind_the_request_pass_after_the_switch(start_gateway, origins):
    """A client that does not wait for the 101: its bytes are part of the tunnel, not a request."""
    gateway = behind(start_gateway, origins(echo).target)
    with switched(gateway, behind_head=b"eager bytes") as connection:
        assert connection.read_exactly(11) == b"eager bytes"


def test_a_client_half_closes(start_gateway, origins):
    """architecture.md: two streams that half-close separately. The upstream sees the end and still answers."""
    def script(connection):
        connection.read_head()
        connection.send(SWITCH)
        received = connection.reader.rest()
        time.sleep(0.2)
        connection.send(b"after your end: " + received)
    gateway = behind(start_gateway, origins(script).target)
    with switched(gateway) as connection:
        connection.send(b"all I say")
        connection.finish_sending()
        assert connection.read_until_close() == b"after your end: all I say"


def test_an_upstream_half_closes(start_gateway, origins):
    """The same the other way round."""
    received = []

    def script(connection):
        connection.read_head()
        connection.send(SWITCH + b"all I say")
        connection.finish_sending()
        received.append(connection.reader.rest())
    origin = origins(script)
    gateway = behind(start_gateway, origin.target)
    with switched(gateway) as connection:
        assert connection.read_until_close() == b"all I say"
        connection.send(b"after your end")
        connection.finish_sending()
        assert origin.connection().ended.wait(5)
    assert received == [b"after your end"]


@pytest.mark.parametrize("side", ["client", "upstream"])
def test_a_reset_ends_both_sides(start_gateway, origins, side):
    """User promise: no half-dead tunnels. Nothing is left open after one end is reset."""
    switched_now = threading.Event()

    def script(connection):
        connection.read_head()
        connection.send(SWITCH)
        if side == "upstream":
            assert switched_now.wait(5)
            connection.reset()
        else:
            connection.wait_closed()
    origin = origins(script)
    gateway = behind(start_gateway, origin.target)
    with switched(gateway) as connection:
        switched_now.set()
        if side == "client":
            connection.reset()
            assert origin.connection().ended.wait(5)
        else:
            assert connection.read_until_close() == b""
    assert gateway.get("/fine").body == b"fine"


@pytest.mark.parametrize("leaving, reason", [
    ("ends, and is sent more", "client-closed"), ("ends with bytes unread behind the upstream's end", "client-closed"),
    ("resets in the middle", "client-failed"),
])
def test_a_client_that_leaves_a_tunnel(start_gateway, origins, leaving, reason):
    """User promise: the log tells a browser that left its WebSocket, and did not wait for the answer to its last word,
    from a connection that failed."""
    switched_now, logged = threading.Event(), threading.Event()

    def script(connection):
        connection.read_head()
        connection.send(SWITCH)
        assert switched_now.wait(5)
        if leaving == "ends, and is sent more":
            connection.reader.rest()
            connection.send(b"an answer to the last word")
            assert logged.wait(10)  # Its own end would end the tunnel in good order.
        elif leaving.startswith("ends with"):
            connection.send(b"the last word")
            connection.finish_sending()
        connection.wait_closed()
    gateway = behind(start_gateway, origins(script).target)
    connection = switched(gateway)
    switched_now.set()
    if leaving.startswith("ends with"):
        assert connection.socket.recv(100, socket.MSG_PEEK) == b"the last word"
        # Until the end is here too; TCP_INFO's state 8 is CLOSE_WAIT.
        wait_until(lambda: connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 8, what="the end")
    if leaving == "resets in the middle":
        connection.reset()
    else:
        connection.close()
    record = gateway.records(1)[0]
    logged.set()
    assert record.get("close") == reason


@pytest.mark.parametrize("status", [200, 400, 426, 503])
def test_an_upgrade_that_the_upstream_declines(start_gateway, origins, status):
    """RFC 9110 7.8: any other answer is an ordinary one, and the connection goes on as HTTP."""
    gateway = behind(start_gateway, origins(response_bytes(status, [], b"no")).target)
    with gateway.connect() as connection:
        response = connection.request("GET", "/tunnel", fields=UPGRADE)
        assert (response.status, response.body) == (status, b"no")
        assert connection.get("/fine").body == b"fine"


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: something-else\r\n\r\n",
], ids=["without Upgrade", "another protocol"])
def test_a_101_for_what_was_not_asked_is_502(start_gateway, origins, answer):
    """RFC 9110 15.2.2, 7.8: a server switches to what the client offered, and says so."""
    def script(connection):
        connection.read_head()
        connection.send(answer)
        connection.wait_closed()
    gateway = behind(start_gateway, origins(script).target)
    with gateway.connect() as connection:
        assert connection.request("GET", "/tunnel", fields=UPGRADE).status == 502


def test_an_upgrade_of_http10_is_ignored(start_gateway, origins):
    """RFC 9110 7.8: Upgrade of an HTTP/1.0 request is ignored."""
    origin = origins(OK)
    gateway = behind(start_gateway, origin.target)
    assert gateway.request("GET", "/tunnel", fields=UPGRADE, version="1.0").status == 200
    assert "Upgrade" not in origin.requests[0].fields


def test_a_quiet_tunnel_ends_by_quiet_alone(start_gateway, origins):
    """config.md, Defaults: idle and read timeouts are not for tunnels; `quiet` ends one without bytes either way."""
    gateway = start_gateway(
        f"site test {{ proxy {origins(echo).target} {{ timeout quiet=2s read=300ms }} }}",
        "timeout idle=300ms send=300ms body=300ms")
    with switched(gateway) as connection:
        for _ in range(3):
            time.sleep(0.7)
            assert connection.send(b"still here").read_exactly(10) == b"still here"
        began = time.monotonic()
        assert connection.read_until_close() == b""
        assert time.monotonic() - began > 1.5


def test_a_tunnel_has_backpressure(start_gateway, origins):
    """architecture.md: memory for each connection is bounded, also where neither side knows of the other."""
    def script(connection):
        connection.socket.settimeout(20)
        connection.read_head()
        connection.send(SWITCH)
        connection.sent = 0
        while True:
            connection.send(PATTERN)
            connection.sent += len(PATTERN)
    origin = origins(script)
    gateway = behind(start_gateway, origin.target)
    with PeakMemory(gateway.vitals) as peak:
        with switched(gateway, receive_buffer=16384) as connection:
            last = -1
            while (now := getattr(origin.connection(), "sent", 0)) != last:
                last = now
                time.sleep(0.5)
            assert last < 24 * MiB
            assert connection.read_exactly(100_000) == (PATTERN * 2)[:100_000]
    assert peak.bytes - peak.before < 16 * MiB
    assert origin.connection().ended.wait(5)


# WebSockets with a real library on both ends

def dial(gateway, **options):
    # Hundreds of clients in one process may take a busy machine longer than the library's ten seconds for a handshake.
    options = {"open_timeout": 60, **options}
    return websocket_connect(f"ws://test:{gateway.port}/chat", host="127.0.0.1", port=gateway.port, proxy=None,
                             max_size=None, subprotocols=["chat"], **options)


def test_websockets_text_binary_ping_and_close(start_gateway, websocket_server):
    """RFC 6455 through the gateway: text, binary, fragments, ping, subprotocol, permessage-deflate, close code."""
    gateway = behind(start_gateway, f"127.0.0.1:{websocket_server.port}")

    async def talk():
        async with dial(gateway) as socket:
            assert socket.subprotocol == "chat"
            for message in ("text", "caf\u00e9 \U0001f427", b"\x00\xff" * 1000, os.urandom(3_000_000), "", b""):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send([b"in ", b"three ", b"fragments"])
            assert await socket.recv() == b"in three fragments"
            await asyncio.wait_for(await socket.ping(b"are you there"), 5)
            await socket.close(4321, "enough")
    asyncio.run(talk())
    wait_until(lambda: websocket_server.closed, what="the close at the server")
    assert websocket_server.closed == [(4321, "enough")]
    assert gateway.get("/fine").body == b"fine"


def test_many_websockets_at_once(start_gateway, websocket_server):
    """User promise: hundreds of tunnels over two workers, each with its own bytes; they leave nothing behind."""
    gateway = behind(start_gateway, f"127.0.0.1:{websocket_server.port}")
    before = gateway.vitals.descriptors

    async def client(number):
        async with dial(gateway) as socket:
            for turn in range(10):
                await socket.send(f"{number}/{turn}")
                assert await socket.recv() == f"{number}/{turn}"

    async def all_clients():
        await asyncio.gather(*[client(n) for n in range(200)])
    asyncio.run(all_clients())
    wait_until(lambda: gateway.vitals.descriptors <= before + 4, what="descriptors given back")


def converse(gateway, seconds: float) -> int:
    async def talk():
        count, digest_in, digest_out = 0, hashlib.sha256(), hashlib.sha256()
        async with dial(gateway, ping_interval=1) as socket:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                message = os.urandom(1 + count * 37 % 5000)
                digest_out.update(message)
                await socket.send(message)
                digest_in.update(await asyncio.wait_for(socket.recv(), 10))
                count += 1
                await asyncio.sleep(0.02)
        assert digest_in.digest() == digest_out.digest()
        return count
    return asyncio.run(talk())


def test_a_websocket_client_talks_for_seconds(start_gateway, websocket_server):
    """Issue: a WebSocket client talks through the proxy (the short form), past the times of ordinary requests."""
    gateway = start_gateway(f"site test {{ proxy 127.0.0.1:{websocket_server.port} {{ timeout read=1s answer=1s }} }}",
                            "timeout idle=1s body=1s send=1s")
    assert converse(gateway, 5) > 50


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_websocket_client_talks_for_minutes(start_gateway, websocket_server):
    """Issue: a WebSocket client talks through the proxy for minutes."""
    gateway = behind(start_gateway, f"127.0.0.1:{websocket_server.port}")
    assert converse(gateway, 180) > 2000


