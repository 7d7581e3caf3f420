"""Who may: auth basic, allow, deny, satisfy any, trust."""

import base64
import subprocess

import pytest

from rig.client import wait_until

PASSWORD = "correct horse: battery"


def hashed(kind: str, password: str) -> str:
    if kind == "bcrypt":
        line = subprocess.run(["htpasswd", "-nbB", "-C", "5", "u", password], capture_output=True, text=True, check=True).stdout
        return line.strip().partition(":")[2]
    if kind == "apr1":
        line = subprocess.run(["htpasswd", "-nbm", "u", password], capture_output=True, text=True, check=True).stdout
        return line.strip().partition(":")[2]
    flag = {"sha512": "-6", "sha256": "-5"}[kind]
    return subprocess.run(["openssl", "passwd", flag, password], capture_output=True, text=True, check=True).stdout.strip()


KINDS = ["bcrypt", "sha512", "sha256", "apr1"]


@pytest.fixture(scope="module")
def shared(start_shared):
    gateway = start_shared("""
        site test {
            auth basic users
            /user      respond 200 in { header X-User {user} }
            /hook/*    { auth off }
            /other/*   { auth basic others }
            /*         respond 200 in
        }
        site only.test {
            /admin/*   { auth basic users }
            /*         respond 200 in
        }
        site either.test {
            auth basic users
            allow 10.0.0.0/8
            satisfy any
            respond 200 in
        }
        site either-here.test {
            auth basic users
            allow 127.0.0.0/8
            satisfy any
            respond 200 in
        }
        site both.test     { auth basic users ; allow 127.0.0.0/8 ; respond 200 in }
        site neither.test  { auth basic users ; allow 10.0.0.0/8 ; respond 200 in }
        site allow.test    { allow 127.0.0.1 ; respond 200 in }
        site away.test     { allow 10.0.0.0/8 192.0.2.0/24 ; respond 200 in }
        site deny.test     { deny 127.0.0.0/8 ; respond 200 in }
        site deny-away.test  { deny 10.0.0.0/8 ; respond 200 in }
        site deny-first.test { allow 127.0.0.0/8 ; deny 127.0.0.1 ; respond 200 in }
        site deny-all.test { deny all ; respond 200 in }
        site parts.test {
            allow 10.0.0.0/8
            /open/*    { allow all }
            /*         respond 200 in
        }
        site below.test {
            /internal/*         { deny all }
            /internal/health    { allow all }
            /*                  respond 200 in
        }
        site matcher.test {
            @good header X-Good
            allow @good
            respond 200 in
        }
        """, start=False)
    base = gateway.directory / "conf.d"
    base.mkdir(parents=True)
    lines = ["# a comment", ""] + [f"{kind}:{hashed(kind, PASSWORD)}" for kind in KINDS]
    (base / "users").write_text("\n".join(lines) + "\n")
    (base / "others").write_text(f"other:{hashed('bcrypt', PASSWORD)}\n")
    return gateway.start()


def basic(user: str, password: str, scheme: str = "Basic"):
    return [("Authorization", f"{scheme} " + base64.b64encode(f"{user}:{password}".encode()).decode())]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_each_kind_of_hash(shared, kind, scheme):
    """RFC 7617, RFC 9110 11.1 (the scheme in any case); htpasswd files with bcrypt, SHA-crypt and apr1."""
    for _ in range(2):  # The second is answered from the cache of verified passwords.
        assert shared.get("/", fields=basic(kind, PASSWORD, scheme)).text == "in"
    assert shared.get("/", fields=basic(kind, PASSWORD + "x", scheme)).status == 401
    assert shared.get("/", fields=basic(kind, "", scheme)).status == 401
    assert shared.get("/", fields=basic(kind, PASSWORD, scheme)).text == "in"


