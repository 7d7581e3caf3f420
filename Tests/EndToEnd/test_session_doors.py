"""The other doors to a session: plain octets on a listener, plain HTTP, and `chimera connect` over TLS."""

import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import sys

import pytest

from rig import tls
from rig.client import PATIENCE, chunked, request_bytes, wait_until
from rig.gateway import BINARY, REPOSITORY, run
from rig.http2 import Http2
from rig.metrics import Metrics
from rig.sessions import ROOT, Marked, join, shell, site, words


@pytest.fixture
def marked():
    mark = Marked()
    yield mark
    mark.await_gone()


def route(pattern, *command, options="", block=""):
    return f"{pattern} session {ROOT}{options} -- {words(*command)} {{ {block} }}"


# listen … session=


class Plain:
    """A client that knows sockets, and nothing else."""

    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data: bytes):
        self.socket.sendall(data)
        return self

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def rest(self) -> bytes:
        return b"".join(iter(lambda: self.socket.recv(1 << 16), b""))

    def exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            piece = self.socket.recv(count - len(got))
            assert piece, f"the connection ended behind {got!r}"
            got += piece
        return got


@pytest.fixture
def door(start_gateway, marked, tmp_path):
    """door(*command, options=, block=): a gateway with a Unix socket that leads to one session, and how to reach it."""
    def start(*command, options="", block="", machine="", where=None):
        path = str(tmp_path / "door.sock")
        gateway = start_gateway(
            f"site test {{\n{route('/door', *command, options=f'{marked.option} {options}', block=block)}\n}}",
            f"listen {where or f'unix:{path}'} session=test/door\n{machine}")
        if not where:
            return gateway, path
        gateway.await_stderr(r"listening on 127\.0\.0\.1:(?!%d\b)" % gateway.port)
        ports = {int(n) for n in re.findall(r"listening on 127\.0\.0\.1:(\d+)", gateway.stderr)}
        return gateway, ("127.0.0.1", (ports - {gateway.port}).pop())
    return start


@pytest.mark.parametrize("where", [None, "127.0.0.1:0"])
def test_a_plain_connection_gets_the_program(door, where):
    """Issue: `listen ADDRESS session=TENANT/ROUTE` for TCP and Unix sockets; the end of either side is one of its own."""
    gateway, address = door("tr", "a-z", "A-Z", where=where)
    for _ in range(3):
        with Plain(address) as client:
            assert client.send(b"hello\n" * 1000).end().rest() == b"HELLO\n" * 1000
    records = gateway.records(3, where=lambda record: record["path"] == "/door")
    assert {(r["status"], r["protocol"]) for r in records} == {(101, "stream")}


@pytest.mark.parametrize("text", ["POST / HTTP/1.1\r\nHost: x\r\n\r\nevil\n", "GET /" + "a" * 20_000, "OPTIONS * HTTP/1.1\n"])
def test_a_page_reaches_no_program_by_tcp(door, text):
    """Any page may have a browser send a request to any port of its machine: no program runs what that says."""
    gateway, address = door("cat", where="127.0.0.1:0")
    with Plain(address) as client:
        for start in range(0, len(text), 1500):
            with contextlib.suppress(OSError):
                client.send(text[start:start + 1500].encode())
        with contextlib.suppress(ConnectionResetError):
            assert client.rest() == b""


@pytest.mark.parametrize("text", ["POST me a letter\n", "GETTING on\n", "GET", "PUT x HTTP\n", "\n", "GET /x"])
def test_what_only_begins_as_a_request_is_passed_on(door, text):
    gateway, address = door("cat", where="127.0.0.1:0")
    with Plain(address) as client:
        for letter in text:
            client.send(letter.encode())
        assert client.end().rest() == text.encode()


def test_no_page_reaches_a_unix_socket(door):
    gateway, address = door("cat")
    text = b"POST / HTTP/1.1\r\n\r\nfine\n"
    with Plain(address) as client:
        assert client.send(text).end().rest() == text


