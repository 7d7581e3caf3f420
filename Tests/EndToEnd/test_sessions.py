"""Sessions: a program for each WebSocket client. RFC 6455, RFC 3875, and docs/sessions.md."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import termios
import threading

import pytest
import wsproto.events as wsproto
from websockets.exceptions import ConnectionClosed, InvalidStatus
from wsproto import ConnectionType, WSConnection
from wsproto.extensions import PerMessageDeflate

from rig.client import request_bytes, wait_until
from rig.gateway import BINARY, run
from rig.http2 import ENABLE_PUSH, Http2
from rig.metrics import Metrics
from rig.sessions import ROOT, join, shell, site, words
from rig.websocket import KEY, REQUEST, frame


def closed_by(client) -> tuple[int, str]:
    """Reads until the server's Close, and gives its code and reason."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.recv(timeout=30)
    assert closed.value.rcvd is not None, "the connection ended without a Close"
    return closed.value.rcvd.code, closed.value.rcvd.reason


# What goes over the wire


@pytest.mark.parametrize("message", ["one", "", "grüße 😀", "x" * 200_000])
def test_a_message_is_a_line_and_a_line_is_a_message(session, message):
    """Promise: `session -- cat` gives each message back."""
    gateway = session("cat")
    with join(gateway) as client:
        for _ in range(3):
            client.send(message)
            assert client.recv(timeout=30) == message


def test_each_client_has_a_program_of_its_own(session, marked):
    gateway = session(*shell("echo $$; cat"))
    with join(gateway) as one, join(gateway) as other:
        first, second = one.recv(timeout=30), other.recv(timeout=30)
        assert first != second
        assert {int(first), int(second)} <= set(marked.pids())
        one.send("for one")
        other.send("for the other")
        assert one.recv(timeout=30) == "for one" and other.recv(timeout=30) == "for the other"


def test_many_messages_keep_their_order(session):
    gateway = session("cat")
    with join(gateway) as client:
        sender = threading.Thread(target=lambda: [client.send(f"message {n}") for n in range(3000)])
        sender.start()
        assert [client.recv(timeout=30) for _ in range(3000)] == [f"message {n}" for n in range(3000)]
        sender.join(30)


def test_compression_is_agreed_to(session):
    """RFC 7692: with a client that offers it, and a program that knows nothing of it."""
    gateway = session("cat")
    with join(gateway, compression="deflate") as client:
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        for message in ("x" * 50_000, "short", "grüße " * 1000):
            client.send(message)
            assert client.recv(timeout=30) == message


def test_compression_can_be_declined(session):
    gateway = session("cat", options="deflate=off")
    with join(gateway, compression="deflate") as client:
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        client.send("x" * 5000)
        assert client.recv(timeout=30) == "x" * 5000


def test_raw_framing_passes_octets_on(session):
    gateway = session("cat", options="framing=raw")
    data = bytes(range(256)) * 40
    with join(gateway) as client:
        client.send(data)
        got = b""
        while len(got) < len(data):
            piece = client.recv(timeout=30)
            assert isinstance(piece, bytes)
            got += piece
        assert got == data


def test_length_framing_keeps_the_bounds_of_messages(session):
    gateway = session("cat", options="framing=length")
    messages = [b"", bytes(range(256)), b"x" * 100_000]
    with join(gateway) as client:
        for message in messages:
            client.send(message)
        assert [client.recv(timeout=30) for _ in messages] == messages


def test_a_message_past_the_bound_is_1009(session):
    """RFC 6455 7.4.1."""
    gateway = session("cat", options="message=1KiB")
    with join(gateway) as client:
        client.send("x" * 1024)
        assert client.recv(timeout=30) == "x" * 1024
        client.send("x" * 1025)
        assert closed_by(client)[0] == 1009


def test_text_that_is_none_is_1007(session):
    """RFC 6455 8.1."""
    gateway = session("cat")
    with gateway.connect() as connection:
        connection.send(REQUEST.replace(b"/chat", b"/"))
        assert connection.response().status == 101
        connection.send(frame(b"\xff\xfe", key=KEY))
        assert connection.read_exactly(4) == b"\x88\x02\x03\xef"


def test_what_is_no_text_reaches_the_client_as_text(session):
    """RFC 6455 8.1: what a program writes is mended, since the client would have to end the connection."""
    gateway = session(*shell("printf 'a\\377b\\n'; cat".replace("'", '"')))
    with join(gateway) as client:
        assert client.recv(timeout=30) == "a\ufffdb"


def test_stderr_goes_to_the_log(session):
    gateway = session(*shell("echo a complaint >&2; echo fine; cat"))
    with join(gateway) as client:
        assert client.recv(timeout=30) == "fine"
        assert "tenant=test" in gateway.await_stderr("program: a complaint")


def test_stderr_can_reach_the_client(session):
    gateway = session(*shell("echo a complaint >&2; cat"), options="stderr=inline")
    with join(gateway) as client:
        assert client.recv(timeout=30) == "a complaint"
        client.send("and an answer")
        assert client.recv(timeout=30) == "and an answer"


