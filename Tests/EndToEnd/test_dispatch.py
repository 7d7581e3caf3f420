"""From a request to its site and its route: hosts, specificity, methods, matchers, captures, settings."""

import json
import re
import socket

import pytest

from rig.client import Connection, chunked, request_bytes
from rig.gateway import free_port
from rig.http2 import Http2, request_fields

# Hosts

HOSTS = """
site exact.test            { respond 200 exact }
site a.wild.test           { respond 200 a.wild }
site *.wild.test           { respond 200 *.wild }
site **.deep.test          { respond 200 **.deep }
site *.x.deep.test         { respond 200 *.x.deep }
site xn--bcher-kva.test    { respond 200 idna }
site one.test two.test     { respond 200 either }
site 127.0.0.1             { respond 200 address }
site [::1]                 { respond 200 six }
"""


@pytest.fixture(scope="module")
def hosts(start_shared):
    return start_shared(HOSTS)


@pytest.fixture(scope="module")
def hosts_with_default(start_shared):
    return start_shared(HOSTS + "site * { respond 200 default }")


@pytest.mark.parametrize("host, site", [
    ("exact.test", "exact"), ("EXACT.Test", "exact"), ("exact.test.", "exact"), ("exact.test:8080", "exact"),
    ("exact.test.:80", "exact"), ("exact.test:", "exact"), ("a.wild.test", "a.wild"), ("b.wild.test", "*.wild"),
    ("B.WILD.TEST.", "*.wild"), ("a.b.wild.test", None), ("wild.test", None), ("a.deep.test", "**.deep"),
    ("a.b.c.deep.test", "**.deep"), ("y.x.deep.test", "*.x.deep"), ("z.y.x.deep.test", "**.deep"), ("deep.test", None),
    ("x.deep.test", "**.deep"), ("xn--bcher-kva.test", "idna"), ("XN--BCHER-KVA.test", "idna"), ("one.test", "either"),
    ("two.test", "either"), ("127.0.0.1", "address"), ("127.0.0.1:80", "address"), ("[::1]", "six"), ("[::1]:80", "six"),
    ("unknown.test", None), ("exact.test.evil", None), ("xexact.test", None), ("test", None), ("com", None),
])
def test_hosts(hosts, hosts_with_default, host, site):
    """config.md, Sites: exact before longest wildcard before `site *`; without that, 421 (RFC 9110 15.5.20)."""
    response = hosts.get("/", host)
    assert (response.status, response.text) == ((200, site) if site else (421, response.text))
    assert hosts_with_default.get("/", host).text == (site or "default")


def test_an_unknown_host_has_its_reason_in_the_log(start_gateway):
    """docs/operations.md: `refused` says why, as for every request that is refused before any route."""
    gateway = start_gateway("site exact.test { respond 200 }")
    assert gateway.get("/", "unknown.test").status == 421
    record = gateway.records(1, where=lambda record: record["status"] == 421)[0]
    assert record["refused"] == "host-unknown"


def test_absolute_form_names_the_site(hosts):
    """RFC 9112 3.2.2: the authority of an absolute-form is the host."""
    response = hosts.exchange(b"GET http://exact.test/ HTTP/1.1\r\nHost: exact.test\r\n\r\n")
    assert response.text == "exact"


def test_one_connection_may_speak_to_several_sites(hosts):
    """RFC 9112 3.2: each request names its host."""
    with hosts.connect() as connection:
        for host, status in (("exact.test", 200), ("nobody.test", 421), ("one.test", 200), ("x.wild.test", 200)):
            assert connection.get("/", host).status == status


# Routes by specificity (config.md, Routes)

