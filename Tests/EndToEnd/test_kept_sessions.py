"""Sessions whose programs do not belong to one connection: pool=, resume= and shared=. docs/sessions.md."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from rig.client import wait_until
from rig.gateway import run
from rig.http2 import ENABLE_PUSH, Http2
from rig.metrics import Metrics
from rig.sessions import ROOT, join, shell, site
from rig.websocket import KEY, REQUEST, frame

RESUME = "resume=120s"


@pytest.fixture
def session(start_gateway, marked):
    """session(*command, options=, block=): a gateway with one session; nothing of it is left when that has stopped."""
    started = []

    def start(*command, options="", block="limit sessions 200 per=client", machine="", **more):
        gateway = start_gateway(site(*command, options=f"{marked.option} {options}", block=block), machine, **more)
        started.append(gateway)
        return gateway
    yield start
    for gateway in started:
        gateway.stop()
    marked.await_gone()


class Tagged:
    """A client of chimera.json.v1, which may come back."""

    def __init__(self, gateway, token=None, position=None, target="/", host="test", **options):
        protocols = ["chimera.json.v1"]
        if token:
            protocols.append(f"chimera.resume.{token}" + ("" if position is None else f".{position}"))
        options = {"open_timeout": 60, "close_timeout": 30, "compression": None, "legacy": True, **options}
        self.client = connect(f"ws://{host}:{gateway.port}{target}", sock=socket.create_connection(gateway.address),
                              proxy=None, subprotocols=protocols, **options)
        assert self.client.subprotocol == "chimera.json.v1"
        self.position = None
        self.lost = []
        self.said = {"stdout": "", "stderr": ""}
        self.start = None

    def began(self):
        """Waits for the first message."""
        self.start = self.next()
        assert self.start["type"] == "start"
        self.position = self.start.get("position")
        return self

    def next(self):
        message = json.loads(self.client.recv(timeout=40))
        self.position = message.get("position", self.position)
        if message["type"] == "lost":
            self.lost.append(message)
        if message["type"] in self.said:
            self.said[message["type"]] += message["data"]
        return message

    def until(self, end, stream="stdout"):
        """Reads until a stream's text ends so."""
        while not self.said[stream].endswith(end):
            self.next()
        return self.said[stream]

    def say(self, **message):
        self.client.send(json.dumps(message))

    def line(self, text):
        self.say(type="stdin", data=text + "\n")

    @property
    def token(self):
        return self.start["resume"]

    def vanish(self):
        """Goes without a word."""
        with contextlib.suppress(OSError):
            self.client.socket.shutdown(socket.SHUT_RDWR)
        self.client.socket.close()


def closed_by(client) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.recv(timeout=40)
    assert closed.value.rcvd is not None, "the connection ended without a Close"
    return closed.value.rcvd.code, closed.value.rcvd.reason


def unattended(gateway) -> list[dict]:
    """The sessions whose programs have no client now."""
    done = gateway.command("sessions", "--json")
    assert done.returncode == 0, done.stderr
    return [entry for entry in map(json.loads, done.stdout.splitlines()[:-1]) if entry["client"] == "-"]


def await_unattended(gateway, count=1):
    wait_until(lambda: len(unattended(gateway)) == count, what=f"{count} programs without a client", within=40)


# Coming back


def test_a_program_survives_its_connection(session, marked):
    """Promise: the program survives a lost connection, and goes on where it was."""
    gateway = session("cat", options=RESUME)
    first = Tagged(gateway).began()
    assert len(first.token) == 40 and first.start["resumed"] is False and first.position == 0
    first.line("one")
    assert first.until("one\n") == "one\n"
    process, position = first.start["process"], first.position
    assert position == 4
    first.vanish()
    await_unattended(gateway)
    second = Tagged(gateway, first.token, position).began()
    assert second.start["resumed"] is True and second.start["process"] == process
    assert second.token == first.token and second.position == position
    second.line("two")
    assert second.until("two\n") == "two\n" and second.position == 8
    assert not second.lost
    second.client.close()
    marked.await_gone()


def test_missed_output_is_replayed(session):
    """Promise: what was written while nobody was there comes first; a page that has lost all gets all that is kept."""
    gateway = session(*shell("read go; echo before; read more; echo after; cat"), options=RESUME)
    first = Tagged(gateway).began()
    first.line("go")
    first.until("before\n")
    position = first.position
    # The answer to this is written to nobody.
    first.line("more")
    first.vanish()
    await_unattended(gateway)
    wait_until(lambda: unattended(gateway)[0]["octets_out"] == 13, what="the output")
    second = Tagged(gateway, first.token, position).began()
    assert second.until("after\n") == "after\n" and not second.lost
    second.vanish()
    third = Tagged(gateway, first.token).began()
    assert third.until("after\n") == "before\nafter\n" and not third.lost
    third.client.close()