# The environment


def test_the_program_knows_its_request(session):
    """RFC 3875 4.1."""
    gateway = session("env", options="env=GREETING=hello", block="")
    with join(gateway, "/some/path?a=b&c", additional_headers={"X-Custom": "yes", "Proxy": "evil"}) as client:
        lines = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                lines.append(client.recv(timeout=30))
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    assert found["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert found["SERVER_PROTOCOL"] == "HTTP/1.1" and found["REQUEST_METHOD"] == "GET"
    assert found["SERVER_NAME"] == "test" and found["SERVER_PORT"] == str(gateway.port)
    assert found["SCRIPT_NAME"] == "" and found["PATH_INFO"] == "/some/path"
    assert found["QUERY_STRING"] == "a=b&c" and found["REQUEST_URI"] == "/some/path?a=b&c"
    assert found["REMOTE_ADDR"] == "127.0.0.1" and int(found["REMOTE_PORT"]) > 0
    assert found["HTTP_X_CUSTOM"] == "yes" and "HTTP_PROXY" not in found
    assert found["GREETING"] == "hello" and found["CHIMERA_TENANT"] == "test"
    assert found["CHIMERA_SESSION"]


def test_captures_are_variables(start_gateway, marked):
    gateway = start_gateway(
        f"site test {{\n/room/{{name}}/* session {ROOT}{marked.option} -- {words(*shell('echo $CAPTURE_NAME $SCRIPT_NAME $PATH_INFO'))}\n}}")
    with join(gateway, "/room/blue/a/b") as client:
        assert client.recv(timeout=30) == "blue /room/blue /a/b"
    marked.await_gone()


def test_the_program_runs_where_its_file_is_or_where_told(start_gateway, marked):
    gateway = start_gateway(
        f"site test {{\n/here session {ROOT}{marked.option} -- pwd\n"
        f"/there session {ROOT}{marked.option} directory=/tmp -- pwd\n}}")
    with join(gateway, "/here") as client:
        assert client.recv(timeout=30) == str((gateway.directory / "conf.d").resolve())
    with join(gateway, "/there") as client:
        assert client.recv(timeout=30) == "/tmp"
    marked.await_gone()


def test_the_program_has_its_three_pipes_and_nothing_else(session):
    """Close-on-exec hygiene: no socket and no file of the gateway reaches a program."""
    script = "import os; print(sorted(int(n) for n in os.listdir(chr(47)+'proc/self/fd') if os.path.exists('/proc/self/fd/'+n)), os.getpgid(0)==os.getpid())"
    gateway = session(sys.executable, "-c", script.replace("'", '"'))
    with join(gateway) as client:
        assert client.recv(timeout=30) == "[0, 1, 2] True"


def test_signals_are_as_usual_for_the_program(session):
    gateway = session(*shell("grep -E ^Sig(Blk|Ign) /proc/self/status".replace("^Sig(Blk|Ign)", '"^Sig(Blk|Ign)"')))
    with join(gateway) as client:
        assert {client.recv(timeout=30).split()[1] for _ in range(2)} == {"0" * 16}


# How it ends


@pytest.mark.parametrize("script, last, code, reason", [
    ("echo last", "last", 1000, "exit status 0"),
    ("echo last; exit 3", "last", 4003, "exit status 3"),
    ("printf half; exit 1", "half", 4001, "exit status 1"),
    ("echo last; kill -9 $$", "last", 4309, "signal 9"),
    ("echo last; sleep 1000 & exit 0", "last", 1000, "exit status 0"),
])
def test_the_last_output_comes_and_then_a_code_that_tells(session, script, last, code, reason):
    """Promise: the client gets its last output, then a close with a code that tells exit or signal; no child is left."""
    gateway = session(*shell(script))
    with join(gateway) as client:
        assert client.recv(timeout=30) == last
        assert closed_by(client) == (code, reason)
    record, = gateway.records(1)
    assert record["status"] == 101


def test_much_last_output_comes_whole(session):
    gateway = session(*shell("seq 1 200000; exit 5"))
    with join(gateway) as client:
        assert [client.recv(timeout=30) for _ in range(200_000)] == [str(n) for n in range(1, 200_001)]
        assert closed_by(client)[0] == 4005


def test_a_client_that_goes_is_the_end_of_input(session, marked, tmp_path):
    done = tmp_path / "done"
    gateway = session(*shell(f"cat > /dev/null; echo said >&2; echo seen > {done}"))
    with join(gateway) as client:
        client.send("something")
        marked.await_count(2)
    wait_until(done.exists, what="the program's last deed")
    marked.await_gone()


@pytest.mark.parametrize("how", ["close", "cut"])
def test_who_ignores_all_signs_is_killed(session, marked, how):
    """Promise: end of file, SIGTERM, and SIGKILL to the whole group."""
    gateway = session(*shell("trap \"\" TERM HUP; echo ready; while :; do sleep 1; done"),
                      options="end=100ms kill=300ms")
    client = join(gateway)
    assert client.recv(timeout=30) == "ready"
    assert marked.pids()
    if how == "cut":
        client.socket.close()
    else:
        client.close()
    marked.await_gone()


def test_who_leaves_the_group_is_found(session, marked):
    """Promise: strays outside of the group are found; also those that ignore SIGTERM."""
    stubborn = "setsid sh -c \"trap : TERM; while :; do sleep 1; done\" & "
    gateway = session(*shell(stubborn + "(setsid sleep 1000 &); sleep 1000 & echo ready; cat"),
                      options="end=100ms kill=300ms")
    with join(gateway) as client:
        assert client.recv(timeout=30) == "ready"
        wait_until(lambda: len(marked.pids()) >= 5, what="all the processes")
        client.send("still there")
        assert client.recv(timeout=30) == "still there"
    marked.await_gone()


def test_a_flood_stops_where_the_client_does(session, marked):
    """Backpressure: a client that does not read holds its program up, and no memory is taken meanwhile."""
    gateway = session("yes", block="timeout send=2s")
    before = gateway.vitals.resident
    with gateway.connect(receive_buffer=4096) as connection:
        connection.send(REQUEST.replace(b"/chat", b"/"))
        assert connection.response().status == 101
        pid, = marked.await_count(1)
        # It makes no progress for the time that `send` gives: then it is cut off, and so is its program.
        marked.await_gone()
    assert gateway.vitals.resident - before < 8 << 20


def test_a_flood_is_read_by_who_reads(session):
    gateway = session("yes")
    with join(gateway) as client:
        assert {client.recv(timeout=30) for _ in range(20_000)} == {"y"}


def test_a_program_that_never_reads_holds_its_client_up(session, marked):
    """Backpressure the other way: bounded memory, and the end comes all the same."""
    gateway = session("sleep", "1000", options="end=200ms kill=500ms")
    before = gateway.vitals.resident
    with gateway.connect() as connection:
        connection.send(REQUEST.replace(b"/chat", b"/"))
        assert connection.response().status == 101
        connection.socket.setblocking(False)
        piece, sent = frame(b"x" * 60_000, key=KEY), 0
        with contextlib.suppress(BlockingIOError):
            while sent < 200 << 20:
                sent += connection.socket.send(piece)
        assert sent < 100 << 20
        assert gateway.vitals.resident - before < 16 << 20
        # A mere end would wait behind what nobody takes, and the client's kernel would keep it for minutes.
        connection.reset()
    marked.await_gone()


def test_a_client_that_has_left_waits_for_no_program(session, marked):
    """What it still said was taken as far as the program reads; then the end comes."""
    gateway = session("sleep", "1000", options="end=200ms kill=500ms")
    with gateway.connect() as connection:
        connection.send(REQUEST.replace(b"/chat", b"/"))
        assert connection.response().status == 101
        # More than a pipe holds, and no more than the window behind that, so that the end arrives.
        connection.send(frame(b"x" * 60_000, key=KEY) * 2)
    marked.await_gone()


def test_a_program_that_closes_its_streams_goes_on(session):
    gateway = session(*shell("exec <&-; echo one; sleep 0.2; echo two"))
    with join(gateway) as client:
        assert client.recv(timeout=30) == "one"
        client.send("nobody reads this")
        assert client.recv(timeout=30) == "two"
        assert closed_by(client)[0] == 1000


def test_a_client_that_gives_no_sign_of_life_is_given_up(session, marked):
    gateway = session("cat", options="ping=200ms pong=300ms")
    with gateway.connect() as connection:
        connection.send(REQUEST.replace(b"/chat", b"/"))
        assert connection.response().status == 101
        assert connection.read_exactly(2) == b"\x89\x00"
        marked.await_gone()
    assert [r["close"] for r in gateway.records(1)] == ["quiet-timeout"]


def test_a_client_that_answers_stays(session):
    gateway = session(*shell("read word; sleep 8; echo $word; cat"), options="ping=1s pong=5s")
    with join(gateway, ping_interval=None) as client:
        # The library answers each ping in a thread of its own; who did not would be given up before the program says so.
        client.send("begin")
        assert client.recv(timeout=30) == "begin"


@pytest.mark.parametrize("option, reason", [("idle=200ms", "idle"), ("life=300ms", "its time is over")])
def test_idle_and_life_end_a_session(session, option, reason):
    gateway = session("cat", options=option)
    with join(gateway) as client:
        assert closed_by(client) == (1001, reason)


# The subprotocol


class Tagged:
    """A client of chimera.json.v1."""

    def __init__(self, client):
        self.client = client
        assert client.subprotocol == "chimera.json.v1"
        self.start = self.next()
        assert self.start["type"] == "start"

    def next(self) -> dict:
        return json.loads(self.client.recv(timeout=30))

    def say(self, **members) -> None:
        self.client.send(json.dumps(members))

    def gather(self, kind: str, count: int) -> str:
        """So many octets of one stream; nothing else comes meanwhile."""
        text = ""
        while len(text.encode()) < count:
            message = self.next()
            assert message["type"] == kind, message
            text += message["data"]
        return text


def tagged(gateway) -> Tagged:
    return Tagged(join(gateway, subprotocols=["other", "chimera.json.v1"]))


def test_tagged_streams_tell_both_outputs_apart(session, marked):
    gateway = session(*shell("read line; echo got $line; read more; echo bad >&2; read end; exit 7"))
    client = tagged(gateway)
    assert client.start["session"]
    # What has just become another program has no environment for a moment.
    wait_until(lambda: client.start["process"] in marked.pids(), what="the program")
    client.say(type="stdin", data="one\n")
    assert client.gather("stdout", 8) == "got one\n"
    client.say(type="stdin", data="two\n")
    assert client.gather("stderr", 4) == "bad\n"
    client.say(type="eof")
    rest = [client.next() for _ in range(3)]
    assert {"type": "eof", "stream": "stdout"} in rest and {"type": "eof", "stream": "stderr"} in rest
    assert rest[2] == {"type": "exit", "status": 7}
    assert closed_by(client.client) == (4007, "exit status 7")


def test_tagged_input_may_be_any_octets(session):
    gateway = session("cat")
    client = tagged(gateway)
    client.say(type="stdin", base64="/wA=")
    assert client.next() == {"type": "stdout", "base64": "/wA="}
    client.client.close()


def test_a_client_may_signal_as_far_as_is_allowed(session):
    gateway = session(*shell("trap : USR1; echo ready; while :; do sleep 1; done"))
    client = tagged(gateway)
    assert client.gather("stdout", 6) == "ready\n"
    client.say(type="signal", signal="KILL")
    assert client.next() == {"type": "error", "message": "the signal KILL may not be sent"}
    client.say(type="resize", columns=80, rows=24)
    assert client.next() == {"type": "error", "message": "the program has no terminal"}
    client.say(type="signal", signal="TERM")
    rest = []
    while not rest or rest[-1]["type"] != "exit":
        rest.append(client.next())
    assert rest[-1] == {"type": "exit", "signal": 15}
    assert closed_by(client.client) == (4315, "signal 15")


def test_what_is_no_message_of_the_subprotocol_is_1008(session):
    gateway = session("cat")
    client = tagged(gateway)
    client.client.send("hello")
    assert closed_by(client.client)[0] == 1008


# Another library


def wsproto_events(protocol, data):
    protocol.receive_data(data)
    return list(protocol.events())


def test_wsproto_speaks_with_a_program(session):
    """PyPI's wsproto as client: handshake, compression, fragments, a ping between them, and the Close."""
    gateway = session("cat")
    client = WSConnection(ConnectionType.CLIENT)
    with gateway.connect() as connection:
        connection.send(client.send(wsproto.Request(host="test", target="/", extensions=[PerMessageDeflate()])))
        found = []

        def until(kind):
            while not any(isinstance(event, kind) for event in found):
                found.extend(wsproto_events(client, connection.read_some()))
            return next(event for event in found if isinstance(event, kind))
        assert until(wsproto.AcceptConnection).extensions
        connection.send(client.send(wsproto.TextMessage("hel", message_finished=False)))
        connection.send(client.send(wsproto.Ping(b"there?")))
        assert until(wsproto.Pong).payload == b"there?"
        connection.send(client.send(wsproto.TextMessage("lo " + "x" * 1000)))
        text = ""
        while True:
            event = until(wsproto.TextMessage)
            found.remove(event)
            text += event.data
            if event.message_finished:
                break
        assert text == "hello " + "x" * 1000
        connection.send(client.send(wsproto.CloseConnection(1000, "done")))
        assert until(wsproto.CloseConnection).code == 1000


# Terminals


def test_a_terminal_is_one(session):
    """tty(1), stty(1): a terminal with a size, which controls the program's session."""
    gateway = session(*shell("test -t 0 && test -t 1 && test -t 2 && echo all; stty size; echo done >/dev/tty; exit 3"),
                      options="pty=on open=on")
    with join(gateway) as client:
        said = b""
        with contextlib.suppress(ConnectionClosed):
            while True:
                said += client.recv(timeout=30)
        assert said == b"all\r\n24 80\r\ndone\r\n"
        assert client.close_code == 4003


def test_a_terminal_echoes_and_interrupts(session, marked):
    gateway = session(*shell("echo ready; cat"), options="pty=on open=on framing=lines")
    with join(gateway) as client:
        assert client.recv(timeout=30) == "ready"
        client.send("hello")
        assert client.recv(timeout=30) == "hello", "the echo"
        assert client.recv(timeout=30) == "hello", "the answer"
        client.send("\x03")
        assert closed_by(client)[0] in (4302, 4130)


def test_a_terminal_has_the_size_that_the_client_has(session):
    gateway = session(*shell("trap \"stty size\" WINCH; echo ready; while :; do sleep 0.1; done"),
                      options="pty=on open=on")
    client = tagged(gateway)
    assert client.gather("stdout", 7) == "ready\r\n"
    client.say(type="resize", columns=132, rows=50)
    assert client.gather("stdout", 8) == "50 132\r\n"
    client.client.close()


def test_who_leaves_a_terminal_hangs_up(session, tmp_path):
    done = tmp_path / "done"
    gateway = session(*shell(f"trap \"echo seen > {done}; exit\" HUP; echo ready; while :; do sleep 0.1; done"),
                      options="pty=on open=on end=30s")
    with join(gateway) as client:
        assert client.recv(timeout=30) == b"ready\r\n"
    wait_until(done.exists, within=30, what="the program's last deed")


def test_what_a_terminal_runs_hangs_up_with_it(session, marked, tmp_path):
    """setpgid(2), termios(3): what is in the foreground when the leader of the terminal's session goes gets SIGHUP too."""
    done = tmp_path / "done"
    inner = f"trap : TERM; trap \\\"echo seen > {done}; exit\\\" HUP; echo ready; while :; do sleep 0.1; done"
    gateway = session(*shell(f"sh -c \"{inner}\"; :"), options="pty=on open=on end=30s")
    with join(gateway) as client:
        assert client.recv(timeout=30) == b"ready\r\n"
    wait_until(done.exists, within=40, what="the last deed")
    marked.await_gone()


def test_a_kept_terminal_hangs_up_when_nobody_comes_back(session, marked, tmp_path):
    """`resume=` holds the terminal for its time; then it hangs up."""
    done = tmp_path / "done"
    gateway = session(*shell(f"trap \"echo seen > {done}; exit\" HUP; echo ready; while :; do sleep 0.1; done"),
                      options="pty=on open=on resume=1s end=30s")
    client = tagged(gateway)
    assert client.gather("stdout", 7) == "ready\r\n"
    client.client.socket.shutdown(socket.SHUT_RDWR)
    client.client.socket.close()
    wait_until(done.exists, within=40, what="the program's last deed")
    marked.await_gone()


def test_a_terminal_suspends(session):
    """signal(7): Ctrl-Z is SIGTSTP for the foreground."""
    gateway = session(*shell("trap \"echo stopped\" TSTP; echo ready; while :; do sleep 0.1; done"), options="pty=on open=on")
    client = tagged(gateway)
    assert client.gather("stdout", 7) == "ready\r\n"
    client.say(type="stdin", data="\x1a")
    said = ""
    while "stopped\r\n" not in said:
        said += client.next()["data"]
    client.client.close()


JOB = """sh -c 'trap "echo a\\gain" CONT; echo be\\gun; while :; do if read x; then echo "got $x"; fi; done'\n"""


def test_a_shell_has_job_control(session):
    """Issue: a terminal for shells: what is suspended goes on in the foreground, and can be interrupted there."""
    gateway = session("bash", "--norc", "--noprofile", "-i", options="pty=on open=on env=PS1=prompt:")
    client = tagged(gateway)
    said = ""
    for typed, awaited in (("", "prompt:"), (JOB, "begun\r\n"), ("\x1a", "Stopped"), ("", "prompt:"), ("fg\n", "again\r\n"),
                           ("still here\n", "got still here\r\n"), ("\x03", "prompt:")):
        client.say(type="stdin", data=typed)
        while awaited not in said:
            said += client.next()["data"]
        said = said[said.index(awaited) + len(awaited):]
    client.say(type="stdin", data="exit 7\n")
    while (message := client.next())["type"] != "exit":
        pass
    assert message == {"type": "exit", "status": 7}


def test_end_of_input_is_a_character_for_a_terminal(session):
    gateway = session("cat", options="pty=on open=on")
    client = tagged(gateway)
    client.say(type="stdin", data="one\n")
    assert client.gather("stdout", 10) == "one\r\none\r\n"
    client.say(type="eof")
    assert client.next() == {"type": "eof", "stream": "stdout"}
    assert client.next() == {"type": "exit", "status": 0}


# Over HTTP/2


def test_a_session_over_http2(session):
    """RFC 8441: the same by extended CONNECT, without the proof of a key; several on one connection."""
    gateway = session("cat")
    with Http2(gateway.address, (ENABLE_PUSH, 0)) as client:
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"),
                  (":authority", "test"), ("sec-websocket-version", "13"), ("origin", "http://test")]
        streams = [client.head(fields, end=False) for _ in range(3)]
        for stream in streams:
            answer = client.answers[stream]
            client.until(lambda answer=answer: answer.status)
            assert answer.status == 200 and "sec-websocket-accept" not in dict(answer.fields)
        for number, stream in enumerate(streams):
            client.body(stream, frame(b"hello %d" % number, key=KEY), end=False)
        for number, stream in enumerate(streams):
            answer, expected = client.answers[stream], frame(b"hello %d" % number)
            client.until(lambda answer=answer, expected=expected: len(answer.body) >= len(expected))
            assert bytes(answer.body) == expected
        for stream in streams:
            client.body(stream, frame(b"\x03\xe8", opcode=8, key=KEY), end=False)
            answer = client.answers[stream]
            client.until(lambda answer=answer: answer.ended)
            assert bytes(answer.body).endswith(b"\x88\x02\x03\xe8")