ROUTES = {
    "order": ("""
        /*                respond 200 rest
        /*.php            respond 200 php
        /*.tar.php        respond 200 tar.php
        /                 respond 200 root
        /a                respond 200 a
        /a/*              respond 200 a-rest
        /a/{x}            respond 200 a-one
        /a/b              respond 200 a-b
        /a/*.php          respond 200 a-php
        /a/{x}/c          respond 200 a-one-c
        /a/b/d            respond 200 a-b-d
        /{x}/b            respond 200 one-b
        /{x}              respond 200 one
        /dir/             respond 200 dir
        """, [
        ("/", "root"), ("/a", "a"), ("/a/", "a"), ("/a/b", "a-b"), ("/a/b/", "a-b"), ("/a/x", "a-one"), ("/a/x.php", "a-php"),
        ("/a/b/c", "a-one-c"), ("/a/b/d", "a-b-d"), ("/a/b/e", "a-rest"), ("/a/x/c", "a-one-c"), ("/a/x/d", "a-rest"),
        ("/a/b/c/d", "a-rest"), ("/a/b/d.php", "a-php"), ("/x.php", "php"), ("/x.tar.php", "tar.php"), ("/x/y.php", "php"),
        ("/b", "one"), ("/b/", "one"), ("/x/b", "one-b"), ("/x/c", "rest"), ("/x/y/z", "rest"), ("/A", "one"), ("/%61", "a"),
        ("/a//b", "a-b"), ("//a", "a"), ("/a%2Fb", "a-b"), ("/a;v=1/b;w", "a-b"), ("/x/../a/b", "a-b"), ("/a/./b", "a-b"),
        ("/x/%2e%2e/a", "a"), ("/dir", "dir"), ("/dir/", "dir"), ("/dir/x", "rest"), ("/a?/b", "a"), ("/.php", "php"),
    ]),
    "rest": ("""
        /api/*       respond 200 api
        /api/v1/*    respond 200 v1
        /files/{name}/*  respond 200 named-rest
        """, [("/api", "api"), ("/api/", "api"), ("/api/x", "api"), ("/apix", None), ("/api/v1", "v1"), ("/api/v1/", "v1"),
              ("/api/v1/x/y", "v1"), ("/api/v10", "api"), ("/", None), ("/files/x", "named-rest"), ("/files/x/y", "named-rest"),
              ("/files", None), ("/files/", None)]),
    "several patterns": ("""
        /one /two/*  respond 200 either
        """, [("/one", "either"), ("/two", "either"), ("/two/x", "either"), ("/three", None)]),
    "methods": ("""
        GET /m          respond 200 get
        POST,PUT /m     respond 200 post-put
        /m                respond 200 any
        GET /only       respond 200 only-get
        /fall/*           respond 200 fall
        POST /fall/x    respond 200 fall-post
        """, [("/m", "get"), ("POST /m", "post-put"), ("PUT /m", "post-put"), ("DELETE /m", "any"), ("HEAD /m", ""),
              ("/only", "only-get"), ("HEAD /only", ""), ("/fall/x", "fall"), ("POST /fall/x", "fall-post")]),
    "ended before star": ("""
        /x/*   respond 200 star
        /x     respond 200 ended
        """, [("/x", "ended"), ("/x/", "ended"), ("/x/y", "star")]),
    "no route": ("/only respond 200 only", [("/only", "only"), ("/", None), ("/other", None)]),
}


@pytest.fixture(scope="module")
def routed(start_shared):
    return start_shared("\n".join(f"site {name.replace(' ', '-')}.test {{ {text} }}" for name, (text, _) in ROUTES.items()))


@pytest.mark.parametrize("name, target, expected", [
    pytest.param(name, target, expected, id=f"{name}: {target}")
    for name, (_, cases) in ROUTES.items() for target, expected in cases])
def test_the_most_specific_route_wins(routed, name, target, expected):
    """config.md, Routes: segment by segment literal, *.ext, {name}, *; an ended pattern before *; file order is nothing."""
    method, _, path = target.rpartition(" ")
    response = routed.request(method or "GET", path, name.replace(" ", "-") + ".test")
    assert (response.status, response.text) == ((404, response.text) if expected is None else (200, expected))