def test_what_has_no_room_is_told_as_lost(session):
    """Promise: overflow is told, not hidden; and the program is not held up by it."""
    gateway = session(*shell("read go; seq 100000; echo ready; cat"), options=f"{RESUME} replay=4KiB")
    whole = sum(len(str(n)) + 1 for n in range(1, 100001)) + len("ready\n")
    first = Tagged(gateway).began()
    first.vanish()
    await_unattended(gateway)
    second = Tagged(gateway, first.token, 0).began()
    second.line("go")
    second.vanish()
    wait_until(lambda: [e["octets_out"] for e in unattended(gateway)] == [whole], what="all the output", within=60)
    third = Tagged(gateway, first.token, 0).began()
    text = third.until("ready\n")
    lost, = third.lost
    assert lost["octets"] == whole - 4096 and lost["position"] == lost["octets"]
    assert len(text) == 4096 and third.position == whole
    third.client.close()


def test_a_close_with_1000_is_the_end(session, marked):
    """A client that says that all is done means it; one that goes away may come back."""
    gateway = session("cat", options=RESUME)
    leaving = Tagged(gateway).began()
    leaving.client.close(1001)
    await_unattended(gateway)
    done = Tagged(gateway).began()
    done.client.close(1000)
    marked.await_count(1)
    assert closed_by(Tagged(gateway, done.token).client) == (4400, "no such session")
    back = Tagged(gateway, leaving.token).began()
    back.client.close()


def test_nobody_comes_in_time(session, marked):
    gateway = session("cat", options="resume=1s")
    first = Tagged(gateway).began()
    first.vanish()
    marked.await_gone()
    assert closed_by(Tagged(gateway, first.token).client)[0] == 4400


def test_the_last_client_has_it(session):
    """Promise: one client at a time; who comes second takes over."""
    gateway = session("cat", options=RESUME)
    first = Tagged(gateway).began()
    second = Tagged(gateway, first.token).began()
    assert closed_by(first.client) == (4401, "another client took over")
    second.line("mine")
    assert second.until("mine\n") == "mine\n"
    second.client.close()


def test_the_end_waits_for_who_comes_back(session):
    """A program that ends while its client is away is gone; one that ends while it is there says how."""
    gateway = session(*shell("read x; exit 7"), options=RESUME)
    first = Tagged(gateway).began()
    first.vanish()
    second = Tagged(gateway, first.token).began()
    second.line("end")
    messages = []
    while not messages or messages[-1]["type"] != "exit":
        messages.append(second.next())
    assert messages[-1]["status"] == 7
    assert closed_by(second.client)[0] == 4007
    assert closed_by(Tagged(gateway, first.token).client)[0] == 4400


def test_both_streams_come_back_in_their_order(session):
    gateway = session(*shell("read x; echo one; echo two >&2; echo three; cat"), options=RESUME)
    first = Tagged(gateway).began()
    first.line("x")
    first.vanish()
    await_unattended(gateway)
    wait_until(lambda: unattended(gateway)[0]["octets_out"] == 14, what="the output")
    second = Tagged(gateway, first.token).began()
    while len(second.said["stdout"]) < 10 or len(second.said["stderr"]) < 4:
        second.next()
    assert second.said == {"stdout": "one\nthree\n", "stderr": "two\n"}
    second.client.close()


def test_input_can_end_for_a_program_that_is_kept(session, marked):
    """Also the supervisor's copy of the pipe is closed, else there would be no end."""
    gateway = session(*shell("cat; echo over; sleep 1000"), options=RESUME)
    client = Tagged(gateway).began()
    client.line("one")
    client.until("one\n")
    client.say(type="eof")
    assert client.until("over\n") == "one\nover\n"
    client.client.close()
    marked.await_gone()


@pytest.mark.parametrize("field", ["site", "route", "option", "nothing"])
def test_a_token_is_bound_to_its_session(start_gateway, marked, field):
    """Promise: bound to site and route; what does not fit starts no program either."""
    def routes(*patterns):
        return "\n".join(f"{p} session {ROOT}{marked.option} {RESUME if p != '/plain' else ''} -- cat" for p in patterns)
    gateway = start_gateway(f"site test {{\n{routes('/one', '/two', '/plain')}\n}}\nsite other {{\n{routes('/one')}\n}}")
    first = Tagged(gateway, target="/one").began()
    token = "0" * 40 if field == "nothing" else first.token
    other = Tagged(gateway, token, target={"route": "/two", "option": "/plain"}.get(field, "/one"),
                   host="other" if field == "site" else "test")
    assert closed_by(other.client) == (4400, "no such session")
    marked.await_count(1)
    first.line("still mine")
    assert first.until("still mine\n")
    first.client.close()
    marked.await_gone()