# The operator


def test_sessions_are_counted(start_gateway, marked):
    metrics = Metrics(start_gateway, site("cat", options=marked.option))

    def count(name):
        return metrics.page().value(name)
    with join(metrics.gateway) as client:
        client.send("hello")
        assert client.recv(timeout=30) == "hello"
        assert count("chimera_sessions_started_total") == 1 and count("chimera_sessions") == 1
    wait_until(lambda: count("chimera_sessions") == 0, what="the end of the session")
    assert count("chimera_program_failures_total") == 0
    marked.await_gone()


def test_the_operator_sees_sessions_and_ends_one(session, marked):
    gateway = session("cat")
    with join(gateway) as one, join(gateway) as other:
        for client in (one, other):
            client.send("hello")
            assert client.recv(timeout=30) == "hello"
        done = gateway.command("sessions", "--json")
        assert done.returncode == 0, done.stderr
        listed = [json.loads(line) for line in done.stdout.splitlines()]
        assert listed[-1]["total"] == 2
        assert {entry["process"] for entry in listed[:-1]} == set(marked.pids())
        for entry in listed[:-1]:
            assert entry["program"] == "cat" and entry["site"] == "test" and entry["client"] == "127.0.0.1"
            assert entry["octets_in"] == 5 and entry["octets_out"] == 6
        assert "2 sessions" in gateway.command("sessions").stdout
        assert gateway.command("sessions", "end", listed[0]["id"]).returncode == 0
        gone, left = (one, other) if not_answering(one) else (other, one)
        assert closed_by(gone) == (1001, "ended by the operator")
        left.send("still here")
        assert left.recv(timeout=30) == "still here"
        assert gateway.command("sessions", "end", listed[0]["id"]).returncode != 0