@pytest.mark.parametrize("method, target, allow", [
    ("DELETE", "/only", {"GET", "HEAD"}), ("POST", "/only", {"GET", "HEAD"}), ("get", "/only", {"GET", "HEAD"}),
])
def test_405_lists_the_methods(routed, method, target, allow):
    """RFC 9110 15.5.6, config.md: some route matches the path and none the method."""
    response = routed.request(method, target, "methods.test")
    assert response.status == 405
    assert {m.upper() for m in response.fields.tokens("Allow")} >= allow


def test_405_joins_the_methods_of_all_routes(start_gateway):
    """RFC 9110 10.2.1: Allow holds what any of the routes for this path takes."""
    gateway = start_gateway("site test {\nGET /x respond 200 a\nPOST,PUT /x respond 200 b\nDELETE /{y} respond 200 c\n}")
    allow = gateway.request("PATCH", "/x").fields.tokens("Allow")
    assert {"get", "head", "post", "put", "delete"} <= set(allow)


# Matchers

MATCHERS = """
site test {
    @mobile    header User-Agent *Mobile*
    @token     header X-Token
    @beta      cookie beta yes
    @debug     query debug
    @verbose   query level high higher
    @here      client 127.0.0.0/8
    @away      client 10.0.0.0/8 192.0.2.1
    @writing   method POST PUT
    @secure    scheme https
    @admin     host admin.test
    @below     path /deep/*
    @both      header X-A 1
    @both      header X-B 2

    /mobile  @mobile  respond 200 yes
    /token   @token   respond 200 yes
    /cookie  @beta    respond 200 yes
    /query   @debug   respond 200 yes
    /level   @verbose respond 200 yes
    /here    @here    respond 200 yes
    /away    @away    respond 200 yes
    /method  @writing respond 200 yes
    /scheme  @secure  respond 200 yes
    /and     @both    respond 200 yes
    /two     @token @debug  respond 200 two
    /two     @token   respond 200 one
    /not     !@token  respond 200 yes
    /deep/*  @below   respond 200 yes
    /*       respond 200 no
}
"""


@pytest.fixture(scope="module")
def matching(start_shared):
    return start_shared(MATCHERS)


@pytest.mark.parametrize("request_line, fields, expected", [
    ("/mobile", {"User-Agent": "A Mobile B"}, "yes"), ("/mobile", {"User-Agent": "Mobile"}, "yes"),
    ("/mobile", {"User-Agent": "Desktop"}, "no"), ("/mobile", {}, "no"),
    ("/token", {"X-Token": "x"}, "yes"), ("/token", {"x-tOKEN": "x"}, "yes"), ("/token", {}, "no"),
    ("/cookie", {"Cookie": "beta=yes"}, "yes"), ("/cookie", {"Cookie": "a=b; beta=yes; c=d"}, "yes"),
    ("/cookie", {"Cookie": "beta=no"}, "no"), ("/cookie", {"Cookie": "xbeta=yes"}, "no"), ("/cookie", {}, "no"),
    ("/query?debug", {}, "yes"), ("/query?debug=1", {}, "yes"), ("/query?a=b&debug=", {}, "yes"), ("/query?xdebug", {}, "no"),
    ("/level?level=high", {}, "yes"), ("/level?level=higher", {}, "yes"), ("/level?level=low", {}, "no"),
    ("/here", {}, "yes"), ("/away", {}, "no"), ("POST /method", {}, "yes"), ("PUT /method", {}, "yes"), ("/method", {}, "no"),
    ("/scheme", {}, "no"), ("/and", {"X-A": "1", "X-B": "2"}, "yes"), ("/and", {"X-A": "1"}, "no"), ("/and", {"X-B": "2"}, "no"),
    ("/two?debug", {"X-Token": "x"}, "two"), ("/two", {"X-Token": "x"}, "one"), ("/two?debug", {}, "no"),
    ("/not", {}, "yes"), ("/not", {"X-Token": "x"}, "no"), ("/deep/x", {}, "yes"),
])
def test_matchers(matching, request_line, fields, expected):
    """config.md, Matchers: globs, presence, *and* over lines, *or* in a line, negation; more matchers win; the next best
    route is tried where they do not fit."""
    method, _, target = request_line.rpartition(" ")
    assert matching.request(method or "GET", target, fields=list(fields.items())).text == expected