def test_octets_are_octets(door):
    """Nothing is a line, a message or UTF-8, whatever `framing=` says to WebSockets; both ways at once, without bounds."""
    gateway, address = door("cat")
    data = bytes(range(256)) * 8192
    with Plain(address) as client:
        received = bytearray()
        client.socket.setblocking(False)
        sent = 0
        while len(received) < len(data):
            with contextlib.suppress(BlockingIOError):
                sent += client.socket.send(data[sent:sent + 65536]) if sent < len(data) else 0
            with contextlib.suppress(BlockingIOError):
                received += client.socket.recv(1 << 16)
        assert bytes(received) == data
        client.socket.settimeout(PATIENCE)
        assert client.end().rest() == b""


def test_the_program_may_speak_first_and_last(door):
    gateway, address = door(*shell("echo welcome; cat >/dev/null; echo farewell; exit 3"))
    with Plain(address) as client:
        assert client.exactly(8) == b"welcome\n"
        assert client.send(b"something").end().rest() == b"farewell\n"


def test_a_program_that_closes_its_output_still_reads(door, tmp_path):
    """Half-close in the other direction: the client sees an end, and what it sends then arrives."""
    kept = tmp_path / "kept"
    gateway, address = door(*shell(f"echo bye; exec >&-; cat > {kept}.new; mv {kept}.new {kept}"))
    with Plain(address) as client:
        assert client.rest() == b"bye\n"
        client.send(b"last words").end()
        wait_until(kept.exists, what="the program's last deed")
    assert kept.read_bytes() == b"last words"


def test_a_plain_client_that_vanishes_ends_its_program(door, marked):
    gateway, address = door(*shell("echo ready; exec sleep 1000"), options="end=100ms kill=300ms", where="127.0.0.1:0")
    with Plain(address) as client:
        assert client.exactly(6) == b"ready\n"
        assert marked.pids()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    marked.await_gone()


def test_a_plain_flood_stops_where_the_client_does(door, marked):
    """Backpressure: who does not read holds the program up, and is cut off in the time of `timeout send`."""
    gateway, address = door("yes", block="timeout send=2s", where="127.0.0.1:0")
    before = gateway.vitals.resident
    with Plain(address) as client:
        assert client.exactly(4) == b"y\ny\n"
        marked.await_gone()
    assert gateway.vitals.resident - before < 8 << 20


def test_plain_sessions_are_limited_listed_and_ended_like_others(door, marked):
    """Limits, `chimera sessions` and metrics know them; past the limit the connection ends without a word."""
    gateway, address = door("cat", block="limit sessions 1", machine="metrics unix:metrics.sock")
    with Plain(address) as client:
        assert client.send(b"one").exactly(3) == b"one"
        with Plain(address) as second:
            assert second.rest() == b""
        listed, total = map(json.loads, gateway.command("sessions", "--json").stdout.splitlines())
        assert total["total"] == 1 and listed["route"] == "/door" and listed["client"] == "unix"
        assert gateway.command("sessions", "end", listed["id"]).returncode == 0
        assert client.rest() == b""
    marked.await_gone()
    statuses = sorted(r["status"] for r in gateway.records(2, where=lambda record: record["protocol"] == "stream"))
    assert statuses == [101, 503]


def test_plain_sessions_have_times(door):
    gateway, address = door("cat", options="idle=300ms")
    with Plain(address) as client:
        assert client.rest() == b""


def test_access_counts_for_plain_clients(door):
    """`allow` and `deny` look at the address; who is refused finds the connection closed, without HTTP's words."""
    gateway, address = door("cat", block="deny 127.0.0.0/8", where="127.0.0.1:0")
    with Plain(address) as client:
        assert client.rest() == b""
    record, = gateway.records(1)
    assert record["status"] == 403


def test_the_program_of_a_plain_client_knows_who_it_is(door):
    gateway, address = door("env", options="env=GREETING=hello", where="127.0.0.1:0")
    with Plain(address) as client:
        found = dict(line.split("=", 1) for line in client.rest().decode().splitlines() if "=" in line)
        port = client.socket.getsockname()[1]
    assert found["SERVER_PROTOCOL"] == "stream" and "REQUEST_METHOD" not in found
    assert found["REMOTE_ADDR"] == "127.0.0.1" and found["REMOTE_PORT"] == str(port)
    assert found["SCRIPT_NAME"] == "/door" and found["GREETING"] == "hello" and found["CHIMERA_TENANT"] == "test"


def test_a_terminal_by_plain_octets(door):
    """Such as `socat -,raw,echo=0 UNIX:…` has it; the size is the usual one."""
    gateway, address = door(*shell("stty size; read x; echo got $x"), options="pty=on open=on")
    with Plain(address) as client:
        assert client.exactly(7) == b"24 80\r\n"
        client.send(b"word\r")
        assert b"got word" in client.rest()