def not_answering(client) -> bool:
    """Whether a client's session has ended, which another client's has not."""
    try:
        client.send("there?")
        return client.recv(timeout=30) != "there?"
    except ConnectionClosed:
        return True


# Who may


def test_what_is_no_websocket_is_told_so(session):
    """RFC 9110 15.5.22, RFC 6455 4.4."""
    gateway = session("cat")
    plain = gateway.get("/")
    assert plain.status == 426 and plain.fields["Upgrade"] == "websocket"
    assert "upgrade" in plain.fields["Connection"].lower()
    old = gateway.exchange(REQUEST.replace(b"/chat", b"/").replace(b"Version: 13", b"Version: 8"))
    assert old.status == 426 and old.fields["Sec-WebSocket-Version"] == "13"
    assert gateway.exchange(REQUEST.replace(b"/chat", b"/").replace(b"dGhl", b"dGh")).status == 400


@pytest.mark.parametrize("origin, option, status", [
    (None, "", 101), ("http://test:PORT", "", 101), ("HTTP://TEST:PORT", "", 101),
    ("http://other:PORT", "", 403), ("https://test:PORT", "", 403), ("http://test", "", 403), ("null", "", 403),
    ("https://friend.example", "origin=friend.example", 101), ("https://a.b.example", "origin=*.b.example", 101),
    ("https://c.example", "origin=friend.example", 403), ("null", "origin=*", 101),
])
def test_a_page_of_somebody_else_gets_no_program(start_gateway, marked, origin, option, status):
    """RFC 6455 10.2: an Origin other than the site's own is 403 unless it is named."""
    gateway = start_gateway(site("cat", options=f"{marked.option} {option}"))
    request = REQUEST.replace(b"/chat", b"/").replace(b"Host: test", f"Host: test:{gateway.port}".encode())
    if origin:
        field = f"Origin: {origin.replace('PORT', str(gateway.port))}\r\n\r\n".encode()
        request = request[:-2] + field
    assert gateway.exchange(request).status == status
    marked.await_gone()