def test_a_token_is_bound_to_its_user(start_gateway, marked):
    gateway = start_gateway(site("cat", options=f"{marked.option} {RESUME}", block="auth basic users"), start=False)
    (gateway.directory / "conf.d").mkdir(parents=True)
    (gateway.directory / "conf.d/users").write_text(password_file("anna", "bert"))
    gateway.start()
    first = Tagged(gateway, additional_headers=basic("anna")).began()
    assert closed_by(Tagged(gateway, first.token, additional_headers=basic("bert")).client)[0] == 4400
    again = Tagged(gateway, first.token, additional_headers=basic("anna")).began()
    assert again.start["process"] == first.start["process"]
    again.client.close()
    marked.await_gone()


def basic(user):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()}


def password_file(*users):
    hashed = subprocess.run(["openssl", "passwd", "-6", "secret"], capture_output=True, text=True,
                            check=True).stdout.strip()
    return "".join(f"{user}:{hashed}\n" for user in users)


def test_a_bare_client_comes_back_with_a_field(session):
    """The token is in the answer's head; what was lost before it is told there too."""
    gateway = session(*shell("read x; seq 10000; echo ready; cat"), options=f"{RESUME} replay=4KiB framing=raw")
    first = join(gateway)
    token = first.response.headers["Chimera-Resume"]
    assert "Chimera-Lost" not in first.response.headers
    first.send("go\n")
    first.socket.shutdown(2)
    first.socket.close()
    whole = sum(len(str(n)) + 1 for n in range(1, 10001)) + len("ready\n")
    await_unattended(gateway)
    wait_until(lambda: unattended(gateway)[0]["octets_out"] == whole, what="all the output", within=60)
    second = join(gateway, additional_headers={"Chimera-Resume": token})
    assert second.response.headers["Chimera-Resume"] == token
    assert int(second.response.headers["Chimera-Lost"]) == whole - 4096
    said = b""
    while not said.endswith(b"ready\n"):
        said += second.recv(timeout=40)
    assert len(said) == 4096
    second.close()
    third = join(gateway, additional_headers={"Chimera-Resume": "no token"})
    assert closed_by(third)[0] == 4400


def test_the_token_is_in_no_log_and_no_environment(session):
    gateway = session(*shell("env; echo ready; cat"), options=RESUME)
    first = Tagged(gateway).began()
    assert first.token not in first.until("ready\n")
    second = Tagged(gateway, first.token).began()
    second.client.close()
    assert not any(first.token in json.dumps(record) for record in gateway.records(2))
    assert first.token not in gateway.stderr


def test_a_terminal_comes_back(session):
    """A shell on a terminal, as it is meant: the screen's last output is replayed."""
    gateway = session(*shell("echo ready; cat"), options=f"{RESUME} pty=on open=on")
    first = Tagged(gateway).began()
    first.until("ready\r\n")
    first.vanish()
    second = Tagged(gateway, first.token).began()
    assert second.until("ready\r\n") == "ready\r\n"
    second.line("typed")
    assert second.until("typed\r\ntyped\r\n")
    second.client.close()


def test_over_http2(session):
    """RFC 8441: a token works over both protocols, whichever the program was started by."""
    gateway = session("cat", options=RESUME)
    first = Tagged(gateway).began()
    first.line("one")
    first.until("one\n")
    position = first.position
    first.vanish()
    with Http2(gateway.address, (ENABLE_PUSH, 0)) as client:
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"),
                  (":authority", "test"), ("sec-websocket-version", "13"),
                  ("sec-websocket-protocol", f"chimera.json.v1, chimera.resume.{first.token}.{position}")]
        stream = client.head(fields, end=False)
        answer = client.answers[stream]
        client.until(lambda: answer.status)
        assert answer.status == 200 and dict(answer.fields)["sec-websocket-protocol"] == "chimera.json.v1"
        client.body(stream, frame(json.dumps({"type": "stdin", "data": "two\n"}).encode(), key=KEY), end=False)
        client.until(lambda: b'"two\\n"' in bytes(answer.body) or b"two" in bytes(answer.body))
        assert b'"resumed":true' in bytes(answer.body)
        client.body(stream, frame(b"\x03\xe8", opcode=8, key=KEY), end=False)
        client.until(lambda: answer.ended)


def test_backpressure_is_the_client_s_as_long_as_it_is_there(session, marked):
    """Nothing is lost for a client that is slow and alone."""
    gateway = session(*shell("seq 300000; echo ready; cat"), options=f"{RESUME} replay=4KiB")
    client = Tagged(gateway).began()
    text = client.until("ready\n")
    assert text == "".join(f"{n}\n" for n in range(1, 300001)) + "ready\n" and not client.lost
    client.client.close()


def test_a_flood_for_nobody_takes_no_memory(session, marked):
    """A program that writes all the time goes on without its client, and what is kept of it stays bounded."""
    gateway = session("yes", options=RESUME)
    before = gateway.vitals.resident
    first = Tagged(gateway).began()
    first.vanish()
    await_unattended(gateway)
    wait_until(lambda: unattended(gateway)[0]["octets_out"] > 20_000_000, what="the flood", within=120)
    assert gateway.vitals.resident - before < 8 << 20
    second = Tagged(gateway, first.token, 0).began()
    while not second.said["stdout"]:
        second.next()
    assert second.lost[0]["octets"] > 10_000_000
    # A Close would wait behind what this client does not read; the program ends with the gateway.
    second.vanish()


