"""Clients of HTTP/2 that do what is allowed more often than anybody has to bear: each ends with the right error code,
at bounded cost, while the others are served (RFC 9113 10.5)."""

import contextlib
import socket
import struct
import threading
import urllib.request

import pytest
from hyperframe.frame import (ContinuationFrame, DataFrame, ExtensionFrame, HeadersFrame, PingFrame, PriorityFrame,
                              RstStreamFrame, SettingsFrame, WindowUpdateFrame)

from rig import http2
from rig.client import wait_until
from rig.gateway import free_port
from rig.h2_client import H2Client
from rig.http2 import (CANCEL, DATA, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING, PRIORITY_UPDATE, SETTINGS_TIMEOUT,
                       WINDOW_UPDATE, Http2, frame, request_fields, settings)
from rig.process import MiB, PeakMemory
from rig.wire import ConnectionEnded

LONG = "timeout head=30s body=30s idle=30s send=30s"


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "big")


def only(**short) -> str:
    values = {"head": "30s", "body": "30s", "idle": "30s", "send": "30s", **short}
    return "timeout " + " ".join(f"{k}={v}" for k, v in values.items())


@pytest.fixture(scope="module")
def gateway(start_shared, shared_origins):
    def waits(connection):
        while True:
            connection.read_request()
            connection.wait_closed()

    origin = shared_origins(waits, patience=60)
    return start_shared(f"site test {{\n/up/* proxy {origin.target}\n/* respond 200 fine\n}}", LONG)


# Each gives the frames of one step of an attack; `client` is h2 for what has a state, and hyperframe writes what h2 would not

def request(client, path="/up/a", flags=("END_HEADERS", "END_STREAM"), method="GET"):
    """The HEADERS of a request on the next stream."""
    return HeadersFrame(client.next_stream(), client.block(path, method), flags=flags)


def rapid_reset(client, _):
    """CVE-2023-44487"""
    head = request(client)
    return head, RstStreamFrame(head.stream_id, CANCEL)


def made_reset(client, _):
    """CVE-2025-8671: the client has the gateway reset."""
    head = request(client)
    return head, WindowUpdateFrame(head.stream_id, 0)


def made_reset_by_overflow(client, _):
    head = request(client)
    return head, WindowUpdateFrame(head.stream_id, 2 ** 31 - 1)


def made_reset_by_data(client, _):
    head = request(client)
    return head, DataFrame(head.stream_id, b"x")


def malformed_requests(client, _):
    return [HeadersFrame(client.next_stream(), b"\x82", flags=["END_HEADERS", "END_STREAM"])]


def settings_flood(client, index):
    """CVE-2019-9515"""
    return [SettingsFrame(0, {3: index})]


def ping_flood(client, _):
    """CVE-2019-9512"""
    return [PingFrame(0, b"12345678")]


def empty_data(client, index):
    """CVE-2019-9518"""
    first = [request(client, flags=["END_HEADERS"], method="POST")] if index == 0 else []
    return [*first, DataFrame(client.last_stream)]


def empty_data_behind_reset(client, index):
    if index > 0:
        return [DataFrame(client.last_stream)]
    head = request(client, flags=["END_HEADERS"], method="POST")
    return head, WindowUpdateFrame(head.stream_id, 0), DataFrame(head.stream_id)


def priority_flood(client, index):
    return [PriorityFrame(2 * index + 1, stream_weight=1)]


def extension(type: int, body: bytes) -> ExtensionFrame:
    made = ExtensionFrame(type, 0, body=body)
    # hyperframe writes the length that it has read.
    made.body_len = len(body)
    return made


def priority_update_flood(client, index):
    return [extension(PRIORITY_UPDATE, number(2 * (index % 100) + 1) + b"u=1")]


def window_flood(client, _):
    return [WindowUpdateFrame(0, 1)]


def unknown_flood(client, _):
    return [extension(0xBB, b"x")]