def test_there_are_so_many_sessions_and_no_more(session, marked):
    gateway = session("cat", block="limit sessions 2 ; limit sessions 2 per=client")
    with join(gateway) as one, join(gateway) as _:
        with pytest.raises(InvalidStatus) as refused:
            join(gateway)
        assert refused.value.response.status_code == 503
        one.close()
        marked.await_count(1)

        def again():
            with contextlib.suppress(InvalidStatus):
                return join(gateway)
        with wait_until(again, what="a place for another session") as other:
            other.send("here")
            assert other.recv(timeout=30) == "here"


def test_an_upgrade_with_a_body_is_refused(session):
    """RFC 9110 7.8: the other protocol begins behind the whole request; a body is no beginning of it."""
    gateway = session("cat")
    request = REQUEST.replace(b"/chat", b"/")[:-2] + b"Content-Length: %d\r\n\r\n%b"
    assert gateway.exchange(request % (7, frame(b"x", key=KEY))).status == 400
    with gateway.connect() as connection:
        connection.send(request % (0, b""))
        assert connection.response().status == 101


# What cannot be run


def check(tmp_path, text: str):
    (tmp_path / "chimera.conf").write_text(f"listen 127.0.0.1:1\n{text}\n")
    return run("check", "--config", tmp_path / "chimera.conf")