def test_a_plain_session_stays_through_a_reload_and_ends_with_the_gateway(door):
    gateway, address = door("cat", machine="drain 1s")
    with Plain(address) as client:
        assert client.send(b"one").exactly(3) == b"one"
        gateway.reload(gateway.sites[:-1] + "/more respond 204\n}")
        wait_until(lambda: gateway.get("/more").status == 204, what="the other configuration")
        assert client.send(b"two").exactly(3) == b"two"
        gateway.signal(15)
        assert client.rest() == b""


@pytest.mark.parametrize("line, sites, said", [
    ("session=other/door", "/door session {} -- cat", 'there is no tenant "other"'),
    ("session=test/dor", "/door session {} -- cat", 'session=test/door'),
    ("session=test/live/x", "/live/* session {} -- cat", "is no single path"),
    ("session=test/door", "/door respond 200", "this route is no session"),
    ("session=test", "/door session {} -- cat", "test/ROUTE"),
    ("session=test/door tls", "/door session {} -- cat", "no place beside"),
    ("session=test/door name=x", "/door session {} -- cat", "no place beside"),
    ("session=test/door", "/door session {} -- cat {{ auth basic test.htpasswd }}", "asks for a password"),
    ("session=test/door", "POST /door session {} -- cat", "not for GET"),
])
def test_a_listener_without_a_session_is_an_error(tmp_path, line, sites, said):
    """Issue: checked when the configuration is, with a position and what was meant."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/test.htpasswd").write_text("user:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")
    (tmp_path / "conf.d/test.conf").write_text(f"site test {{\n{sites.format(ROOT)}\n}}\n")
    user = "user root\n" if ROOT else ""
    (tmp_path / "chimera.conf").write_text(
        f"{user}listen 127.0.0.1:8080\nlisten 127.0.0.1:7000 {line}\nimport conf.d/*.conf\n")
    done = run("check", "--config", tmp_path / "chimera.conf", cwd=tmp_path)
    text = done.stdout + done.stderr
    assert done.returncode != 0 and said in text and "chimera.conf:" in text, text


def test_a_listener_whose_session_goes_serves_nobody_and_all_else_goes_on(door):
    """A tenant's change is no error of the machine's file: it cannot stop the others, nor their reloads."""
    gateway, address = door("cat", where="127.0.0.1:0")

    def is_served() -> bool:
        with contextlib.suppress(OSError), Plain(address) as another:
            return another.send(b"three").end().rest() == b"three"
        return False
    with Plain(address) as client:
        assert client.send(b"one").exactly(3) == b"one"
        old = gateway.sites
        gateway.reload("site test { /more respond 204 }")
        gateway.await_stderr('has no route "/door"')
        # Each worker hears of it in its own time.
        wait_until(lambda: not any(is_served() for _ in range(8)), what="a listener that serves nobody")
        assert gateway.get("/more").status == 204
        assert client.send(b"two").exactly(3) == b"two"
    gateway.reload(old)
    wait_until(lambda: all(is_served() for _ in range(8)), what="the session, which is back")


def test_plain_sessions_of_a_site_with_tls(start_gateway, marked, tmp_path):
    """Whoever opens such a listener says that these octets go without TLS; the site's redirect to https is for HTTP."""
    certificate = tls.certify(tmp_path, "test", "test")
    path = str(tmp_path / "door.sock")
    start_gateway(
        f"site test {{\ntls {certificate.line}\ncanonical other.example\n{route('/door', 'cat', options=marked.option)}\n}}",
        f"{tls.LISTEN}\nlisten unix:{path} session=test/door")
    with Plain(path) as client:
        assert client.send(b"hello").end().rest() == b"hello"


