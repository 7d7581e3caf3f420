"""HTTP/1.1 as it should be spoken: what is accepted, persistence, pipelining, bodies that must not be there, Expect."""

import email.utils
import json
import os
import signal
import time

import pytest

from rig.client import Connection, byte_by_byte, chunked, random_pieces, request_bytes
from rig.wire import ConnectionEnded


@pytest.fixture(scope="module")
def origin(shared_origins):
    return shared_origins.echo()


@pytest.fixture(scope="module")
def shared(start_shared, origin):
    gateway = start_shared(f"""
        site test a.test {{
            /respond/*  respond 200 respond
            /empty      respond 204
            /teapot     respond 418 teapot
            /files/*    files ./docroot
            /small/*    {{ limit body 1KB }}
            /small/*    proxy {origin.target}
            /*          proxy {origin.target}
        }}
        site narrow.test {{
            /only       respond 200 only
            GET /get  respond 200 got
        }}
        site * {{ respond 200 star }}
        """, start=False)
    (gateway.directory / "conf.d/docroot").mkdir(parents=True)
    (gateway.directory / "conf.d/docroot/x").write_text("content")
    return gateway.start()


@pytest.fixture
def gateway(shared, origin):
    origin.forget()
    yield shared
    shared.assert_alive()


POST = "POST TARGET HTTP/1.1\r\nHost: test\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"

