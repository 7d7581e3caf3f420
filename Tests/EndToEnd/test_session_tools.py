"""The commands around sessions: `chimera connect`, `chimera session`, `chimera check` and `chimera explain`."""

import base64
import contextlib
import hashlib
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import termios
import threading

import pytest
from websockets.exceptions import InvalidStatus

from rig.client import PATIENCE, wait_until
from rig.gateway import BINARY, run
from rig.sessions import ROOT, Marked, join, shell, site, words
from rig.websocket import frame


@pytest.fixture
def marked():
    mark = Marked()
    yield mark
    mark.await_gone()


def loopback(*command, options="", block="", pattern="/*"):
    """A session that answers to the address that a client connects to."""
    return site(*command, options=options, block=block, pattern=pattern).replace("site test", "site 127.0.0.1")


def connect(*arguments, **options):
    return subprocess.run([BINARY, "connect", *map(str, arguments)], capture_output=True, timeout=60, **options)


# chimera connect


@pytest.fixture
def guarded(start_gateway, marked):
    digest = base64.b64encode(hashlib.sha1(b"se:cret %").digest()).decode()
    gateway = start_gateway(loopback(*shell("echo $REMOTE_USER $HTTP_X_WORD"), options=marked.option,
                                     block="auth basic test.users"), start=False)
    (gateway.directory / "conf.d").mkdir(exist_ok=True)
    (gateway.directory / "conf.d/test.users").write_text(f"ann:{{SHA}}{digest}\n")
    return gateway.start()


@pytest.mark.parametrize("arguments, place", [
    (["--user", "ann:se:cret %"], ""), ([], "ann:se%3Acret%20%25@"), (["--header", "X-Word: said"], "ann:se:cret%20%25@"),
])
def test_connect_says_who_it_is(guarded, arguments, place):
    """Promise: a session behind `auth` can be reached, by an option or as the URL has it."""
    done = connect(*arguments, f"ws://{place}127.0.0.1:{guarded.port}/", input=b"")
    said = "ann said" if "--header" in arguments else "ann"
    assert (done.stdout.decode().strip(), done.returncode) == (said, 0), done.stderr


@pytest.mark.parametrize("place, said", [("", b"--user NAME"), ("ann:wrong@", b"not one that may")])
def test_connect_says_what_a_guarded_session_wants(guarded, place, said):
    done = connect(f"ws://{place}127.0.0.1:{guarded.port}/", input=b"")
    assert done.returncode == 3 and said in done.stderr, done.stderr


