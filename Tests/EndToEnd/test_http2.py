"""HTTP/2 without TLS, by prior knowledge (RFC 9113 3.3): every destination, both directions, and the end of connections."""

import base64
import hashlib
import json
import random
import socket
import struct
import subprocess
import threading
import time

import pytest

from rig import http2, tls
from rig.client import byte_by_byte
from rig.http2 import Http2, frame, request_fields, settings
from rig.origin import OK, PATTERN, answers
from rig.process import MiB, PeakMemory
from rig.wire import ConnectionEnded

PIECE = (PATTERN * 40)[: 2 * MiB]


def files(tmp_path, **contents):
    folder = tmp_path / "www"
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def echo_origin(origins):
    return origins.echo()


def connect(gateway, *pairs, **options):
    return Http2(gateway.address, *pairs, **options)


# How a connection begins

def test_a_connection_by_prior_knowledge(start_gateway):
    """RFC 9113 3.3, 3.4: the preface makes it HTTP/2; our settings come first, and the client's are acknowledged."""
    gateway = start_gateway("site test { respond 200 fine }")
    with connect(gateway) as client:
        first = client.read()
        assert (first.type, first.flags) == (http2.SETTINGS, 0)
        answer = client.get("/")
        assert (answer.status, bytes(answer.body)) == (200, b"fine")
        assert answer.fields["content-length"] == "4" and answer.fields["date"]
        client.until(lambda: client.settings_acks)
        assert client.peer[http2.MAX_CONCURRENT_STREAMS] == 128
        assert client.peer[http2.ENABLE_CONNECT_PROTOCOL] == 1
        assert client.peer[http2.NO_RFC7540_PRIORITIES] == 1


def test_the_preface_may_come_byte_by_byte(start_gateway):
    """RFC 9113 3.4: nothing says how much of it comes at once."""
    gateway = start_gateway("site test { respond 200 fine }")
    with connect(gateway, preface=False) as client:
        head = client.encoder.encode(request_fields())
        stream = client.open()
        client.socket.setsockopt(6, 1, 1)
        for piece in byte_by_byte(http2.PREFACE + settings() + frame(http2.HEADERS, 5, stream, head)):
            client.send(piece)
        assert client.answer(stream).status == 200


@pytest.mark.parametrize("seed", range(4))
def test_frames_may_come_in_any_pieces(start_gateway, seed):
    """Any chunking gives the same answers."""
    source = random.Random(seed)
    gateway = start_gateway("site test { respond 200 fine }")
    with connect(gateway, preface=False) as client:
        data, streams = http2.PREFACE + settings(), []
        for number in range(30):
            stream = client.open()
            streams.append(stream)
            head = client.encoder.encode(request_fields(f"/{number}", fields=[("x-pad", "y" * source.randrange(300))]))
            data += frame(http2.HEADERS, 5, stream, head)
        while data:
            count = source.randrange(1, 400)
            client.send(data[:count])
            data = data[count:]
        assert [client.answer(stream).status for stream in streams] == [200] * 30


def test_http1_goes_on_beside(start_gateway):
    """One listener serves both; what only begins like the preface is HTTP/1.1, and refused as such."""
    gateway = start_gateway("site test { respond 200 fine }")
    assert gateway.get("/").status == 200
    assert gateway.exchange(b"PRI * HTTP/1.1\r\nHost: test\r\n\r\n").status == 400
    with gateway.connect() as connection:
        assert connection.get("/").status == 200
        connection.send(http2.PREFACE)
        assert connection.response().status in (400, 505), "the preface is none behind a request"


@pytest.mark.parametrize("wrong", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", b"PRI * HTTP/2.0\r\nHost: test\r\n\r\n"])
def test_a_wrong_preface(start_gateway, wrong):
    """RFC 9113 3.4: an invalid preface is a connection error PROTOCOL_ERROR."""
    gateway = start_gateway("site test { respond 200 fine }")
    with connect(gateway, preface=False) as client:
        client.send(wrong)
        assert client.goaway().code == http2.PROTOCOL_ERROR


def test_curl_and_nghttp(start_gateway, tmp_path):
    """Clients that others wrote."""
    folder = files(tmp_path, **{"a.txt": b"alpha", "b.bin": PIECE})
    gateway = start_gateway(f"site * {{ files {folder} }}")
    url = f"http://127.0.0.1:{gateway.port}"
    done = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "--max-time", "20", "-w", "%{http_version}", f"{url}/a.txt"],
        capture_output=True, timeout=30)
    assert done.stdout == b"alpha2", done.stderr
    done = subprocess.run(["nghttp", f"{url}/b.bin"], capture_output=True, timeout=30)
    assert done.stdout == PIECE, done.stderr