def test_limits_count_programs_that_wait_for_their_clients(session):
    gateway = session("cat", options=RESUME, block="limit sessions 1 per=client")
    first = Tagged(gateway).began()
    first.vanish()
    await_unattended(gateway)
    with pytest.raises(InvalidStatus) as refused:
        join(gateway)
    assert refused.value.response.status_code == 503
    second = Tagged(gateway, first.token).began()
    second.client.close()


def test_the_operator_ends_a_program_without_a_client(session, marked):
    gateway = session("cat", options=RESUME)
    first = Tagged(gateway).began()
    first.vanish()
    await_unattended(gateway)
    entry, = unattended(gateway)
    assert entry["ownership"] == "resumable" and entry["process"] == first.start["process"]
    assert gateway.command("sessions", "end", entry["id"]).returncode == 0
    marked.await_gone()


# Across data planes


def test_a_crash_of_the_data_plane_loses_output_and_says_so(session):
    """Issue: a death of the data plane never ends a session with resume; a crash loses the replay buffer."""
    gateway = session("cat", options=RESUME)
    gateway.may_crash = True
    first = Tagged(gateway).began()
    first.line("one")
    first.until("one\n")
    os.kill(gateway.pid, signal.SIGKILL)
    second = come_back(gateway, first, first.position)
    assert second.start["resumed"] is True and second.start["process"] == first.start["process"]
    second.line("two")
    second.until("two\n")
    lost, = second.lost
    assert "octets" not in lost and lost["position"] > 4
    position = second.position
    second.vanish()
    third = Tagged(gateway, first.token, position).began()
    third.line("three")
    assert third.until("three\n") == "three\n" and not third.lost
    third.client.close(1000)


def come_back(gateway, client, position=None):
    """The same client at whatever serves now."""
    client.vanish()

    def again():
        with contextlib.suppress(OSError, InvalidStatus, EOFError, ConnectionClosed):
            return Tagged(gateway, client.token, position).began()
    return wait_until(again, what="the session at another data plane", within=60, every=0.2)


def test_after_a_crash_input_still_ends(session, marked):
    """No copy of the pipe stays open in the supervisor."""
    gateway = session(*shell("cat; echo over; sleep 1000"), options=RESUME)
    gateway.may_crash = True
    first = Tagged(gateway).began()
    os.kill(gateway.pid, signal.SIGKILL)
    second = come_back(gateway, first)
    second.say(type="eof")
    second.until("over\n")
    # Once more, with an input that has ended.
    os.kill(gateway.pid, signal.SIGKILL)
    third = come_back(gateway, second)
    third.client.close(1000)
    marked.await_gone()


@pytest.mark.parametrize("what", ["upgrade", "crash"])
def test_programs_of_another_data_plane_count_in_limits(session, marked, what):
    """docs/sessions.md: a program whose client is away keeps its place in `limit sessions`, whoever serves it."""
    gateway = session("cat", options=RESUME, block="limit sessions 1")
    first = Tagged(gateway).began()
    if what == "upgrade":
        gateway.upgrade()
    else:
        gateway.may_crash = True
        os.kill(gateway.pid, signal.SIGKILL)
    back = come_back(gateway, first)
    with pytest.raises(InvalidStatus) as refused:
        join(gateway)
    assert refused.value.response.status_code == 503
    back.client.close(1000)

    def again():
        with contextlib.suppress(InvalidStatus):
            return join(gateway)
    with wait_until(again, within=40, what="the place of a program that has ended") as client:
        client.send("here")
        assert client.recv(timeout=30) == "here"


def test_an_upgrade_hands_the_input_over(session, tmp_path):
    """What the client has said and the program has not read is the next data plane's to write."""
    go = tmp_path / "go"
    gateway = session(*shell(f"while ! test -e {go}; do sleep 0.1; done; head -c 200000 | wc -c; cat"), options=RESUME)
    first = Tagged(gateway).began()
    # More than a pipe holds, than the gateway keeps for it, and then some.
    said = [json.dumps({"type": "stdin", "data": "x" * 99_999 + "\n"})] * 2
    for message in said:
        first.client.send(message)
    wait_until(lambda: octets_in(gateway) == sum(map(len, said)), within=40, what="all that was said")
    gateway.upgrade()
    back = come_back(gateway, first)
    go.touch()
    back.until("200000\n")
    back.line("one")
    back.until("one\n")
    # The end of input goes over as well.
    back.say(type="eof")
    while back.next()["type"] != "exit":
        pass