ACCEPTED = [(name, data.encode("latin-1") if isinstance(data, str) else data, body) for name, data, body in [
    ("GET", "GET TARGET HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    ("no space after the colon (RFC 9112 5)", "GET TARGET HTTP/1.1\r\nHost:test\r\n\r\n", b""),
    ("whitespace around a value", "GET TARGET HTTP/1.1\r\nHost: \t test \t \r\n\r\n", b""),
    ("an empty value", "GET TARGET HTTP/1.1\r\nHost: test\r\nX:\r\n\r\n", b""),
    ("obs-text in a value (RFC 9110 5.5)", "GET TARGET HTTP/1.1\r\nHost: test\r\nX: caf\xe9\r\n\r\n", b""),
    ("a tab inside a value", "GET TARGET HTTP/1.1\r\nHost: test\r\nX: a\tb\r\n\r\n", b""),
    ("every character of a token", "GET TARGET HTTP/1.1\r\nHost: test\r\nX!#$%&'*+-.^_`|~9: a\r\n\r\n", b""),
    ("an empty line first (RFC 9112 2.2)", "\r\nGET TARGET HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    ("names in any case", "POST TARGET HTTP/1.1\r\nhOST: test\r\nCONTENT-LENGTH: 5\r\n\r\nhello", b"hello"),
    ("an absolute-form that agrees with Host", "GET http://test/TARGET HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    ("an absolute-form in capitals", "GET HTTP://TEST/TARGET HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    ("a Host with a port", "GET TARGET HTTP/1.1\r\nHost: test:8080\r\n\r\n", b""),
    ("HTTP/1.2 as 1.1 (RFC 9110 2.5)", "GET TARGET HTTP/1.2\r\nHost: test\r\n\r\n", b""),
    ("a query with everything", "GET TARGET?a=b&c[]=%20;/?:@!$'()*+, HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    ("Content-Length 0", POST + "Content-Length: 0\r\n\r\n", b""),
    ("Content-Length with leading zeros", POST + "Content-Length: 005\r\n\r\nhello", b"hello"),
    ("Content-Length", POST + "Content-Length: 5\r\n\r\nhello", b"hello"),
    ("chunked", CHUNKED + "5\r\nhello\r\n0\r\n\r\n", b"hello"),
    ("chunked in capitals (RFC 9112 7)", POST + "Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
    ("no chunks", CHUNKED + "0\r\n\r\n", b""),
    ("hexadecimal in both cases", CHUNKED + "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
    ("a size with leading zeros", CHUNKED + "0005\r\nhello\r\n0000\r\n\r\n", b"hello"),
    ("chunk extensions (RFC 9112 7.1.1)", CHUNKED + "5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello"),
    ("a quoted chunk extension", CHUNKED + '5;a="b;c"\r\nhello\r\n0\r\n\r\n', b"hello"),
    ("trailers", CHUNKED + "5\r\nhello\r\n0\r\nX-T: a\r\n\r\n", b"hello"),
    ("chunks that hold CRLF", CHUNKED + "4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    ("a body of GET", "GET TARGET HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    ("an unknown method", "FROB TARGET HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    ("a method in lower case", "get TARGET HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    ("a method of every token character", "A!#$%&'*+-.^_`|~9 TARGET HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    ("PUT", "PUT TARGET HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx", b"x"),
    ("DELETE", "DELETE TARGET HTTP/1.1\r\nHost: test\r\n\r\n", b""),
]]


@pytest.mark.parametrize("data, body", [pytest.param(d, b, id=n) for n, d, b in ACCEPTED])
def test_a_valid_request_is_served_and_the_connection_lives_on(gateway, origin, data, body):
    """RFC 9112 2-7, 9.3: what the grammar allows is served, the body is what was sent, and the framing holds for the
    request behind it, whole, byte by byte and at random splits."""
    probe = request_bytes(target="/respond/after")
    with gateway.connect() as connection:
        for target in (b"/respond/x", b"/proxy/x"):
            # A method in the target's place must not be replaced in absolute-form, whose slash is there already.
            request = data.replace(b"/TARGET", target).replace(b"TARGET", target)
            for pieces in ([request + probe], byte_by_byte(request) + [probe], random_pieces(request + probe, 7)):
                connection.send_pieces(pieces)
                first, second = connection.response(), connection.response()
                assert (first.status, second.status, second.body) == (200, 200, b"respond"), (first, second)
    assert len(origin.requests) == 3
    assert {r.body for r in origin.requests} == {body}


def test_http10_without_host_goes_to_the_default_site(gateway):
    """RFC 9112 3.2: Host is required from HTTP/1.1 clients only."""
    response = gateway.exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert (response.status, response.body) == (200, b"star")


def test_identical_lengths_are_refused_or_read_as_one(gateway, origin):
    """RFC 9110 8.6: repeated identical lengths are rejected, or replaced by one before they go on."""
    with gateway.connect() as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello")
        status = connection.response().status
    assert status in (200, 400)
    assert [r.fields.all("Content-Length") for r in origin.requests] == ([["5"]] if status == 200 else [])


@pytest.mark.parametrize("target", ["/respond/x", "/files/x", "/files/none", "/teapot", "/empty", "/proxy"])
def test_every_answer_has_one_date(gateway, target):
    """RFC 9110 6.6.1: a server with a clock sends Date, as IMF-fixdate, and it is now."""
    dates = gateway.get(target).fields.all("Date")
    assert len(dates) == 1
    stamp = email.utils.parsedate_to_datetime(dates[0]).timestamp()
    assert email.utils.formatdate(stamp, usegmt=True) == dates[0]
    assert abs(stamp - time.time()) < 5


# Persistence (RFC 9112 9.3)

@pytest.mark.parametrize("version, fields, persists", [
    ("1.1", [], True),
    ("1.1", [("Connection", "keep-alive")], True),
    ("1.1", [("Connection", "close")], False),
    ("1.1", [("Connection", "CLOSE")], False),
    ("1.1", [("Connection", "x, close")], False),
    ("1.1", [("Connection", "x"), ("Connection", "close")], False),
    ("1.1", [("Connection", "keep-alive, close")], False),
    ("1.1", [("Connection", "closed")], True),
    ("1.0", [], False),
    ("1.0", [("Connection", "close")], False),
    ("1.0", [("Connection", "keep-alive")], True),
    ("1.0", [("Connection", "Keep-Alive")], True),
    ("1.0", [("Connection", "keep-alive, close")], False),
], ids=str)
@pytest.mark.parametrize("target", ["/respond/x", "/files/x", "/proxy/x"])
def test_persistence(gateway, target, version, fields, persists):
    """RFC 9112 9.3: close wins; HTTP/1.1 persists; HTTP/1.0 persists only when asked, and is told so."""
    with gateway.connect() as connection:
        response = connection.request("GET", target, fields=fields, version=version)
        assert response.status == 200
        if persists:
            assert "close" not in response.fields.tokens("Connection")
            assert response.framing in ("length", "chunked")
            if version == "1.0":
                assert "keep-alive" in response.fields.tokens("Connection")
            assert connection.expect_open(target="/respond/x").status == 200
        else:
            assert version == "1.0" or "close" in response.fields.tokens("Connection")
            connection.expect_close(3)


def test_a_chunked_answer_reaches_an_http10_client_unchunked(gateway):
    """RFC 9112 6.1: no Transfer-Encoding to a client that speaks HTTP/1.0; the close ends the body."""
    response = gateway.request("GET", "/chunked/100000", version="1.0")
    assert "Transfer-Encoding" not in response.fields
    assert len(response.body) == 100000 and response.complete


def test_a_connection_serves_many_requests(gateway):
    """config.md, Defaults: no bound on the requests of a connection."""
    with gateway.connect() as connection:
        for number in range(300):
            assert connection.get(f"/respond/{number}").status == 200


# Pipelining (RFC 9112 9.3.2)

def test_pipelined_requests_are_answered_in_order(gateway):
    """RFC 9112 9.3.2: answers in the order of the requests, for 200 of them in one write (more than one turn's 32)."""
    with gateway.connect() as connection:
        targets = [("/respond/x", "/files/x", "/teapot", "/empty", "/files/none")[i % 5] for i in range(200)]
        connection.send(b"".join(request_bytes(target=t) for t in targets))
        statuses = [connection.response().status for _ in targets]
    assert statuses == [200, 200, 418, 204, 404] * 40


def test_pipelining_keeps_its_order_over_slow_and_fast_routes(gateway):
    """RFC 9112 9.3.2: an answer that is ready at once waits for the slow one before it."""
    targets = ["/slow?seconds=0.3&n=1", "/respond/x", "/proxy/2", "/files/x", "/slow?seconds=0.1&n=3", "/teapot"]
    with gateway.connect() as connection:
        connection.send(b"".join(request_bytes(target=t) for t in targets))
        responses = [connection.response() for _ in targets]
    assert [r.status for r in responses] == [200, 200, 200, 200, 200, 418]
    assert [json.loads(responses[i].body)["target"] for i in (0, 2, 4)] == [targets[i] for i in (0, 2, 4)]
    assert [responses[i].body for i in (1, 3, 5)] == [b"respond", b"content", b"teapot"]


def test_pipelining_with_bodies(gateway, origin):
    """RFC 9112 9.3.2, 6: bodies delimit the requests, whatever becomes of them."""
    requests = [
        request_bytes("POST", "/proxy/1", body=b"one"),
        request_bytes("POST", "/respond/2", body=b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"),
        request_bytes("POST", "/respond/3", fields=[("Transfer-Encoding", "chunked")],
                      body=chunked(b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n")),
        request_bytes("POST", "/proxy/4", fields=[("Transfer-Encoding", "chunked")], body=chunked(b"fo", b"ur")),
        request_bytes("POST", "/files/x", body=b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"),
        request_bytes("GET", "/respond/5"),
    ]
    with gateway.connect() as connection:
        connection.send(b"".join(requests))
        statuses = [connection.response().status for _ in requests]
    assert statuses == [200, 200, 200, 200, 405, 200]
    assert [(r.target, r.body) for r in origin.requests] == [("/proxy/1", b"one"), ("/proxy/4", b"four")]


def test_requests_behind_a_close_are_not_served(gateway, origin):
    """RFC 9112 9.6: nothing that follows a request with `close` is processed."""
    with gateway.connect() as connection:
        connection.send(request_bytes(target="/respond/x", fields=[("Connection", "close")])
                        + request_bytes(target="/proxy/never"))
        assert connection.response().status == 200
        connection.expect_close()
    assert origin.received == b""


def test_a_client_may_half_close_after_its_requests(gateway):
    """RFC 9112 9.6, user promise: `printf request | nc` gets its answers, from each destination."""
    for target in ("/respond/x", "/files/x", "/slow?seconds=0.2"):
        with gateway.connect() as connection:
            connection.send(request_bytes(target="/respond/x") + request_bytes(target=target))
            connection.finish_sending()
            assert connection.response().status == 200
            assert connection.response().status == 200
            connection.expect_close()


# Answers without a body (RFC 9110 9.3.2, 15.3.5, 15.4.5; RFC 9112 6.3)

@pytest.mark.parametrize("target", ["/respond/x", "/files/x", "/files/none", "/teapot", "/bytes/1000"])
def test_head_has_the_fields_of_get_and_no_body(gateway, target):
    """RFC 9110 9.3.2: the same fields, Content-Length among them, and nothing behind the head."""
    with gateway.connect() as connection:
        got = connection.get(target)
        head = connection.request("HEAD", target)
        assert head.status == got.status
        assert head.fields.get("Content-Length") == got.fields.get("Content-Length")
        assert head.fields.get("Content-Type") == got.fields.get("Content-Type")
        assert connection.expect_open(target="/respond/x").body == b"respond"


@pytest.mark.parametrize("target, status", [("/empty", 204), ("/status/204", 204), ("/status/304", 304)])
def test_204_and_304_have_no_body(gateway, target, status):
    """RFC 9112 6.3 rule 1: such an answer ends with its head."""
    with gateway.connect() as connection:
        assert connection.get(target).status == status
        assert connection.expect_open(target="/respond/x").body == b"respond"


def test_options_asterisk(gateway):
    """RFC 9110 9.3.7: `OPTIONS *` asks the server itself."""
    with gateway.connect() as connection:
        response = connection.request("OPTIONS", "*")
        assert response.status in (200, 204)
        assert connection.expect_open(target="/respond/x").status == 200


# Expect (RFC 9110 10.1.1)

def expecting(target, length=5, version="1.1", expectation="100-continue"):
    return request_bytes("POST", target, version=version,
                         fields=[("Content-Length", str(length)), ("Expect", expectation)])


def test_continue_is_sent_when_the_body_is_wanted(gateway, origin):
    """RFC 9110 10.1.1: 100 (Continue) before the body, when the destination asks for it."""
    with gateway.connect() as connection:
        connection.send(expecting("/proxy/x"))
        assert connection.reader.response_head().status == 100
        connection.send(b"hello")
        response = connection.response()
        assert (response.status, response.informational) == (200, [])
        assert connection.expect_open(target="/respond/x").status == 200
    assert origin.requests[0].body == b"hello"


def test_continue_in_any_case(gateway):
    """RFC 9110 10.1.1: the expectation is case-insensitive."""
    with gateway.connect() as connection:
        connection.send(expecting("/proxy/x", expectation="100-Continue"))
        assert connection.reader.response_head().status == 100
        assert connection.send(b"hello").response().status == 200


@pytest.mark.parametrize("target, length, host, status", [
    ("/files/x", 5, "test", 405), ("/get", 5, "narrow.test", 405), ("/none", 5, "narrow.test", 404),
    ("/small/x", 5000, "test", 413), ("/../%zz", 5, "test", 400),
])
def test_continue_is_not_sent_with_a_refusal(gateway, origin, target, length, host, status):
    """RFC 9110 10.1.1: a final status at once, without 100, and the body is not waited for."""
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", target, host, [("Content-Length", str(length)),
                                                             ("Expect", "100-continue")]))
        response = connection.response()
        assert (response.status, response.informational) == (status, [])
        if "close" in response.fields.tokens("Connection"):
            connection.expect_close()
        else:
            connection.send(b"x" * length)
            assert connection.expect_open(target="/respond/x").body == b"respond"
    assert origin.received == b""


def test_continue_is_not_sent_to_http10(gateway):
    """RFC 9110 10.1.1: the expectation of an HTTP/1.0 client is ignored."""
    with gateway.connect() as connection:
        connection.send(expecting("/proxy/x", version="1.0") + b"hello")
        response = connection.response()
        assert (response.status, response.informational) == (200, [])


@pytest.mark.parametrize("expectation", ["magic", "100-continue, magic", "200-ok"])
@pytest.mark.parametrize("target", ["/respond/x", "/proxy/x"])
def test_an_unknown_expectation_fails(gateway, origin, target, expectation):
    """RFC 9110 10.1.1: 417 for an expectation that we cannot meet."""
    with gateway.connect() as connection:
        connection.send(expecting(target, expectation=expectation))
        assert connection.response().status == 417
    assert origin.received == b""


# Upgrade (RFC 9110 7.8)

@pytest.mark.parametrize("fields", [
    [("Upgrade", "websocket"), ("Connection", "upgrade")],
    [("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")],
    [("Upgrade", "TLS/1.2"), ("Connection", "Upgrade")],
    [("Upgrade", "websocket")],
], ids=["websocket", "h2c", "tls", "without Connection"])
@pytest.mark.parametrize("target", ["/respond/x", "/files/x"])
def test_an_upgrade_is_ignored_where_it_does_not_apply(gateway, target, fields):
    """RFC 9110 7.8: a server may ignore Upgrade, and then answers as if it were not there."""
    with gateway.connect() as connection:
        assert connection.request("GET", target, fields=fields).status == 200
        assert connection.expect_open(target="/respond/x").status == 200


@pytest.mark.parametrize("fields", [
    [("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")],
    [("Upgrade", "websocket")],
], ids=["h2c", "without Connection"])
def test_an_upgrade_that_would_open_a_hole_does_not_reach_the_upstream(gateway, origin, fields):
    """RFC 9113 3.1 (h2c by Upgrade is obsolete), RFC 9110 7.8 (Upgrade counts only when Connection lists it)."""
    assert gateway.request("GET", "/proxy/x", fields=fields).status == 200
    assert "Upgrade" not in origin.requests[0].fields
    assert "HTTP2-Settings" not in origin.requests[0].fields


def test_a_body_that_nobody_reads_is_discarded_or_ends_the_connection(gateway, origin):
    """RFC 9112 9.3: a server reads the whole body or closes; it never takes the body for a request."""
    body = request_bytes(target="/proxy/smuggled") * 2000
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/respond/x", body=body) + request_bytes(target="/respond/y"))
        assert connection.response().status == 200
        try:
            assert connection.response().body == b"respond"
        except ConnectionEnded:
            pass
    assert origin.received == b""


@pytest.mark.parametrize("ends", [False, True], ids=["open", "ended"])
def test_what_is_behind_a_full_read_is_read(start_gateway, tmp_path, ends):
    """RFC 9112 9.3.2: requests that came together are all answered, though no further news of them comes."""
    path = tmp_path / "s"
    gateway = start_gateway("site test { respond 200 ok }", f"listen unix:{path}\ntimeout idle=1h")
    head = len(request_bytes(fields=[("X", "")]))
    requests = request_bytes(fields=[("X", "x" * (4096 - head))]) * 20
    assert len(requests) == 20 * 4096, "16 of them fill the buffer that is read into"
    with Connection(str(path)) as connection:
        assert connection.get().status == 200
        # All of it is there before any of it is read.
        os.kill(gateway.pid, signal.SIGSTOP)
        try:
            connection.send(requests)
            if ends:
                connection.finish_sending()
        finally:
            os.kill(gateway.pid, signal.SIGCONT)
        assert [connection.response().status for _ in range(20)] == [200] * 20
        if ends:
            connection.expect_close()
        else:
            assert connection.get().status == 200
