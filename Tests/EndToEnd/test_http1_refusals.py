"""Requests that are refused: RFC 9112 framing, RFC 9110 syntax, and the limits on a head.

Each is sent to a fixed answer, to files and to a proxy, with a second request behind it in the same write. It gets one
answer, the connection is closed, and neither the refused request nor the one behind it reaches the upstream.
"""

import pytest

from rig.client import byte_by_byte, random_pieces
from rig.wire import ConnectionEnded

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
DESTINATIONS = {"respond": "/respond/x", "files": "/files/x", "proxy": "/proxy/x"}


@pytest.fixture(scope="module")
def origin(shared_origins):
    return shared_origins.echo()


@pytest.fixture(scope="module")
def shared(start_shared, origin):
    gateway = start_shared(f"""
        site test a.test b.test {{
            /respond/*  respond 200 respond
            /files/*    files ./docroot
            /*          proxy {origin.target}
        }}
        site * {{ respond 200 star }}
        """, start=False)
    (gateway.directory / "conf.d/docroot").mkdir(parents=True)
    (gateway.directory / "conf.d/docroot/x").write_text("x")
    return gateway.start()


@pytest.fixture
def gateway(shared, origin):
    origin.forget()
    yield shared
    shared.assert_alive()


def conversation(gateway, data: bytes, pieces=None):
    """Sends `data`, reads every response until the gateway closes, and returns them."""
    responses = []
    with gateway.connect(timeout=4) as connection:
        connection.send_pieces(pieces) if pieces else connection.send(data)
        while True:
            try:
                responses.append(connection.response())
            except ConnectionEnded as end:
                assert end.partial == b"", f"half a response: {end.partial!r}"
                assert responses or not end.reset, "reset before an answer arrived (RFC 9112 9.6: close in stages)"
                return responses


def head(*lines: str, start: str = "POST TARGET HTTP/1.1", host: str | None = "Host: test") -> bytes:
    all_lines = [start] + ([host] if host is not None else []) + list(lines)
    return "\r\n".join(all_lines).encode("latin-1") + b"\r\n\r\n"


BODY = b"5\r\nhello\r\n0\r\n\r\n"

LENGTHS = {  # RFC 9112 6.3 rule 5 and RFC 9110 8.6: an invalid Content-Length is an error
    "empty": "", "letters": "abc", "negative": "-1", "plus": "+5", "two numbers": "5 5", "hexadecimal": "0x5",
    "a fraction": "5.0", "a list that differs": "5, 6", "an exponent": "1e1", "a quoted number": '"5"',
    "a number and a letter": "5a", "2^64": "18446744073709551616", "2^64 and 5": "18446744073709551621",
    "2^63": "9223372036854775808", "twenty-five digits": "9" * 25, "a list with an empty member": "5,",
    "underscored": "1_0", "an Arabic digit": "\xd9\xa5",
}
CODINGS = {  # RFC 9112 6.1 and 6.3 rule 4: not chunked, or chunked not last, cannot be framed
    "identity": "identity", "gzip": "gzip", "xchunked": "xchunked", "chunked not last": "chunked, gzip",
    "chunked before identity": "chunked, identity", "chunked twice": "chunked, chunked", "gzip then chunked":
    "gzip, chunked", "quoted": '"chunked"', "with a vertical tab": "chunked\x0b", "with a parameter": "chunked;q=1",
    "a suffix": "chunked-x", "two words": "chunked x", "semicolon": ";chunked",
}