def octets_in(gateway) -> int:
    done = gateway.command("sessions", "--json")
    assert done.returncode == 0, done.stderr
    return sum(entry["octets_in"] for entry in map(json.loads, done.stdout.splitlines()[:-1]))


def test_an_end_of_input_that_waits_goes_over_an_upgrade(session, tmp_path):
    go = tmp_path / "go"
    gateway = session(*shell(f"while ! test -e {go}; do sleep 0.1; done; wc -c; echo over; sleep 1000"), options=RESUME)
    first = Tagged(gateway).began()
    said = [json.dumps(message) for message in ({"type": "stdin", "data": "x" * 99_999 + "\n"}, {"type": "eof"})]
    for message in said:
        first.client.send(message)
    wait_until(lambda: octets_in(gateway) == sum(map(len, said)), within=40, what="all that was said")
    gateway.upgrade()
    back = come_back(gateway, first)
    go.touch()
    assert back.until("over\n").endswith("100000\nover\n")
    back.client.close(1000)


def test_a_life_ends_without_a_client_too(session, marked):
    """`life=` counts from the program's start, whether anybody is there or not."""
    gateway = session("cat", options=f"{RESUME} life=2s end=100ms")
    first = Tagged(gateway).began()
    first.vanish()
    marked.await_gone()


@pytest.mark.parametrize("token", ["x", "0" * 39, "0" * 41, "0" * 40 + ".x", "z" * 40])
def test_what_is_no_token_starts_no_program(session, marked, token):
    """4400, as for one that is worth nothing: who comes back must not get another program."""
    gateway = session("cat", options=RESUME)
    client = Tagged(gateway, token)
    assert closed_by(client.client)[0] == 4400
    assert marked.pids() == []


def test_a_bare_client_gets_no_rest_of_a_line(session):
    """A line is a message: one whose beginning has no room any more is lost as a whole."""
    gateway = session(*shell("head -c 3000 /dev/zero | tr \"\\0\" x; echo; echo second; read a; echo $a"),
                      options=f"{RESUME} replay=1KiB")
    with gateway.connect() as connection:
        connection.send(REQUEST.replace(b"/chat", b"/"))
        response = connection.response()
        token = response.fields["Chimera-Resume"]
        connection.reset()
    await_unattended(gateway)
    wait_until(lambda: octets_out(gateway) >= 3008, within=40, what="all of the output")
    with join(gateway, additional_headers={"Chimera-Resume": token}) as client:
        assert client.response.headers["Chimera-Lost"] == "3001"
        assert client.recv(timeout=30) == "second"
        client.send("third")
        assert client.recv(timeout=30) == "third"


def octets_out(gateway) -> int:
    return sum(entry["octets_out"] for entry in unattended(gateway))


def test_an_upgrade_hands_the_buffer_over(session):
    """Issue: an upgrade never ends a session with resume."""
    gateway = session("cat", options=RESUME)
    away, here = Tagged(gateway).began(), Tagged(gateway).began()
    for client in (away, here):
        client.line("one")
        client.until("one\n")
    away.vanish()
    await_unattended(gateway)
    gateway.upgrade()
    # One that the old data plane has handed over by itself, and one that it still serves.
    for client in (away, here):
        back = come_back(gateway, client)
        assert back.until("one\n") == "one\n" and not back.lost
        assert back.start["process"] == client.start["process"]
        back.line("two")
        back.until("two\n")
        assert back.position == 8
        back.client.close(1000)


@pytest.mark.parametrize("what", ["reload", "upgrade", "crash"])
def test_a_hundred_sessions_live_through(session, marked, what):
    """Issue: reload and upgrade with 100 sessions open; here all of them come back."""
    gateway = session("cat", options=RESUME)
    clients = [Tagged(gateway).began() for _ in range(100)]
    for number, client in enumerate(clients):
        client.line(f"{number}")
    for number, client in enumerate(clients):
        client.until(f"{number}\n")
    if what == "reload":
        gateway.reload(gateway.sites.replace("per=client", "per=client ; limit sessions 201"))
    elif what == "upgrade":
        gateway.upgrade()
    else:
        gateway.may_crash = True
        os.kill(gateway.pid, signal.SIGKILL)
    for number, client in enumerate(clients):
        back = come_back(gateway, client, client.position)
        assert back.start["process"] == client.start["process"]
        back.line(f"again {number}")
        back.until(f"again {number}\n")
        assert bool(back.lost) == (what == "crash")
        back.client.close(1000)
    marked.await_gone()


def test_nothing_is_left_where_the_supervisor_dies(session, marked):
    """Issue: no orphan remains, also of sessions that are kept."""
    gateway = session("cat", options=RESUME)
    gateway.may_crash, gateway.expected_exit = True, {-signal.SIGKILL}
    first, second = Tagged(gateway).began(), Tagged(gateway).began()
    first.vanish()
    await_unattended(gateway)
    gateway.process.kill()
    gateway.process.wait()
    marked.await_gone()
    second.vanish()


