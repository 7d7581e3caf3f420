"""Limits of sessions and of their programs, and what a program has of the gateway's surroundings: docs/sessions.md."""

import base64
import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rig.client import wait_until
from rig.gateway import run
from rig.http2 import CANCEL, ENABLE_PUSH, END_HEADERS, HEADERS, RST_STREAM, Http2, frame
from rig.metrics import Metrics
from rig.sessions import ROOT, join, shell, site
from rig.websocket import REQUEST


def refused(gateway, **options) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as found:
        join(gateway, **options)
    return found.value


# How many, and how fast


def test_starts_have_a_rate(start_gateway, marked):
    """Issue: a spawn rate; past it a clear 503, which says when it may go better."""
    metrics = Metrics(start_gateway, site("cat", options=marked.option, block="limit starts 2/h ; limit starts 50/s per=client"))
    for _ in range(2):
        with join(metrics.gateway) as client:
            client.send("here")
            assert client.recv(timeout=30) == "here"
    answer = refused(metrics.gateway).response
    assert answer.status_code == 503
    # A token comes each half an hour.
    assert 60 < int(answer.headers["Retry-After"]) <= 1800
    metrics.expect(1, "chimera_limit_hits_total", limit="session-starts")
    metrics.expect(0, "chimera_limit_hits_total", limit="sessions")
    marked.await_gone()


def test_each_user_has_so_many_sessions(start_gateway, marked, tmp_path):
    """Issue: limits for each user."""
    users = subprocess.run(["openssl", "passwd", "-apr1", "secret"], capture_output=True, text=True, check=True).stdout.strip()
    gateway = start_gateway(
        site("cat", options=marked.option, block="auth basic users ; limit sessions 1 per=user"), start=False)
    folder = gateway.directory / "conf.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users").write_text(f"ann:{users}\nbob:{users}\n")
    gateway.start()

    def as_user(name):
        return {"additional_headers": {"Authorization": "Basic " + base64.b64encode(f"{name}:secret".encode()).decode()}}
    with join(gateway, **as_user("ann")) as ann, join(gateway, **as_user("bob")) as bob:
        assert refused(gateway, **as_user("ann")).response.status_code == 503
        for client in (ann, bob):
            client.send("here")
            assert client.recv(timeout=30) == "here"
    marked.await_gone()


@pytest.mark.parametrize("lines, name", [
    ("limit sessions 1", "sessions"), ("limit sessions 5 ; limit sessions 1 per=client", "sessions"),
    ("limit starts 1/h", "session-starts"), ("limit requests 1/h", "requests"),
])
def test_the_log_names_the_limit(session, lines, name):
    """docs/operations.md: which bound is behind a 503 or a 429."""
    gateway = session("cat", block=lines)
    with join(gateway) as client:
        assert refused(gateway).response.status_code == (429 if name == "requests" else 503)
        client.send("here")
        assert client.recv(timeout=30) == "here"
    records = {record["status"]: record for record in gateway.records(2)}
    assert "limit" not in records.pop(101)
    assert [record["limit"] for record in records.values()] == [name]


@pytest.mark.parametrize("script, said", [
    ("exit 3", {"end": "program", "exit": 3}), ("kill -9 $$", {"end": "program", "signal": 9}), ("cat", {"end": "client"}),
])
def test_the_log_tells_how_a_session_ended(start_gateway, marked, script, said):
    """Issue: an access-log line at the end; with the program's id and its end."""
    metrics = Metrics(start_gateway, site(*shell(f"echo $CHIMERA_SESSION; {script}"), options=marked.option))
    with join(metrics.gateway) as client:
        said["id"] = client.recv(timeout=30)
        if said["end"] == "program":
            # Its end is the first, and not the client's.
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=30)
    record, = metrics.gateway.records(1, where=lambda record: record["status"] == 101)
    assert record["session"] == said
    metrics.expect(1, "chimera_sessions_ended_total", reason=said["end"])
    marked.await_gone()


def test_the_log_tells_who_was_refused(session):
    """RFC 6455 10.2: a page of somebody else, and a handshake that is none."""
    gateway = session("cat")
    for request, status, reason in ((REQUEST[:-2] + b"Origin: http://other\r\n\r\n", 403, "origin-foreign"),
                                    (REQUEST.replace(b"dGhl", b"dGh"), 400, "handshake-malformed")):
        assert gateway.exchange(request.replace(b"/chat", b"/")).status == status
        record, = gateway.records(1, where=lambda record: record["status"] == status)
        assert record["refused"] == reason