FLOODS = {
    rapid_reset: (600, b"reset-flood"), made_reset: (600, b"reset-flood"), made_reset_by_overflow: (600, b"reset-flood"),
    made_reset_by_data: (600, b"reset-flood"), malformed_requests: (600, b"reset-flood"),
    settings_flood: (200, b"settings-flood"), ping_flood: (300, b"ping-flood"), empty_data: (400, b"empty-data-flood"),
    empty_data_behind_reset: (400, b"empty-data-flood"), priority_flood: (1500, b"priority-flood"),
    priority_update_flood: (1500, b"priority-flood"), window_flood: (3000, b"window-update-flood"),
    unknown_flood: (400, b"unknown-frame-flood"),
}


@pytest.mark.parametrize("act, times, why", [(act, *rest) for act, rest in FLOODS.items()],
                         ids=[act.__name__ for act in FLOODS])
def test_a_flood(gateway, act, times, why):
    """ENHANCE_YOUR_CALM once that budget is spent; another client's requests are answered all the while."""
    with H2Client(gateway.address) as client, H2Client(gateway.address) as other:
        for index in range(times):
            client.raw(*act(client, index))
            if index % 50 == 0:
                assert other.get("/").status == 200
        goaway = client.goaway()
        assert (goaway.error_code, goaway.additional_data) == (ENHANCE_YOUR_CALM, why)
        assert other.get("/").status == 200
    gateway.assert_alive()


@pytest.mark.parametrize("content, count", [(b"", 100), (b"x", 100), (bytes(16384), 8)], ids=["empty", "small", "large"])
def test_a_flood_of_continuations(gateway, content, count):
    """CVE-2024-28182 and its kin: a field block that does not end, or that is too large before it does."""
    with H2Client(gateway.address) as client, H2Client(gateway.address) as other:
        client.raw(HeadersFrame(1, b"\x82", flags=["END_STREAM"]))
        client.raw(*[ContinuationFrame(1, content)] * count)
        assert client.goaway().error_code == ENHANCE_YOUR_CALM
        assert other.get("/").status == 200


def test_an_hpack_bomb(gateway):
    """A few octets that stand for megabytes: the head is refused at its bound, and nothing grows."""
    with PeakMemory(gateway.vitals) as memory, H2Client(gateway.address) as client, H2Client(gateway.address) as other:
        # A field of 4,000 octets in the table, then its index of one octet, again and again.
        bomb = b"\x82\x86\x84\x01\x04test" + b"\x40\x01a" + b"\x7f\xa1\x1e" + b"v" * 4000 + b"\xbe" * 8000
        for _ in range(50):
            # h2 knows of the stream, and takes its answer.
            stream = client.request(octets=bomb)
            assert client.answer(stream).status == 431
        assert other.get("/").status == 200
    assert memory.bytes - memory.before < 20 * MiB


def test_a_window_of_nothing(start_gateway, tmp_path):
    """A client that asks and takes nothing: its stream ends after the time for sending, and the connection goes on."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www/large").write_bytes(bytes(3 * MiB))
    gateway = start_gateway(f"site test {{\n/large files {tmp_path / 'www'}\n/* respond 200 fine\n}}", only(send="1s"))
    with Http2(gateway.address, (http2.INITIAL_WINDOW_SIZE, 0)) as client:
        streams = [client.request("/large"), client.request("/text")]
        for stream in streams:
            answer = client.answer(stream)
            assert (answer.status, answer.reset) == (200, CANCEL)
        fresh = client.request("/")
        client.give(fresh, 100)
        assert client.answer(fresh).ended
    assert sorted(r.get("close", "") for r in gateway.records(3)) == ["", "send-timeout", "send-timeout"]


def test_a_window_of_nothing_for_an_upstreams_answer(start_gateway, origins):
    """The same where the answer is passed on; the upstream's connection ends with it."""
    echo = origins.echo()
    gateway = start_gateway(f"site test {{ proxy {echo.target} }}", only(send="1s"))
    with Http2(gateway.address, (http2.INITIAL_WINDOW_SIZE, 0)) as client:
        stream = client.request("/bytes/1000000")
        answer = client.answer(stream)
        assert (answer.status, answer.reset) == (200, CANCEL)
    assert gateway.records(1)[0]["close"] == "send-timeout"