# A pool


def test_programs_wait_for_clients(session, marked):
    """Promise: warm processes waiting; one that is taken is replaced."""
    gateway = session(*shell("echo $$; exec cat"), options="pool=2")
    waiting = set(marked.await_count(2))
    with join(gateway) as one:
        first = int(one.recv(timeout=30))
        assert first in waiting
        one.send("hello")
        assert one.recv(timeout=30) == "hello"
        wait_until(lambda: len(set(marked.pids()) - {first}) >= 2, what="a full pool")
    gateway.assert_alive()


def test_a_program_that_waits_knows_its_route_and_no_request(session, marked):
    gateway = session(*shell("env; echo ready; cat"), options="pool=1 env=GREETING=hello")
    marked.await_count(2)
    with join(gateway, "/some/path?query", additional_headers={"X-Custom": "yes"}) as client:
        lines = []
        while not lines or lines[-1] != "ready":
            lines.append(client.recv(timeout=30))
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    assert found["CHIMERA_TENANT"] == "test" and found["CHIMERA_SITE"] == "test" and found["CHIMERA_ROUTE"] == "/*"
    assert found["GREETING"] == "hello" and found["CHIMERA_SESSION"]
    assert "REMOTE_ADDR" not in found and "HTTP_X_CUSTOM" not in found and "REQUEST_URI" not in found


def test_the_request_can_be_the_first_line(session):
    gateway = session("cat", options="pool=1 request=line")
    with join(gateway, "/some/path?query", additional_headers={"X-Custom": "yes"}) as client:
        facts = json.loads(client.recv(timeout=30))
        assert facts["REQUEST_URI"] == "/some/path?query" and facts["HTTP_X_CUSTOM"] == "yes"
        assert facts["REMOTE_ADDR"] == "127.0.0.1" and facts["REQUEST_METHOD"] == "GET" and "PATH" not in facts
        client.send("hello")
        assert client.recv(timeout=30) == "hello"


def test_a_program_that_died_waiting_is_given_to_nobody(session, marked):
    gateway = session("cat", options="pool=2")
    killed = marked.await_count(2)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    # The signal is sent, and the end comes a moment later.
    wait_until(lambda: not set(killed) & set(marked.pids()), within=40, what="the end of both")
    with join(gateway) as client:
        client.send("alive")
        assert client.recv(timeout=30) == "alive"
    gateway.await_stderr("a program ended while it waited for a client")


def test_a_pool_of_programs_that_die_at_once_backs_off(start_gateway, marked, tmp_path):
    """A log line, a metric, and more and more time between the tries."""
    starts = tmp_path / "starts"
    metrics = Metrics(start_gateway, site(*shell(f"echo x >> {starts}; exit 3"), options=f"{marked.option} pool=4"))
    began = time.monotonic()
    wait_until(lambda: metrics.value("chimera_pool_deaths_total") >= 4, what="deaths in the pool", within=60)
    metrics.gateway.await_stderr("a program ended while it waited for a client")
    # The waits are 200, 400, 800 ms and so on at least: so many starts cannot have been there before.
    starts_there = starts.read_text().count("x")
    assert 0.1 * (2 ** starts_there - 2) <= time.monotonic() - began + 5


def test_a_reload_replaces_who_waits(session, marked):
    gateway = session("cat", options="pool=2 env=ROUND=one")
    old = set(marked.await_count(2))
    gateway.reload(gateway.sites.replace("ROUND=one", "ROUND=two"))
    wait_until(lambda: len(set(marked.pids()) - old) == 2 and not old & set(marked.pids()), what="another pool",
               within=40)
    gateway.reload(gateway.sites.replace("pool=2", ""))
    marked.await_gone()


def test_a_pool_survives_an_upgrade_and_a_crash(session, marked):
    gateway = session("cat", options="pool=2")
    gateway.may_crash = True
    old = set(marked.await_count(2))
    gateway.upgrade()
    wait_until(lambda: not old & set(marked.pids()), what="the end of who waited", within=60)
    later = set(marked.await_count(2))
    os.kill(gateway.pid, signal.SIGKILL)
    wait_until(lambda: not later & set(marked.pids()) and len(marked.pids()) == 2, what="another pool", within=60)


def test_a_pool_and_resume_go_together(session, marked):
    gateway = session("cat", options=f"pool=1 {RESUME}")
    warm_pid, = marked.await_count(1)
    first = Tagged(gateway).began()
    assert first.start["process"] == warm_pid
    first.line("one")
    first.until("one\n")
    first.vanish()
    second = Tagged(gateway, first.token).began()
    assert second.until("one\n") and second.start["process"] == warm_pid
    second.client.close()


