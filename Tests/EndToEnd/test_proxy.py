"""The verb `proxy`: what goes to the upstream and what comes back when all is well."""

import hashlib
import json
import re
import socket
import threading

import pytest

from rig.client import Connection, chunked, request_bytes, wait_until
from rig.gateway import free_port
from rig.origin import answers, in_turn, pattern, pattern_digest, response_bytes


@pytest.fixture(scope="module")
def origin(shared_origins):
    return shared_origins.echo()


@pytest.fixture(scope="module")
def shared(start_shared, origin):
    return start_shared(f"""
        site test {{
            /strip/*    proxy {origin.target} {{ strip /strip }}
            /rewrite/*  proxy {origin.target} {{ rewrite /new/{{rest}} }}
            /user/{{who}}  proxy {origin.target} {{ rewrite /users/{{who}}/page }}
            /prefix/*   proxy {origin.target} {{ prefix /v2 }}
            /both/*     proxy {origin.target} {{ strip /both ; prefix /v3 }}
            /url/*      proxy http://{origin.target}
            /host/*     proxy {origin.target} {{ request-header Host inner.test }}
            /*          proxy {origin.target}
        }}
        """)


@pytest.fixture
def gateway(shared, origin):
    origin.forget()
    yield shared
    shared.assert_alive()
    origin.assert_unharmed()


def seen(response) -> dict:
    assert response.status == 200, response
    return json.loads(response.body)


def names(fields) -> set[str]:
    return {name.lower() for name, _ in fields}


# Requests

@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "FROB", "get"])
def test_methods_pass_unchanged(gateway, method):
    """RFC 9110 9.1: methods are case-sensitive tokens, and a gateway passes on what it does not know."""
    assert seen(gateway.request(method, "/x"))["method"] == method


@pytest.mark.parametrize("target, upstream", [
    ("/", "/"), ("/a/b?c=d&e", "/a/b?c=d&e"), ("/a%2Fb", "/a%2Fb"), ("/a%20b", "/a%20b"), ("/%41", "/%41"),
    ("/a//b", "/a//b"), ("/a;x=1/b;y", "/a;x=1/b;y"), ("/a/../b", "/b"), ("/a/./b/", "/a/b/"), ("/a/%2e%2E/b", "/b"),
    ("/a/b/..", "/a/"), ("/a/b/.", "/a/b/"), ("/?", "/?"), ("/x?a=%2e%2e/../b", "/x?a=%2e%2e/../b"), ("/x?", "/x?"),
    ("/caf%C3%A9", "/caf%C3%A9"), ("/x?y=//z?&=", "/x?y=//z?&="), ("/a+b&c=d@:$!'()*,", "/a+b&c=d@:$!'()*,"),
    ("/strip/a/b?c", "/a/b?c"), ("/strip", "/"), ("/strip/", "/"), ("/strip?x=1", "/?x=1"), ("/strip/a%2Fb", "/a%2Fb"),
    ("/rewrite/a/b", "/new/a/b"), ("/rewrite/a?b=c", "/new/a?b=c"), ("/rewrite/", "/new/"),
    ("/user/7", "/users/7/page"), ("/user/a%20b", "/users/a%20b/page"),
    ("/prefix/a?b", "/v2/prefix/a?b"), ("/prefix", "/v2/prefix"), ("/both/a", "/v3/a"), ("/url/a", "/url/a"),
])
def test_targets(gateway, target, upstream):
    """config.md: the path unchanged but for dot segments; strip, rewrite and prefix; the query always kept."""
    assert seen(gateway.get(target))["target"] == upstream


def test_a_rewrite_cannot_leave_its_template(gateway):
    """config.md: a capture is encoded for where it stands."""
    target = seen(gateway.get("/user/a%3Fb%23c"))["target"]
    assert target.lower() == "/users/a%3fb%23c/page"
    assert gateway.get("/user/%2e%2e%2fx").status == 400


def test_absolute_form_becomes_origin_form(gateway):
    """RFC 9112 3.2.2: the upstream is an origin server and gets origin-form with Host."""
    answer = seen(gateway.exchange(b"GET http://test/x?y HTTP/1.1\r\nHost: test\r\n\r\n"))
    assert answer["target"] == "/x?y" and ["Host", "test"] in [[n.title(), v] for n, v in answer["fields"]]