# Captures, redirects, fields

@pytest.fixture(scope="module")
def verbs(start_shared, shared_origins):
    gateway = start_shared(f"""
        site test {{
            header X-Site site
            header X-Frame DENY
            /respond          respond 200 "hello world"
            /created          respond 201 made
            /nobody           respond 204
            /unavailable      respond 503 later
            /from-file        respond 200 file:body.txt
            /raw              respond 200 '{{path}}'

            /moved            redirect /new
            /moved/{{x}}      redirect /to/{{x}} 301
            /old/*            redirect /new/{{rest}} 308
            /all/*            redirect http://other.test{{uri}} 307
            /own-query/*      redirect /q?a=b
            /see              redirect https://other.test/x 303
            /open/*           redirect /{{rest}}

            /h/set            respond 200 x {{ header X-Test one two }}
            /h/add            respond 200 x {{ header +X-Frame SAMEORIGIN }}
            /h/remove         respond 200 x {{ header -X-Site }}
            /h/missing        respond 200 x {{ header ?X-Site other ; header ?X-New new }}
            /h/quoted         respond 200 x {{ header Cache-Control "public, max-age=60" }}
            /h/option-like    respond 200 x {{ header Cache-Control max-age=60 }}
            /h/brace          respond 200 x {{ header X-Brace "{{{{x}}" ; header X-Raw '{{path}}' }}
            /h/semicolon      respond 200 x {{ header X-Semi ';' "}}" }}
            /h/c/{{name}}     respond 200 x {{ header X-Name {{name}} }}
            /h/r/*            respond 200 x {{ header X-Rest {{rest}} }}
            /h/vars/*         respond 200 x {{
                header X-Host   {{host}}
                header X-Host1  {{host.1}}
                header X-Path   {{path}}
                header X-Uri    {{uri}}
                header X-Query  {{query}}
                header X-Q      {{query.q}}
                header X-Header {{header.X-In}}
                header X-Cookie {{cookie.c}}
                header X-Method {{method}}
                header X-Scheme {{scheme}}
                header X-Client {{client}}
                header X-Id     {{id}}
                header X-Tenant {{tenant}}
                header X-Mixed  a-{{method}}-b
            }}
            /up/*  proxy {shared_origins.echo().target} {{
                request-header X-Set one
                request-header +X-Add two
                request-header -X-Gone
                request-header ?X-Default three
                request-header X-Client {{client}}
                header -X-Frame
                header X-Up yes
            }}
            /up/deep/*  {{ request-header X-Deep yes ; header X-Deep yes }}
        }}
        site canonical.test www.canonical.test {{
            canonical canonical.test
            respond 200 canonical
        }}
        """, start=False)
    (gateway.directory / "conf.d").mkdir(parents=True)
    (gateway.directory / "conf.d/body.txt").write_text("{path} from a file")
    return gateway.start()


@pytest.mark.parametrize("target, status, body", [
    ("/respond", 200, "hello world"), ("/created", 201, "made"), ("/nobody", 204, ""), ("/unavailable", 503, "later"),
    ("/from-file", 200, "{path} from a file"), ("/raw", 200, "{path}"),
])
def test_respond(verbs, target, status, body):
    """config.md, `respond`: a fixed answer; the content of a file is never expanded."""
    for method in ("GET", "HEAD", "POST"):
        response = verbs.request(method, target)
        assert (response.status, response.text) == (status, body if method != "HEAD" else "")