@pytest.mark.parametrize("statement, message", [
    ("session -- ./missing", "does not exist"),
    ("session -- ./plain", "cannot be executed"),
    ("session -- no-such-program-anywhere", "there is no program"),
    ("session cat", "needs `--`"),
    ("session --", "a command stands behind"),
    ("session pty=on -- cat", "everybody who reaches this terminal may use it"),
    ("session pty=on open=on stderr=inline -- cat", "a terminal is one stream"),
    ("session stderr=inline framing=length -- cat", "no place between messages with a length"),
    ("session user=somebody -- cat", "names nobody"),
    ("session directory=./missing -- cat", "does not exist"),
])
def test_what_cannot_work_is_said_at_check_time(tmp_path, statement, message):
    (tmp_path / "plain").write_text("no program")
    done = check(tmp_path, f"site test {{ {statement} }}")
    assert done.returncode == 1 and message in done.stderr, done.stderr


def test_root_has_to_be_said_twice(tmp_path):
    done = check(tmp_path, "user root\nsite test { session -- cat }")
    assert done.returncode == 1 and "would run as root" in done.stderr, done.stderr
    assert check(tmp_path, "user root\nsite test { session user=root -- cat }").returncode == 0


def test_a_program_that_is_gone_is_502(start_gateway, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho here\n")
    program.chmod(0o755)
    gateway = start_gateway(site(str(program)))
    with join(gateway) as client:
        assert client.recv(timeout=30) == "here"
    program.chmod(program.stat().st_mode & ~(stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH))
    with pytest.raises(InvalidStatus) as refused:
        join(gateway)
    assert refused.value.response.status_code == 502
    gateway.await_stderr("a program cannot be started")


# When the gateway itself ends


@pytest.mark.parametrize("who", ["data plane", "supervisor"])
def test_nothing_is_left_of_a_gateway_that_was_killed(session, marked, who):
    """Issue: no orphan remains, also where the gateway is killed with -9; also of those that left their group."""
    gateway = session(*shell("trap \"\" TERM; (setsid sleep 1000 &); sleep 1000 & echo ready; while :; do sleep 1; done"),
                      options="end=100ms kill=300ms")
    gateway.may_crash = True
    clients = [join(gateway) for _ in range(3)]
    for client in clients:
        assert client.recv(timeout=30) == "ready"
    assert len(marked.pids()) >= 9
    if who == "supervisor":
        gateway.expected_exit = {-signal.SIGKILL}
        gateway.process.kill()
    else:
        os.kill(gateway.pid, signal.SIGKILL)
    marked.await_gone()
    for client in clients:
        client.socket.close()
    if who == "data plane":
        def again():
            with contextlib.suppress(OSError, InvalidStatus, EOFError, ConnectionClosed):
                return join(gateway)
        with wait_until(again, what="another data plane") as client:
            assert client.recv(timeout=30) == "ready"


def test_the_next_supervisor_ends_what_a_killed_one_has_left(start_gateway, marked, tmp_path):
    """Issue: the list of programs is kept where a new supervisor finds it. Both processes die at once here."""
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    gateway = start_gateway(
        site(*shell("(setsid sleep 1000 &); echo ready; cat"), options=marked.option), env=env)
    gateway.may_crash, gateway.expected_exit = True, {-signal.SIGKILL}
    client = join(gateway)
    assert client.recv(timeout=30) == "ready"
    wait_until(lambda: len(marked.pids()) >= 2, what="the stray")
    plane = gateway.pid
    # Stopped, so that it cannot see to it that nothing is left.
    os.kill(plane, signal.SIGSTOP)
    gateway.process.kill()
    gateway.process.wait()
    os.kill(plane, signal.SIGKILL)
    client.socket.close()
    assert marked.pids(), "the stray lives"
    gateway.start()
    marked.await_gone()


def test_a_drain_ends_sessions_with_1012(session, marked):
    """IANA's registry of close codes: service restart."""
    gateway = session("cat", machine="drain 1s")
    with join(gateway) as client:
        client.send("here")
        assert client.recv(timeout=30) == "here"
        gateway.signal(signal.SIGTERM)
        assert closed_by(client)[0] == 1012
    assert gateway.await_exit() == 0
    marked.await_gone()


@pytest.mark.parametrize("what", ["reload", "upgrade"])
def test_sessions_live_through(session, marked, what):
    """Issue: reload and upgrade with 100 sessions open."""
    gateway = session("cat", block="limit sessions 200 per=client")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(join(gateway)) for _ in range(100)]
        if what == "reload":
            gateway.reload(gateway.sites.replace("limit sessions 200", "limit sessions 201"))
            gateway.await_stderr("(?i)reload|loaded|appl")
        else:
            gateway.upgrade()
        for number, client in enumerate(clients):
            client.send(f"{number}")
            assert client.recv(timeout=30) == f"{number}"
        marked.await_count(100)