@pytest.mark.parametrize("target, host, expected", [("/x", "test", "test"), ("/x", "TEST:81", "TEST:81"),
                                                    ("/url/x", "test", "test"), ("/host/x", "test", "inner.test")])
def test_the_host_field(gateway, target, host, expected):
    """config.md: Host is kept to http targets; `request-header Host` changes it; there is exactly one."""
    hosts = [v for n, v in seen(gateway.get(target, host))["fields"] if n.lower() == "host"]
    assert [h.lower() for h in hosts] == [expected.lower()]


def test_fields_pass_in_order_and_unchanged(gateway):
    """RFC 9110 5.3: the order of lines with one name matters; values pass as they are, obs-text too."""
    fields = [("X-A", "1"), ("Cookie", "a=b"), ("X-A", "2"), ("x-lower", "caf\xe9"), ("X-Empty", ""), ("Accept", "*/*")]
    got = seen(gateway.get("/x", fields=fields))["fields"]
    assert [(n, v) for n, v in got if n.lower() in {"x-a", "cookie", "x-lower", "x-empty", "accept"}] == fields


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 1_000_000])
@pytest.mark.parametrize("framing", ["length", "chunked", "many chunks"])
def test_request_bodies(gateway, framing, size):
    """RFC 9112 6: a body arrives whole in either framing."""
    body = b"".join(pattern(size))
    fields = []
    if framing != "length":
        step = max(size, 1) if framing == "chunked" else 777
        wire = chunked(*[body[i:i + step] for i in range(0, size, step)])
        fields = [("Transfer-Encoding", "chunked")]
    else:
        wire = body
    answer = seen(gateway.request("POST", "/x", fields=fields, body=wire))
    assert (answer["length"], answer["sha256"]) == (size, hashlib.sha256(body).hexdigest())


def test_a_get_without_body_has_no_framing(gateway):
    """RFC 9110 8.6: no Content-Length and no Transfer-Encoding where the client sent none."""
    assert not names(seen(gateway.get("/x"))["fields"]) & {"content-length", "transfer-encoding"}


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
def test_max_forwards_counts_down(gateway, origin, method):
    """RFC 9110 7.6.2: TRACE and OPTIONS are passed on with one less, and at zero answered here."""
    def forwarded(value):
        return [v for n, v in seen(gateway.request(method, "/x", fields=[("Max-Forwards", value)]))["fields"]
                if n == "Max-Forwards"]
    assert [forwarded("1"), forwarded("10"), forwarded("x")] == [["0"], ["9"], ["x"]]
    origin.forget()
    assert gateway.request(method, "/x", fields=[("Max-Forwards", "0")]).status == (501 if method == "TRACE" else 200)
    assert origin.received == b""


def test_max_forwards_of_other_methods_passes(gateway):
    """RFC 9110 7.6.2: for other methods it may be ignored, and is."""
    assert ["Max-Forwards", "0"] in seen(gateway.get("/x", fields=[("Max-Forwards", "0")]))["fields"]


@pytest.mark.parametrize("sent", ["05", "0000000000000000000000005", "5, 5", "5,05"])
def test_a_length_goes_on_in_its_usual_form(gateway, sent):
    """RFC 9110 8.6: valid, but not what every recipient reads alike; it is passed on as one plain number."""
    answer = seen(gateway.request("POST", "/x", fields=[("Content-Length", sent)], body=b"hello"))
    assert [v for n, v in answer["fields"] if n == "Content-Length"] == ["5"] and answer["length"] == 5


def test_a_post_without_body_keeps_its_length_of_zero(gateway):
    """RFC 9110 8.6: a method that defines a meaning for content says that there is none."""
    assert ["Content-Length", "0"] in [[n.title(), v] for n, v in seen(gateway.request("POST", "/x", body=b""))["fields"]]