@pytest.mark.parametrize("plain", [False, True])
def test_connect_ends_with_the_status_of_the_program_and_says_nothing_else(start_gateway, marked, plain):
    """Also where that is the status of a command that cannot serve."""
    gateway = start_gateway(loopback(*shell("exit 3"), options=marked.option))
    # Its own end of input would be a Close, which may be first.
    process = subprocess.Popen([BINARY, "connect", *(["--plain"] if plain else []), f"ws://127.0.0.1:{gateway.port}/"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read() == b"" and process.stderr.read() == b""
    assert process.wait(PATIENCE) == 3
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


class Typist:
    """Somebody at a terminal, with `chimera connect` on it."""

    def __init__(self, port: int):
        self.ours, self.theirs = os.openpty()
        self.process = subprocess.Popen([BINARY, "connect", f"ws://127.0.0.1:{port}/"], stdin=self.theirs,
                                        stdout=self.theirs, stderr=self.theirs, close_fds=True)
        self.said = b""

    @property
    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.theirs)[3] & termios.ICANON

    def wait_for(self, text: bytes) -> None:
        while text not in self.said:
            self.said += os.read(self.ours, 1000)

    def type(self, text: bytes) -> None:
        os.write(self.ours, text)

    def __enter__(self):
        wait_until(lambda: self.is_raw, what="raw mode")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_connect_that_is_ended_leaves_the_terminal_as_it_was(start_gateway, marked, number):
    gateway = start_gateway(loopback(*shell("echo ready; exec cat"), options=f"{marked.option} pty=on open=on"))
    with Typist(gateway.port) as typist:
        typist.wait_for(b"ready")
        typist.process.send_signal(number)
        assert typist.process.wait(PATIENCE) == -number
        assert not typist.is_raw


def test_connect_has_a_way_out_of_a_terminal(start_gateway, marked):
    """Promise: `~.` at the beginning of a line closes the connection; `~~` types one, and a `~` elsewhere is one."""
    gateway = start_gateway(loopback(*shell("stty -echo; echo ready; while read word; do echo got $word; done"),
                                     options=f"{marked.option} pty=on open=on"))
    with Typist(gateway.port) as typist:
        typist.wait_for(b"ready")
        typist.type(b"a~.b\r~~.c\r")
        typist.wait_for(b"got a~.b")
        typist.wait_for(b"got ~.c")
        typist.type(b"~.")
        assert typist.process.wait(PATIENCE) == 0
        assert not typist.is_raw
        typist.wait_for(b"closed")


def test_connect_tells_what_the_gateway_says_of_the_session(tmp_path, marked):
    """Messages `lost` and `error` of the subprotocol, of a server that says them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            client, _ = listener.accept()
            with client:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += client.recv(4096)
                key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)[1]
                proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
                client.sendall(
                    b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + proof
                    + b"\r\nSec-WebSocket-Protocol: chimera.json.v1\r\n\r\n"
                    + frame(b'{"type":"lost","octets":12,"position":12}', opcode=1)
                    + frame(b'{"type":"error","message":"not \\u001b[2Jdone"}', opcode=1)
                    + frame(b"\x03\xe8", opcode=8))
                while client.recv(4096):
                    pass
        server = threading.Thread(target=serve, daemon=True)
        server.start()
        process = subprocess.Popen([BINARY, "connect", f"ws://127.0.0.1:{listener.getsockname()[1]}/"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said = process.stderr.read().decode()
        assert process.wait(PATIENCE) == 0
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()
        server.join(PATIENCE)
    assert "output is missing here: 12 octets" in said and "the gateway: not [2Jdone" in said, said


def test_connect_ends_where_nobody_shakes_hands(tmp_path):
    """A connection that is reset before TLS has begun: an error, and no loop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def refuse():
            # Whoever comes, also a second time, is cut off as early as can be.
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    client.close()
        threading.Thread(target=refuse, daemon=True).start()
        for _ in range(20):
            done = connect("--insecure", f"wss://127.0.0.1:{listener.getsockname()[1]}/", input=b"")
            assert done.returncode == 3 and done.stderr.count(b"\n") == 2, done.stderr
        listener.shutdown(socket.SHUT_RDWR)


# chimera session


@pytest.fixture
def one_line(start_gateway, marked):
    """one_line(script): `chimera session` with a shell script whose processes are marked."""
    def start(script: str, *options: str):
        return start_gateway(listen=False, arguments=[
            "session", "--listen", "127.0.0.1:PORT", *options, "--", "/usr/bin/env", f"MARK={marked.mark}", "/bin/sh",
            "-c", script])
    return start


# It hears no SIGTERM, does not care for the end of its input, and has a child that left its group.
STUBBORN = "trap '' TERM HUP; setsid sleep 1000 & echo ready; while :; do sleep 1000; done"


def test_one_line_leaves_nothing_when_it_is_ended(one_line, marked):
    """Issue: no orphan remains. One signal is enough, and the client is told."""
    gateway = one_line(STUBBORN)
    with join(gateway, host="localhost") as client:
        assert client.recv(timeout=PATIENCE) == "ready"
        gateway.process.send_signal(signal.SIGINT)
        with contextlib.suppress(Exception):
            while True:
                client.recv(timeout=PATIENCE)
        assert client.protocol.close_rcvd and client.protocol.close_rcvd.code in (1001, 1012)
        assert gateway.process.wait(PATIENCE) == 0
        # What left its group and hears no SIGTERM may be the last that the process beside it ends.
        marked.await_gone()


def test_one_line_leaves_nothing_when_it_is_killed(one_line, marked):
    gateway = one_line(STUBBORN)
    with join(gateway, host="localhost") as client:
        assert client.recv(timeout=PATIENCE) == "ready"
        assert len(marked.pids()) >= 2
        gateway.expected_exit = {-signal.SIGKILL}
        gateway.process.kill()
        marked.await_gone()


def test_one_line_is_for_this_machine_unless_it_is_said(one_line, marked, start_gateway):
    done = run("session", "--listen", "0.0.0.0:0", "--", "cat")
    assert done.returncode == 2 and "--open" in done.stderr, done.stderr
    gateway = one_line("cat", "--open")
    with join(gateway, host="anybody.example") as client:
        client.send("hello")
        assert client.recv(timeout=PATIENCE) == "hello"


def test_one_line_lets_pages_of_others_in_that_it_names(one_line):
    gateway = one_line("cat", "--origin", "a.example")
    with join(gateway, host="localhost", origin="http://a.example:3000") as client:
        client.send("hello")
        assert client.recv(timeout=PATIENCE) == "hello"


# What a program gets


def test_a_program_has_the_home_of_who_runs_it(start_gateway, marked):
    """And not that of whoever started the gateway."""
    person = pwd.getpwuid(os.geteuid())
    gateway = start_gateway(
        site(*shell('echo "$HOME $USER $LOGNAME $SHELL $TMPDIR"'), options=marked.option),
        env={"HOME": "/somewhere", "USER": "somebody", "LOGNAME": "somebody", "SHELL": "/bin/none", "TMPDIR": ""})
    with join(gateway) as client:
        said = client.recv(timeout=PATIENCE)
    assert said == f"{person.pw_dir} {person.pw_name} {person.pw_name} {person.pw_shell} "


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its environment up")
def test_roots_own_path_is_not_a_programs(start_gateway, marked):
    gateway = start_gateway(site(*shell("echo $PATH"), options=marked.option),
                            env={"PATH": f"/root/own:{os.environ['PATH']}"})
    with join(gateway) as client:
        assert client.recv(timeout=PATIENCE) == "/usr/local/bin:/usr/bin:/bin"


# chimera check, and the start


@pytest.mark.parametrize("content, said", [
    ("echo one\n", "does not say what runs it"), ("", "the file is empty"),
    ("#!/bin/sh\r\necho one\r\n", "carriage return"), ("#!/none/interpreter\n", "there is no /none/interpreter"),
    ("#!\n", "names nothing"),
])
def test_a_script_that_nobody_can_run_is_said_at_check_time(tmp_path, content, said):
    (tmp_path / "script").write_text(content, newline="")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "chimera.conf").write_text("listen 127.0.0.1:1\nsite test { session -- ./script }\n")
    done = run("check", "--config", tmp_path / "chimera.conf")
    assert done.returncode == 1 and said in done.stderr, done.stderr