@pytest.mark.parametrize("target, status, location", [
    ("/moved", 302, "/new"), ("/moved?a=b", 302, "/new?a=b"), ("/moved/7", 301, "/to/7"), ("/moved/7?x", 301, "/to/7?x"),
    ("/moved/a%20b", 301, "/to/a%20b"), ("/old/a/b", 308, "/new/a/b"), ("/old/a?b=c", 308, "/new/a?b=c"), ("/old", 308, "/new/"),
    ("/all/x?y=z", 307, "http://other.test/all/x?y=z"), ("/own-query/x?y=z", 302, "/q?a=b"),
    ("/see", 303, "https://other.test/x"), ("/see?q=1", 303, "https://other.test/x?q=1"),
])
def test_redirects(verbs, target, status, location):
    """config.md, `redirect`: 302 by default; the query is kept unless the target has one of its own."""
    response = verbs.get(target)
    assert (response.status, response.fields["Location"]) == (status, location)


@pytest.mark.parametrize("target", ["/open//evil.test", "/open/%2Fevil.test", "/open/%2F%2Fevil.test", "/open///evil.test",
                                    "/open/%5Cevil.test", "/open/%09/evil.test", "/open/;/evil.test", "/open/.//evil.test",
                                    "/open/%2e%2f/evil.test", "/open/\\evil.test"])
def test_a_redirect_never_leaves_the_host_by_accident(verbs, target):
    """config.md: a redirect that begins with `/` never begins with `//` or `/\\`; nor with what browsers take for it."""
    response = verbs.get(target)
    if response.status in (301, 302, 307, 308):
        assert not re.match(r"[/\\][\t\r\n]*[/\\]", response.fields["Location"]), response.fields["Location"]
    else:
        assert response.status in (400, 404)


@pytest.mark.parametrize("target", ["/moved/a%0d%0aSet-Cookie:%20x=y", "/h/c/a%0d%0aSet-Cookie:%20x=y", "/h/c/%0aX-Evil:%201",
                                    "/h/r/a%0d%0a%0d%0ainjected", "/all/%0d%0aSet-Cookie:%20x=y", "/h/vars/%0d%0aX-Evil:%201"])
def test_a_capture_cannot_split_the_answer(verbs, target):
    """config.md: in a header no line end (response splitting)."""
    with verbs.connect() as connection:
        response = connection.get(target)
        assert "Set-Cookie" not in response.fields and "X-Evil" not in response.fields
        assert b"injected" not in response.body
        assert connection.get("/respond").text == "hello world"


@pytest.mark.parametrize("target, name, values", [
    ("/respond", "X-Site", ["site"]), ("/h/set", "X-Test", ["one two"]), ("/h/set", "X-Site", ["site"]),
    ("/h/add", "X-Frame", ["DENY", "SAMEORIGIN"]), ("/h/remove", "X-Site", []), ("/h/remove", "X-Frame", ["DENY"]),
    ("/h/missing", "X-Site", ["site"]), ("/h/missing", "X-New", ["new"]), ("/h/quoted", "Cache-Control", ["public, max-age=60"]),
    ("/h/option-like", "Cache-Control", ["max-age=60"]), ("/h/brace", "X-Brace", ["{x}"]), ("/h/brace", "X-Raw", ["{path}"]),
    ("/h/semicolon", "X-Semi", ["; }"]), ("/h/c/joe", "X-Name", ["joe"]), ("/h/r/a/b", "X-Rest", ["a/b"]),
    ("/moved", "X-Site", ["site"]), ("/none", "X-Site", ["site"]),
])
def test_response_fields(verbs, target, name, values):
    """config.md, `header`: set, +add, -remove, ?only where missing; from the site down to the route, nothing replaced in
    silence; words joined by a space; `key=value` is an ordinary word here."""
    assert verbs.get(target).fields.all(name) == values