def test_nghttp_and_h2load_over_tls(start_gateway, tmp_path):
    """The same clients where ALPN says the version."""
    made = tls.certify(tmp_path, "a", "a.test")
    folder = files(tmp_path, **{"b.bin": PIECE})
    gateway = start_gateway(f"site * {{ tls {made.line} ; files {folder} }}", tls.LISTEN)
    url = f"https://127.0.0.1:{tls.port(gateway)}/b.bin"
    done = subprocess.run(["nghttp", "-y", url], capture_output=True, timeout=30)
    assert done.stdout == PIECE, done.stderr
    done = subprocess.run(["h2load", "-n", "100", "-c", "4", "-m", "10", url], capture_output=True, text=True, timeout=60)
    assert "100 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout + done.stderr
    assert "Application protocol: h2" in done.stdout


@pytest.mark.parametrize("clients, streams, path", [(8, 32, "a.txt"), (4, 100, "c.bin"), (1, 128, "a.txt")])
def test_h2load(start_gateway, tmp_path, clients, streams, path):
    """Thousands of requests on few connections, all answered."""
    folder = files(tmp_path, **{"a.txt": b"alpha", "c.bin": PIECE[:100_000]})
    gateway = start_gateway(f"site * {{ files {folder} }}")
    done = subprocess.run(
        ["h2load", "-n", "4000", "-c", str(clients), "-m", str(streams), f"http://127.0.0.1:{gateway.port}/{path}"],
        capture_output=True, text=True, timeout=60)
    assert "4000 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout + done.stderr
    # A full buffer of the log drops records, and counts them (architecture.md): what is written is one for one request.
    records = gateway.records(1000)
    assert {(record["status"], record["path"]) for record in records} == {(200, f"/{path}")}


# Destinations

def test_files(start_gateway, tmp_path):
    """Small and large files, HEAD, ranges, conditions, and those that are not there."""
    folder = files(tmp_path, small=b"small", large=PIECE, empty=b"")
    gateway = start_gateway(f"site test {{ files {folder} }}")
    with connect(gateway) as client:
        assert bytes(client.get("/small").body) == b"small"
        large = client.get("/large")
        assert bytes(large.body) == PIECE and large.fields["content-length"] == str(len(PIECE))
        empty = client.get("/empty")
        assert (empty.status, empty.fields["content-length"], bytes(empty.body)) == (200, "0", b"")
        head = client.get("/large", method="HEAD")
        assert (head.status, head.fields["content-length"], bytes(head.body)) == (200, str(len(PIECE)), b"")
        part = client.get("/large", fields=[("range", "bytes=100-299")])
        assert (part.status, bytes(part.body)) == (206, PIECE[100:300])
        parts = client.get("/large", fields=[("range", "bytes=0-9,100000-100009")])
        assert parts.status == 206 and PIECE[:10] in parts.body and PIECE[100000:100010] in parts.body
        same = client.get("/small", fields=[("if-none-match", client.get("/small").fields["etag"])])
        assert (same.status, bytes(same.body)) == (304, b"")
        assert client.get("/none").status == 404


def test_many_large_files_at_once(start_gateway, tmp_path):
    """Streams share their connection, and each gets its own bytes."""
    contents = {f"f{number}": random.Random(number).randbytes(300_000 + number) for number in range(20)}
    gateway = start_gateway(f"site test {{ files {files(tmp_path, **contents)} }}")
    with connect(gateway, (http2.INITIAL_WINDOW_SIZE, 100_000)) as client:
        streams = {name: client.request(f"/{name}") for name in contents}
        for name, stream in streams.items():
            assert bytes(client.answer(stream).body) == contents[name]