@pytest.mark.parametrize("end", [True, False], ids=["whole requests", "half requests"])
def test_a_window_that_ends_within_small_answers(start_gateway, tmp_path, end):
    """Answers that were about to go when the connection's window came to its end have the time for sending too, and are
    not taken for complete."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www/large").write_bytes(bytes(65535 - 6))
    gateway = start_gateway(f"site test {{\n/large files {tmp_path / 'www'}\n/* respond 200 fine\n}}", only(send="2s"))
    with Http2(gateway.address, credit=False) as client:
        assert client.get("/large").ended and client.window == 6
        client.initial = 0
        client.send(settings((http2.INITIAL_WINDOW_SIZE, 0)))
        streams = [client.head(request_fields("/", "GET" if end else "POST"), end=end) for _ in range(4)]
        client.until(lambda: all(client.answers[stream].status for stream in streams))
        client.windows.update((stream, 1000) for stream in streams)
        client.send(settings((http2.INITIAL_WINDOW_SIZE, 1000)))
        client.until(lambda: client.window == 0)
        answers = [client.answer(stream) for stream in streams[1:]]
        assert b"".join(bytes(client.answers[stream].body) for stream in streams) == b"finefi"
        assert [(answer.ended, answer.reset) for answer in answers] == [(False, CANCEL)] * 3


def test_a_client_that_reads_nothing(start_gateway, tmp_path):
    """The connection ends when the kernel's buffers are full and nothing goes for the time for sending."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www/large").write_bytes(bytes(40 * MiB))
    gateway = start_gateway(f"site test {{ files {tmp_path / 'www'} }}", only(send="1s"))
    with PeakMemory(gateway.vitals) as memory:
        with Http2(gateway.address, (http2.INITIAL_WINDOW_SIZE, 2 ** 31 - 1), receive_buffer=4096) as client:
            # At once: when the output is full, no more requests are read.
            client.send(frame(WINDOW_UPDATE, 0, 0, number(2 ** 31 - 1 - 65535)) + b"".join(
                frame(HEADERS, 5, client.open(), client.encoder.encode(request_fields("/large"))) for _ in range(20)))
            records = gateway.records(20)
    assert {r["close"] for r in records} == {"send-timeout"}
    assert memory.bytes - memory.before < 20 * MiB


def test_answers_that_nobody_reads(start_gateway):
    """A client that sends requests and reads nothing is read no further: memory stays bounded."""
    gateway = start_gateway("site test { respond 200 fine }", only(send="2s"))
    with PeakMemory(gateway.vitals) as memory, Http2(gateway.address, receive_buffer=4096) as client:
        client.socket.settimeout(1)
        head = client.encoder.encode(request_fields("/" + "x" * 100))
        try:
            for stream in range(1, 2_000_000, 2):
                client.socket.sendall(frame(HEADERS, 5, stream, head))
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            pass
        else:
            raise AssertionError("the gateway went on reading")
    assert memory.bytes - memory.before < 20 * MiB


def test_requests_that_come_faster_than_their_answers(start_gateway):
    """A client that reads, and sends faster than it is answered, is read as fast as that: memory stays bounded, and
    other clients have their turns."""
    gateway = start_gateway("site test { respond 204 }")
    with PeakMemory(gateway.vitals) as memory, Http2(gateway.address) as client:
        client.socket.settimeout(30)
        head = client.encoder.encode(request_fields("/" + "x" * 100))

        def read():
            with contextlib.suppress(OSError):
                while client.socket.recv(1 << 16):
                    pass
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        for first in range(1, 600_000, 10_000):
            client.socket.sendall(b"".join(frame(HEADERS, 5, stream, head) for stream in range(first, first + 10_000, 2)))
            assert gateway.get().status == 204
        client.socket.shutdown(socket.SHUT_WR)
        reader.join(30)
    assert memory.bytes - memory.before < 20 * MiB


# Slowness

@pytest.mark.parametrize("begin", [b"", b"PRI", http2.PREFACE, http2.PREFACE + b"\0\0"],
                         ids=["nothing", "a part", "no settings", "a part of them"])
def test_a_preface_that_does_not_come(start_gateway, begin):
    """The time for a head holds for the preface and the first settings as well."""
    gateway = start_gateway("site test { respond 200 fine }", only(head="1s"))
    with Http2(gateway.address, preface=False) as client:
        client.send(begin)
        with pytest.raises(ConnectionEnded):
            while True:
                client.raw()