@pytest.mark.parametrize("line, message", [
    ("limit starts 5", "is not a rate"), ("limit sessions 5 per=usr", "user"),
    ("limit requests 5/s per=user", "is not client, site or header:NAME"),
])
def test_limits_that_are_none_are_errors(tmp_path, line, message):
    (tmp_path / "chimera.conf").write_text(f"listen 127.0.0.1:1\nsite test {{ {line} ; session {ROOT} -- cat }}\n")
    done = run("check", "--config", tmp_path / "chimera.conf")
    assert done.returncode == 1 and message in done.stderr, done.stderr


SESSION = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"), (":authority", "test"),
           ("sec-websocket-version", "13")]


def test_clients_that_leave_at_once_keep_their_places(start_gateway, marked):
    """`limit sessions` is about programs: one whose client has left before it ran counts until it has ended."""
    metrics = Metrics(start_gateway, site(*shell("trap \"\" TERM; exec sleep 1000"), options=f"{marked.option} end=3s kill=3s",
                                          block="limit sessions 3"))
    with Http2(metrics.gateway.address, (ENABLE_PUSH, 0)) as client:
        for _ in range(20):
            # Both in one segment, so that the stream is gone before its program is there.
            stream = client.open()
            client.send(frame(HEADERS, END_HEADERS, stream, client.encoder.encode(SESSION))
                        + frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))
        client.ping()
        most = 0
        for _ in range(30):
            most = max(most, len(marked.pids()))
            time.sleep(0.05)
    assert most <= 3
    marked.await_gone()
    with join(metrics.gateway) as other:
        assert marked.await_count(1)
        other.close()


LIMITED = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (110, 110)); os.execv(sys.argv[1], sys.argv[1:])"


def test_without_descriptors_there_is_503_and_nothing_is_left(session, marked):
    """A program whose pipes find no room is ended, and its client told at once."""
    gateway = session("cat", options="end=100ms kill=300ms", block="limit sessions 500 per=client",
                      wrapper=[sys.executable, "-c", LIMITED])
    with contextlib.ExitStack() as stack:
        status = 101
        for _ in range(60):
            connection = stack.enter_context(gateway.connect())
            connection.send(REQUEST.replace(b"/chat", b"/"))
            status = connection.response().status
            if status != 101:
                break
        assert status == 503
    record, = gateway.records(1, where=lambda record: record["status"] == 503)
    assert record["limit"] == "program-resources"
    marked.await_gone()


# The ceiling


def test_the_start_message_tells_the_ceiling(session):
    """Issue: what descriptors and pid_max set."""
    gateway = session("cat")
    line = gateway.await_stderr(r"room for \d+ sessions at once")
    count = int(re.search(r"room for (\d+) sessions", line).group(1))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert 0 < count <= most // 4
    assert count <= int(Path("/proc/sys/kernel/pid_max").read_text())


def test_who_has_no_sessions_is_told_of_none(start_gateway):
    gateway = start_gateway("site test { respond 200 ok }")
    assert gateway.get("/").status == 200
    assert "sessions at once" not in gateway.stderr


def test_more_sessions_than_there_can_be_are_warned_of(tmp_path):
    def check(count):
        text = f"listen 127.0.0.1:1\nsite test {{ limit sessions {count} ; session {ROOT} -- cat }}\n"
        (tmp_path / "chimera.conf").write_text(text)
        return run("check", "--config", tmp_path / "chimera.conf")
    done = check(1_000_000_000)
    assert done.returncode == 0 and "chimera.conf:2:" in done.stderr, done.stderr
    assert re.search(r"warning: this machine has room for \d+ sessions at once", done.stderr)
    assert "warning" not in check(1).stderr


# What a program may take


def test_limits_of_each_process(session):
    """setrlimit(2): files and processor time, of the first process and of what it starts; nobody raises them again."""
    gateway = session(*shell("ulimit -Sn; ulimit -Hn; ulimit -St; sh -c \"ulimit -Hn\"; ulimit -n 100 || echo no"),
                      options="files=32 cpu-time=7s stderr=off")
    with join(gateway) as client:
        assert [client.recv(timeout=30) for _ in range(5)] == ["32", "32", "7", "32", "no"]