def test_plain_clients_of_a_program_for_all(door):
    """`shared=on`: each line is a message with its client's number, and what the program says goes to every door."""
    gateway, address = door(*shell("while read -r line; do echo said $line; done"), options="shared=on")

    def until(client, word):
        """The line with that word, which every client that has come hears."""
        line = b""
        while not line.endswith(word + b"\n"):
            line = b""
            while not line.endswith(b"\n"):
                line += client.exactly(1)
        return line.decode()
    with Plain(address) as one, Plain(address) as other, join(gateway, "/door") as third:
        # Who hears itself has come.
        until(one.send(b"one\n"), b"one")
        until(other.send(b"other\n"), b"other")
        third.send("third")
        while not third.recv(timeout=30).endswith("third"):
            pass
        one.send(b"hel")
        one.send(b"lo\nagain\n")
        said = until(one, b"hello")
        assert until(other, b"hello") == said and third.recv(timeout=30) == said.strip()
        assert until(one, b"again") == said.replace("hello", "again") == until(other, b"again")
        assert third.recv(timeout=30).endswith("again")
        # The end of one client's side is not the end of the program's input.
        one.send(b"bye").end()
        assert until(one, b"bye") == said.replace("hello", "bye")
        assert third.recv(timeout=30).endswith("bye")
        third.send("still here")
        assert third.recv(timeout=30).endswith("still here")
        until(other, b"still here")


def test_plain_clients_get_programs_that_have_waited(door, marked):
    gateway, address = door("cat", options="pool=2")
    marked.await_count(2)
    for _ in range(3):
        with Plain(address) as client:
            assert client.send(b"hello").end().rest() == b"hello"
    # The pool goes with the configuration.
    gateway.reload("site test { /more respond 204 }")
    marked.await_gone()


# Plain HTTP


@pytest.fixture
def http(start_gateway, marked):
    def start(*command, options="", block="", machine=""):
        return start_gateway(site(*command, options=f"{marked.option} http=on {options}", block=block), machine)
    return start


def events(text: str) -> list[tuple[str, str]]:
    """What a browser makes of an event stream: the type and the data of each event."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        kind = next((line[7:] for line in lines if line.startswith("event: ")), "message")
        data = [line[6:] for line in lines if line.startswith("data: ")]
        if data:
            found.append((kind, "\n".join(data)))
    return found


def test_plain_http_is_off_by_default(start_gateway, marked):
    gateway = start_gateway(site("cat", options=marked.option))
    answer = gateway.request("POST", "/", body=b"hello")
    assert answer.status == 426 and not marked.pids()


@pytest.mark.parametrize("script, status", [("cat", ("Exit-Status", "0")), ("cat; exit 7", ("Exit-Status", "7")),
                                            ("cat; kill -9 $$", ("Exit-Signal", "9"))])
def test_a_post_is_the_input_and_its_answer_the_output(http, script, status):
    """Issue: POST as stdin, stdout as a chunked body; trailers tell how the program has ended."""
    gateway = http(*shell(script))
    answer = gateway.request("POST", "/", body=b"one\ntwo\n" * 10_000)
    assert answer.status == 200 and answer.body == b"one\ntwo\n" * 10_000
    assert answer.fields["Content-Type"] == "text/plain; charset=utf-8" and answer.fields["Cache-Control"] == "no-store"
    assert answer.fields["X-Content-Type-Options"] == "nosniff"
    assert answer.trailers[status[0]] == status[1]


def test_output_comes_while_input_is_sent(http):
    """Neither waits for the other's end."""
    gateway = http("cat")
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/", fields=[("Transfer-Encoding", "chunked")]))
        connection.send(b"4\r\none\n\r\n")
        head = b""
        while not head.endswith(b"one\n\r\n"):
            head += connection.read_some()
        connection.send(b"4\r\ntwo\n\r\n0\r\n\r\n")
        rest = connection.read_exactly(len(b"4\r\ntwo\n\r\n"))
        assert rest == b"4\r\ntwo\n\r\n"


def test_server_sent_events(http):
    """Issue: a line is an event for who asks for `text/event-stream`, and the last one tells the exit status."""
    gateway = http(*shell("cat; echo; printf \"a\\rb\\n\\377\\nlast\"; echo oops >&2; exit 3"))
    answer = gateway.request("POST", "/", fields=[("Accept", "text/event-stream")], body="one\ngrüße\r\n".encode())
    assert answer.fields["Content-Type"] == "text/event-stream"
    assert events(answer.body.decode()) == [
        ("message", "one"), ("message", "grüße"), ("message", ""), ("message", "a\nb"), ("message", "\ufffd"),
        ("message", "last"), ("exit", '{"status":3}')]


