"""Every rule of RFC 9113 that a client can break: what it is told, and that it harms nobody but itself."""


import pytest

from rig import http2
from rig.http2 import (ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR,
                       FRAME_SIZE_ERROR, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PRIORITY_UPDATE, PROTOCOL_ERROR,
                       PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, Http2, frame, request_fields,
                       settings)
from rig.origin import OK


@pytest.fixture(scope="module")
def gateway(start_shared, shared_origins):
    """One gateway for all cases: each ends with a look at whether it goes on serving others."""
    origin = shared_origins(OK)
    gateway = start_shared(f"site test {{\n/up/* proxy {origin.target}\n/* respond 200 fine\n}}")
    gateway.origin = origin
    return gateway


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "big")


def block(client, *fields, target: str = "/", method: str = "GET"):
    return client.encoder.encode(request_fields(target, method, fields=list(fields)))


def open_post(client, target: str = "/up/a", fields=()):
    """A request whose body is still to come."""
    return client.head(request_fields(target, "POST", fields=fields), end=False)


def finished(client):
    """A stream that has ended on both sides."""
    stream = client.request("/")
    assert client.answer(stream).status == 200
    return stream


# What ends the connection: (the clause, what is sent, the error code)

CONNECTION_ERRORS = {
    "3.4 the first frame is no SETTINGS": (None, lambda c: c.send(http2.PREFACE + frame(PING, payload=b"12345678")),
                                           PROTOCOL_ERROR),
    "3.4 the first frame acknowledges": (None, lambda c: c.send(http2.PREFACE + frame(SETTINGS, ACK)), PROTOCOL_ERROR),
    "4.2 a frame beyond the maximum": (1, lambda c: c.frame(DATA, 0, open_post(c), b"", length=16385),
                                       FRAME_SIZE_ERROR),
    "4.2 HEADERS beyond the maximum": (1, lambda c: c.frame(HEADERS, 4, c.open(), b"", length=16385),
                                       FRAME_SIZE_ERROR),
    "4.3 index 0": (1, lambda c: c.frame(HEADERS, 5, c.open(), b"\x80"), COMPRESSION_ERROR),
    "4.3 an index beyond the tables": (1, lambda c: c.frame(HEADERS, 5, c.open(), b"\xff\xff\x00"), COMPRESSION_ERROR),
    "4.3 a broken Huffman code": (1, lambda c: c.frame(HEADERS, 5, c.open(), b"\x00\x81\x00\x81\x00"),
                                  COMPRESSION_ERROR),
    "4.3 a block that ends within a field": (1, lambda c: c.frame(HEADERS, 5, c.open(), b"\x00\x05abc"),
                                             COMPRESSION_ERROR),
    "4.3 a table beyond the limit": (1, lambda c: c.frame(HEADERS, 5, c.open(), b"\x3f\xe2\xff\x03"),
                                     COMPRESSION_ERROR),
    "4.3 a table resized behind a field": (1, lambda c: c.frame(HEADERS, 5, c.open(), b"\x82\x20"), COMPRESSION_ERROR),
    "4.3 a field block in a refused stream": (
        1, lambda c: c.frame(HEADERS, 4, finished(c), b"\x80"), (COMPRESSION_ERROR, STREAM_CLOSED)),
    "5.1 DATA on an idle stream": (1, lambda c: c.frame(DATA, 1, 5, b"x"), PROTOCOL_ERROR),
    "5.1 RST_STREAM on an idle stream": (1, lambda c: c.frame(RST_STREAM, 0, 5, number(8)), PROTOCOL_ERROR),
    "5.1 WINDOW_UPDATE on an idle stream": (1, lambda c: c.frame(WINDOW_UPDATE, 0, 5, number(8)), PROTOCOL_ERROR),
    "5.1 DATA on a closed stream": (1, lambda c: c.frame(DATA, 1, finished(c), b"x"), STREAM_CLOSED),
    "5.1 HEADERS on a closed stream": (1, lambda c: c.frame(HEADERS, 5, finished(c), block(c)), STREAM_CLOSED),
    "5.1.1 an even stream": (1, lambda c: c.frame(HEADERS, 5, 2, block(c)), PROTOCOL_ERROR),
    "5.1.1 a stream that goes back": (
        1, lambda c: (c.frame(HEADERS, 5, 101, block(c)), c.answers.setdefault(101, http2.Answer()),
                      c.windows.setdefault(101, 65535), c.frame(HEADERS, 5, 99, block(c))), PROTOCOL_ERROR),
    "6.1 DATA on stream 0": (1, lambda c: c.frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
    "6.1 DATA with too much padding": (1, lambda c: c.frame(DATA, PADDED, open_post(c), b"\x05abc"), PROTOCOL_ERROR),
    "6.1 padded DATA without its length": (1, lambda c: c.frame(DATA, PADDED, open_post(c), b""), FRAME_SIZE_ERROR),
    "6.2 HEADERS on stream 0": (1, lambda c: c.frame(HEADERS, 5, 0, block(c)), PROTOCOL_ERROR),
    "6.2 HEADERS with too much padding": (1, lambda c: c.frame(HEADERS, 5 | PADDED, c.open(), b"\xff\x82"),
                                          PROTOCOL_ERROR),
    "6.2 a priority that is cut": (1, lambda c: c.frame(HEADERS, 5 | 32, c.open(), b"\0\0\0"), FRAME_SIZE_ERROR),
    "6.3 PRIORITY on stream 0": (1, lambda c: c.frame(PRIORITY, 0, 0, b"\0\0\0\0\1"), PROTOCOL_ERROR),
    "6.4 RST_STREAM on stream 0": (1, lambda c: c.frame(RST_STREAM, 0, 0, number(8)), PROTOCOL_ERROR),
    "6.4 RST_STREAM of a wrong size": (1, lambda c: c.frame(RST_STREAM, 0, open_post(c), b"\0\0\0"), FRAME_SIZE_ERROR),
    "6.5 SETTINGS on a stream": (1, lambda c: c.frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "6.5 SETTINGS of a wrong size": (1, lambda c: c.frame(SETTINGS, 0, 0, b"\0\0\0"), FRAME_SIZE_ERROR),
    "6.5 an acknowledgement with content": (1, lambda c: c.frame(SETTINGS, ACK, 0, bytes(6)), FRAME_SIZE_ERROR),
    "6.5.2 ENABLE_PUSH of 2": (1, lambda c: c.send(settings((2, 2))), PROTOCOL_ERROR),
    "6.5.2 a window beyond 2^31-1": (1, lambda c: c.send(settings((4, 1 << 31))), FLOW_CONTROL_ERROR),
    "6.5.2 frames below 16384": (1, lambda c: c.send(settings((5, 16383))), PROTOCOL_ERROR),
    "6.5.2 frames beyond 2^24-1": (1, lambda c: c.send(settings((5, 1 << 24))), PROTOCOL_ERROR),
    "6.6 PUSH_PROMISE of a client": (1, lambda c: c.frame(PUSH_PROMISE, 4, 1, number(2) + b"\x82"), PROTOCOL_ERROR),
    "6.7 PING on a stream": (1, lambda c: c.frame(PING, 0, 1, b"12345678"), PROTOCOL_ERROR),
    "6.7 PING of a wrong size": (1, lambda c: c.frame(PING, 0, 0, b"1234567"), FRAME_SIZE_ERROR),
    "6.8 GOAWAY on a stream": (1, lambda c: c.frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "6.8 GOAWAY of a wrong size": (1, lambda c: c.frame(GOAWAY, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "6.9 a window of the connection by 0": (1, lambda c: c.frame(WINDOW_UPDATE, 0, 0, number(0)), PROTOCOL_ERROR),
    "6.9 WINDOW_UPDATE of a wrong size": (1, lambda c: c.frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), FRAME_SIZE_ERROR),
    "6.9.1 the connection's window overflows": (
        1, lambda c: c.frame(WINDOW_UPDATE, 0, 0, number(0x7FFFFFFF)), FLOW_CONTROL_ERROR),
    "6.9.2 a stream's window overflows by SETTINGS": (
        1, lambda c: (c.frame(WINDOW_UPDATE, 0, open_post(c), number(0x7FFFFFFF - 65535)),
                      c.send(settings((4, 65536)))), FLOW_CONTROL_ERROR),
    "6.10 CONTINUATION without HEADERS": (1, lambda c: c.frame(CONTINUATION, 4, 1, b"\x82"), PROTOCOL_ERROR),
    "6.10 CONTINUATION behind a whole block": (
        1, lambda c: c.frame(CONTINUATION, 4, open_post(c), b"\x82"), PROTOCOL_ERROR),
    "6.10 CONTINUATION of another stream": (
        1, lambda c: (c.frame(HEADERS, 1, 1, b"\x82"), c.frame(CONTINUATION, 4, 3, b"\x82")), PROTOCOL_ERROR),
    "6.10 another frame within a block": (
        1, lambda c: (c.frame(HEADERS, 1, 1, b"\x82"), c.frame(PING, 0, 0, bytes(8))), PROTOCOL_ERROR),
    "5.5 an unknown frame within a block": (
        1, lambda c: (c.frame(HEADERS, 1, 1, b"\x82"), c.frame(0xBB, 0, 0, b"x")), PROTOCOL_ERROR),
    "RFC 8441 3 ENABLE_CONNECT_PROTOCOL of 2": (1, lambda c: c.send(settings((8, 2))), PROTOCOL_ERROR),
    "RFC 9218 7.1 PRIORITY_UPDATE on a stream": (1, lambda c: c.frame(PRIORITY_UPDATE, 0, 1, number(1) + b"u=1"),
                                                 PROTOCOL_ERROR),
    "RFC 9218 7.1 PRIORITY_UPDATE of a wrong size": (1, lambda c: c.frame(PRIORITY_UPDATE, 0, 0, b"\0\0\1"),
                                                     FRAME_SIZE_ERROR),
    "RFC 9218 7.1 PRIORITY_UPDATE of more streams than may be open": (
        # Behind an answer, since the settings are known then.
        1, lambda c: (finished(c), [c.frame(PRIORITY_UPDATE, 0, 0, number(2 * index + 101) + b"u=1")
                                    for index in range(129)]), PROTOCOL_ERROR),
}


@pytest.mark.parametrize("case", CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS.keys())
def test_a_connection_error(gateway, case):
    """RFC 9113 5.4.1: GOAWAY with the code, and the connection ends; others are served."""
    begins, act, code = case
    with Http2(gateway.address, preface=begins is not None) as client, Http2(gateway.address) as other:
        assert other.get("/").status == 200
        act(client)
        assert client.goaway().code in (code if isinstance(code, tuple) else (code,))
        assert other.get("/").status == 200
    gateway.assert_alive()


# What ends the stream

def malformed(*fields, method="GET", **change):
    """The fields of a request, some of them changed or taken out."""
    head = {":method": method, ":scheme": "http", ":path": "/up/a", ":authority": "test"}
    head.update({":" + key: value for key, value in change.items()})
    return [(name, value) for name, value in head.items() if value is not None] + list(fields)


MALFORMED = {
    "8.2 a name in capitals": malformed(("X-Test", "1")),
    "8.2.1 an empty name": malformed(("", "1")),
    "8.2.1 a blank in a name": malformed(("x y", "1")),
    "8.2.1 a colon in a name": malformed(("x:y", "1")),
    "8.2.1 a line end in a name": malformed(("x\r\ny", "1")),
    "8.2.1 a line end in a value": malformed(("x", "1\r\nhost: evil")),
    "8.2.1 a bare LF in a value": malformed(("x", "1\n2")),
    "8.2.1 NUL in a value": malformed(("x", "1\x002")),
    "8.2.1 a blank before a value": malformed(("x", " 1")),
    "8.2.1 a tab behind a value": malformed(("x", "1\t")),
    "8.2.2 connection": malformed(("connection", "keep-alive")),
    "8.2.2 keep-alive": malformed(("keep-alive", "1")),
    "8.2.2 proxy-connection": malformed(("proxy-connection", "close")),
    "8.2.2 transfer-encoding": malformed(("transfer-encoding", "chunked")),
    "8.2.2 upgrade": malformed(("upgrade", "h2c")),
    "8.2.2 te other than trailers": malformed(("te", "gzip")),
    "8.3 a pseudo-field behind a field": [*malformed(path=None), ("x", "1"), (":path", "/up/a")],
    "8.3 an unknown pseudo-field": malformed((":other", "1")),
    "8.3 a response's pseudo-field": malformed((":status", "200")),
    "8.3.1 method twice": [(":method", "GET"), *malformed()],
    "8.3.1 path twice": [(":path", "/up/a"), *malformed()],
    "8.3.1 authority twice": [(":authority", "test"), *malformed()],
    "8.3.1 no method": malformed(method=None),
    "8.3.1 no scheme": malformed(scheme=None),
    "8.3.1 no path": malformed(path=None),
    "8.3.1 an empty path": malformed(path=""),
    "8.3.1 a path without its slash": malformed(path="up/a"),
    "8.3.1 a whole URI as the path": malformed(path="http://test/up/a"),
    "8.3.1 a blank in the path": malformed(path="/up/a b"),
    "8.3.1 a request line in the path": malformed(path="/up/a HTTP/1.1\r\nx: y"),
    "8.3.1 a fragment in the path": malformed(path="/up/a#x"),
    "8.3.1 * of another method": malformed(path="*"),
    "8.3.1 an empty authority": malformed(authority=""),
    "8.3.1 neither authority nor host": malformed(authority=None),
    "8.3.1 user information": malformed(authority="user@test"),
    "8.3.1 a blank in the authority": malformed(authority="te st"),
    "8.3.1 another host": malformed(("host", "other")),
    "8.3.1 host twice": malformed(("host", "test"), ("host", "test"), authority=None),
    "8.3.1 a method that is no token": malformed(method="GE T"),
    "8.3.1 an empty method": malformed(method=""),
    "8.3.1 a scheme that is none": malformed(scheme="ht tp"),
    "8.5 CONNECT with a path": malformed(method="CONNECT", scheme=None),
    "8.5 CONNECT with a scheme": malformed(method="CONNECT", path=None),
    "8.5 CONNECT without an authority": malformed(method="CONNECT", path=None, scheme=None, authority=None),
    "RFC 8441 4 a protocol of another method": malformed(protocol="websocket"),
    "RFC 8441 4 a protocol without a path": malformed(method="CONNECT", protocol="websocket", path=None),
    "RFC 8441 4 a protocol that is no token": malformed(method="CONNECT", protocol="web socket"),
    "8.1.1 a length that is none": malformed(("content-length", "1x")),
    "8.1.1 a negative length": malformed(("content-length", "-1")),
    "8.1.1 two lengths": malformed(("content-length", "0"), ("content-length", "1")),
    "8.1.1 a length without content": malformed(("content-length", "5")),
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request(gateway, fields):
    """RFC 9113 8.1.1: RST_STREAM with PROTOCOL_ERROR; no upstream gets any of it, and the connection goes on."""
    gateway.origin.forget()
    with Http2(gateway.address) as client:
        stream = client.open()
        client.frame(HEADERS, END_STREAM | END_HEADERS, stream, client.encoder.encode(fields))
        answer = client.answer(stream)
        assert (answer.status, answer.reset) == (0, PROTOCOL_ERROR)
        assert client.get("/").status == 200
        assert client.get("/up/after").status == 200
    assert [head.target for head in gateway.origin.heads] == ["/up/after"]


STREAM_ERRORS = {
    "5.1 DATA behind the end": (
        lambda c, s: (c.frame(DATA, 1, s, b"x"), c.frame(DATA, 0, s, b"y")), {STREAM_CLOSED}),
    "5.1 HEADERS behind the end": (
        lambda c, s: (c.frame(DATA, 1, s, b"x"), c.frame(HEADERS, 5, s, c.encoder.encode([("x", "y")]))),
        {STREAM_CLOSED}),
    "6.3 PRIORITY of a wrong size": (lambda c, s: c.frame(PRIORITY, 0, s, b"\0\0\0\1"), {FRAME_SIZE_ERROR}),
    "6.9 a window by 0": (lambda c, s: c.frame(WINDOW_UPDATE, 0, s, number(0)), {PROTOCOL_ERROR}),
    "6.9.1 a window that overflows": (lambda c, s: c.frame(WINDOW_UPDATE, 0, s, number(0x7FFFFFFF)),
                                      {FLOW_CONTROL_ERROR}),
    "8.1 a second block that does not end": (
        lambda c, s: c.frame(HEADERS, 4, s, c.encoder.encode([("x", "y")])), {PROTOCOL_ERROR}),
    "8.1 trailers with a pseudo-field": (
        lambda c, s: c.frame(HEADERS, 5, s, c.encoder.encode([(":path", "/")])), {PROTOCOL_ERROR}),
    "8.2 trailers with a field of the connection": (
        lambda c, s: c.frame(HEADERS, 5, s, c.encoder.encode([("transfer-encoding", "chunked")])), {PROTOCOL_ERROR}),
    "8.2 trailers in capitals": (
        lambda c, s: c.frame(HEADERS, 5, s, c.encoder.encode([("X-Sum", "1")])), {PROTOCOL_ERROR}),
}


@pytest.mark.parametrize("case", STREAM_ERRORS.values(), ids=STREAM_ERRORS.keys())
def test_a_stream_error(start_gateway, origins, case):
    """RFC 9113 5.4.2: RST_STREAM with the code; the other streams of the connection go on."""
    def never(connection):
        connection.wait_closed()

    act, codes = case
    gateway = start_gateway(f"site test {{\n/up/* proxy {origins(never).target}\n/* respond 200 fine\n}}")
    with Http2(gateway.address) as client:
        stream = open_post(client)
        act(client, stream)
        assert client.answer(stream).reset in codes
        assert client.get("/").status == 200


@pytest.mark.parametrize("length, content, ends", [(5, b"123456", True), (5, b"1234", True), (5, b"123456", False),
                                                   (0, b"1", True)])
def test_content_that_is_not_as_long_as_it_says(gateway, length, content, ends):
    """RFC 9113 8.1.1: a length mismatch is malformed; the upstream does not take the request for a whole one."""
    with Http2(gateway.address) as client:
        stream = open_post(client, fields=[("content-length", str(length))])
        client.frame(DATA, END_STREAM if ends else 0, stream, content)
        # What says that it has no content may be answered before some comes.
        assert client.until(lambda: client.answers[stream].reset) == PROTOCOL_ERROR
        assert client.get("/").status == 200


def test_more_than_a_streams_window(start_gateway, origins):
    """RFC 9113 6.9.1: a client that sends more than it may, to an upstream that takes nothing."""
    def stalls(connection):
        connection.read_head()
        connection.ended.wait(20)

    origin = origins(stalls, receive_buffer=4096, patience=30)
    gateway = start_gateway(f"site test {{\n/up proxy {origin.target}\n/* respond 200 fine\n}}")
    with Http2(gateway.address) as client:
        client.until(lambda: client.peer)
        stream = open_post(client, "/up")
        for _ in range(1024):
            client.frame(DATA, 0, stream, bytes(16384))
        found = client.read()
        while found.type not in (RST_STREAM, GOAWAY):
            found = client.read()
        assert found.code == FLOW_CONTROL_ERROR
    origin.connection().close()
    assert gateway.get("/").status == 200


# What is refused by an answer

@pytest.mark.parametrize("fields, status", [
    ([("x-big", "y" * 40_000)], 431),
    ([(f"x-{n}", "y" * 1000) for n in range(60)], 431),
    ([(f"x-{n}", "y") for n in range(200)], 431),
    ([("expect", "something")], 417),
], ids=["a large field", "large together", "many", "expect"])
def test_a_refused_request(gateway, fields, status):
    """config.md, Defaults: heads beyond the bounds get 431, and the connection goes on."""
    with Http2(gateway.address) as client:
        data = client.encoder.encode(request_fields(fields=fields))
        stream = client.open()
        pieces = [data[at:at + 16384] for at in range(0, len(data), 16384)]
        for index, piece in enumerate(pieces):
            flags = END_HEADERS if index == len(pieces) - 1 else 0
            client.frame(CONTINUATION if index else HEADERS, flags | (0 if index else END_STREAM), stream, piece)
        assert client.answer(stream).status == status
        assert client.get("/").status == 200


def test_a_body_beyond_the_limit(start_gateway, origins):
    """`limit body`: 413, whether the length is said before or not; the stream is reset behind the answer."""
    gateway = start_gateway(f"site test {{ limit body 100KB\n proxy {origins(OK).target} }}")
    with Http2(gateway.address) as client:
        known = client.request("/", "POST", fields=[("content-length", "200000")], body=bytes(200_000))
        assert client.answer(known).status == 413
        unknown = client.request("/", "POST", body=bytes(200_000))
        assert client.answer(unknown).status in (413, 502)
        assert client.answers[unknown].status == 413
        assert client.get("/").status == 200


# What has to be borne

TOLERATED = {
    "5.5 unknown frames": lambda c: (c.frame(0xBB, 0xFF, 0, b"anything"), c.frame(0xBC, 0, 77, b"")),
    "4.1 undefined flags": lambda c: c.frame(PING, 0xFE, 0, b"12345678"),
    "6.5.2 unknown settings": lambda c: c.send(settings((0x99, 1), (0xFFFF, 0xFFFFFFFF))),
    "6.5.2 many settings": lambda c: c.send(settings(*[(3, n) for n in range(30)])),
    "6.3 PRIORITY of an idle stream": lambda c: c.frame(PRIORITY, 0, 77, b"\0\0\0\0\1"),
    "5.3.1 a stream that depends on itself": lambda c: c.frame(PRIORITY, 0, 77, number(77) + b"\1"),
    "6.9 WINDOW_UPDATE of a closed stream": lambda c: c.frame(WINDOW_UPDATE, 0, finished(c), number(5)),
    "6.4 RST_STREAM of a closed stream": lambda c: c.frame(RST_STREAM, 0, finished(c), number(8)),
    "6.8 GOAWAY of a client": lambda c: c.frame(GOAWAY, 0, 0, bytes(8)),
    "RFC 9218 7.1 PRIORITY_UPDATE of a stream to come": lambda c: c.frame(
        PRIORITY_UPDATE, 0, 0, number(77) + b"u=1"),
    "RFC 9218 4 a priority that is none": lambda c: c.get("/", fields=[("priority", "u=9, i=x, ;;")]),
    "6.5.3 an acknowledgement too many": lambda c: c.frame(SETTINGS, ACK),
    "4.1 the reserved bit": lambda c: c.send(frame(PING, 0, 1 << 31, b"12345678")),
}


@pytest.mark.parametrize("act", TOLERATED.values(), ids=TOLERATED.keys())
def test_what_has_to_be_borne(gateway, act):
    """RFC 9113: what is to be ignored harms nothing."""
    with Http2(gateway.address) as client:
        act(client)
        assert client.get("/").status == 200
        assert not client.goaways


def test_padding(gateway):
    """RFC 9113 6.1, 6.2: padding is dropped, and counts against the windows."""
    with Http2(gateway.address) as client:
        stream = client.open()
        head = block(client, method="POST", target="/up/padded")
        client.frame(HEADERS, END_HEADERS | PADDED, stream, bytes([20]) + head + bytes(20))
        client.frame(DATA, PADDED, stream, bytes([255]) + b"content" + bytes(255))
        client.frame(DATA, PADDED | END_STREAM, stream, bytes([0]))
        assert client.answer(stream).status == 200
    assert next(r for r in gateway.origin.requests if r.target == "/up/padded").body == b"content"


def test_a_block_in_many_pieces(gateway):
    """RFC 9113 6.10: a field block may come in several CONTINUATION frames."""
    with Http2(gateway.address) as client:
        data, stream = block(client, ("x-long", "z" * 500)), client.open()
        step = len(data) // 7
        pieces = [data[:step]] + [data[at:at + step] for at in range(step, len(data), step)]
        for index, piece in enumerate(pieces):
            client.frame(CONTINUATION if index else HEADERS,
                         (END_HEADERS if index == len(pieces) - 1 else 0) | (0 if index else END_STREAM), stream, piece)
        assert client.answer(stream).status == 200


def test_smaller_windows_while_streams_wait(start_gateway, tmp_path):
    """RFC 9113 6.9.2: a change of the initial window moves those of open streams, below zero too."""
    (tmp_path / "www").mkdir()
    content = bytes(range(256)) * 1000
    (tmp_path / "www/a").write_bytes(content)
    gateway = start_gateway(f"site test {{ files {tmp_path / 'www'} }}")
    with Http2(gateway.address, credit=False) as client:
        stream = client.request("/a")
        client.until(lambda: client.window == 0)
        client.send(settings((http2.INITIAL_WINDOW_SIZE, 1000)))
        client.windows[stream] += 1000 - 65535
        client.until(lambda: client.settings_acks == 2)
        client.give(0, 1_000_000)
        client.give(stream, 64_000)
        client.ping()
        assert len(client.answers[stream].body) == 65535
        client.give(stream, len(content))
        assert bytes(client.answer(stream).body) == content


def test_too_many_streams(start_gateway, origins):
    """RFC 9113 5.1.2: REFUSED_STREAM beyond SETTINGS_MAX_CONCURRENT_STREAMS; the others are served."""
    waits, go = origins.held(patience=30)
    gateway = start_gateway(f"site test {{ proxy {waits.target} }}")
    with Http2(gateway.address) as client:
        streams = [client.request("/") for _ in range(140)]
        client.ping()
        refused = [s for s in streams if client.answers[s].reset is not None]
        assert refused == streams[128:]
        assert {client.answers[s].reset for s in refused} == {http2.REFUSED_STREAM}
        go.set()
        assert {client.answer(s).status for s in streams[:128]} == {200}
