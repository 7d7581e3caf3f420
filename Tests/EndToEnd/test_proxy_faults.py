"""Upstreams that refuse, stall, reset, lie or smuggle, and clients that vanish; memory stays bounded throughout."""

import contextlib
import os
import re
import signal
import socket
import threading
import time

import pytest

from rig.client import chunked, request_bytes, wait_until
from rig.gateway import free_port
from rig.origin import OK, PATTERN, answers, in_turn, response_bytes
from rig.process import MiB, PeakMemory
from rig.wire import ConnectionEnded

FAST = "timeout connect=500ms answer=700ms read=700ms"


def behind(start_gateway, target: str, settings: str = ""):
    block = f" {{ {settings} }}" if settings else ""
    return start_gateway(f"site test {{\n/fine respond 200 fine\n/* proxy {target}{block}\n}}")


def assert_lives(gateway):
    gateway.assert_alive()
    assert gateway.get("/fine").body == b"fine"


def proxy_status(response) -> str:
    """The error token of Proxy-Status (RFC 9209 2.1.1)."""
    match = re.search(r"(?:^|;) *error=([a-z_]+)(?:;|$)", response.fields["Proxy-Status"])
    assert match, f"no error in Proxy-Status: {response.fields['Proxy-Status']}"
    assert re.match(r'[A-Za-z*"][^;]*;', response.fields["Proxy-Status"]), "no name of this proxy (RFC 9209 2)"
    return match.group(1)


# 502 and 504, with the reason (RFC 9110 15.6.3, 15.6.5; RFC 9209 2.3)

def test_refused(start_gateway):
    """RFC 9209 2.3.6: connection_refused."""
    gateway = behind(start_gateway, f"127.0.0.1:{free_port()}")
    with gateway.connect() as connection:
        response = connection.get("/x")
        assert (response.status, proxy_status(response)) == (502, "connection_refused")
        assert connection.request("POST", "/x", body=b"body").status == 502
        assert connection.get("/fine").body == b"fine"
        assert connection.request("HEAD", "/x").status == 502
        assert connection.get("/fine").body == b"fine"


def test_a_missing_unix_socket(start_gateway, tmp_path):
    """RFC 9209 2.3: a socket that is not there is an upstream that cannot be reached."""
    gateway = behind(start_gateway, f"unix:{tmp_path}/none.sock")
    response = gateway.get("/x")
    assert response.status == 502
    assert proxy_status(response) in {"connection_refused", "destination_unavailable", "destination_not_found",
                                      "proxy_internal_error"}


def test_a_name_that_does_not_resolve(start_gateway):
    """config.md: gives 502, never a refused start. RFC 9209 2.3.2: dns_error."""
    gateway = behind(start_gateway, "no-such-name.invalid:80")
    response = gateway.get("/x")
    assert (response.status, proxy_status(response)) == (502, "dns_error")
    assert_lives(gateway)