def test_errors_are_events_of_their_own(http):
    gateway = http(*shell("echo oops >&2; exec 2>&-; read x; echo fine"), options="stderr=inline")
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/", fields=[("Accept", "text/event-stream"),
                                                           ("Transfer-Encoding", "chunked")]))
        said = b""
        while b"event: stderr\ndata: oops\n\n" not in said:
            said += connection.read_some()
        connection.send(b"1\r\n\n\r\n0\r\n\r\n")
        while b"event: exit" not in said:
            said += connection.read_some()
        assert b"data: fine\n\n" in said


def test_a_quiet_event_stream_is_kept_alive(http, marked):
    """A comment shows whether the client is there: of one that has left the program ends."""
    gateway = http(*shell("exec sleep 1000"), options="ping=200ms end=100ms kill=300ms")
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/", fields=[("Accept", "text/event-stream")]) + b"")
        said = b""
        while said.count(b":\n\n") < 2:
            said += connection.read_some()
        assert marked.pids()
    marked.await_gone()


def test_a_client_that_hangs_up_ends_its_program(http, marked):
    gateway = http(*shell("echo ready; exec sleep 1000"), options="end=100ms kill=300ms")
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/"))
        said = b""
        while b"ready" not in said:
            said += connection.read_some()
        assert marked.pids()
    marked.await_gone()


@pytest.mark.parametrize("fields, status", [
    ([], 200),
    ([("Origin", "http://test:PORT")], 200),
    ([("Origin", "http://evil.example")], 403),
    ([("Origin", "null")], 403),
    ([("Origin", "https://test:PORT")], 403),
    ([("Origin", "http://friend.example")], 200),
    ([("Sec-Fetch-Site", "cross-site")], 403),
    ([("Sec-Fetch-Site", "same-site")], 403),
    ([("Sec-Fetch-Site", "same-origin")], 200),
    ([("Sec-Fetch-Site", "none")], 200),
    ([("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")], 403),
])
def test_a_form_of_a_foreign_page_runs_nothing(http, tmp_path, fields, status):
    """Issue: only with an origin that is allowed; a tool that names none, and is no browser, may."""
    ran = tmp_path / "ran"
    gateway = http(*shell(f"touch {ran}"), options="origin=friend.example")
    fields = [(name, value.replace("PORT", str(gateway.port))) for name, value in fields]
    answer = gateway.request("POST", "/", host=f"test:{gateway.port}", body=b"x=y",
                             fields=[("Content-Type", "application/x-www-form-urlencoded"), *fields])
    assert answer.status == status
    assert ran.exists() == (status == 200)
    if ("Origin", "http://friend.example") in fields:
        assert answer.fields["Access-Control-Allow-Origin"] == "http://friend.example" and answer.fields["Vary"] == "Origin"
    else:
        assert "Access-Control-Allow-Origin" not in answer.fields


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_other_method_runs_anything(http, marked, method):
    """RFC 9110 9.2.1: what is safe by its method starts nothing; an image of a foreign page is a GET."""
    gateway = http("cat")
    assert gateway.request(method, "/").status == 426
    assert not marked.pids()


def test_plain_http_knows_the_body_and_the_limits(http, marked):
    """RFC 3875 4.1.2; `limit body` and `limit sessions` as ever, and a WebSocket is still one."""
    gateway = http(*shell("echo $CONTENT_LENGTH $CONTENT_TYPE $REQUEST_METHOD; cat"),
                   block="limit body 10B ; limit sessions 1")
    answer = gateway.request("POST", "/", fields=[("Content-Type", "text/x-test")], body=b"hello")
    assert answer.body == b"5 text/x-test POST\nhello"
    assert gateway.request("POST", "/", body=b"x" * 11).status == 413
    wait_until(lambda: not marked.pids(), what="the end of the first program")

    def joined():
        with contextlib.suppress(Exception):
            return join(gateway)
    with wait_until(joined, what="a place for another session") as client:
        assert client.recv(timeout=30) == "GET"
        assert gateway.request("POST", "/", body=b"hello").status == 503