FRAMING = [
    ("CL and TE", head("Content-Length: 5", "Transfer-Encoding: chunked") + BODY, {400}),
    ("TE and CL", head("Transfer-Encoding: chunked", "Content-Length: 5") + BODY, {400}),
    ("CL 0 and TE", head("Content-Length: 0", "Transfer-Encoding: chunked") + BODY, {400}),
    ("two CL that differ", head("Content-Length: 5", "Content-Length: 6") + b"hello", {400}),
    *[(f"CL {name}", head(f"Content-Length: {value}") + b"hello",
       {400, 413} if value.isdigit() and value.isascii() else {400}) for name, value in LENGTHS.items()],
    *[(f"TE {name}", head(f"Transfer-Encoding: {value}") + BODY, {400, 501}) for name, value in CODINGS.items()],
    ("TE repeated with identity", head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + BODY, {400, 501}),
    ("TE in HTTP/1.0", head("Transfer-Encoding: chunked", start="POST TARGET HTTP/1.0") + BODY, {400}),
    ("TE with a space before the colon", head("Transfer-Encoding : chunked") + BODY, {400}),
    ("CL with a space before the colon", head("Content-Length : 5") + b"hello", {400}),
    ("CL with a tab before the colon", head("Content-Length\t: 5") + b"hello", {400}),
    ("TE folded", head("Transfer-Encoding:\r\n chunked") + BODY, {400}),
    ("CL folded", head("Content-Length: 5\r\n 0") + b"hello", {400}),
]