def test_request_trailers_pass_but_for_forbidden_ones(gateway):
    """RFC 9110 6.5.1: trailers may pass; those that frame, route or authenticate never do."""
    trailers = (b"X-Sum: 42\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nAuthorization: x\r\n"
                b"Connection: close\r\nContent-Encoding: gzip\r\nX-Forwarded-For: 6.6.6.6\r\n")
    answer = seen(gateway.request("POST", "/x", fields=[("Transfer-Encoding", "chunked"), ("TE", "trailers")],
                                  body=chunked(b"hello", trailers=trailers)))
    assert names(answer["trailers"]) <= {"x-sum"}
    assert not names(answer["fields"]) & {"authorization", "content-encoding"}
    assert [v for n, v in answer["fields"] if n.lower() == "host"] == ["test"]


@pytest.mark.parametrize("name, value", [
    ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("TE", "gzip"), ("Upgrade", "websocket"),
    ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
])
def test_hop_by_hop_request_fields_are_removed(gateway, name, value):
    """RFC 9110 7.6.1: fields of this hop do not reach the next."""
    connection = f"{name}, keep-alive" if name not in ("Keep-Alive", "Proxy-Connection") else "keep-alive"
    if name == "Upgrade":
        connection = "keep-alive"
    fields = seen(gateway.get("/x", fields=[(name, value), ("Connection", connection)]))["fields"]
    assert name.lower() not in names(fields)


@pytest.mark.parametrize("connection, removed, kept", [
    ("X-One", {"x-one"}, {"x-two"}), ("x-ONE, X-Two", {"x-one", "x-two"}, set()), ("close, X-One", {"x-one"}, {"x-two"}),
    ("keep-alive,,X-Two ,", {"x-two"}, {"x-one"}),
])
def test_fields_that_connection_names_are_removed(gateway, connection, removed, kept):
    """RFC 9110 7.6.1: Connection and each field that it names are removed before forwarding."""
    got = names(seen(gateway.get("/x", fields=[("X-One", "1"), ("X-Two", "2"), ("Connection", connection)]))["fields"])
    assert not got & removed and kept <= got


@pytest.mark.parametrize("named", ["Host", "Content-Length", "Transfer-Encoding", "X-Forwarded-For", "Authorization, Host"])
def test_connection_cannot_strip_what_routes_or_frames(gateway, origin, named):
    """RFC 9110 7.6.1: a sender MUST NOT name such fields; obeying would desynchronise the upstream or hide the client."""
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/x", fields=[("Connection", named)], body=b"hello"))
        response = connection.response()
    assert response.status in (200, 400)
    for request in origin.requests:
        assert request.body == b"hello"
        assert request.fields.all("Host") == ["test"] and "X-Forwarded-For" in request.fields


# Who asked (config.md: forwarded headers need no line)

def test_forwarded_fields_of_strangers_are_replaced(gateway):
    """User promise: the application can believe X-Forwarded-For; a client that is not trusted cannot set it."""
    lies = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil"),
            ("X-Real-IP", "6.6.6.6"), ("Forwarded", "for=6.6.6.6;proto=https;host=evil"), ("X-Forwarded-Port", "6")]
    for sent in ([], lies):
        fields = seen(gateway.get("/x", fields=sent))["fields"]
        value = {n.lower(): v for n, v in fields}
        assert value["x-forwarded-for"] == "127.0.0.1"
        assert value["x-forwarded-proto"] == "http"
        assert value["x-forwarded-host"] == "test"
        everything = " ".join(v for n, v in fields if "forwarded" in n.lower())
        assert "6.6.6.6" not in everything and "evil" not in everything and "https" not in everything
        assert len([n for n, _ in fields if n.lower() == "x-forwarded-for"]) == 1


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X-Forwarded_For", "x_forwarded-for", "X_Real_IP", "X-Forwarded-Port",
                                  "X-Forwarded-Prefix", "X-Forwarded-Server", "X_Forwarded_Proto"])
def test_other_spellings_of_forwarded_fields_are_removed(gateway, name):
    """User promise: CGI and its heirs read `_` and `-` as one, so a stranger's X_Forwarded_For is one as well."""
    fields = seen(gateway.get("/x", fields=[(name, "6.6.6.6"), ("X_Own_Name", "kept")]))["fields"]
    assert "6.6.6.6" not in [v for _, v in fields] and ["X_Own_Name", "kept"] in fields