def test_variables(verbs):
    """config.md, Variables, in fields."""
    response = verbs.get("/h/vars/a%20b?q=1&r=2", "test:8080", [("X-In", "in"), ("Cookie", "b=x; c=d")])
    expected = {"Host": "test", "Host1": "test", "Uri": "/h/vars/a%20b?q=1&r=2", "Query": "q=1&r=2", "Q": "1",
                "Header": "in", "Cookie": "d", "Method": "GET", "Scheme": "http", "Client": "127.0.0.1", "Tenant": "test",
                "Mixed": "a-GET-b"}
    assert {n: response.fields.get("X-" + n) for n in expected} == expected
    assert response.fields["X-Path"] in ("/h/vars/a%20b", "/h/vars/a b")
    assert len(response.fields["X-Id"]) >= 8
    assert response.fields["X-Id"] != verbs.get("/h/vars/x").fields["X-Id"]


def test_a_variable_without_value_is_empty(verbs):
    """config.md: what a request lacks expands to nothing, not to its name."""
    fields = verbs.get("/h/vars/x").fields
    assert {fields.get("X-Q", ""), fields.get("X-Cookie", ""), fields.get("X-Header", "")} == {""}


def test_request_fields(verbs):
    """config.md, `request-header`: likewise towards the upstream; settings of a pattern add up with those of the route."""
    response = verbs.get("/up/deep/x", fields=[("X-Set", "client"), ("X-Add", "client"), ("X-Gone", "client"),
                                               ("X-Client", "6.6.6.6")])
    fields = json.loads(response.body)["fields"]
    got = {}
    for name, value in fields:
        got.setdefault(name.lower(), []).append(value)
    assert got["x-set"] == ["one"] and got["x-add"] == ["client", "two"] and "x-gone" not in got
    assert got["x-default"] == ["three"] and got["x-client"] == ["127.0.0.1"] and got["x-deep"] == ["yes"]
    assert "X-Frame" not in response.fields and response.fields["X-Up"] == "yes" and response.fields["X-Deep"] == "yes"
    assert response.fields["X-Site"] == "site"
    kept = json.loads(verbs.get("/up/x", fields=[("X-Default", "client")]).body)["fields"]
    assert [v for n, v in kept if n.lower() == "x-default"] == ["client"]


def test_canonical(verbs):
    """config.md, `canonical HOST`: other hosts of the site redirect, with path and query."""
    assert verbs.get("/x", "canonical.test").text == "canonical"
    response = verbs.get("/x?y=z", "www.canonical.test")
    assert response.status in (301, 302, 307, 308)
    assert re.fullmatch(r"(http:)?//canonical\.test(:\d+)?/x\?y=z", response.fields["Location"])


# Limits, errors, closed

def test_limit_body(start_gateway, origins):
    """config.md: past the limit 413 (RFC 9110 15.5.14), for a length before the upstream hears of it, for chunks when they
    pass it; at the limit served; the more specific value counts."""
    origin = origins.echo()
    gateway = start_gateway(f"""
        site test {{
            limit body 10KB
            /big/*   proxy {origin.target} {{ limit body 1MB }}
            /here    respond 200 ok
            /*       proxy {origin.target}
        }}""")

    def post(target, size, as_chunks=False):
        body = b"x" * size
        fields = [("Transfer-Encoding", "chunked")] if as_chunks else []
        body = chunked(*[body[i:i + 1000] for i in range(0, size, 1000)]) if as_chunks else body
        with gateway.connect() as connection:
            return connection.send(request_bytes("POST", target, fields=fields, body=body)).response().status
    assert [post("/x", 10000), post("/x", 10000, True), post("/big/x", 900_000)] == [200, 200, 200]
    assert len(origin.requests) == 3
    assert [post("/x", 10001), post("/big/x", 1_000_001)] == [413, 413]
    assert len(origin.heads) == 3, "a body known to be too large reached the upstream"
    assert post("/x", 10001, True) == 413
    assert post("/x", 300_000, True) == 413
    assert len(origin.requests) == 3, "a body that is too large was completed upstream"
    assert post("/here", 20000) == 413
    assert [post("/here", size, True) for size in (0, 10000, 10001, 300_000)] == [200, 200, 413, 413]
    with Http2(gateway.address) as client:
        for size, status in ((10000, 200), (10001, 413)):
            stream = client.head(request_fields("/here", "POST"), end=False)
            client.body(stream, b"x" * size)
            assert client.answer(stream).status == status