def test_the_proxy(start_gateway, origins):
    """What an upstream gets of a request: HTTP/1.1, with Host, without pseudo-fields, and with who asks."""
    origin = origins(OK)
    gateway = start_gateway(f"site test {{ proxy {origin.target} }}")
    with connect(gateway) as client:
        for number in range(3):
            answer = client.get(f"/a/{number}?q=1", fields=[
                ("x-test", "1"), ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")])
            assert (answer.status, bytes(answer.body)) == (200, b"ok")
    request = origin.requests[2]
    assert (request.method, request.target) == ("GET", "/a/2?q=1")
    assert request.fields["Host"] == "test" and request.fields["X-Test"] == "1"
    assert request.fields["Cookie"] == "a=1; b=2"
    assert request.fields["Via"] == "2.0 chimera"
    assert request.fields["X-Forwarded-Proto"] == "http"
    assert not [name for name, _ in request.fields if name.startswith(":")]
    assert len(origin.connections) == 1, "the upstream's connection is kept"
    assert gateway.records(3)[0]["protocol"] == "HTTP/2.0"


@pytest.mark.parametrize("size", [0, 1, 16384, 65535, 2 * MiB])
@pytest.mark.parametrize("with_length", [True, False], ids=["known", "unknown"])
def test_request_bodies(start_gateway, echo_origin, size, with_length):
    """A body reaches the upstream whole, with its length or chunked where nobody said one."""
    gateway = start_gateway(f"site test {{ proxy {echo_origin.target} }}")
    body = PIECE[:size]
    fields = [("content-length", str(size))] if with_length else []
    with connect(gateway) as client:
        answer = client.get("/", method="POST", fields=fields, body=body)
        assert answer.status == 200
        described = json.loads(bytes(answer.body))
        assert described["length"] == size
        assert described["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("kind", ["bytes", "chunked"])
def test_large_answers_of_an_upstream(start_gateway, echo_origin, kind):
    """An answer larger than every window comes whole, with and without a length, from a fresh connection to the upstream
    and from kept ones."""
    gateway = start_gateway(f"site test {{ proxy {echo_origin.target} }}")
    for _ in range(8):
        with connect(gateway) as client:
            answer = client.get(f"/{kind}/3000000")
            assert len(answer.body) == 3_000_000
            assert hashlib.sha256(answer.body).digest() == hashlib.sha256((PATTERN * 46)[:3_000_000]).digest()
            assert ("content-length" in dict(answer.fields)) == (kind == "bytes")


@pytest.mark.parametrize("kind", ["bytes", "chunked"])
def test_answers_that_wait_for_windows_cost_nothing(start_gateway, echo_origin, kind):
    """A client that gives no windows leaves its worker free, for itself and for others."""
    gateway = start_gateway(f"site test {{\n/fine respond 200 fine\n/* proxy {echo_origin.target}\n}}")
    for _ in range(8):
        with connect(gateway) as warm:
            assert len(warm.get(f"/{kind}/1000").body) == 1000
    with connect(gateway, credit=False) as client, connect(gateway) as other:
        streams = [client.request(f"/{kind}/3000000") for _ in range(3)]
        client.until(lambda: client.window == 0)
        before = gateway.vitals.cpu_ticks
        for _ in range(20):
            client.ping()
            assert other.get("/fine").body == b"fine"
            time.sleep(0.01)
        assert gateway.vitals.cpu_ticks - before < 60
        client.credit = True
        client.give(0, 65535)
        for stream in streams:
            client.give(stream, 65535)
        for stream in streams:
            assert len(client.answer(stream).body) == 3_000_000


def test_trailers_of_a_request(start_gateway, echo_origin):
    """RFC 9113 8.1: a second field block behind the content, which an upstream gets as a trailer section."""
    gateway = start_gateway(f"site test {{ proxy {echo_origin.target} }}")
    with connect(gateway) as client:
        stream = client.head(request_fields("/", "POST", fields=[("trailer", "x-sum")]), end=False)
        client.body(stream, b"content", end=False)
        client.frame(http2.HEADERS, 5, stream, client.encoder.encode([("x-sum", "42")]))
        described = json.loads(bytes(client.answer(stream).body))
        assert described["length"] == 7 and ["x-sum", "42"] in [[n.lower(), v] for n, v in described["trailers"]]


def test_trailers_of_an_answer(start_gateway, origins):
    """RFC 9113 8.1: the other way."""
    origin = origins(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                     b"3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n")
    gateway = start_gateway(f"site test {{ proxy {origin.target} }}")
    with connect(gateway) as client:
        answer = client.get("/")
        assert bytes(answer.body) == b"abc" and answer.trailers == [("x-sum", "42")]


def test_interim_answers(start_gateway, origins):
    """RFC 9113 8.1: any number of 1xx; 103 is passed on."""
    origin = origins(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" * 2 + OK)
    gateway = start_gateway(f"site test {{ proxy {origin.target} }}")
    with connect(gateway) as client:
        answer = client.get("/")
        assert answer.informational == [(103, [("link", "</a.css>; rel=preload")])] * 2
        assert bytes(answer.body) == b"ok"


def test_expect_continue(start_gateway, echo_origin):
    """RFC 9110 10.1.1: 100 comes before the body."""
    gateway = start_gateway(f"site test {{ proxy {echo_origin.target} }}")
    with connect(gateway) as client:
        stream = client.head(request_fields("/", "POST", fields=[("expect", "100-continue")]), end=False)
        client.until(lambda: client.answers[stream].informational)
        assert client.answers[stream].informational == [(100, [])]
        client.body(stream, b"now")
        assert client.answer(stream).status == 200


def test_errors_of_upstreams(start_gateway, origins):
    """502 for an upstream that refuses; a stream that ends in the middle of its answer is reset: it must not look whole."""
    cut = origins(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"))
    gone = origins(OK)
    gone.stop()
    gateway = start_gateway(f"site test {{\n/cut proxy {cut.target}\n/* proxy {gone.target}\n}}")
    with connect(gateway) as client:
        answer = client.get("/gone")
        assert answer.status == 502 and "connection_refused" in answer.fields["proxy-status"]
        answer = client.get("/cut")
        assert (answer.status, bytes(answer.body), answer.reset) == (200, b"abc", http2.INTERNAL_ERROR)
        assert client.get("/gone").status == 502, "the connection goes on"


def test_a_stalled_upstream_stalls_its_stream_only(start_gateway, origins):
    """Backpressure is a stream's own: what an upstream does not take does not hold up the others."""
    go, size = threading.Event(), 12 * MiB

    def stalls(connection):
        connection.read_head()
        go.wait(20)
        connection.read_exactly(size)
        connection.send(OK)

    slow = origins(stalls, receive_buffer=4096, patience=30)
    gateway = start_gateway(f"site test {{\n/slow proxy {slow.target}\n/* respond 200 fine\n}}")
    with connect(gateway) as client:
        assert client.get("/").status == 200
        stream = client.head(
            request_fields("/slow", "POST", fields=[("content-length", str(size))]), end=False)
        sent = 0
        while (room := min(16384, client.send_window, client.send_windows[stream], size - sent)) > 0:
            client.frame(http2.DATA, 0, stream, bytes(room))
            client.send_window -= room
            client.send_windows[stream] -= room
            sent += room
            if client.send_windows[stream] < 32 * 1024:
                client.ping()
        assert sent < size, "the stream's window is closed while the upstream takes nothing"
        for _ in range(20):
            assert client.get("/other").status == 200
        go.set()
        client.body(stream, bytes(size - sent))
        assert client.answer(stream).status == 200


def test_a_client_that_takes_nothing_stalls_its_stream_only(start_gateway, echo_origin, tmp_path):
    """RFC 9113 5.2: a window of nothing holds up its stream, and costs bounded memory."""
    folder = files(tmp_path, large=PIECE)
    gateway = start_gateway(f"site test {{\n/f/* files {folder}\n/* proxy {echo_origin.target}\n}}")
    with connect(gateway, (http2.INITIAL_WINDOW_SIZE, 0)) as client:
        stalled = [client.request(target) for target in ("/f/large", "/bytes/2000000") for _ in range(10)]
        client.ping()
        fresh = client.request("/name")
        client.give(fresh, 1000)
        assert bytes(client.answer(fresh).body) == b"origin"
        assert all(len(client.answers[stream].body) == 0 for stream in stalled)
        for stream in stalled:
            client.give(stream, 3_000_000)
        sizes = [len(client.answer(stream).body) for stream in stalled]
        assert sizes == [len(PIECE)] * 10 + [2_000_000] * 10


def test_memory_of_stalled_streams(start_gateway, echo_origin):
    """Many streams whose client takes nothing cost a bounded amount each."""
    gateway = start_gateway(f"site test {{ proxy {echo_origin.target} }}")
    with PeakMemory(gateway.vitals) as memory:
        clients = [connect(gateway, (http2.INITIAL_WINDOW_SIZE, 0), credit=False) for _ in range(4)]
        for client in clients:
            for _ in range(50):
                client.request("/bytes/100000000")
        for client in clients:
            client.until(lambda: all(answer.status for answer in client.answers.values()))
            client.ping()
        for client in clients:
            client.close()
    grown = memory.bytes - memory.before
    assert grown < 80 * MiB, f"{grown / MiB:.0f} MiB for 200 streams"


def test_priorities(start_gateway, tmp_path):
    """RFC 9218: the more urgent answer is sent first, whichever was asked for first."""
    folder = files(tmp_path, large=PIECE)
    gateway = start_gateway(f"site test {{ files {folder} }}")
    with connect(gateway, (http2.INITIAL_WINDOW_SIZE, 3_000_000), credit=False) as client:
        late = client.request("/large", fields=[("priority", "u=6")])
        soon = client.request("/large", fields=[("priority", "u=1")])
        client.until(lambda: client.window == 0)
        client.give(0, 6_000_000)
        client.until(lambda: client.answers[soon].ended)
        assert len(client.answers[late].body) < len(PIECE) / 2
        assert bytes(client.answer(late).body) == PIECE


# Upgrades

def agree(connection):
    """Agrees to a WebSocket, with the proof of its key."""
    head = connection.read_head()
    accept = base64.b64encode(hashlib.sha1(
        (head.fields["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept.encode())


def websocket_echo(connection):
    agree(connection)
    while data := connection.read_some():
        connection.send(data)


def test_a_websocket(start_gateway, origins):
    """RFC 8441: extended CONNECT reaches an upstream of HTTP/1.1 as an Upgrade, with a key that is ours."""
    origin = origins(websocket_echo)
    gateway = start_gateway(f"site test {{ proxy {origin.target} }}")
    with connect(gateway) as client:
        stream = client.head([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat"),
                              (":authority", "test"), ("sec-websocket-version", "13"),
                              ("sec-websocket-protocol", "chat"), ("origin", "http://test")], end=False)
        answer = client.answers[stream]
        client.until(lambda: answer.status)
        assert answer.status == 200 and answer.fields["sec-websocket-protocol"] == "chat"
        assert "sec-websocket-accept" not in dict(answer.fields) and "content-length" not in dict(answer.fields)
        client.body(stream, PIECE, end=False)
        client.until(lambda: len(answer.body) == len(PIECE))
        assert bytes(answer.body) == PIECE
        assert client.get("/name", host="nobody").status == 421, "other streams go on"
        client.frame(http2.DATA, http2.END_STREAM, stream)
        assert client.answer(stream).reset is None
    head = origin.heads[0]
    assert (head.method, head.target, head.fields["Upgrade"]) == ("GET", "/chat", "websocket")
    assert head.fields.tokens("Connection") == ["upgrade"] and head.fields["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
    ids=["a wrong proof", "no proof"])
def test_a_websocket_that_the_upstream_did_not_understand(start_gateway, origins, answer):
    """RFC 6455 4.1: without the proof of our key there is no WebSocket."""
    gateway = start_gateway(f"site test {{ proxy {origins(answer).target} }}")
    with connect(gateway) as client:
        stream = client.head([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"),
                              (":authority", "test"), ("sec-websocket-version", "13")], end=False)
        assert client.answer(stream).status == 502


@pytest.mark.parametrize("site, status", [("respond 200 fine", 501), ("respond 403 no", 403)])
def test_no_tunnel_where_nobody_serves_one(start_gateway, origins, site, status):
    """RFC 8441 4, RFC 9220 3: an answer of 2xx would agree to the protocol."""
    gateway = start_gateway(f"site test {{\n/ok proxy {origins(OK).target}\n/* {site}\n}}")
    with connect(gateway) as client:
        def ask(path):
            return client.answer(client.head([
                (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path),
                (":authority", "test"), ("sec-websocket-version", "13")], end=False))
        assert ask("/").status == status
        assert ask("/ok").status == 501


def test_a_websocket_that_outlives_the_drain(start_gateway, origins):
    """RFC 6455 5.5.1: both ends get a Close with 1012 when the gateway cuts them off, and the stream ends."""
    heard = []

    def speaks(connection):
        agree(connection)
        connection.send(b"\x81\x02hi")
        while data := connection.read_some():
            heard.append(data)

    gateway = start_gateway(f"site test {{ proxy {origins(speaks).target} }}", "drain 1s")
    with connect(gateway) as client:
        stream = client.head([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"),
                              (":authority", "test"), ("sec-websocket-version", "13")], end=False)
        answer = client.answers[stream]
        client.until(lambda: bytes(answer.body) == b"\x81\x02hi")
        gateway.signal(15)
        client.until(lambda: answer.ended)
        assert bytes(answer.body) == b"\x81\x02hi\x88\x02\x03\xf4"
        client.frame(http2.DATA, http2.END_STREAM, stream, b"")
    assert gateway.await_exit() == 0
    said = b"".join(heard)
    assert said[:2] == b"\x88\x82" and bytes(c ^ m for c, m in zip(said[6:8], said[2:6])) == b"\x03\xf4"


# The end of connections

def test_a_drain_lets_streams_finish(start_gateway, origins):
    """RFC 9113 6.8: GOAWAY in two steps; what is under way is answered, then the connection ends."""
    slow, go = origins.held()
    gateway = start_gateway(f"site test {{\n/slow proxy {slow.target}\n/* respond 200 fine\n}}")
    with connect(gateway) as client, connect(gateway) as idle:
        stream = client.request("/slow")
        assert idle.get("/").status == 200
        client.ping()
        gateway.signal(15)
        assert client.until(lambda: client.goaways)[0].last_stream == 2 ** 31 - 1
        assert idle.goaway().code == http2.NO_ERROR
        late = client.request("/late")
        client.until(lambda: len(client.goaways) == 2)
        go.set()
        assert client.answer(stream).status == 200
        if late <= client.goaways[1].last_stream:
            assert client.answer(late).status == 200
        assert client.goaway().code == http2.NO_ERROR
    assert gateway.await_exit() == 0


def test_an_idle_connection_is_closed(start_gateway):
    """config.md, Defaults: after its time, with GOAWAY; PINGs do not make it last."""
    gateway = start_gateway("site test { respond 200 fine }", "timeout idle=1s")
    with connect(gateway) as client:
        assert client.get("/").status == 200
        assert client.goaway().code == http2.NO_ERROR
    assert gateway.records(1)


def test_a_connection_in_use_is_not_idle(start_gateway):
    """`timeout idle` counts from the last request, also where each is answered at once."""
    gateway = start_gateway("site test { respond 200 fine }", "timeout idle=2s")
    for _ in range(5):
        with connect(gateway) as client:
            client.ping()
            end, asked, longest = time.monotonic() + 3, time.monotonic(), 0.0
            while time.monotonic() < end and longest < 1 and not client.goaways:
                assert client.get("/").status == 200
                longest, asked = max(longest, time.monotonic() - asked), time.monotonic()
            if longest < 1:
                assert not client.goaways
                return
    raise AssertionError("this machine keeps the client waiting")


def test_a_client_that_half_closes_gets_its_answers(start_gateway, echo_origin):
    """A client that has no more to say still hears."""
    gateway = start_gateway(f"site test {{ proxy {echo_origin.target} }}")
    with connect(gateway) as client:
        stream = client.request("/slow?seconds=0.3")
        client.ping()
        client.socket.shutdown(1)
        client.until(lambda: client.answers[stream].ended)
        assert client.answers[stream].status == 200


@pytest.mark.parametrize("path", ["/large", "/bytes/3000000"], ids=["file", "upstream"])
def test_a_client_that_half_closes_without_windows(start_gateway, echo_origin, tmp_path, path):
    """Nobody waits for a window that cannot come any more: what waits for one is lost, and the connection ends."""
    folder = files(tmp_path, large=PIECE)
    gateway = start_gateway(f"site test {{\n/large files {folder}\n/* proxy {echo_origin.target}\n}}")
    with connect(gateway, credit=False) as client:
        stream = client.request(path)
        client.until(lambda: client.window == 0)
        client.socket.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionEnded):
            client.until(lambda: client.answers[stream].ended)
    assert gateway.records(1)[0]["close"] == "client-closed"


def test_a_client_that_resets_its_stream(start_gateway, origins):
    """RFC 9113 6.4: the upstream's connection ends with the stream, and others go on."""
    gone = threading.Event()

    def waits(connection):
        connection.read_request()
        connection.wait_closed()
        gone.set()

    gateway = start_gateway(f"site test {{\n/wait proxy {origins(waits).target}\n/* respond 200 fine\n}}")
    with connect(gateway) as client:
        stream = client.request("/wait")
        client.ping()
        client.frame(http2.RST_STREAM, 0, stream, struct.pack(">I", http2.CANCEL))
        assert gone.wait(10)
        assert client.get("/").status == 200
    record = gateway.records(2, where=lambda r: True)
    assert [r["close"] for r in record if r["path"] == "/wait"] == ["client-reset"]


def test_a_client_that_vanishes(start_gateway, origins):
    """All that was under way ends with its connection."""
    gone = threading.Semaphore(0)

    def waits(connection):
        connection.read_request()
        connection.wait_closed()
        gone.release()

    gateway = start_gateway(f"site test {{ proxy {origins(waits).target} }}")
    client = connect(gateway)
    for _ in range(5):
        client.request("/")
    client.ping()
    client.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))
    client.close()
    assert all(gone.acquire(timeout=10) for _ in range(5))
    assert {r["close"] for r in gateway.records(5)} <= {"client-failed", "client-closed"}


def test_connections_show_their_streams(start_gateway, origins):
    """`chimera connections` knows of HTTP/2, and what is under way on which stream."""
    slow, go = origins.held()
    gateway = start_gateway(f"site test {{ proxy {slow.target} }}")
    with connect(gateway) as client:
        streams = [client.request(f"/{number}") for number in range(3)]
        client.ping()
        text = gateway.command("connections").stdout
        assert "HTTP/2.0" in text and "3 streams" in text
        assert "GET test /1" in text and f"stream {streams[2]}" in text
        go.set()
        assert [client.answer(stream).status for stream in streams] == [200] * 3


def test_a_connection_can_be_ended(start_gateway, origins):
    """`chimera connections end` ends what is under way with it."""
    def waits(connection):
        connection.read_request()
        connection.wait_closed()

    gateway = start_gateway(f"site test {{ proxy {origins(waits).target} }}")
    with connect(gateway) as client:
        client.request("/")
        client.ping()
        line = next(l for l in gateway.command("connections").stdout.splitlines() if "HTTP/2.0" in l)
        done = gateway.command("connections", "end", line.split()[0])
        assert done.returncode == 0, done.stderr
        with pytest.raises((ConnectionEnded, TimeoutError)):
            while True:
                client.read()
    assert gateway.records(1)[0]["close"] == "draining"


def test_hosts_of_several_sites(start_gateway):
    """One connection may ask for several sites; one that nobody serves is 421 (RFC 9110 15.5.20)."""
    gateway = start_gateway("site a { respond 200 alpha }\nsite b { respond 200 beta }")
    with connect(gateway) as client:
        assert bytes(client.get("/", host="a").body) == b"alpha"
        assert bytes(client.get("/", host="b").body) == b"beta"
        assert client.get("/", host="c").status == 421
        answer = client.answer(client.head(request_fields(host="a", scheme="https")))
        assert answer.status == 421, "RFC 9110 7.4: an https origin is not served without TLS"