def test_what_we_set_or_remove_has_no_other_spelling(start_gateway, origins):
    """User promise: a field that `request-header` sets or removes is ours alone, for programs too that read `_` as `-`."""
    gateway = start_gateway(f"""site test {{ proxy {origins.echo().target} {{
        request-header X-User {{user}}
        request-header -X-Secret
        request-header +X-More more
    }} }}""")
    fields = seen(gateway.get("/", fields=[("X_User", "admin"), ("X_SECRET", "1"), ("X_More", "kept"), ("X_Other", "kept")]))["fields"]
    assert {n for n, _ in fields if n.startswith("X_")} == {"X_More", "X_Other"}


@pytest.mark.parametrize("data, host", [
    (b"GET / HTTP/1.0\r\n\r\n", ""), (b"GET /set HTTP/1.1\r\nHost: test\r\n\r\n", "test"),
    (b"GET /set?h=inner HTTP/1.1\r\nHost: test\r\n\r\n", "inner"),
], ids=["HTTP/1.0 without Host", "set to nothing", "set"])
def test_every_request_has_a_host(start_gateway, origins, data, host):
    """RFC 9112 3.2: a client, which we are to the upstream, sends Host in every HTTP/1.1 request."""
    target = origins.echo().target
    gateway = start_gateway(f"""site * {{
        /set      proxy {target} {{ request-header Host {{query.h}} }}
        /*        proxy {target}
    }}""")
    assert [v for n, v in seen(gateway.exchange(data))["fields"] if n == "Host"] == [host]


def test_forwarded_fields_of_trusted_peers_are_kept(start_gateway, origins):
    """config.md: `trust` says whose X-Forwarded-For is believed; ours is appended."""
    origin = origins.echo()
    gateway = start_gateway(f"site test {{ proxy {origin.target} {{ header X-Client {{client}} }} }}", "trust 127.0.0.0/8")
    sent = [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.example")]
    response = gateway.get("/x", fields=sent)
    value = {n.lower(): v for n, v in seen(response)["fields"]}
    assert re.split(r", *", value["x-forwarded-for"]) == ["192.0.2.7", "127.0.0.1"]
    assert value["x-forwarded-proto"] == "https"
    assert value["x-forwarded-host"] == "shop.example"
    assert response.fields["X-Client"] == "192.0.2.7"


@pytest.mark.parametrize("address, ours", [("127.0.0.1", "for=127.0.0.1"), ("[::1]", 'for="[::1]"')])
def test_a_trusted_list_of_hops_gets_ours(start_gateway, origins, address, ours):
    """RFC 7239 4: a proxy that passes `Forwarded` on adds itself; one that nobody sent is not begun."""
    port = free_port()
    gateway = start_gateway(f"site test {{ proxy {origins.echo().target} }}", f"listen {address}:{port}\ntrust 127.0.0.0/8 ::1")

    def forwarded(*sent):
        with Connection((address.strip("[]"), port)) as connection:
            fields = seen(connection.request("GET", "/", fields=[("Forwarded", value) for value in sent]))["fields"]
        return ", ".join(value for name, value in fields if name == "Forwarded")
    hop = f'{ours};proto=http;host="test"'
    assert forwarded() == ""
    assert forwarded("for=192.0.2.7;proto=https") == f"for=192.0.2.7;proto=https, {hop}"
    assert forwarded("for=192.0.2.7", 'for="[2001:db8::1]"') == f'for=192.0.2.7, for="[2001:db8::1]", {hop}'
    gateway.assert_alive()


@pytest.mark.parametrize("sent, client", [
    ("192.0.2.7", "192.0.2.7"), ("6.6.6.6, 192.0.2.7", "192.0.2.7"), ("6.6.6.6, 192.0.2.7, 127.0.0.5", "192.0.2.7"),
    ("127.0.0.5, 127.0.0.6", "127.0.0.5"), ("2001:db8::1", "2001:db8::1"), ("nonsense", "127.0.0.1"), ("", "127.0.0.1"),
    ("192.0.2.7, nonsense", "127.0.0.1"),
])
def test_the_client_is_the_last_address_that_is_not_trusted(start_gateway, sent, client):
    """config.md, `trust`: addresses count from the right; what a stranger wrote before that is not believed."""
    gateway = start_gateway("site test { respond 200 ok { header X-Client {client} } }", "trust 127.0.0.0/8")
    assert gateway.get(fields=[("X-Forwarded-For", sent)]).fields["X-Client"] == client


# Answers

@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 5_000_000])
@pytest.mark.parametrize("kind", ["bytes", "chunked"])
def test_response_bodies(gateway, kind, size):
    """RFC 9112 6: a body comes back whole in either framing, and the connection lives on."""
    with gateway.connect() as connection:
        response = connection.get(f"/{kind}/{size}")
        assert (len(response.body), hashlib.sha256(response.body).hexdigest()) == (size, pattern_digest(size))
        assert connection.get("/name").status == 200