def test_a_body_that_is_counted_has_its_time(start_gateway):
    """`timeout body` counts where nobody but the limit reads the body: 408 (RFC 9110 15.5.9)."""
    gateway = start_gateway("site test { limit body 1KB ; timeout body=300ms ; respond 200 ok }")
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", fields=[("Transfer-Encoding", "chunked")]) + b"3\r\nabc\r\n")
        assert connection.response().status == 408
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", fields=[("Transfer-Encoding", "chunked"), ("Expect", "100-continue")]))
        assert connection.reader.response_head().status == 100
        connection.send(b"3\r\nabc\r\n0\r\n\r\n")
        assert connection.response().status == 200


def test_413_comes_before_the_body(start_gateway):
    """User promise: a client that announces too much hears so at once and need not send it."""
    gateway = start_gateway("site test { limit body 1KB ; respond 200 ok }")
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", fields=[("Content-Length", "1000000000")]))
        assert connection.response().status == 413


def test_error_pages(start_gateway, origins):
    """config.md, `error 502 503 FILE`: the page replaces our own text, the status stays; HEAD has no body."""
    gateway = start_gateway("""
        site test {
            error 404 missing.html
            error 502 503 504 down.html
            error 405 403 sorry.html
            /proxy       proxy 127.0.0.1:1
            /files/*     files ./root
            GET /get   respond 200 got
            /denied      { deny all }
            /denied      respond 200 never
        }
        site plain.test { /only respond 200 x }
        """, start=False)
    base = gateway.directory / "conf.d"
    (base / "root").mkdir(parents=True)
    for name in ("missing", "down", "sorry"):
        (base / f"{name}.html").write_text(f"<h1>{name}</h1>")
    gateway.start()
    for method, target, status, page in (("GET", "/none", 404, "missing"), ("GET", "/files/none", 404, "missing"),
                                         ("GET", "/proxy", 502, "down"), ("POST", "/get", 405, "sorry"),
                                         ("GET", "/denied", 403, "sorry"), ("HEAD", "/none", 404, None)):
        response = gateway.request(method, target)
        assert (response.status, response.text) == (status, f"<h1>{page}</h1>" if page else "")
        assert response.fields["Content-Type"].startswith("text/html")
    assert gateway.get("/none", "plain.test").status == 404


def test_an_error_is_not_kept_as_long_as_content(start_gateway):
    """User promise: `header Cache-Control …` for assets does not make caches keep a 404; other fields stand there too."""
    gateway = start_gateway("""site test {
        header Cache-Control "public, max-age=31536000"
        header Expires "Thu, 01 Jan 2099 00:00:00 GMT"
        header X-Frame-Options DENY
        /here respond 200 ok
        /made respond 404 made
    }""")
    for target, status, kept in (("/here", 200, "public, max-age=31536000"), ("/made", 404, "public, max-age=31536000"),
                                 ("/gone", 404, "no-store")):
        response = gateway.get(target)
        assert (response.status, response.fields.all("Cache-Control")) == (status, [kept])
        assert ("Expires" in response.fields) == (kept != "no-store")
        assert response.fields["X-Frame-Options"] == "DENY"


def test_an_https_target_comes_over_tls_or_from_a_trusted_gateway(start_gateway):
    """RFC 9110 7.4: a request for an https resource that came over an unsecured connection is rejected (421)."""
    sites = "site test { respond 200 {scheme} }"
    strict, trusting = start_gateway(sites), start_gateway(sites, "trust 127.0.0.1")
    for target in ("https://test/x", "HTTPS://test/x"):
        assert strict.get(target).status == 421
        assert trusting.get(target).status == 200
    assert strict.get("http://test/x").text == "http"