def test_processor_time_comes_to_an_end(session):
    """SIGXCPU, which says why."""
    gateway = session(*shell("while :; do :; done"), options="cpu-time=1s")
    with join(gateway) as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=60)
    assert closed.value.rcvd.code == 4300 + signal.SIGXCPU


def controllers() -> set[str]:
    """Those of cgroup v2 that the gateway of a test may give to programs."""
    with contextlib.suppress(OSError, StopIteration):
        return set((own_group() / "cgroup.controllers").read_text().split())
    return set()


def own_group() -> Path:
    """The cgroup of version 2 of this process."""
    own = next(line[4:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::/"))
    mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    mount = next(words for words in mounts if words[words.index("-") + 1] == "cgroup2" and words[3] == "/")
    return Path(mount[4]) / own


def test_memory_is_bounded_and_said_how(session):
    """Issue: memory limits where cgroup v2 is writable, else a clear message. Either way what takes too much fails."""
    gateway = session(
        sys.executable, "-c", "import os, sys; print(1, flush=True); input(); b = bytearray(900 << 20); print(len(b), flush=True)",
        options="memory=300MiB stderr=off")
    if "memory" not in controllers():
        gateway.await_stderr("`memory=` of sessions bounds each process .* by its address space")
    with join(gateway) as client:
        assert client.recv(timeout=30) == "1"
        client.send("")
        with pytest.raises(ConnectionClosed) as closed:
            assert client.recv(timeout=60) == "never"
    # MemoryError, or the kernel's way.
    assert closed.value.rcvd.code in (4001, 4309)


@pytest.mark.parametrize("option, controller", [("processes=50", "pids"), ("cpu=50%", "cpu")])
def test_what_is_not_enforced_is_said_at_the_start(session, option, controller):
    gateway = session("cat", options=option)
    with join(gateway) as client:
        client.send("here")
        assert client.recv(timeout=30) == "here"
    if controller not in controllers():
        gateway.await_stderr(f"`{option.split('=')[0]}=` of sessions is not enforced: there is no cgroup of version 2")


@pytest.mark.parametrize("option, controller", [("memory=64MiB", "memory"), ("processes=50", "pids"), ("cpu=50%", "cpu")])
def test_what_would_not_be_enforced_is_warned_of(tmp_path, option, controller):
    """At check time as well, at the route that says it."""
    (tmp_path / "chimera.conf").write_text(f"listen 127.0.0.1:1\nsite test {{\n/a session {ROOT}-- cat\n/b session {ROOT}{option} -- cat\n}}\n")
    done = run("check", "--config", tmp_path / "chimera.conf")
    assert done.returncode == 0, done.stderr
    is_writable = controller in controllers() and os.access(own_group(), os.W_OK)
    assert ("warning" in done.stderr) == (not is_writable), done.stderr
    if not is_writable:
        assert re.search(rf"chimera\.conf:4:.*warning: `{option.split('=')[0]}=` of sessions", done.stderr), done.stderr


def test_without_a_writable_cgroup_the_log_says_so_once(session):
    """Once at the start, and not with each version."""
    if "pids" in controllers() and os.access(own_group(), os.W_OK):
        pytest.skip("there is one here")
    gateway = session("cat", options="processes=50")
    gateway.await_stderr("`processes=` of sessions is not enforced")
    gateway.reload(gateway.sites.replace("processes=50", "processes=51"))
    gateway.await_stderr("configuration loaded again")
    assert gateway.stderr.count("`processes=` of sessions is not enforced") == 1


@pytest.mark.parametrize("option, message", [
    ("memory=5B", "at least 1MiB"), ("memory=lots", "is not a size"), ("processes=0", "is not a number from 1"),
    ("files=2", "at least 3"), ("cpu-time=1500ms", "whole seconds"), ("cpu-time=0s", "whole seconds"),
    ("cpu=50", "a part of a core"), ("cpu=0%", "a part of a core"), ("cpu=%", "a part of a core"),
])
def test_what_is_no_limit_is_an_error(tmp_path, option, message):
    (tmp_path / "chimera.conf").write_text(f"listen 127.0.0.1:1\nsite test {{ session {ROOT}{option} -- cat }}\n")
    done = run("check", "--config", tmp_path / "chimera.conf")
    assert done.returncode == 1 and message in done.stderr, done.stderr


@pytest.fixture
def group():
    """A cgroup of version 2 for one gateway."""
    try:
        path = own_group() / f"chimera-test-{uuid.uuid4().hex}"
        path.mkdir()
    except (OSError, StopIteration):
        pytest.skip("no cgroup of version 2 can be made here")
    yield path
    for inner in (*path.glob("programs/*/"), path / "programs", path / "gateway", path):
        if inner.is_dir():
            wait_until(lambda inner=inner: not (inner / "cgroup.procs").read_text(), what=f"an empty {inner}")
            inner.rmdir()


INTO = "import os, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"
CLEAN = "(env -i setsid -f sleep 1000); (env -i sleep 1001 &); "


def members(group: Path) -> list[str]:
    """The processes of a gateway's programs."""
    found = []
    for procs in group.glob("programs/*/cgroup.procs"):
        # It may be taken away meanwhile.
        with contextlib.suppress(OSError):
            found += procs.read_text().split()
    return found


@pytest.mark.parametrize("how", ["client", "program"])
def test_what_hides_is_found_by_its_cgroup(group, start_gateway, how):
    """Issue: strays outside of their group are found by cgroup; also those that have cleared their environment."""
    end = "cat" if how == "client" else "read x; exit 3"
    gateway = start_gateway(site(*shell(CLEAN + f"echo ready; {end}"), options="processes=100 end=100ms kill=300ms"),
                            wrapper=[sys.executable, "-c", INTO, str(group)])
    with join(gateway) as client:
        assert client.recv(timeout=30) == "ready"
        wait_until(lambda: len(members(group)) >= 4 - (how == "program"), what="all the processes")
        if how == "program":
            client.send("now")
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=30)
            assert closed.value.rcvd.code == 4003
    wait_until(lambda: not members(group), what="the end of all of them")
    wait_until(lambda: not list((group / "programs").glob("*/")), what="the end of the cgroup")


def test_the_next_supervisor_ends_what_is_in_the_cgroups(group, start_gateway, tmp_path):
    """Issue: also where the gateway is killed with -9."""
    gateway = start_gateway(site(*shell(CLEAN + "echo ready; cat"), options="processes=100"),
                            env={"XDG_RUNTIME_DIR": str(tmp_path)}, wrapper=[sys.executable, "-c", INTO, str(group)])
    gateway.may_crash, gateway.expected_exit = True, {-signal.SIGKILL}
    client = join(gateway)
    assert client.recv(timeout=30) == "ready"
    wait_until(lambda: len(members(group)) >= 4, what="all the processes")
    plane = gateway.pid
    os.kill(plane, signal.SIGSTOP)
    gateway.process.kill()
    gateway.process.wait()
    os.kill(plane, signal.SIGKILL)
    client.socket.close()
    assert members(group), "what hides lives"
    gateway.start()
    wait_until(lambda: not members(group), what="the end of all of them")


# The terminal


TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(os.open(sys.argv[1], os.O_RDWR), termios.TIOCSCTTY, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_program_has_nothing_of_the_terminal_of_the_gateway(session, marked):
    """credentials(7): it can neither read what is typed there nor write to it; whoever ends the gateway from there does."""
    ours, theirs = os.openpty()
    said = "sh -c \"echo typed >/dev/tty\" && echo has || echo none; cut -d\" \" -f7 /proc/self/stat; cat"
    gateway = session(*shell(said), options="stderr=off", wrapper=[sys.executable, "-c", TERMINAL, os.ttyname(theirs)])
    with join(gateway) as client:
        assert client.recv(timeout=30) == "none"
        assert client.recv(timeout=30) == "0", "the terminal of the process, proc(5)"
        client.send("here")
        assert client.recv(timeout=30) == "here"
        # Ctrl-C reaches the supervisor and its data plane, who end the program in order.
        os.write(ours, b"\x03")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=60)
        assert closed.value.rcvd.code == 1012
    assert gateway.await_exit() == 0
    os.close(ours)
    os.close(theirs)