def scripted(start_gateway, origins, script, settings: str = "", **options):
    origin = origins(script, **options)
    return start_gateway(f"site test {{ proxy {origin.target} {{ {settings} }} }}" if settings else
                         f"site test {{ proxy {origin.target} }}"), origin


def test_statuses_and_fields_come_back_unchanged(start_gateway, origins):
    """RFC 9110 5.3, 15: any status, repeated Set-Cookie lines in order, Date, Server and obs-text of the origin."""
    fields = [("Date", "Mon, 01 Jan 2024 00:00:00 GMT"), ("Server", "origin/1"), ("Set-Cookie", "a=1"),
              ("Set-Cookie", "b=2"), ("X-Latin", "caf\xe9"), ("X-Empty", ""), ("ETag", 'W/"x"')]
    gateway, _ = scripted(start_gateway, origins, answers(*[response_bytes(s, fields, b"body") for s in
                                                           (200, 201, 299, 302, 400, 404, 418, 500, 503, 599)]))
    with gateway.connect() as connection:
        for status in (200, 201, 299, 302, 400, 404, 418, 500, 503, 599):
            response = connection.get("/x")
            assert (response.status, response.body) == (status, b"body")
            assert [(n, v) for n, v in response.fields if n in dict(fields)] == fields


def test_hop_by_hop_response_fields_are_removed(start_gateway, origins):
    """RFC 9110 7.6.1: also towards the client, the names in Connection with them."""
    gateway, _ = scripted(start_gateway, origins, response_bytes(200, [
        ("Connection", "X-Private, keep-alive"), ("X-Private", "1"), ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "close"), ("X-Public", "2")], b"ok"))
    with gateway.connect() as connection:
        fields = connection.get("/x").fields
        assert not names(fields) & {"x-private", "keep-alive", "proxy-connection"}
        assert fields["X-Public"] == "2"
        assert connection.get("/x").status == 200


def test_426_names_the_protocols(start_gateway, origins):
    """RFC 9110 15.5.22: a 426 has Upgrade, which 7.8 wants named by Connection; in other answers it is of one hop."""
    answer = response_bytes(426, [("Upgrade", "websocket"), ("Connection", "upgrade")], b"no")
    gateway = start_gateway(f"site test {{ proxy {origins(answer).target} }}")
    with gateway.connect() as connection:
        for _ in range(2):
            response = connection.get("/")
            assert (response.status, response.fields["Upgrade"]) == (426, "websocket")
            assert set(response.fields.tokens("Connection")) == {"upgrade"}


def test_response_trailers_pass_but_for_forbidden_ones(start_gateway, origins):
    """RFC 9110 6.5, RFC 9112 7.1.2: trailers of a chunked answer reach the client."""
    gateway, _ = scripted(start_gateway, origins, response_bytes(200, [
        ("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")], chunked(
            b"hello", trailers=b"X-Sum: 42\r\nContent-Length: 3\r\nSet-Cookie: a=b\r\nTransfer-Encoding: chunked\r\n"),
        length=False))
    with gateway.connect() as connection:
        response = connection.request("GET", "/x", fields=[("TE", "trailers"), ("Connection", "TE")])
        assert response.body == b"hello"
        assert response.trailers.get("X-Sum") == "42"
        assert not names(response.trailers) & {"content-length", "transfer-encoding"}
        assert connection.get("/x").status == 200


@pytest.mark.parametrize("late", [False, True])
def test_informational_answers_pass(start_gateway, origins, late):
    """RFC 8297: 103 reaches the client before the final answer, also when that comes late."""
    release = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
                        b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n")
        if late:
            assert release.wait(10)
        connection.send(response_bytes(200, [], b"ok"))
    gateway, _ = scripted(start_gateway, origins, script)
    with gateway.connect() as connection:
        connection.send(request_bytes(target="/x"))
        hints = [connection.reader.response_head(), connection.reader.response_head()]
        release.set()
        response = connection.response()
    assert [h.status for h in hints] == [103, 103]
    assert [h.fields["Link"] for h in hints] == ["</a.css>; rel=preload", "</b.css>; rel=preload"]
    assert (response.status, response.body) == (200, b"ok")