def test_a_connect_that_gets_no_answer(start_gateway):
    """config.md, Defaults: connect past its time is 502. RFC 9209 2.3.7: connection_timeout."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(8):  # A full backlog drops SYNs, as an unreachable host does.
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        gateway = behind(start_gateway, f"127.0.0.1:{listener.getsockname()[1]}", FAST)
        start = time.monotonic()
        response = gateway.get("/x")
        assert (response.status, proxy_status(response)) in {(502, "connection_timeout"), (504, "connection_timeout")}
        assert time.monotonic() - start < 3
        for filler in fillers:
            filler.close()


def silent(connection):
    connection.read_request()
    connection.wait_closed()


def test_requests_that_come_as_their_connections_fall_silent(start_gateway, origins):
    """The time of a kept connection that ends in the turn in which a request comes is not that of its upstream."""
    origin, kept = origins(answers(OK)), origins(OK)
    gateway = start_gateway(f"site test {{\n/up proxy {origin.target}\n/kept proxy {kept.target}\n/* respond 204\n}}")
    pid = gateway.pid
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(gateway.connect()) for _ in range(8)]
        busy = [stack.enter_context(gateway.connect()) for _ in range(4)]
        for connection in silent:
            assert connection.get("/kept").text == "ok"
        # Much to do for the workers, so that they stop within a turn and not between two.
        for connection in busy:
            connection.send(request_bytes() * 3_000)
        os.kill(pid, signal.SIGSTOP)
        try:
            for connection in silent:
                connection.send(request_bytes(target="/up"))
            # A second after its last answer a connection gives up what it held for the next request.
            time.sleep(1.2)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert [connection.response().text for connection in silent] == ["ok"] * 8


def test_an_answer_that_does_not_come(start_gateway, origins):
    """config.md, Defaults: no head of an answer in its time is 504; the upstream connection is closed."""
    origin = origins(silent)
    gateway = behind(start_gateway, origin.target, FAST)
    with gateway.connect() as connection:
        response = connection.get("/x")
        assert response.status == 504
        assert proxy_status(response) in {"http_response_timeout", "connection_read_timeout"}
        assert connection.get("/fine").body == b"fine"
    assert origin.connection().ended.wait(5)


def test_half_a_head_in_time(start_gateway, origins):
    """config.md, Defaults: the time is for the whole head; dribbling does not extend it for ever."""
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nX-A: ")
        connection.wait_closed()
    gateway = behind(start_gateway, origins(script).target, FAST)
    assert gateway.get("/x").status in (502, 504)


def test_a_dribbled_head_is_not_in_time(start_gateway, origins):
    """Slow-loris by the upstream: a byte now and then does not extend the time for the head."""
    stopped = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nX-A: ")
        while not stopped.wait(0.1):
            connection.send(b"a")
    gateway = behind(start_gateway, origins(script).target, FAST)
    try:
        response = gateway.get("/x")
        assert (response.status, proxy_status(response)) == (504, "http_response_timeout")
    finally:
        stopped.set()


def test_an_interim_answer_begins_the_time_anew(start_gateway, origins):
    """RFC 9110 15.2.1, RFC 2518 10.1: an upstream that says that it works on it is not given up."""
    def script(connection):
        connection.read_request()
        for _ in range(6):
            time.sleep(0.3)
            connection.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        connection.send(OK)
    gateway = behind(start_gateway, origins(script).target, FAST)
    response = gateway.get("/x")
    assert (response.status, len(response.informational)) == (200, 6)


@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
def test_interim_answers_without_end(start_gateway, origins, interim):
    """Every count has a limit: an upstream that says nothing else is cut off with 502."""
    def script(connection):
        connection.read_request()
        while True:
            connection.send(interim * 100)
    gateway = behind(start_gateway, origins(script).target)
    response = gateway.get("/x")
    assert (response.status, proxy_status(response)) == (502, "http_protocol_error")


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 103 Early Hints\r\n\r\n"],
                         ids=["nothing", "half a status line", "half a head", "only 103"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_upstream_that_ends_before_its_head(start_gateway, origins, sent, how):
    """RFC 9110 15.6.3, RFC 9209 2.3.9: 502 with the reason."""
    def script(connection):
        connection.read_request()
        connection.send(sent)
        if how == "reset":
            time.sleep(0.05)
            connection.reset()
    origin = origins(script)
    gateway = behind(start_gateway, origin.target)
    with gateway.connect() as connection:
        response = connection.get("/x")
        assert response.status == 502
        assert proxy_status(response) in {"connection_terminated", "http_response_incomplete", "http_protocol_error"}
        assert connection.get("/fine").body == b"fine"


# Answers that are not HTTP, or that two readers would read differently

def answer(*lines: str, body: bytes = b"", start: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([start, *lines]).encode("latin-1") + b"\r\n\r\n" + body


BODY = b"5\r\nhello\r\n0\r\n\r\n"
MALFORMED = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "garbage": b"\x00\x01\x02\x03" * 20 + b"\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "both CL and TE": answer("Content-Length: 5", "Transfer-Encoding: chunked", body=BODY),
    "CL that differ": answer("Content-Length: 5", "Content-Length: 6", body=b"hello!"),
    "a list of CL that differ": answer("Content-Length: 5, 6", body=b"hello!"),
    "CL of letters": answer("Content-Length: abc", body=b"hello"),
    "CL negative": answer("Content-Length: -5", body=b"hello"),
    "CL plus": answer("Content-Length: +5", body=b"hello"),
    "CL empty": answer("Content-Length: ", body=b"hello"),
    "CL of 2^64 and 5": answer("Content-Length: 18446744073709551621", body=b"hello"),
    "TE of gzip": answer("Transfer-Encoding: gzip", body=b"hello"),
    "TE of xchunked": answer("Transfer-Encoding: xchunked", body=BODY),
    "TE chunked twice": answer("Transfer-Encoding: chunked, chunked", body=BODY),
    "TE chunked not last": answer("Transfer-Encoding: chunked, identity", body=BODY),
    "TE in HTTP/1.0": answer("Transfer-Encoding: chunked", body=BODY, start="HTTP/1.0 200 OK"),
    "obs-fold": answer("X: a", " b", "Content-Length: 5", body=b"hello"),
    "folded CL": answer("Content-Length: 5", " 0", body=b"hello"),
    "space before colon": answer("Content-Length : 5", body=b"hello"),
    "NUL in a value": answer("X: a\0b", "Content-Length: 5", body=b"hello"),
    "NUL in a name": answer("X\0: a", "Content-Length: 5", body=b"hello"),
    "bare CR in a value": answer("X: a\rb", "Content-Length: 5", body=b"hello"),
    "bare LF in the head": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "control character in a value": answer("X: \x01", "Content-Length: 5", body=b"hello"),
    "a line without colon": answer("nothing", "Content-Length: 5", body=b"hello"),
    "a field without name": answer(": a", "Content-Length: 5", body=b"hello"),
    "space in a name": answer("X Y: a", "Content-Length: 5", body=b"hello"),
    "HTTP/2.0": answer("Content-Length: 5", body=b"hello", start="HTTP/2.0 200 OK"),
    "another protocol": answer("Content-Length: 5", body=b"hello", start="ICY 200 OK"),
    "no space after the version": answer("Content-Length: 5", body=b"hello", start="HTTP/1.1200 OK"),
    "a status of two digits": answer("Content-Length: 5", body=b"hello", start="HTTP/1.1 99 OK"),
    "a status of four digits": answer("Content-Length: 5", body=b"hello", start="HTTP/1.1 2000 OK"),
    "a status of letters": answer("Content-Length: 5", body=b"hello", start="HTTP/1.1 abc OK"),
    "a status below 100": answer("Content-Length: 5", body=b"hello", start="HTTP/1.1 050 OK"),
    "NUL in the reason": answer("Content-Length: 5", body=b"hello", start="HTTP/1.1 200 O\0K"),
    "bare CR in the reason": answer("Content-Length: 5", body=b"hello", start="HTTP/1.1 200 O\rK"),
    "a 101 that nobody asked for": answer("Upgrade: websocket", "Connection: upgrade",
                                          start="HTTP/1.1 101 Switching Protocols"),
    "a head of 1 MB": answer("X: " + "a" * 1_000_000),
    "10000 fields": answer(*["X: a"] * 10000),
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000,
}


@pytest.mark.parametrize("data", [pytest.param(d, id=n) for n, d in MALFORMED.items()])
def test_a_malformed_answer_is_502(start_gateway, origins, data):
    """RFC 9112 5.2, 6.3 (the same strictness towards upstreams): 502, nothing of the answer passes, the connection to the
    upstream is closed, the client's lives on."""
    def script(connection):
        connection.read_request()
        connection.send(data)
        connection.wait_closed()
    origin = origins(script)
    gateway = behind(start_gateway, origin.target)
    with gateway.connect() as connection:
        response = connection.get("/x")
        assert response.status == 502, response
        assert proxy_status(response).startswith(("http_", "connection_", "proxy_")), response
        assert b"hello" not in response.body
        assert connection.get("/fine").body == b"fine"
    assert origin.connection().ended.wait(5)