def test_a_pool_is_measured(start_gateway, marked):
    metrics = Metrics(start_gateway, site("cat", options=f"{marked.option} pool=1"))
    marked.await_count(1)
    with join(metrics.gateway) as client:
        client.send("hello")
        assert client.recv(timeout=30) == "hello"
        page = metrics.page()
        assert page.value("chimera_pool_requests_total", outcome="ready") == 1
        assert page.value("chimera_pool_requests_total", outcome="empty") == 0


# Shared


def test_all_clients_have_one_program(session, marked):
    """Promise: one process, its output to all clients, inputs tagged with the client."""
    gateway = session("cat", options="shared=on")
    with join(gateway) as one, join(gateway) as other:
        one.send("hello")
        said = one.recv(timeout=30)
        number, text = said.split(" ", 1)
        assert text == "hello" and number.isdigit()
        assert other.recv(timeout=30) == said
        other.send("two\nlines")
        answers = [one.recv(timeout=30), one.recv(timeout=30)]
        assert [answer.split(" ", 1)[1] for answer in answers] == ["two", "lines"]
        assert len({answer.split(" ", 1)[0] for answer in answers} | {number}) == 2
        assert [other.recv(timeout=30), other.recv(timeout=30)] == answers
        assert len(marked.pids()) == 1


def test_many_clients_on_all_workers_share_it(session, marked):
    gateway = session("cat", options="shared=on tag=off")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(join(gateway)) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(f"from {number}")
            for each in clients:
                assert each.recv(timeout=30) == f"from {number}"
        assert len(marked.pids()) == 1


def test_clients_come_and_go_as_json(session):
    gateway = session("cat", options="shared=on tag=json")
    with join(gateway, "/room?x", additional_headers={"X-Name": "anna"}) as one:
        first = json.loads(one.recv(timeout=30))
        assert first["type"] == "open" and first["request"]["HTTP_X_NAME"] == "anna"
        assert first["request"]["REQUEST_URI"] == "/room?x" and "PATH" not in first["request"]
        one.send("hello")
        assert json.loads(one.recv(timeout=30)) == {"client": first["client"], "type": "message", "data": "hello"}
        one.send(b"\xff")
        assert json.loads(one.recv(timeout=30)) == {"client": first["client"], "type": "message", "base64": "/w=="}
        with join(gateway) as other:
            second = json.loads(one.recv(timeout=30))
            assert second["type"] == "open" and second["client"] != first["client"]
            assert json.loads(other.recv(timeout=30)) == second
        assert json.loads(one.recv(timeout=30)) == {"client": second["client"], "type": "close"}


def test_a_shared_program_is_no_single_client_s(session):
    gateway = session("cat", options="shared=on")
    client = Tagged(gateway).began()
    assert "resume" not in client.start
    client.say(type="eof")
    assert client.next()["type"] == "error"
    client.say(type="signal", signal="TERM")
    assert client.next()["type"] == "error"
    client.say(type="stdin", data="hello")
    assert client.until("hello\n").split(" ")[1] == "hello\n"
    client.client.close()


def test_it_ends_a_while_after_the_last_client(session, marked):
    gateway = session(*shell("echo $$ >&2; cat"), options="shared=on linger=200ms")
    with join(gateway) as client:
        client.send("hello")
        client.recv(timeout=30)
    marked.await_gone()
    with join(gateway) as client:
        client.send("again")
        assert client.recv(timeout=30) == "1 again", "another program counts from the beginning"


def test_its_end_is_everybody_s(session, marked):
    gateway = session(*shell("read x; exit 5"), options="shared=on")
    with join(gateway) as one, join(gateway) as other:
        one.send("end")
        assert closed_by(one)[0] == 4005 and closed_by(other)[0] == 4005


def test_it_can_start_with_the_configuration(session, marked):
    gateway = session("cat", options="shared=on start=load")
    pid, = marked.await_count(1)
    with join(gateway) as client:
        client.send("hello")
        assert client.recv(timeout=30) == "1 hello"
        os.kill(pid, signal.SIGKILL)
        assert closed_by(client)[0] == 4309
    again, = marked.await_count(1)
    assert again != pid
    gateway.reload(gateway.sites.replace("start=load", "start=load env=ROUND=two"))
    wait_until(lambda: len(marked.pids()) == 1 and again not in marked.pids(), what="the new one alone", within=40)
    gateway.reload(gateway.sites.replace("start=load env=ROUND=two", ""))
    marked.await_gone()


def test_a_shared_program_that_dies_at_once_backs_off(session, marked):
    gateway = session(*shell("exit 9"), options="shared=on start=load")
    gateway.await_stderr("a program for all clients ended soon after its start")
    gateway.assert_alive()


FLOOD = r'while read n x; do head -c 20000000 /dev/zero | tr "\0" x | fold -w 1000; echo; echo end; done'
"""More than all buffers between a program and a client that does not read."""


def drain_flood(client):
    client.send("go")
    while client.recv(timeout=60) != "end":
        pass