def test_a_script_that_nobody_can_run_any_more_says_so(start_gateway, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho here\n")
    program.chmod(0o755)
    gateway = start_gateway(site(str(program)))
    program.write_text("#!/none/interpreter\n")
    with pytest.raises(InvalidStatus) as refused:
        join(gateway)
    assert refused.value.response.status_code == 502
    gateway.await_stderr("a program cannot be started: .*there is no /none/interpreter")


@pytest.mark.parametrize("content", ["#!/bin/sh\n", "#! /usr/bin/env -S sh -e\n", "\x7fELF", "\0\1\2"])
def test_what_may_run_is_no_error(tmp_path, content):
    (tmp_path / "script").write_text(content, newline="")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "chimera.conf").write_text("listen 127.0.0.1:1\nsite test { session -- ./script }\n")
    done = run("check", "--config", tmp_path / "chimera.conf")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root serves as root")
def test_who_is_told_to_serve_as_root_says_what_that_means_for_programs(start_gateway):
    """`--user` counts as the file's own `user` does."""
    gateway = start_gateway({"one.conf": f"site one {{ session -- {words('cat')} }}",
                             "two.conf": "site two { respond 200 two }"},
                            "user nobody", start=False)
    gateway.write_configuration()
    gateway.arguments = ["run", "--config", str(gateway.directory / "chimera.conf"), "--user", "0:0"]
    gateway.start()
    gateway.await_stderr("the program would run as root")
    assert gateway.get("/", "two").text == "two"


def test_a_session_has_one_name(start_gateway, marked):
    """What `chimera sessions` lists is what the program knows itself by, and ends it."""
    gateway = start_gateway(site(*shell("echo $CHIMERA_SESSION; cat"), options=marked.option))
    with join(gateway) as client:
        name = client.recv(timeout=PATIENCE)
        listed = json.loads(gateway.command("sessions", "--json").stdout.splitlines()[0])
        assert listed["id"] == name
        assert gateway.command("sessions", "end", name + "0").returncode != 0
        done = gateway.command("sessions", "end", name)
        assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
        marked.await_gone()


def test_explain_tells_of_a_session(tmp_path):
    (tmp_path / "chimera.conf").write_text(
        "listen 127.0.0.1:1\nsite test {\n"
        "/live session pool=3 resume=5m idle=1h memory=64MiB origin=a.example env=SECRET=word -- cat\n"
        "limit sessions 7\nlimit starts 2/s\n}\n")
    done = run("explain", "ws://test:1/live", "--config", tmp_path / "chimera.conf")
    assert done.returncode == 0, done.stderr
    for part in ("of a pool of 3", "kept for 300000ms", "idle=3600000ms", "memory 67108864 bytes", "a.example",
                 "limit sessions 7", "limit starts 2/s", "framing=lines", "env: SECRET\n"):
        assert part in done.stdout, done.stdout
    assert "word" not in done.stdout