def test_a_trusted_gateway_says_whether_the_client_came_over_tls(start_gateway):
    """config.md, `trust`: behind something that ends TLS, redirects to https do not loop."""
    sites = """site test www.test {
        canonical test
        @plain scheme http
        /* @plain redirect https://test{uri} 308
        /* respond 200 secure
    }"""
    strict, trusting = start_gateway(sites), start_gateway(sites, "trust 127.0.0.1")
    over_tls = [("X-Forwarded-Proto", "https")]
    assert strict.get("/x", fields=over_tls).status == 308
    assert trusting.get("/x").status == 308
    assert trusting.get("/x", fields=over_tls).text == "secure"
    assert trusting.get("/x?y", "www.test", fields=over_tls).fields["Location"] == "https://test/x?y"


def test_closed(start_gateway):
    """config.md, `closed 503 FILE`: maintenance before any route, but not for those whom the matcher lets in."""
    gateway = start_gateway("""
        site test {
            @office header X-Office
            !@office { closed 503 down.html }
            /a respond 200 a
            /old/* redirect /a
        }
        site all.test { closed 503 down.html ; respond 200 never }
        """, start=False)
    (gateway.directory / "conf.d").mkdir(parents=True)
    (gateway.directory / "conf.d/down.html").write_text("<h1>down</h1>")
    gateway.start()
    for target, host in (("/a", "test"), ("/old/x", "test"), ("/none", "test"), ("/", "all.test")):
        response = gateway.get(target, host)
        assert (response.status, response.text) == (503, "<h1>down</h1>")
    assert gateway.get("/a", fields=[("X-Office", "1")]).text == "a"


def test_define_and_use(start_gateway):
    """config.md, Grammar: a shared block inside one file."""
    gateway = start_gateway("define common { header X-Common yes }\nsite test { use common ; respond 200 ok }\n"
                            "site other.test { respond 200 ok }")
    assert gateway.get().fields["X-Common"] == "yes"
    assert "X-Common" not in gateway.get(host="other.test").fields


def test_settings_merge_from_machine_to_site_to_route(start_gateway):
    """config.md, Rules 6: headers merge down; taking away is explicit."""
    gateway = start_gateway("site test { header X-B site ; /x respond 200 ok { header X-C route ; header -X-A } ; "
                            "/* respond 200 ok }", "header X-A machine\nheader X-B machine")

    def fields(t):
        return [gateway.get(t).fields.all(n) for n in ("X-A", "X-B", "X-C")]
    assert fields("/y") == [["machine"], ["site"], []]
    assert fields("/x") == [[], ["site"], ["route"]]


def test_unix_listener(start_gateway, tmp_path):
    """config.md, Listeners: `listen unix:/path`."""
    path = str(tmp_path / "x.sock")
    gateway = start_gateway("site test { respond 200 ok { header X-Client {client} } }", f"listen unix:{path}")
    with Connection(path) as connection:
        assert connection.get("/").status == 200
    assert gateway.get().status == 200


def test_several_listeners(start_gateway):
    """config.md, Listeners: any number; IPv6 in brackets where the machine has it."""
    second = free_port()
    lines = [f"listen 127.0.0.1:{second}"]
    six = None
    try:
        six = free_port(socket.AF_INET6)
        lines.append(f"listen [::1]:{six}")
    except OSError:
        pass
    gateway = start_gateway("site test { respond 200 ok }", "\n".join(lines))
    gateway.await_stderr(f"listening on .*:{second}")
    assert gateway.get().status == 200
    for address in [("127.0.0.1", second)] + ([("::1", six)] if six else []):
        with Connection(address) as connection:
            assert connection.get("/").status == 200


def test_ten_thousand_sites_cost_what_one_does(start_gateway):
    """Issue: 10,000 sites work; each answers for itself, and the memory of the table is bounded."""
    gateway = start_gateway("\n".join(f"site s{n}.test {{ respond 200 {n} }}" for n in range(10000)))
    with gateway.connect() as connection:
        for number in range(0, 10000, 97):
            assert connection.get("/", f"s{number}.test").text == str(number)
        assert connection.get("/", "s10000.test").status == 421
    assert gateway.vitals.resident < 256 << 20