SYNTAX = [
    # RFC 9112 5.2: obsolete folding; 2.2: a space between the start line and the first field
    ("obs-fold with a space", head("X: a\r\n b"), {400}),
    ("obs-fold with a tab", head("X: a\r\n\tb"), {400}),
    ("obs-fold of an empty line", head("X: a\r\n "), {400}),
    ("space before the first field", b"GET TARGET HTTP/1.1\r\n Host: test\r\n\r\n", {400}),
    # RFC 9112 5.1: no whitespace between name and colon
    ("space before colon", head("X : a"), {400}),
    ("tab before colon", head("X\t: a"), {400}),
    ("Host with a space before colon", head(host="Host : test"), {400}),
    # RFC 9112 2.2: bare CR, and bare LF, which we refuse as well
    ("bare CR in a value", head("X: a\rb"), {400}),
    ("bare CR before a field", head("X: a\rContent-Length: 5"), {400}),
    ("bare CR at the end of a value", head("X: a\r"), {400}),
    ("bare CR in a name", head("X\rY: a"), {400}),
    ("bare CR in the request line", head(start="GET TARGET\r HTTP/1.1"), {400}),
    ("bare CR as the only line end", b"GET TARGET HTTP/1.1\rHost: test\r\r\n\r\n", {400}),
    ("bare LF before the request line", b"\nGET TARGET HTTP/1.1\r\nHost: test\r\n\r\n", {400}),
    ("bare LF behind an empty line before the request line", b"\r\n\nGET TARGET HTTP/1.1\r\nHost: test\r\n\r\n", {400}),
    ("bare LF in the fields", b"GET TARGET HTTP/1.1\r\nX: a\nHost: test\r\n\r\n", {400}),
    ("bare LF after the request line", b"GET TARGET HTTP/1.1\nHost: test\r\n\r\n", {400}),
    ("bare LF at the end of the head", b"GET TARGET HTTP/1.1\r\nHost: test\r\n\n", {400}),
    ("bare LF everywhere", b"GET TARGET HTTP/1.1\nHost: test\n\n", {400}),
    # RFC 9110 5.5 and 5.1: NUL and other control characters; a name is a token
    ("NUL in a value", head("X: a\0b"), {400}),
    ("NUL in a name", head("X\0: a"), {400}),
    ("NUL in the target", head(start="GET TARGET\0 HTTP/1.1"), {400}),
    ("NUL in the method", head(start="GE\0T TARGET HTTP/1.1"), {400}),
    ("SOH in a value", head("X: a\x01b"), {400}),
    ("escape in a value", head("X: \x1b[0m"), {400}),
    ("DEL in a value", head("X: a\x7fb"), {400}),
    ("vertical tab in a value", head("X: a\x0bb"), {400}),
    ("SOH in the target", head(start="GET TARGET\x01 HTTP/1.1"), {400}),
    ("DEL in the target", head(start="GET TARGET\x7f HTTP/1.1"), {400}),
    ("SOH in a name", head("X\x01: a"), {400}),
    ("a field without a name", head(": a"), {400}),
    ("a line without a colon", head("nothing"), {400}),
    ("parenthesis in a name", head("X(: a"), {400}),
    ("space in a name", head("X Y: a"), {400}),
    ("quote in a name", head('X": a'), {400}),
    ("slash in a name", head("X/Y: a"), {400}),
    ("high byte in a name", head("X\xe9: a"), {400}),
    # RFC 9112 3: one space each, no whitespace in the target
    ("two spaces after the method", head(start="GET  TARGET HTTP/1.1"), {400}),
    ("two spaces before the version", head(start="GET TARGET  HTTP/1.1"), {400}),
    ("a space in the target", head(start="GET TARGET /b HTTP/1.1"), {400}),
    ("a tab as separator", head(start="GET\tTARGET HTTP/1.1"), {400}),
    ("a space at the end of the request line", head(start="GET TARGET HTTP/1.1 "), {400}),
    ("a space before the method", head(start=" GET TARGET HTTP/1.1"), {400}),
    ("no target", head(start="GET HTTP/1.1"), {400}),
    ("an empty target", head(start="GET  HTTP/1.1"), {400}),
    ("no version (HTTP/0.9)", b"GET TARGET\r\n\r\n", {400, 505}),
    # RFC 9110 9.1: a method is a token
    ("an at sign in the method", head(start="G@T TARGET HTTP/1.1"), {400}),
    ("a parenthesis in the method", head(start="G(T TARGET HTTP/1.1"), {400}),
    ("a colon in the method", head(start="GET: TARGET HTTP/1.1"), {400}),
    ("a high byte in the method", head(start="G\xe9T TARGET HTTP/1.1"), {400}),
    ("a TLS record", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n", {400}),
    # RFC 9112 3.2: forms of the target
    ("a relative target", head(start="GET x HTTP/1.1"), {400}),
    ("a fragment", head(start="GET TARGET#f HTTP/1.1"), {400}),
    ("authority-form outside CONNECT", head(start="GET test:80 HTTP/1.1"), {400}),
    ("asterisk-form outside OPTIONS", head(start="GET * HTTP/1.1"), {400}),
    ("CONNECT with a path", head(start="CONNECT TARGET HTTP/1.1"), {400}),
    # RFC 9112 2.3 and RFC 9110 15.6.6
    ("HTTP/2.0", head(start="GET TARGET HTTP/2.0"), {505}),
    ("HTTP/3.0", head(start="GET TARGET HTTP/3.0"), {505}),
    ("HTTP/0.9", head(start="GET TARGET HTTP/0.9"), {400, 505}),
    ("half of the preface of HTTP/2", b"PRI * HTTP/2.1\r\n\r\n", {400, 505}),
    ("a version of two digits", head(start="GET TARGET HTTP/1.10"), {400, 505}),
    ("a leading zero in the version", head(start="GET TARGET HTTP/01.1"), {400, 505}),
    ("a version without a minor", head(start="GET TARGET HTTP/1"), {400, 505}),
    ("a lower-case protocol", head(start="GET TARGET http/1.1"), {400}),
    ("another protocol", head(start="GET TARGET RTSP/1.1"), {400}),
    ("a letter as version", head(start="GET TARGET HTTP/1.x"), {400, 505}),
]

AUTHORITY = [  # RFC 9112 3.2: missing, repeated or invalid Host is 400
    ("no Host", head(host=None), {400}),
    ("two Hosts", head("Host: test"), {400}),
    ("two Hosts that differ", head("Host: a.test"), {400}),
    ("two Hosts apart", head("X: y", "host: test"), {400}),
    ("an empty Host", head(host="Host:"), {400}),
    ("a space in Host", head(host="Host: test a.test"), {400}),
    ("a slash in Host", head(host="Host: test/x"), {400}),
    ("user information in Host", head(host="Host: user@test"), {400}),
    ("a list in Host", head(host="Host: test, a.test"), {400}),
    ("a scheme in Host", head(host="Host: http://test"), {400}),
    ("a port of letters", head(host="Host: test:http"), {400}),
    ("a port past 65535", head(host="Host: test:65536"), {400}),
    ("a negative port", head(host="Host: test:-80"), {400}),
    ("two ports", head(host="Host: test:80:80"), {400}),
    ("a port alone", head(host="Host: :80"), {400}),
    ("an open bracket", head(host="Host: [::1"), {400}),
    ("a name in brackets", head(host="Host: [test]"), {400}),
    ("a query in Host", head(host="Host: test?x"), {400}),
    ("a backslash in Host", head(host="Host: test\\x"), {400}),
    ("a quote in Host", head(host='Host: "test"'), {400}),
    ("a bad escape in Host", head(host="Host: te%zzst"), {400}),
    ("a high byte in Host", head(host="Host: t\xe9st"), {400}),
    # RFC 9112 3.2.2; we refuse what two readers could take for two different hosts
    ("absolute-form against Host", head(start="GET http://a.test/TARGET HTTP/1.1", host="Host: b.test"), {400}),
    ("absolute-form against the port of Host", head(start="GET http://test:81/TARGET HTTP/1.1", host="Host: test:82"),
     {400}),
    ("absolute-form without Host", head(start="GET http://test/TARGET HTTP/1.1", host=None), {400}),
    ("absolute-form without authority", head(start="GET http:///TARGET HTTP/1.1"), {400}),
    ("absolute-form with user information", head(start="GET http://u@test/TARGET HTTP/1.1"), {400}),
    ("absolute-form of another scheme", head(start="GET ftp://test/TARGET HTTP/1.1"), {400}),
    ("absolute-form with a bad port", head(start="GET http://test:x/TARGET HTTP/1.1"), {400}),
    # RFC 9110 9.3.6: we are no forward proxy
    ("CONNECT", head(start="CONNECT test:80 HTTP/1.1", host="Host: test:80"), {400, 405, 501}),
]

HEADS = FRAMING + SYNTAX


def table(rows):
    return pytest.mark.parametrize("data, statuses", [pytest.param(d, s, id=n) for n, d, s in rows])


def refused(gateway, origin, data: bytes, statuses: set[int], pieces=None):
    responses = conversation(gateway, data, pieces)
    assert [r.status in statuses for r in responses] == [True], f"{responses} to {data[:300]!r}"
    assert "close" in responses[0].fields.tokens("Connection"), "a refusal announces the close (RFC 9112 9.6)"
    assert origin.received == b"", f"the upstream was reached: {origin.received[:300]!r}"
    return responses[0]


@pytest.mark.parametrize("destination", DESTINATIONS)
@table(HEADS)
def test_a_malformed_head_is_refused(gateway, origin, data, statuses, destination):
    """RFC 9112 2.2, 3, 5, 6.3: refused with its status before anything reaches an upstream, and the close hides what
    follows."""
    refused(gateway, origin, data.replace(b"TARGET", DESTINATIONS[destination].encode()) + SMUGGLED, statuses)


@pytest.mark.parametrize("destination, split", [("respond", "whole"), ("files", "whole"), ("proxy", "whole"), ("proxy", "bytes")])
@table(AUTHORITY)
def test_a_request_for_no_valid_host_is_refused(gateway, origin, data, statuses, destination, split):
    """RFC 9112 3.2: refused, and never sent upstream. Its framing is sound, so what follows may be served, as itself."""
    data = data.replace(b"TARGET", DESTINATIONS[destination].encode())
    probe = b"GET /respond/next HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    responses = conversation(gateway, data + probe, byte_by_byte(data) + [probe] if split == "bytes" else None)
    assert responses and responses[0].status in statuses, responses
    assert [r.body for r in responses[1:]] in ([], [b"respond"]), responses
    assert origin.received == b"", f"the upstream was reached: {origin.received[:300]!r}"


@table(HEADS[::3])
def test_a_malformed_head_is_refused_byte_by_byte(gateway, origin, data, statuses):
    """Any chunking of a request gives the same answer (quality.md)."""
    data = data.replace(b"TARGET", b"/proxy/x")
    refused(gateway, origin, data, statuses, byte_by_byte(data))


@pytest.mark.parametrize("seed", range(3))
@table(HEADS[1::6])
def test_a_malformed_head_is_refused_at_random_splits(gateway, origin, data, statuses, seed):
    """Any chunking of a request gives the same answer (quality.md)."""
    data = data.replace(b"TARGET", b"/proxy/x") + SMUGGLED
    refused(gateway, origin, data, statuses, random_pieces(data, seed))


def chunked_head(target="TARGET") -> bytes:
    return head("Transfer-Encoding: chunked", start=f"POST {target} HTTP/1.1")


BODIES = [(name, chunked_head() + body, {400}) for name, body in {  # RFC 9112 7.1
    "0x prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "space after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "tab after the size": b"5\t\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "extension without size": b";a=b\r\nhello\r\n0\r\n\r\n",
    "not hexadecimal": b"g\r\nhello\r\n0\r\n\r\n",
    "two sizes": b"5 5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "fraction": b"5.0\r\nhello\r\n0\r\n\r\n",
    "2^64 and 5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "2^64 - 1": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "2^63": b"8000000000000000\r\nhello\r\n0\r\n\r\n",
    "a size of 40 zeros": b"0" * 40 + b"5\r\nhello\r\n0\r\n\r\n",
    "a size without end": b"5" * 5000,
    "bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "bare CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "NUL in the size": b"5\0\r\nhello\r\n0\r\n\r\n",
    "bare LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "bare CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a\0b\r\nhello\r\n0\r\n\r\n",
    "control character in an extension": b"5;a\x01\r\nhello\r\n0\r\n\r\n",
    "nothing after a chunk": b"5\r\nhello0\r\n\r\n",
    "two bytes instead of CRLF": b"5\r\nhelloXX0\r\n\r\n",
    "bare LF after a chunk": b"5\r\nhello\n0\r\n\r\n",
    "bare CR after a chunk": b"5\r\nhello\r0\r\n\r\n",
    "a chunk longer than its size": b"3\r\nhello\r\n0\r\n\r\n",
    "bare LF after the last chunk": b"5\r\nhello\r\n0\n\r\n",
    "bare LF after the trailers": b"5\r\nhello\r\n0\r\n\n",
    "a trailer without colon": b"5\r\nhello\r\n0\r\nnothing\r\n\r\n",
    "a trailer with a space before colon": b"5\r\nhello\r\n0\r\nX : a\r\n\r\n",
    "a folded trailer": b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n",
    "NUL in a trailer": b"5\r\nhello\r\n0\r\nX: a\0\r\n\r\n",
    "bare CR in a trailer": b"5\r\nhello\r\n0\r\nX: a\rb\r\n\r\n",
    "bare LF in a trailer": b"5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n",
}.items()] + [
    ("an extension of 64 KiB", chunked_head() + b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n", {400, 413, 431}),
    ("extensions of 1 MB over many chunks",
     chunked_head() + (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 1000 + b"0\r\n\r\n", {400, 413, 431}),
    ("trailers of 128 KiB", chunked_head() + b"0\r\n" + b"X: a\r\n" * 22000 + b"\r\n", {400, 413, 431}),
    ("one trailer of 128 KiB", chunked_head() + b"0\r\nX: " + b"a" * 131072 + b"\r\n\r\n", {400, 413, 431}),
]


@table(BODIES)
def test_a_malformed_chunked_body_never_completes_upstream(gateway, origin, data, statuses):
    """RFC 9112 7.1, 6.3 rule 8: the client gets the refusal; the upstream never sees a complete request."""
    responses = conversation(gateway, data.replace(b"TARGET", b"/proxy/x") + SMUGGLED)
    assert [r.status in statuses for r in responses] == [True], responses
    assert origin.requests == []
    assert b"/smuggled" not in origin.received


@table([row for row in BODIES[::4] if len(row[1]) < 1000])
def test_a_malformed_chunked_body_is_refused_byte_by_byte(gateway, origin, data, statuses):
    """Any chunking of a request gives the same answer (quality.md)."""
    data = data.replace(b"TARGET", b"/proxy/x")
    responses = conversation(gateway, data, byte_by_byte(data))
    assert [r.status in statuses for r in responses] == [True], responses
    assert origin.requests == []


@pytest.mark.parametrize("destination", ["respond", "files"])
@table(BODIES)
def test_a_malformed_chunked_body_hides_what_follows(gateway, origin, data, statuses, destination):
    """RFC 9112 6.3: where the answer does not need the body, the connection still ends with the broken framing."""
    responses = conversation(gateway, data.replace(b"TARGET", DESTINATIONS[destination].encode()) + SMUGGLED)
    assert 1 <= len(responses) <= 2, responses
    assert responses[0].status in {200, 405} | statuses
    assert all(r.status in statuses for r in responses[1:])
    assert origin.received == b"", "what stood behind a broken body was taken for a request"


def test_a_body_cut_short_never_completes_upstream(start_gateway, origins):
    """RFC 9112 8: a request whose connection ends before its Content-Length is incomplete. What comes of it may reach an
    upstream late, so this one is nobody else's."""
    origin = origins.echo()
    gateway = start_gateway(f"site test {{ proxy {origin.target} }}")
    with gateway.connect() as connection:
        connection.send(head("Content-Length: 10").replace(b"TARGET", b"/proxy/x") + b"hello")
        connection.finish_sending()
        rest = connection.read_until_close()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ") or rest.startswith(b"HTTP/1.1 408 "), rest
    assert origin.requests == []


def test_a_head_cut_short_is_no_request(gateway, origin):
    """RFC 9112 8: an incomplete head may be answered with an error, and is never served."""
    with gateway.connect() as connection:
        connection.send(b"GET /proxy/x HTTP/1.1\r\nHost: test\r\n")
        connection.finish_sending()
        rest = connection.read_until_close()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 400 "), rest
    # The origin may still read what an earlier test had sent to it.
    assert b"GET /proxy/x" not in origin.received


# Limits: 32 KiB of head, 128 fields; 414 for the line, 431 for the rest (config.md, Defaults)

LIMITS = [
    ("a request line of 40 kB", head(start="GET TARGET" + "a" * 40000 + " HTTP/1.1"), {414}),
    ("a query of 40 kB", head(start="GET TARGET?" + "a" * 40000 + " HTTP/1.1"), {414}),
    ("a request line of 1 MB", head(start="GET TARGET" + "a" * 1_000_000 + " HTTP/1.1"), {414}),
    ("a value of 40 kB", head("X: " + "a" * 40000), {431}),
    ("a name of 40 kB", head("X" * 40000 + ": a"), {431}),
    ("fields of 40 kB in sum", head(*[f"X{i}: {'a' * 400}" for i in range(100)]), {431}),
    ("a value without end", b"GET TARGET HTTP/1.1\r\nHost: test\r\nX: " + b"a" * 200000, {431}),
    ("129 fields", head(*[f"X{i}: a" for i in range(128)]), {431}),
    ("5000 fields", head(*["X: a"] * 5000), {431}),
]


@pytest.mark.parametrize("destination", DESTINATIONS)
@table(LIMITS)
def test_an_oversize_head_is_refused(gateway, origin, data, statuses, destination):
    """RFC 9110 15.5.15 (414), RFC 6585 5 (431): bounded, answered, closed."""
    refused(gateway, origin, data.replace(b"TARGET", DESTINATIONS[destination].encode()), statuses)


@pytest.mark.parametrize("data", [
    pytest.param(head(start="GET TARGET?" + "a" * 8000 + " HTTP/1.1"), id="a request line of 8 kB (RFC 9112 3)"),
    pytest.param(head("X: " + "a" * 30000), id="a head of 30 kB"),
    pytest.param(head(*[f"X{i}: a" for i in range(127)]), id="128 fields"),
])
def test_a_head_within_the_limits_is_served(gateway, data):
    """RFC 9112 3: request lines of 8000 octets at least; config.md: 32 KiB and 128 fields."""
    with gateway.connect() as connection:
        for target in (b"/respond/x", b"/proxy/x"):
            assert connection.send(data.replace(b"TARGET", target)).response().status == 200


def test_limit_head_moves_the_bound(start_gateway):
    """config.md: `limit head` replaces the 32 KiB of a request head."""
    gateway = start_gateway("site test { respond 200 ok }", "limit head 4KiB")
    assert gateway.get(fields=[("X", "a" * 3000)]).status == 200
    assert gateway.get(fields=[("X", "a" * 5000)]).status == 431
    assert gateway.get("/" + "a" * 5000).status == 414