# Many


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_thousand_sessions_leave_nothing(start_gateway, marked):
    """Issue: at least 3,000 sessions of a small program at once; then all clients vanish, and no process is left."""
    gateway = start_gateway(site("cat", options=f"{marked.option} ping=none end=500ms kill=1s",
                                 block="limit sessions 5000 ; limit sessions 5000 per=client"))
    connections = []
    for number in range(3000):
        connection = gateway.connect()
        connection.send(REQUEST.replace(b"/chat", b"/"))
        assert connection.response().status == 101, number
        connections.append(connection)
    for connection in connections:
        connection.send(frame(b"hello", key=KEY))
    for connection in connections:
        assert connection.read_exactly(7) == b"\x81\x05hello"
    assert len(marked.pids()) == 3000
    for connection in connections:
        connection.reset()
    wait_until(lambda: not marked.pids(), within=120, every=1, what="the end of all programs")
    gateway.assert_alive()


# chimera connect


def loopback(command, options, block=""):
    """A session that answers to the address that a client connects to."""
    return site(*command, options=options, block=block).replace("site test", "site 127.0.0.1")


@pytest.mark.parametrize("script, said, complained, code", [
    ("cat", "one\ntwo", "", 0), ("read x; echo got $x; echo bad >&2; exit 7", "got one\n", "bad\n", 7),
    ("kill -9 $$", "", "", 137), ("printf '\\377'".replace("'", '"'), "\udcff", "", 0),
])
def test_connect_joins_standard_streams(start_gateway, marked, script, said, complained, code):
    """Promise: the streams and the exit status of `chimera connect` are those of the program."""
    gateway = start_gateway(loopback(shell(script), marked.option))
    done = subprocess.run([BINARY, "connect", f"ws://127.0.0.1:{gateway.port}/"], input=b"one\ntwo",
                          capture_output=True, timeout=50)
    assert done.stdout.decode(errors="surrogateescape") == said
    assert done.stderr.decode() == complained and done.returncode == code
    marked.await_gone()