@pytest.mark.parametrize("fields", [
    [], basic("nobody", PASSWORD), basic("bcrypt", "wrong"), basic("", ""), basic("", PASSWORD), basic("BCRYPT", PASSWORD),
    basic("# a comment", ""), basic("bcrypt", PASSWORD.upper()),
    basic("bcrypt", PASSWORD + "\0x"),
    [("Authorization", "Basic")], [("Authorization", "Basic ")], [("Authorization", "Basic !!!")],
    [("Authorization", "Basic " + base64.b64encode(b"nocolon").decode())],
    [("Authorization", "Bearer " + base64.b64encode(f"bcrypt:{PASSWORD}".encode()).decode())],
    [("Authorization", base64.b64encode(f"bcrypt:{PASSWORD}".encode()).decode())], [("Authorization", "")],
    basic("bcrypt", "x" * 5000), basic("x" * 5000, PASSWORD), basic("other", PASSWORD),
], ids=lambda f: str(f)[:60])
def test_whom_it_refuses(shared, fields):
    """RFC 7617 2, RFC 9110 15.5.2: 401 with a challenge, and never the content."""
    response = shared.get("/", fields=fields)
    assert (response.status, b"in" in response.body.split()) == (401, False)
    challenge = response.fields["WWW-Authenticate"]
    assert challenge.lower().startswith("basic ") and 'realm="' in challenge.lower()


def test_where_it_applies(shared):
    """config.md: `auth` covers what it stands in, whichever route serves it; `auth off` lifts it below; a more specific file
    replaces a less specific one."""
    good = basic("bcrypt", PASSWORD)
    assert shared.get("/hook/x").text == "in"
    assert shared.get("/hook").text == "in"
    assert shared.get("/hooks").status == 401
    assert shared.get("/other/x", fields=good).status == 401
    assert shared.get("/other/x", fields=basic("other", PASSWORD)).text == "in"
    assert shared.get("/user", fields=good).fields["X-User"] == "bcrypt"
    assert shared.get("/", "only.test").text == "in"
    for path in ("/admin", "/admin/", "/admin/x", "//admin/x", "/%61dmin/x", "/admin;x/y", "/x/../admin/y", "/admin%2Fx",
                 "/./admin", "/x/%2e%2e/admin"):
        assert shared.get(path, "only.test").status == 401, path
        assert shared.get(path, "only.test", good).text == "in", path


def test_a_refusal_leaves_the_connection_open(shared):
    """User promise: the browser asks the user and comes back on the same connection."""
    with shared.connect() as connection:
        assert connection.get("/").status == 401
        assert connection.request("GET", "/", fields=basic("sha512", PASSWORD)).text == "in"
        assert connection.request("POST", "/", body=b"x" * 1000).status == 401
        assert connection.request("GET", "/", fields=basic("apr1", PASSWORD)).text == "in"


@pytest.mark.parametrize("line", ["broken", "empty:", ":$6$x$y", "plain:secret", "des:rqXexS6ZhobKA"])
def test_a_broken_line_of_a_password_file(start_gateway, line):
    """User promise: a line that cannot be used is named, at check time or when the file is read, and lets nobody in; whoever
    stands on a good line is let in, or told why not. A silent 403 for all is neither."""
    gateway = start_gateway("site test { auth basic users ; respond 200 in }", start=False)
    base = gateway.directory / "conf.d"
    base.mkdir(parents=True)
    (base / "users").write_text(f"good:{hashed('sha512', PASSWORD)}\n{line}\n")
    try:
        gateway.start()
    except AssertionError:
        assert "users" in gateway.stderr, gateway.stderr
        return
    user = line.partition(":")[0]
    for password in ("", "secret", "password", "broken"):
        assert gateway.get(fields=basic(user, password)).status in (401, 403, 421)
    assert gateway.get(fields=basic("good", PASSWORD)).text == "in" or "users" in gateway.stderr, "nobody is told why"