def test_informational_answers_do_not_reach_http10(start_gateway, origins):
    """RFC 9110 15.2: no 1xx to an HTTP/1.0 client."""
    gateway, _ = scripted(start_gateway, origins, answers(
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + response_bytes(200, [], b"ok")))
    response = gateway.request("GET", "/x", version="1.0")
    assert (response.status, response.informational) == (200, [])


def test_an_unasked_100_does_not_reach_the_client(start_gateway, origins):
    """RFC 9110 15.2.1: 100 answers an expectation of the client's; the origin's own is discarded."""
    gateway, _ = scripted(start_gateway, origins, answers(
        b"HTTP/1.1 100 Continue\r\n\r\n" + response_bytes(200, [], b"ok")))
    response = gateway.get("/x")
    assert (response.status, [i.status for i in response.informational]) == (200, [])


@pytest.mark.parametrize("status, fields", [(204, []), (304, [("ETag", '"x"')]), (304, [("Content-Length", "1000")])])
def test_answers_without_body(start_gateway, origins, status, fields):
    """RFC 9112 6.3 rule 1: 204 and 304 end with their head, whatever their fields say; the upstream connection is kept."""
    gateway, origin = scripted(start_gateway, origins, response_bytes(status, fields, length=False))
    with gateway.connect() as connection:
        for _ in range(3):
            assert connection.get("/x").status == status
    assert len(origin.connections) == 1


@pytest.mark.parametrize("framing", [("Content-Length", "1000"), ("Transfer-Encoding", "chunked"), None])
def test_head_through_the_proxy(start_gateway, origins, framing):
    """RFC 9110 9.3.2: HEAD goes upstream as HEAD; framing fields of its answer describe a body that is not there."""
    gateway, origin = scripted(start_gateway, origins, response_bytes(200, [framing] if framing else [], length=False))
    with gateway.connect() as connection:
        for _ in range(3):
            response = connection.request("HEAD", "/x")
            assert response.status == 200
            if framing and framing[0] == "Content-Length":
                assert response.fields["Content-Length"] == "1000"
    assert {r.method for r in origin.requests} == {"HEAD"}
    assert len(origin.connections) == 1


def test_a_close_delimited_answer_of_an_http10_upstream(start_gateway, origins):
    """RFC 9112 6.3 rule 8: read until close; the client's connection stays open and its body is framed."""
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 100000)
    gateway, origin = scripted(start_gateway, origins, script)
    with gateway.connect() as connection:
        for _ in range(3):
            response = connection.get("/x")
            assert (response.status, response.body, response.framing) == (200, b"x" * 100000, "chunked")
    assert len(origin.connections) == 3


def test_events_arrive_one_by_one(start_gateway, origins):
    """config.md: unbuffered event streams need no line. Each event is seen before the next one is sent."""
    go = threading.Semaphore(0)

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(20):
            assert go.acquire(timeout=10)
            event = b"data: %d\n\n" % number
            connection.send(b"%x\r\n%b\r\n" % (len(event), event))
        connection.send(b"0\r\n\r\n")
    gateway, _ = scripted(start_gateway, origins, script)
    with gateway.connect() as connection:
        connection.send(request_bytes(target="/events"))
        assert connection.reader.response_head().fields["Content-Type"] == "text/event-stream"
        received = b""
        for number in range(20):
            go.release()
            while b"data: %d\n\n" % number not in received:
                data = connection.read_some()
                assert data
                received += data


def test_a_request_body_is_streamed(start_gateway, origins):
    """config.md: bodies are streamed. The upstream sees each piece before the client sends the next."""
    arrived = threading.Semaphore(0)

    def script(connection):
        connection.read_head()
        got = b""
        for number in range(10):
            while b"piece %d" % number not in got:
                got += connection.read_some()
            arrived.release()
        connection.send(response_bytes(200, [], b"done"))
        connection.read_some()
    gateway, _ = scripted(start_gateway, origins, script)
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/x", fields=[("Transfer-Encoding", "chunked")]))
        for number in range(10):
            piece = b"piece %d" % number
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert arrived.acquire(timeout=10)
        connection.send(b"0\r\n\r\n")
        assert connection.response().body == b"done"