def test_connect_speaks_plain_messages_to_others(start_gateway, marked):
    """Lines are messages, and messages lines; the exit status is what the Close tells."""
    gateway = start_gateway(loopback(shell("read a; read b; echo $b $a; exit 6"), marked.option))
    process = subprocess.Popen([BINARY, "connect", "--plain", f"ws://127.0.0.1:{gateway.port}/"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"one\ntwo\n")
    process.stdin.flush()
    assert process.stdout.read() == b"two one\n"
    assert process.wait(30) == 6
    process.stdin.close()
    process.stdout.close()
    marked.await_gone()


def test_connect_gives_a_program_the_terminal(start_gateway, marked):
    """A terminal in raw mode: what is typed goes to the program as it is, and so does the size."""
    gateway = start_gateway(loopback(shell("read word; stty size; echo got $word; exit 5"),
                                     f"{marked.option} pty=on open=on"))
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (50, 132))
    process = subprocess.Popen([BINARY, "connect", f"ws://127.0.0.1:{gateway.port}/"], stdin=theirs, stdout=theirs,
                               stderr=theirs, close_fds=True)
    wait_until(lambda: not termios.tcgetattr(theirs)[3] & termios.ICANON, what="raw mode")
    os.write(ours, b"hello\r")
    said = b""
    while b"got hello" not in said:
        said += os.read(ours, 1000)
    assert b"50 132" in said
    assert process.wait(30) == 5
    assert termios.tcgetattr(theirs)[3] & termios.ICANON, "the terminal is as it was"
    os.close(ours)
    os.close(theirs)
    marked.await_gone()


@pytest.mark.parametrize("url, code, said", [
    ("wss://", 2, "names no host"), ("http://localhost/", 2, "is no URL"), ("ws://", 2, "names no host"),
    ("ws://127.0.0.1:1/", 3, "refused"), ("ws://127.0.0.1:PORT/plain", 3, "404"),
])
def test_connect_says_what_is_wrong(start_gateway, url, code, said):
    gateway = start_gateway("site 127.0.0.1 { /none respond 200 }")
    done = run("connect", url.replace("PORT", str(gateway.port)))
    assert done.returncode == code and said in done.stderr, done.stderr


# Without a configuration


def test_one_line_is_a_session(start_gateway, marked):
    """Promise: `chimera session -- COMMAND` answers on loopback, to the names of this machine alone."""
    gateway = start_gateway(env={"MARK": marked.mark}, listen=False, arguments=[
        "session", "--listen", "127.0.0.1:PORT", "--", "cat"])
    request = REQUEST.replace(b"/chat", b"/")
    assert gateway.exchange(request).status == 421
    with gateway.connect() as connection:
        connection.send(request.replace(b"Host: test", b"Host: localhost"))
        assert connection.response().status == 101
        connection.send(frame(b"hello", key=KEY))
        assert connection.read_exactly(7) == b"\x81\x05hello"
        connection.send(frame(b"\x03\xe8", opcode=8, key=KEY))
        assert connection.read_exactly(4) == b"\x88\x02\x03\xe8"