def test_settings_that_are_never_acknowledged(start_gateway):
    """RFC 9113 6.5.3: SETTINGS_TIMEOUT."""
    gateway = start_gateway("site test { respond 200 fine }", only(head="1s"))
    with Http2(gateway.address) as client:
        answered = False
        while True:
            try:
                found = client.raw()
            except ConnectionEnded:
                break
            if found.type == http2.GOAWAY:
                assert found.code == SETTINGS_TIMEOUT
                answered = True
        assert answered


@pytest.mark.parametrize("dribble", ["frame", "block"])
def test_a_head_that_does_not_end(start_gateway, dribble):
    """A field block has the time for a head, however its octets dribble."""
    gateway = start_gateway("site test { respond 200 fine }", only(head="1s"))
    with Http2(gateway.address) as client:
        client.ping()
        stream = client.open()
        if dribble == "frame":
            client.send(frame(HEADERS, 5, stream, b"\x82", length=200))
        else:
            client.frame(HEADERS, END_STREAM, stream, b"\x82")
        assert client.goaway().code == ENHANCE_YOUR_CALM
    assert gateway.records() == []


def test_a_body_that_does_not_come(start_gateway, origins):
    """`timeout body`: 408 for the stream, and the connection goes on."""
    def reads(connection):
        connection.read_head()
        connection.wait_closed()

    gateway = start_gateway(f"site test {{\n/up proxy {origins(reads).target}\n/* respond 200 fine\n}}", only(body="1s"))
    with Http2(gateway.address) as client:
        stream = client.head(request_fields("/up", "POST", fields=[("content-length", "10")]), end=False)
        assert client.answer(stream).status == 408
        assert client.get("/").status == 200


def test_an_answer_that_comes_before_the_body(start_gateway):
    """RFC 9113 8.1: a request whose content nobody wants is answered, and reset with NO_ERROR where it goes on."""
    gateway = start_gateway("site test { respond 200 fine }")
    with Http2(gateway.address) as client:
        stream = client.request("/", "POST", body=bytes(10_000))
        assert client.answer(stream).status == 200
        stream = client.request("/", "POST", body=bytes(2_000_000))
        client.until(lambda: client.answers[stream].reset is not None)
        assert (client.answers[stream].status, client.answers[stream].reset) == (200, http2.NO_ERROR)
        assert client.get("/").status == 200


# What is counted

def test_what_is_counted(start_gateway):
    """Violations by name, connections and frames show in the metrics."""
    port = free_port()
    gateway = start_gateway("site test { respond 200 fine }", f"metrics 127.0.0.1:{port}")
    with Http2(gateway.address) as client:
        assert client.get("/").status == 200
        client.head([(":method", "GET")])
        for _ in range(100):
            client.frame(PING, 0, 0, b"12345678")
        assert client.goaway().code == ENHANCE_YOUR_CALM

    def page():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    text = wait_until(lambda: (t := page()) and 'chimera_closes_total{reason="flooded"} 1' in t and t,
                      what="the close in the metrics")
    assert 'chimera_http2_violations_total{violation="ping-flood"} 1' in text
    assert 'chimera_http2_violations_total{violation="authority-missing"} 1' in text
    assert "chimera_http2_connections_total 1" in text
    assert 'chimera_http2_counted_frames_total{kind="pings"} 51' in text


def test_what_was_open_is_given_back(start_gateway, origins):
    """After hundreds of connections that ended in every way, nothing is left of them."""
    gateway = start_gateway(f"site test {{\n/up proxy {origins.echo().target}\n/* respond 200 fine\n}}")
    with Http2(gateway.address) as first:
        assert first.get("/").status == 200
    before = gateway.vitals.descriptors
    for index in range(200):
        client = Http2(gateway.address)
        client.request("/up")
        client.head(request_fields("/up", "POST"), end=False)
        if index % 4 == 0:
            client.ping()
        elif index % 4 == 1:
            client.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))
        elif index % 4 == 2:
            client.frame(DATA, 0, 0, b"x")
        client.close()
    wait_until(lambda: gateway.vitals.descriptors <= before + 40, what="the descriptors of closed connections")
    with Http2(gateway.address) as last:
        assert last.get("/up").status == 200