# Connections to upstreams

def test_upstream_connections_are_reused(gateway, origin):
    """config.md, Defaults: idle upstream connections are kept for each worker."""
    origin.connections.clear()
    with gateway.connect() as connection:
        for _ in range(50):
            assert connection.get("/x").status == 200
    assert len([c for c in origin.connections if c.requests]) <= 1
    assert "close" not in [t for r in origin.requests for t in r.fields.tokens("Connection")]


@pytest.mark.parametrize("answer", [
    response_bytes(200, [("Connection", "close")], b"ok"), b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
], ids=["close", "HTTP/1.0"])
def test_a_connection_that_the_upstream_ends_is_not_reused(start_gateway, origins, answer):
    """RFC 9112 9.3: `close` and HTTP/1.0 mean one request for one connection."""
    def script(connection):
        connection.read_request()
        connection.send(answer)
        connection.wait_closed()
    gateway, origin = scripted(start_gateway, origins, script)
    with gateway.connect() as connection:
        for _ in range(5):
            assert connection.get("/x").body == b"ok"
    assert [len(c.heads) for c in origin.connections] == [1] * 5


def test_round_robin(start_gateway, origins):
    """config.md, `balance round-robin`, the default: each in turn, for each worker."""
    made = [origins.echo(f"o{i}") for i in range(3)]
    gateway = start_gateway(f"site test {{ proxy {' '.join(o.target for o in made)} }}")
    with gateway.connect() as connection:
        order = [connection.get("/name").text for _ in range(30)]
    assert sorted(set(order)) == ["o0", "o1", "o2"]
    assert order == [order[i % 3] for i in range(30)]


def test_several_addresses_by_to(start_gateway, origins):
    """config.md: `to ADDRESS` lines in the block, and a `pool` with a name."""
    made = [origins.echo(f"o{i}") for i in range(2)]
    to = " ; ".join(f"to {o.target}" for o in made)
    gateway = start_gateway(f"pool web {{ {to} }}\nsite test {{ /* proxy web }}")
    with gateway.connect() as connection:
        assert {connection.get("/name").text for _ in range(10)} == {"o0", "o1"}


@pytest.mark.parametrize("kind", ["localhost", "unix", "ipv6"])
def test_kinds_of_addresses(start_gateway, origins, tmp_path, kind):
    """config.md: host:port with a name, `unix:/path`, and an IPv6 address in brackets."""
    if kind == "unix":
        origin = origins.echo(family=socket.AF_UNIX, path=str(tmp_path / "origin.sock"))
        target = origin.target
    elif kind == "ipv6":
        try:
            origin = origins.echo(family=socket.AF_INET6)
        except OSError:
            pytest.skip("this machine has no IPv6")
        target = origin.target
    else:
        origin = origins.echo()
        target = f"localhost:{origin.port}"
    gateway = start_gateway(f"site test {{ proxy {target} }}")
    with gateway.connect() as connection:
        for _ in range(3):
            assert connection.get("/name").text == "origin"
    assert len(origin.connections) == 1
    assert origin.requests[0].fields["Host"] == "test"