def test_a_program_that_cannot_be_started_is_502(start_gateway, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    gateway = start_gateway(site(str(program), options="http=on"))
    program.write_text("#!/no/such/interpreter\n")
    assert gateway.request("POST", "/", body=b"").status == 502


def test_plain_http_over_http2(http):
    """The same on a stream: DATA both ways, trailers at the end."""
    gateway = http(*shell("cat; exit 4"))
    with Http2(gateway.address) as client:
        stream = client.request("/", "POST", body=b"hello\n" * 1000)
        answer = client.answer(stream)
        assert answer.status == 200 and answer.body == b"hello\n" * 1000
        assert dict(answer.trailers)["exit-status"] == "4"


def test_a_terminal_is_none_for_plain_http(tmp_path):
    (tmp_path / "chimera.conf").write_text(
        ("user root\n" if ROOT else "") + f"listen 127.0.0.1:8080\nsite test {{ session {ROOT}pty=on open=on http=on -- cat }}\n")
    done = run("check", "--config", tmp_path / "chimera.conf")
    assert done.returncode != 0 and "no place there" in done.stdout + done.stderr


def test_curl_runs_a_program(http):
    """Promise: a tool that knows HTTP alone."""
    gateway = http("sort")
    done = subprocess.run(["curl", "-sSN", "--max-time", "50", "--resolve", f"test:{gateway.port}:127.0.0.1", "--data-binary",
                           "@-", f"http://test:{gateway.port}/"], input=b"b\na\n", capture_output=True)
    assert done.stdout == b"a\nb\n" and done.returncode == 0, done.stderr


# chimera connect over TLS


@pytest.fixture
def secure(start_gateway, marked, tmp_path):
    authority = tls.certify(tmp_path, "authority", authority=True)
    certificate = tls.certify(tmp_path, "localhost", "localhost", issuer=authority)

    def start(*command, options=""):
        gateway = start_gateway(
            site(*command, options=f"{marked.option} {options}").replace(
                "site test {", f"site * {{\ntls {certificate.line}"), tls.LISTEN)
        return f"wss://localhost:{tls.port(gateway)}/", authority.chain
    return start


def connect(*arguments, **options):
    return subprocess.run([BINARY, "connect", *map(str, arguments)], capture_output=True, timeout=60, **options)


@pytest.mark.parametrize("how", ["ca", "system", "insecure"])
def test_connect_over_tls(secure, how):
    """Issue: the certificate is verified, by the system's authorities or those of a file; not to do so says so."""
    url, authority = secure(*shell("cat; echo bad >&2; exit 7"))
    arguments = {"ca": ["--ca", authority], "system": [], "insecure": ["--insecure"]}[how]
    # What OpenSSL takes for the system's list.
    trusted = {"SSL_CERT_FILE": str(authority)} if how == "system" else {"SSL_CERT_FILE": "/dev/null"}
    data = os.urandom(300_000)
    done = connect(*arguments, url, input=data, env={**os.environ, **trusted})
    assert done.returncode == 7, done.stderr
    assert done.stdout == data
    complaint = b"--insecure: nobody has proved to be localhost\n" if how == "insecure" else b""
    assert done.stderr == complaint + b"bad\n"


@pytest.mark.parametrize("arguments, name, said", [
    ([], "localhost", "the certificate is not trusted"),
    (["--ca", "AUTHORITY"], "127.0.0.1", "the certificate is not trusted: IP address mismatch"),
    (["--ca", "/none"], "localhost", "/none has no certificates"),
])
def test_connect_trusts_nobody_without_proof(secure, marked, arguments, name, said):
    url, authority = secure("cat")
    arguments = [authority if argument == "AUTHORITY" else argument for argument in arguments]
    done = connect(*arguments, url.replace("localhost", name), input=b"",
                   env={**os.environ, "SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/none"})
    assert done.returncode == 3 and said in done.stderr.decode(), done.stderr
    assert not marked.pids()


def test_connect_over_tls_to_what_has_none(start_gateway):
    gateway = start_gateway("site * { respond 200 }")
    done = connect("--insecure", f"wss://localhost:{gateway.port}/", input=b"")
    assert done.returncode == 3 and b"no TLS" in done.stderr, done.stderr


def test_connect_knows_that_localhost_has_names_below_it(start_gateway, marked):
    """RFC 6761 6.3: whatever the machine's resolver knows of them, as browsers do it."""
    gateway = start_gateway(site("cat", options=marked.option).replace("site test", "site live.localhost"))
    done = connect(f"ws://live.localhost:{gateway.port}/", input=b"hello")
    assert done.returncode == 0 and done.stdout == b"hello", done.stderr