def test_a_slow_client_holds_nobody_up(session, marked):
    """Promise: slow clients are bounded, and cut off where they cannot be told."""
    gateway = session(*shell(FLOOD), options="shared=on")
    with gateway.connect(receive_buffer=4096) as slow, join(gateway) as client:
        slow.send(REQUEST.replace(b"/chat", b"/"))
        assert slow.response().status == 101
        drain_flood(client)
        # What was on its way comes, and then it is told why no more does.
        data = b""
        while b"too slow" not in data:
            piece = slow.socket.recv(65536)
            assert piece, "the connection ended without a Close"
            data = data[-100:] + piece
        assert b"\x11\x32too slow" in data, "4402"
    gateway.assert_alive()


def test_a_slow_client_that_can_be_told_skips(session):
    gateway = session(*shell(FLOOD), options="shared=on")
    slow = Tagged(gateway, max_queue=1)
    with join(gateway) as client:
        drain_flood(client)
    slow.began()
    while not slow.lost:
        slow.next()
    assert slow.lost[0]["octets"] > 0
    slow.vanish()


def test_a_shared_program_that_does_not_read_is_said_so(start_gateway, marked):
    """A client that cannot be heard gets 503; the log and the metrics tell why."""
    metrics = Metrics(start_gateway, site("sleep", "1000", options=f"{marked.option} shared=on end=100ms kill=300ms"))
    with metrics.gateway.connect() as full:
        full.send(REQUEST.replace(b"/chat", b"/"))
        assert full.response().status == 101
        # A pipe, and what waits behind it.
        full.send(frame(b"x" * 60_000, key=KEY) * 5)

        def refused():
            try:
                join(metrics.gateway).close()
            except InvalidStatus as error:
                return error
        assert wait_until(refused, within=40, what="a program that is full").response.status_code == 503
        record, = metrics.gateway.records(1, where=lambda record: record["status"] == 503)
        assert record["limit"] == "program-input"
        metrics.expect(1, "chimera_limit_hits_total", limit="program-input")
        full.reset()
    marked.await_gone()


def test_the_operator_sees_and_ends_a_shared_program(session, marked):
    gateway = session("cat", options="shared=on")
    with join(gateway) as one, join(gateway) as other:
        for client in (one, other):
            client.send("here")
            while not client.recv(timeout=30).endswith("here"):
                pass
        listed = [json.loads(line) for line in gateway.command("sessions", "--json").stdout.splitlines()]
        assert [entry["ownership"] for entry in listed[:-1]] == ["shared", "shared"]
        assert len({entry["id"] for entry in listed[:-1]}) == 1
        assert gateway.command("sessions", "end", listed[0]["id"]).returncode == 0
        assert closed_by(one)[0] == 1001 and closed_by(other)[0] == 1001


def test_a_shared_program_over_a_crash_is_another_one(session, marked):
    gateway = session("cat", options="shared=on")
    gateway.may_crash = True
    with join(gateway) as client:
        client.send("one")
        assert client.recv(timeout=30) == "1 one"
        old, = marked.pids()
        os.kill(gateway.pid, signal.SIGKILL)
        with contextlib.suppress(ConnectionClosed):
            client.recv(timeout=40)

    def again():
        with contextlib.suppress(OSError, InvalidStatus, EOFError, ConnectionClosed):
            return join(gateway)
    with wait_until(again, what="another data plane", within=60, every=0.2) as client:
        client.send("two")
        assert client.recv(timeout=30) == "1 two"
        wait_until(lambda: old not in marked.pids(), what="the end of the old one")


# What does not go together


@pytest.mark.parametrize("options, message", [
    ("shared=on resume=5m", "`resume=` does not go with `shared=`"),
    ("shared=on pool=2", "`pool=` does not go with `shared=`"),
    ("shared=on pty=on open=on", "`pty=` does not go with `shared=`"),
    ("resume=5m framing=length", "`framing=length` does not go with `resume=`"),
    ("shared=on framing=length", "`framing=length` does not go with `shared=`"),
    ("shared=on request=line", "`request=` does not go with `shared=`"),
    ("pty=on open=on request=line", "`request=` does not go with `pty=`"),
    ("shared=on start=load linger=5s", "`linger=` does not go with `start=load`"),
    ("tag=json", "`tag=` is for `shared=on`"), ("start=load", "`start=` is for `shared=on`"),
    ("linger=5s", "`linger=` is for `shared=on`"), ("replay=1MiB", "`replay=` is for `resume=`"),
    ("resume=5m replay=1GiB", "between 1KiB and 16MiB"), ("resume=5d", "between 1s and 24h"),
    ("pool=1000", "between 1 and 64"),
])
def test_what_does_not_go_together_is_said_at_check_time(tmp_path, options, message):
    (tmp_path / "chimera.conf").write_text(f"listen 127.0.0.1:1\nsite test {{ session {options} -- cat }}\n")
    done = run("check", "--config", tmp_path / "chimera.conf")
    assert done.returncode == 1 and message in done.stderr, done.stderr