@pytest.mark.parametrize("body", [
    b"0x5\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n", b"g\r\nhello\r\n", b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5;a\0\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX : a\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n", b"5\r\nhello\r\n0\r\n" + b"X: a\r\n" * 50000 + b"\r\n",
    b"5;" + b"a" * 200000 + b"\r\nhello\r\n0\r\n\r\n",
], ids=lambda b: repr(b[:24]))
def test_a_malformed_chunk_never_completes_at_the_client(start_gateway, origins, body):
    """RFC 9112 8: 502 if the head has not gone out, else the client's body stays without its last chunk."""
    def script(connection):
        connection.read_request()
        connection.send(answer("Transfer-Encoding: chunked", body=body))
        connection.wait_closed()
    gateway = behind(start_gateway, origins(script).target)
    with gateway.connect() as connection:
        connection.send(request_bytes(target="/x"))
        response = connection.response(allow_cut=True)
        assert response.status == 502 or (response.status == 200 and not response.complete), response
    assert_lives(gateway)


# Bodies that end early, or late

@pytest.mark.parametrize("data", [
    answer("Content-Length: 100000", body=b"x" * 50000), answer("Transfer-Encoding: chunked", body=b"c350\r\n" + b"x" * 50000),
    answer("Transfer-Encoding: chunked", body=b"c350\r\n" + b"x" * 50000 + b"\r\n"),
    answer("Transfer-Encoding: chunked", body=b"c350\r\n" + b"x" * 50000 + b"\r\n0\r\n"),
], ids=["length", "in a chunk", "between chunks", "before the end of the trailers"])
@pytest.mark.parametrize("how", ["close", "reset", "stall"])
def test_a_body_cut_short_is_cut_at_the_client_too(start_gateway, origins, data, how):
    """RFC 9112 8, config.md (read: reset): no final chunk, no missing bytes made up; the client's connection ends."""
    received = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(data)
        assert received.wait(10)
        if how == "reset":
            connection.reset()
        elif how == "stall":
            connection.wait_closed()
    gateway = behind(start_gateway, origins(script).target, "timeout read=700ms" if how == "stall" else "")
    with gateway.connect() as connection:
        connection.send(request_bytes(target="/x"))
        head = connection.reader.response_head()
        assert head.status == 200
        got = b""
        while got.count(b"x") < 50000:
            more = connection.read_some()
            assert more, "closed before what had arrived was passed on"
            got += more
        received.set()
        got += connection.read_until_close()
        assert got.count(b"x") == 50000
        assert not got.endswith(b"0\r\n\r\n")
    assert_lives(gateway)