def test_slow_hashes_do_not_block_others(start_gateway):
    """Issue: passwords are verified off the workers. Other requests are served while a hash of a second is computed."""
    gateway = start_gateway("site test { /guarded { auth basic users } ; /* respond 200 in }", start=False)
    base = gateway.directory / "conf.d"
    base.mkdir(parents=True)
    line = subprocess.run(["htpasswd", "-nbB", "-C", "13", "u", PASSWORD], capture_output=True, text=True, check=True).stdout
    (base / "users").write_text(line)
    gateway.start()
    guarded = [gateway.connect() for _ in range(4)]
    for connection in guarded:
        connection.send(b"GET /guarded HTTP/1.1\r\nHost: test\r\n" + "{}: {}\r\n\r\n".format(*basic("u", PASSWORD)[0]).encode())
    open_ones = [gateway.connect() for _ in range(4)]  # Some on each of the two workers.
    for _ in range(10):
        for connection in open_ones:
            assert connection.get("/").text == "in"
    for connection in guarded:
        connection.socket.settimeout(30)
        assert connection.response().text == "in"
    for connection in guarded + open_ones:
        connection.close()


@pytest.mark.parametrize("host, target, status", [
    ("allow.test", "/", 200), ("away.test", "/", 403), ("deny.test", "/", 403), ("deny-away.test", "/", 200),
    ("deny-first.test", "/", 403), ("deny-all.test", "/", 403), ("parts.test", "/", 403), ("parts.test", "/open/x", 200),
    ("parts.test", "/open", 200), ("parts.test", "/opened", 403), ("below.test", "/", 200), ("below.test", "/internal/x", 403),
    ("below.test", "/internal", 403), ("below.test", "//internal/x", 403), ("below.test", "/%69nternal/x", 403),
    ("below.test", "/internal/health", 200), ("below.test", "/internal;x/y", 403), ("matcher.test", "/", 403),
])
def test_allow_and_deny(shared, host, target, status):
    """config.md: deny is tried first; any allow denies the rest with 403; `allow all` lifts what stands above."""
    assert shared.get(target, host).status == status


def test_allow_by_matcher(shared):
    """config.md: `allow @m`."""
    assert shared.get("/", "matcher.test", [("X-Good", "1")]).text == "in"


@pytest.mark.parametrize("host, without, wrong, right", [
    ("either.test", 401, 401, 200), ("either-here.test", 200, 200, 200), ("both.test", 401, 401, 200), ("neither.test", 403, 403, 403),
])
def test_satisfy(shared, host, without, wrong, right):
    """config.md: both auth and allow are asked for, unless `satisfy any` lets either suffice."""
    assert shared.get("/", host).status == without
    assert shared.get("/", host, basic("bcrypt", "wrong")).status == wrong
    assert shared.get("/", host, basic("bcrypt", PASSWORD)).status == right


def test_allow_counts_the_trusted_client(start_gateway):
    """config.md, `trust`: allow and deny see the client behind a trusted proxy, and not what strangers claim."""
    sites = "site test { allow 192.0.2.0/24 ; respond 200 in }"
    trusting, plain = start_gateway(sites, "trust 127.0.0.0/8"), start_gateway(sites)
    inside, outside = [("X-Forwarded-For", "192.0.2.9")], [("X-Forwarded-For", "192.0.2.9, 198.51.100.1")]
    assert [trusting.get(fields=f).status for f in (inside, outside, [])] == [200, 403, 403]
    assert plain.get(fields=inside).status == 403


def test_a_changed_password_file_is_read_on_reload(start_gateway):
    """Issue: verified passwords are cached; a reload must not keep what the new file forbids."""
    gateway = start_gateway("site test { auth basic users ; respond 200 in }", start=False)
    base = gateway.directory / "conf.d"
    base.mkdir(parents=True)
    (base / "users").write_text(f"u:{hashed('bcrypt', 'old')}\n")
    gateway.start()
    assert gateway.get(fields=basic("u", "old")).status == 200
    (base / "users").write_text(f"u:{hashed('bcrypt', 'new')}\n")
    gateway.reload()
    wait_until(lambda: gateway.get(fields=basic("u", "new")).status == 200, what="the new password")
    assert gateway.get(fields=basic("u", "old")).status == 401