def test_many_clients_at_once(gateway):
    """Quality: two workers, many connections, every answer to the one who asked."""
    failures = []

    def client(number):
        try:
            with gateway.connect() as connection:
                for turn in range(20):
                    answer = seen(connection.request("POST", f"/c/{number}/{turn}", body=b"%d" % number * turn))
                    assert answer["target"] == f"/c/{number}/{turn}"
                    assert answer["length"] == len(str(number)) * turn
        except BaseException as failure:
            failures.append(failure)
    threads = [threading.Thread(target=client, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# The one safe retry (config.md, Defaults: on a pooled connection found closed before a byte of answer)

def closing_after(count: int):
    """A script that answers `count` requests, then closes on the next head without a byte."""
    def script(connection):
        for _ in range(count):
            connection.read_request()
            connection.send(response_bytes(200, [], b"ok"))
        connection.read_head()
    return script


@pytest.mark.parametrize("method, body", [("GET", None), ("HEAD", None), ("OPTIONS", None), ("DELETE", None)])
def test_a_request_on_a_stale_connection_is_sent_again(start_gateway, origins, method, body):
    """RFC 9110 9.2.2, RFC 9112 9.3.1: an idempotent request goes to a new connection once."""
    gateway, origin = scripted(start_gateway, origins, in_turn(closing_after(1), response_bytes(200, [], b"")))
    with gateway.connect() as connection:
        assert connection.get("/first").status == 200
        assert connection.request(method, "/second", body=body).status == 200
    assert [[h.target for h in c.heads] for c in origin.connections] == [["/first", "/second"], ["/second"]]


def test_a_post_whose_body_was_sent_is_not_sent_again(start_gateway, origins):
    """RFC 9110 9.2.2: what may have been processed is not repeated; the client gets 502."""
    def first(connection):
        connection.read_request()
        connection.send(response_bytes(200, [], b"ok"))
        connection.read_request()
    gateway, origin = scripted(start_gateway, origins, in_turn(first, response_bytes(200, [], b"")))
    with gateway.connect() as connection:
        assert connection.get("/first").status == 200
        assert connection.request("POST", "/second", body=b"x" * 10).status == 502
    assert len(origin.connections) == 1


def test_a_fresh_connection_that_closes_is_not_tried_again(start_gateway, origins):
    """config.md, Defaults: the retry is for pooled connections; a fresh one that dies is the upstream's answer."""
    gateway, origin = scripted(start_gateway, origins, closing_after(0))
    assert gateway.get("/x").status == 502
    assert len(origin.connections) == 1


def test_the_retry_happens_once(start_gateway, origins):
    """config.md, Defaults: retry once."""
    gateway, origin = scripted(start_gateway, origins, in_turn(closing_after(1), closing_after(0)))
    with gateway.connect() as connection:
        assert connection.get("/first").status == 200
        assert connection.get("/second").status == 502
    assert len(origin.connections) == 2


def test_a_connection_cut_after_a_byte_of_answer_is_not_tried_again(start_gateway, origins):
    """config.md, Defaults: before a byte of answer only."""
    def first(connection):
        connection.read_request()
        connection.send(response_bytes(200, [], b"ok"))
        connection.read_request()
        connection.send(b"H")
    gateway, origin = scripted(start_gateway, origins, in_turn(first, response_bytes(200, [], b"")))
    with gateway.connect() as connection:
        assert connection.get("/first").status == 200
        assert connection.get("/second").status == 502
    assert len(origin.connections) == 1


def test_an_idle_connection_that_the_upstream_closes_is_noticed(start_gateway, origins):
    """User promise: an upstream that restarts leaves no dead connection behind; the next POST goes to a live one."""
    noticed = threading.Event()

    def first(connection):
        connection.read_request()
        connection.send(response_bytes(200, [], b"ok"))
        connection.finish_sending()
        connection.wait_closed()
        noticed.set()
    gateway, origin = scripted(start_gateway, origins, in_turn(first, response_bytes(200, [], b"second")))
    with gateway.connect() as connection:
        assert connection.get("/first").status == 200
        assert noticed.wait(5), "the gateway keeps a connection that the upstream has closed"
        assert connection.request("POST", "/second", body=b"x").body == b"second"


def test_upstream_connections_idle_out(start_gateway, origins):
    """config.md, Defaults: at most 32 idle upstream connections for each worker and endpoint."""
    gateway, origin = scripted(start_gateway, origins, lambda connection: slow_answers(connection))
    clients = [gateway.connect() for _ in range(100)]
    for client in clients:
        client.send(request_bytes(target="/x"))
    for client in clients:
        assert client.response().status == 200
    open_now = wait_until(lambda: [sum(not c.ended.is_set() for c in origin.connections)]
                          if sum(not c.ended.is_set() for c in origin.connections) <= 64 else None,
                          what="idle upstream connections within their bound")
    assert open_now[0] <= 64
    for client in clients:
        client.close()


def slow_answers(connection):
    while True:
        connection.read_request()
        threading.Event().wait(0.5)
        connection.send(response_bytes(200, [], b"ok"))