def test_bytes_behind_an_answer_reach_nobody(start_gateway, origins):
    """RFC 9112 6.3, response splitting: what stands behind the length belongs to no request; the connection is not kept."""
    smuggled = response_bytes(200, [("X-Smuggled", "yes")], b"smuggled")
    origin = origins(in_turn(answers(response_bytes(200, [], b"hello") + smuggled, OK), OK))
    gateway = behind(start_gateway, origin.target)
    with gateway.connect() as connection:
        assert connection.get("/first").body == b"hello"
        assert [connection.get(f"/{n}").body for n in range(5)] == [b"ok"] * 5
    assert len(origin.connections[0].heads) == 1


def test_bytes_on_an_idle_connection_reach_nobody(start_gateway, origins):
    """Response smuggling: an answer that arrives before its request ends the pooled connection."""
    pushed = threading.Event()

    def first(connection):
        connection.read_request()
        connection.send(response_bytes(200, [], b"hello"))
        assert ready.wait(10)
        connection.send(response_bytes(200, [], b"smuggled"))
        pushed.set()
        connection.wait_closed()
    ready = threading.Event()
    origin = origins(in_turn(first, OK))
    gateway = behind(start_gateway, origin.target)
    with gateway.connect() as connection:
        assert connection.get("/first").body == b"hello"
        ready.set()
        assert pushed.wait(10)
        assert origin.connection().ended.wait(5), "the gateway keeps a connection that has spoken out of turn"
        assert connection.get("/second").body == b"ok"


def test_a_408_on_an_idle_connection_is_no_answer(start_gateway, origins):
    """RFC 9110 15.5.9: servers say 408 on idle connections and close; it answers no request."""
    done = threading.Event()

    def first(connection):
        connection.read_request()
        connection.send(response_bytes(200, [], b"hello"))
        connection.send(response_bytes(408, [("Connection", "close")], b""))
        connection.finish_sending()
        connection.wait_closed()
        done.set()
    gateway = behind(start_gateway, origins(in_turn(first, OK)).target)
    with gateway.connect() as connection:
        assert connection.get("/first").body == b"hello"
        assert done.wait(5)
        assert connection.get("/second").body == b"ok"


@pytest.mark.parametrize("status", [200, 413])
@pytest.mark.parametrize("ending", ["keeps", "closes"])
def test_an_answer_before_the_end_of_the_request(start_gateway, origins, status, ending):
    """RFC 9112 9.5, 7.6 of RFC 9110: the client gets the early answer although its body is still on its way."""
    def script(connection):
        connection.read_head()
        connection.send(response_bytes(status, [("Connection", "close")] if ending == "closes" else [], b"early"))
        if ending == "keeps":
            connection.wait_closed()
    origin = origins(script)
    gateway = behind(start_gateway, origin.target)
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/x", fields=[("Content-Length", "1000000")], body=b"x" * 1000))
        response = connection.response()
        assert (response.status, response.body) == (status, b"early")
    assert_lives(gateway)


def test_an_early_answer_to_a_large_upload_arrives(start_gateway, origins):
    """User promise: a 413 of the application reaches a client that is still sending (RFC 9112 9.6)."""
    def script(connection):
        connection.read_head()
        connection.send(response_bytes(413, [("Connection", "close")], b"too large"))
        connection.finish_sending()
        connection.wait_closed()
    gateway = behind(start_gateway, origins(script).target)
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/x", fields=[("Content-Length", str(20 * MiB))]))
        sender = threading.Thread(target=lambda: [connection.send(PATTERN) for _ in range(20 * MiB // len(PATTERN))],
                                  daemon=True)
        sender.start()
        response = connection.response()
        assert (response.status, response.body) == (413, b"too large")
        with contextlib.suppress(OSError):  # The gateway may have reset it by now.
            connection.socket.shutdown(socket.SHUT_RDWR)
        sender.join(10)
        assert not sender.is_alive()
    assert_lives(gateway)


def test_an_upstream_that_resets_during_the_upload(start_gateway, origins):
    """RFC 9110 15.6.3: without an answer the client gets 502."""
    def script(connection):
        connection.read_head()
        connection.reset()
    gateway = behind(start_gateway, origins(script).target)
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/x", fields=[("Content-Length", "1000000")], body=b"x" * 500000))
        assert connection.response().status == 502
    assert_lives(gateway)


# Backpressure and vanishing

def endless(length: int):
    def script(connection):
        connection.socket.settimeout(30)
        connection.read_request()
        connection.send(answer(f"Content-Length: {length}"))
        connection.sent = 0
        while connection.sent < length:
            connection.send(PATTERN)
            connection.sent += len(PATTERN)
    return script


def stops_growing(count, still: float = 0.5) -> int:
    """Returns the value of `count` once it has not changed for `still` seconds."""
    last, since = count(), time.monotonic()
    deadline = since + 20
    while time.monotonic() - since < still:
        assert time.monotonic() < deadline, f"never stops growing ({last})"
        time.sleep(0.05)
        now = count()
        if now != last:
            last, since = now, time.monotonic()
    return last


def test_a_slow_client_slows_the_upstream(start_gateway, origins):
    """architecture.md, backpressure is `await`: memory for each connection is bounded whatever the upstream sends."""
    origin = origins(endless(1 << 40))
    gateway = behind(start_gateway, origin.target)
    connections = [gateway.connect(receive_buffer=16384) for _ in range(8)]
    with PeakMemory(gateway.vitals) as peak:
        for connection in connections:
            connection.send(request_bytes(target="/x"))
            connection.reader.response_head()
        sent = stops_growing(lambda: sum(getattr(c, "sent", 0) for c in list(origin.connections)))
    assert sent < 8 * 24 * MiB, f"{sent} bytes left the upstream though nobody reads"
    assert peak.bytes - peak.before < 16 * MiB
    for connection in connections:
        connection.reset()
    for connection in origin.connections:
        assert connection.ended.wait(10), "the upstream connection outlives its client"


def test_a_slow_upstream_slows_the_client(start_gateway, origins):
    """The same the other way round: an upload is not collected in the gateway."""
    def script(connection):
        connection.read_head()
        assert stop.wait(30)
    stop = threading.Event()
    origin = origins(script, receive_buffer=16384)
    gateway = behind(start_gateway, origin.target)
    sent = [0] * 4

    def upload(number, connection):
        connection.socket.settimeout(0.2)
        try:
            while not stop.is_set():
                try:
                    sent[number] += connection.socket.send(PATTERN)
                except TimeoutError:
                    continue
        except OSError:
            pass
    connections = [gateway.connect() for _ in sent]
    with PeakMemory(gateway.vitals) as peak:
        for number, connection in enumerate(connections):
            connection.send(request_bytes("POST", "/x", fields=[("Content-Length", str(1 << 33))]))
            threading.Thread(target=upload, args=(number, connection), daemon=True).start()
        stops_growing(lambda: sum(sent))
    total = sum(sent)
    stop.set()
    assert total < 4 * 24 * MiB, f"{total} bytes were taken though nobody reads"
    assert peak.bytes - peak.before < 16 * MiB
    for connection in connections:
        connection.close()
    assert_lives(gateway)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_vanishes_during_a_download_frees_the_upstream(start_gateway, origins, how):
    """User promise: an abandoned download does not occupy the application."""
    origin = origins(endless(1 << 40))
    gateway = behind(start_gateway, origin.target)
    connection = gateway.connect()
    connection.send(request_bytes(target="/x"))
    connection.reader.response_head()
    getattr(connection, how)()
    assert origin.connection().ended.wait(10)
    assert_lives(gateway)


def test_a_client_that_resets_while_it_waits_frees_the_upstream(start_gateway, origins):
    """User promise: so does an abandoned request whose answer has not begun."""
    origin = origins(silent)
    gateway = behind(start_gateway, origin.target)
    connection = gateway.connect()
    connection.send(request_bytes(target="/x"))
    origin.request()
    connection.reset()
    assert origin.connection().ended.wait(5), "the upstream connection outlives its client"
    assert_lives(gateway)


def test_a_client_that_vanishes_during_an_upload_frees_the_upstream(start_gateway, origins):
    """RFC 9112 8: the incomplete request is never completed by the gateway."""
    def script(connection):
        connection.read_request()
    origin = origins(script)
    gateway = behind(start_gateway, origin.target)
    for fields, body in (([("Content-Length", "100000")], b"x" * 1000),
                         ([("Transfer-Encoding", "chunked")], chunked(b"x" * 1000)[:-5])):
        connection = gateway.connect()
        connection.send(request_bytes("POST", "/x", fields=fields, body=body))
        wait_until(lambda: len(origin.heads) == len(origin.connections) > 0, what="the head at the origin")
        connection.reset()
        assert origin.connections[-1].ended.wait(5)
    assert origin.requests == []
    assert_lives(gateway)


def test_one_dead_address_of_two(start_gateway, origins):
    """config.md: errors are 502 and nothing else while one address is gone; the other one goes on serving."""
    alive = origins.echo("alive")
    gateway = behind(start_gateway, f"{alive.target} 127.0.0.1:{free_port()}")
    with gateway.connect() as connection:
        statuses = [connection.get("/name").status for _ in range(20)]
    assert set(statuses) <= {200, 502} and statuses.count(200) >= 10


def test_an_upstream_that_comes_back_is_used_at_once(start_gateway, origins):
    """User promise: a restarted application is back with its first request."""
    origin = origins.echo()
    gateway = behind(start_gateway, origin.target)
    assert gateway.get("/name").status == 200
    origin.stop()
    assert gateway.get("/name").status == 502
    origin.listen()
    assert gateway.get("/name").status == 200


def test_an_answer_cut_in_the_middle_of_a_pipeline(start_gateway, origins):
    """RFC 9112 8: after a body cut short nothing more is sent on that connection, though requests wait behind it."""
    def script(connection):
        connection.read_request()
        connection.send(answer("Content-Length: 100", body=b"x" * 50))
    gateway = behind(start_gateway, origins(script).target)
    with gateway.connect() as connection:
        connection.send(request_bytes(target="/x") + request_bytes(target="/fine"))
        with pytest.raises(ConnectionEnded):
            connection.response()
    assert_lives(gateway)
