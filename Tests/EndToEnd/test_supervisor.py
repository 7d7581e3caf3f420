"""The supervisor and its data plane: crashes, signals, sockets that are kept, process 1, systemd, privileges."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from rig.client import Connection, request_bytes, wait_until
from rig.gateway import BINARY, children, environment, free_port
from rig.load import Load
from rig.metrics import Metrics
from rig.wire import ConnectionEnded

SITE = "site test { respond 200 ok }"


def kill_data_plane(gateway, number=signal.SIGSEGV):
    """Kills the process that serves, and waits until another does."""
    old = gateway.pid
    os.kill(old, number)
    wait_until(lambda: gateway.pid not in (old, gateway.process.pid), what="another data plane")
    return old


@pytest.fixture
def crashing(start_gateway):
    """A gateway whose data plane is killed: its report of that is no failure."""
    def start(*arguments, **options):
        gateway = start_gateway(*arguments, **options)
        gateway.may_crash = True
        return gateway
    return start


def test_one_process_keeps_and_one_serves(start_gateway):
    """architecture.md, Processes: a supervisor and one data plane, which has the workers."""
    gateway = start_gateway(SITE)
    assert len(gateway.data_planes()) == 1
    assert len(list(Path(f"/proc/{gateway.process.pid}/task").iterdir())) == 1
    assert gateway.vitals.threads >= 3
    assert "data-plane" in Path(f"/proc/{gateway.pid}/cmdline").read_text()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_refuses_no_connection(crashing, number):
    """Issue: kill -SEGV of the data plane under load: it answers again, and no connection attempt is refused."""
    gateway = crashing(SITE)
    with Load(gateway, may_reset=True) as load:
        for _ in range(2):
            kill_data_plane(gateway, number)
            load.more()
    assert f"signal {int(number)} " in gateway.await_stderr("a data plane ended")
    assert gateway.process.poll() is None


COLD_START_SECONDS = 5.0
"""Issue: 10,000 tenant files of five routes each."""


def test_a_crash_with_many_tenants_refuses_no_connection(crashing, record_property):
    """Issue: kill -SEGV under load; with 10,000 tenants (500 in the short form) it answers again within the cold start, and
    no connection attempt is refused meanwhile."""
    crash_with_tenants(crashing, record_property, 500)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_crash_with_ten_thousand_tenants_refuses_no_connection(crashing, record_property):
    crash_with_tenants(crashing, record_property, 10_000)


def crash_with_tenants(crashing, record_property, count):
    def tenant(number):
        host = f"t{number}.example" if number else "test"
        routes = "".join(f"    /r{route}/* respond 200 {number}-{route}\n" for route in range(1, 5))
        return f"site {host} {{\n{routes}    /* respond 200 ok\n}}\n"
    gateway = crashing({f"t{number}.conf": tenant(number) for number in range(count)})
    last = f"t{count - 1}.example"
    took = []
    with Load(gateway, may_reset=True) as load:
        for _ in range(3):
            old = gateway.pid
            os.kill(old, signal.SIGSEGV)
            began = time.monotonic()
            wait_until(lambda: gateway.pid not in (old, gateway.process.pid), what="another data plane")
            # Accepted by the kernel while nobody serves, and answered by the next.
            assert gateway.get("/r3/x", host=last).text == f"{count - 1}-3"
            took.append(time.monotonic() - began)
            load.more()
    print(f"{count} tenants: an answer", *(f"{seconds * 1000:.0f} ms" for seconds in took), "after the crash")
    record_property("milliseconds", [round(seconds * 1000) for seconds in took])
    assert max(took) <= COLD_START_SECONDS
    assert gateway.process.poll() is None


def test_attempts_wait_while_nobody_serves(crashing):
    """architecture.md: the supervisor keeps the sockets, so attempts wait in their queues; back-off when it dies again
    and again."""
    gateway = crashing(SITE)
    for _ in range(4):
        kill_data_plane(gateway)
        assert gateway.get().text == "ok"
    old = gateway.pid
    os.kill(old, signal.SIGSEGV)
    # What it still accepts it takes along.
    wait_until(lambda: old not in gateway.data_planes(), what="the data plane's end")
    connections = [gateway.connect() for _ in range(20)]
    for connection in connections:
        connection.send(request_bytes())
    assert all(connection.response().text == "ok" for connection in connections)
    assert re.search(r"again_ms=\d+", gateway.stderr)
    for connection in connections:
        connection.close()
    assert gateway.status()["supervisor"]["restarts"] == 5


def test_a_restart_serves_what_the_files_say_now(crashing):
    """architecture.md: a data plane reads the configuration at its start, and gets the same sockets, new ones too."""
    gateway = crashing(SITE, "listen 127.0.0.1:0")
    listening = gateway.status()["data_plane"]["listening"]
    gateway.sites = "site test { respond 200 new }"
    gateway.write_configuration()
    assert gateway.get().text == "ok"
    kill_data_plane(gateway)
    assert gateway.get().text == "new"
    assert gateway.status()["data_plane"]["listening"] == listening


def test_a_restart_that_cannot_read_the_configuration_goes_on_trying(crashing):
    """Issue: an operator who broke the file and then had a crash mends the file, and sends SIGHUP."""
    gateway = crashing(SITE)
    good = (gateway.directory / "chimera.conf").read_text()
    gateway.machine = "nonsense"
    gateway.write_configuration()
    os.kill(gateway.pid, signal.SIGSEGV)
    gateway.await_stderr("a data plane ended: exit status 1")
    wait_until(lambda: gateway.stderr.count("exit status 1") >= 2, what="a second attempt")
    with gateway.connect() as waiting:
        waiting.send(request_bytes())
        (gateway.directory / "chimera.conf").write_text(good)
        gateway.signal(signal.SIGHUP)
        assert waiting.response().text == "ok"


def test_the_last_words_are_reported(crashing):
    """Issue: a report with the signal and the last diagnostic lines."""
    gateway = crashing(SITE)
    kill_data_plane(gateway)
    line = gateway.await_stderr("a data plane ended: signal 11")
    assert "generation=1" in line and "said=" in line
    death = gateway.status()["supervisor"]["last_death"]
    assert death["generation"] == 1 and any("listening on" in text for text in death["lines"])


def test_no_core_files(start_gateway):
    """Issue: core dumps and backtraces are off, since they take seconds and hold keys."""
    gateway = start_gateway(SITE)
    limits = Path(f"/proc/{gateway.pid}/limits").read_text()
    assert re.search(r"Max core file size +1 +1 ", limits)
    assert b"SWIFT_BACKTRACE=enable=no" in Path(f"/proc/{gateway.pid}/environ").read_bytes()


def test_a_data_plane_without_its_supervisor_drains(start_gateway, origins):
    """architecture.md: a data plane that loses its supervisor drains and exits."""
    origin, release = origins.held()
    gateway = start_gateway(f"site test {{ proxy {origin.target} }}")
    gateway.may_crash = True
    plane = gateway.pid
    with gateway.connect() as connection, gateway.connect() as idle:
        connection.send(request_bytes())
        origin.request()
        gateway.process.kill()
        idle.expect_close()
        release.set()
        assert connection.response().status == 200
    await_end(plane)


def await_end(*planes):
    """Waits until these processes, which nobody may reap, have ended."""
    def has_ended(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            return True
    wait_until(lambda: all(map(has_ended, planes)), what="the data planes' end")


@pytest.mark.parametrize("tenants", [1, 2000])
def test_a_data_plane_that_starts_without_its_supervisor_ends(start_gateway, tenants):
    """architecture.md: the supervisor may be gone at any moment of a start: before the data plane has read its
    configuration, while it asks for sockets, or when it has just begun to serve."""
    gateway = start_gateway({f"t{n}.conf": f"site t{n}.test {{ respond 200 }}" for n in range(tenants)}, start=False)
    gateway.may_crash = True
    gateway.write_configuration()
    for delay in [0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]:
        gateway.port = free_port()
        gateway.write_configuration()
        gateway.spawn()
        wait_until(gateway.data_planes, what="the data plane")
        time.sleep(delay)
        planes = gateway.data_planes()
        gateway.kill()
        await_end(*planes)


def test_a_data_plane_that_drains_without_its_supervisor_ends(start_gateway, origins):
    """The same while it drains, since the gateway stops or another data plane has taken over; what it serves is
    finished."""
    origin, release = origins.held()
    gateway = start_gateway(f"site test {{ /x respond 200 ; /* proxy {origin.target} }}")
    gateway.may_crash = True
    first = gateway.connect().send(request_bytes())
    origin.request()
    gateway.upgrade()
    second = gateway.connect().send(request_bytes())
    origin.request(1)
    planes = gateway.data_planes()
    assert len(planes) == 2
    gateway.signal(signal.SIGTERM)
    gateway.await_stderr("draining.*generation=2")
    gateway.process.kill()
    release.set()
    for connection in [first, second]:
        assert connection.response().status == 200
        connection.close()
    await_end(*planes)


def test_a_data_plane_under_load_ends_without_its_supervisor(start_gateway):
    """The same while everything is busy, and nobody reads the log; what is kept alive is closed."""
    reading, writing = os.pipe()
    gateway = start_gateway(SITE, log="log access json -", stdout=writing)
    gateway.may_crash = True
    os.close(writing)
    done = threading.Event()

    def client():
        while not done.is_set():
            try:
                with gateway.connect() as connection:
                    for _ in range(1000):
                        connection.get()
            except (OSError, ConnectionEnded):
                time.sleep(0.01)
    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    # More than the pipe holds, so the log is stuck.
    wait_until(lambda: gateway.status()["data_plane"]["requests"] > 3000, what="load")
    planes = gateway.data_planes()
    gateway.kill()
    await_end(*planes)
    done.set()
    for thread in threads:
        thread.join(30)
    os.close(reading)


def test_a_supervisor_that_does_not_answer_refuses_a_reload(start_gateway):
    """Quality: every wait has a bound: the reload that waits for a socket fails with a reason, and the next ones do
    not wait for it."""
    metrics = Metrics(start_gateway, SITE)
    gateway, other = metrics.gateway, free_port()
    gateway.machine += f"\nlisten 127.0.0.1:{other}"
    gateway.signal(signal.SIGSTOP)
    plane = gateway.pid
    try:
        # The watch asks for it; what the data plane says waits in its pipe.
        gateway.write_configuration()
        wait_until(lambda: metrics.value("chimera_config_loads_total", outcome="failed"), 30, "the end of the reload")
    finally:
        gateway.signal(signal.SIGCONT)
    gateway.await_stderr(rf"cannot listen on 127\.0\.0\.1:{other}: the supervisor does not answer")
    assert gateway.pid == plane
    assert gateway.get().text == "ok"
    assert gateway.command("reload").returncode == 0
    with Connection(("127.0.0.1", other)) as connection:
        assert connection.get().text == "ok"


def test_reloads_under_load_lose_nothing(start_gateway):
    """Issue: zero lost requests, resets or refused connections in 10 reloads under load (200 in the long form)."""
    reload_under_load(start_gateway, 10)


@pytest.mark.slow
def test_two_hundred_reloads_under_load_lose_nothing(start_gateway):
    reload_under_load(start_gateway, 200)


def reload_under_load(start_gateway, count):
    gateway = start_gateway("site test { respond 200 v0 }")
    with Load(gateway, check=lambda response: response.text.startswith("v")) as load:
        for number in range(1, count + 1):
            gateway.reload(f"site test {{ respond 200 v{number} }}")
            wait_until(lambda: gateway.get().text == f"v{number}", what=f"version {number}")
        load.more()


def test_listeners_come_and_go_under_load(start_gateway):
    """Issue: zero lost requests, resets or refused connections in configuration that adds and removes listeners. Who has
    connected to one that goes is served."""
    gateway = start_gateway(SITE)
    others = [free_port() for _ in range(2)]
    failures, served, gone = [], [0], [0]
    done = threading.Event()

    def client(port):
        while not done.is_set():
            try:
                connection = Connection(("127.0.0.1", port))
            except ConnectionRefusedError:
                gone[0] += 1
                time.sleep(0.005)
                continue
            try:
                # Connected is connected.
                assert connection.get().status == 200
                served[0] += 1
            except BaseException as failure:
                failures.append(failure)
            finally:
                connection.close()
    threads = [threading.Thread(target=client, args=(port,)) for port in others for _ in range(2)]
    for thread in threads:
        thread.start()
    with Load(gateway) as load:
        for turn in range(6):
            before = served[0]
            gateway.reload(machine=f"listen 127.0.0.1:{others[turn % 2]}")
            wait_until(lambda: served[0] > before + 20 or failures, what="the new listener")
            load.more(20)
        gateway.reload(machine="")
        wait_until(lambda: "no longer listening" in gateway.stderr)
        load.more(20)
    seen = gone[0]
    wait_until(lambda: gone[0] > seen + 20, what="the end of the listeners")
    done.set()
    for thread in threads:
        thread.join(30)
    assert failures == []


def test_a_unix_socket_outlives_a_crash_and_goes_with_the_end(crashing):
    """architecture.md: Unix sockets are kept and passed like others; the file goes when nobody listens any more."""
    gateway = crashing(SITE, "listen unix:web.sock")
    path = str(gateway.directory / "web.sock")
    kill_data_plane(gateway)
    with Connection(path) as connection:
        assert connection.get().text == "ok"
    gateway.stop()
    assert not os.path.exists(path)
    assert not (gateway.directory / "admin.sock").exists()


def test_logs_are_reopened(start_gateway):
    """operations.md: SIGUSR1 reaches the data plane, which has the log."""
    gateway = start_gateway(SITE)
    gateway.get("/one")
    gateway.records(1)
    (gateway.directory / "access.log").rename(gateway.directory / "old.log")
    gateway.signal(signal.SIGUSR1)
    wait_until(lambda: (gateway.directory / "access.log").exists(), what="the new file")
    gateway.get("/two")
    assert [r["path"] for r in gateway.records(1)] == ["/two"]


def test_ctrl_c_reaches_both_and_ends_in_order(start_gateway):
    """User promise: a terminal signals the whole group; the data plane leaves it to the supervisor."""
    gateway = start_gateway(SITE)
    with gateway.connect() as connection:
        assert connection.get().text == "ok"
        os.kill(gateway.pid, signal.SIGINT)
        os.kill(gateway.pid, signal.SIGHUP)
        gateway.signal(signal.SIGINT)
        connection.expect_close()
    assert gateway.await_exit() == 0


def test_drain_says_how_long(start_gateway, origins):
    """config.md, Defaults: `drain`; what outlives it is closed."""
    origin = origins(lambda connection: (connection.read_request(), connection.wait_closed()))
    gateway = start_gateway(f"site test {{ proxy {origin.target} }}", "drain 1s")
    with gateway.connect() as connection:
        connection.send(request_bytes())
        origin.request()
        gateway.signal(signal.SIGTERM)
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            connection.response()
    assert gateway.await_exit() == 0


# Process 1

unshares = pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode,
    reason="no process namespace may be made here")


@unshares
def test_as_process_1_it_reaps_strangers_and_ends_in_order(tmp_path):
    """architecture.md, PID 1: it reaps what others leave, and obeys signals though the kernel gives it no defaults."""
    port = free_port()
    (tmp_path / "chimera.conf").write_text(
        f"listen 127.0.0.1:{port}\nlog access off\nadmin unix:{tmp_path}/admin.sock\nsite * {{ respond 200 ok }}\n")
    user = ["--user", "root"] if os.geteuid() == 0 else []
    # The subshell's child is nobody's when the subshell has ended, so process 1 gets it.
    script = 'for i in 1 2 3; do (sleep 0.2 & sleep 0.05); done & exec "$@"'
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", str(BINARY), "run", "--config",
         str(tmp_path / "chimera.conf"), *user], stderr=subprocess.PIPE, env=environment())
    try:
        def first():
            found = children(process.pid)
            return found and "run" in Path(f"/proc/{found[0]}/cmdline").read_text().split("\0") and found[0]
        inner = wait_until(first, what="process 1")

        def answers():
            try:
                with Connection(("127.0.0.1", port)) as connection:
                    return connection.get().text == "ok"
            except OSError:
                return False
        wait_until(answers)

        def strangers():
            found = []
            for entry in Path("/proc").glob("[0-9]*/stat"):
                try:
                    fields = entry.read_text().rpartition(")")[2].split()
                    name = (entry.parent / "comm").read_text().strip()
                except OSError:
                    continue
                if int(fields[1]) == inner and name != "chimera":
                    found.append((name, fields[0]))
            return found
        wait_until(lambda: strangers() == [], what="the strangers' end")
        os.kill(inner, signal.SIGTERM)
        assert process.wait(10) == 0, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


# systemd

class NotifySocket:
    """What systemd would hear."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path if not self.path.startswith("@") else "\0" + self.path[1:])
        self.socket.settimeout(10)

    def await_message(self, wanted):
        """The first message from now on that has this line."""
        while True:
            message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())
            if wanted in message:
                return message


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(start_gateway, tmp_path, abstract):
    """Issue: READY=1, RELOADING with the clock, STOPPING, MAINPID, WATCHDOG where it is asked for."""
    listener = NotifySocket(f"@chimera-test-{os.getpid()}" if abstract else tmp_path / "notify")
    gateway = start_gateway(SITE, env={"NOTIFY_SOCKET": listener.path, "WATCHDOG_USEC": "200000"})
    ready = listener.await_message("READY")
    assert ready["READY"] == "1" and int(ready["MAINPID"]) == gateway.process.pid
    assert listener.await_message("WATCHDOG") == {"WATCHDOG": "1"}
    gateway.reload()
    reloading = listener.await_message("RELOADING")
    assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
    assert listener.await_message("READY")["READY"] == "1"
    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{gateway.pid}/environ").read_bytes()
    gateway.signal(signal.SIGTERM)
    assert listener.await_message("STOPPING")["STOPPING"] == "1"
    assert gateway.await_exit() == 0


# Privileges

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="not root")


@pytest.fixture
def public_directory():
    """A directory that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="chimera-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def status_of(pid):
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.strip() for name, value in lines}


def low_port():
    """A port that needs a privilege; those who test at the same time look among others."""
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8
    for port in range(600 + 50 * mine, 650 + 50 * mine):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no low port is free")


@needs_root
@pytest.mark.parametrize("user", ["nobody", "65534:65534", ""])
def test_root_serves_as_somebody_else(start_gateway, public_directory, user):
    """architecture.md, Users: the data plane never stays root; the supervisor binds the port that needs the privilege."""
    from rig.gateway import Gateway
    port = low_port()
    # A comment, so that the rig names nobody.
    machine = f"listen 127.0.0.1:{port}\n" + (f"user {user}" if user else "# user ")
    gateway = Gateway(public_directory / "gateway", SITE, machine, log="log access off").start()
    try:
        gateway.signal(signal.SIGHUP)
        gateway.await_stderr("configuration loaded again")
        status = status_of(gateway.pid)
        assert status["Uid"].split() == ["65534"] * 4 and status["Gid"].split()[0] == "65534"
        assert_no_thread_has_privileges(gateway.pid)
        assert status_of(gateway.process.pid)["Uid"].split() == ["0"] * 4
        if not user:
            assert "serving as nobody" in gateway.stderr or "serving as chimera" in gateway.stderr
        with Connection(("127.0.0.1", port)) as connection:
            assert connection.get().text == "ok"
        gateway.stop()
    finally:
        gateway.kill()


def assert_no_thread_has_privileges(pid):
    """Capabilities are each thread's own: one that was started before they were given up would keep them."""
    seen = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It may have ended.
            seen.append(status_of(f"{pid}/task/{task}"))
    assert len(seen) > 3
    for status in seen:
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0 and status["NoNewPrivs"] == "1", status


@needs_root
def test_root_as_the_user_gives_its_privileges_up(start_gateway):
    """operations.md: `user root` is a word that has to be said, and even then leaves no privilege."""
    gateway = start_gateway(SITE)
    assert_no_thread_has_privileges(gateway.pid)
    assert "serving as root" in gateway.stderr


@needs_root
def test_files_that_the_user_cannot_read_are_an_error(tmp_path):
    """User promise: a start that cannot serve says why, and what to do."""
    (tmp_path / "chimera.conf").write_text(f"listen 127.0.0.1:{free_port()}\n")
    os.chmod(tmp_path / "chimera.conf", 0o600)
    done = subprocess.run([str(BINARY), "run", "--config", "chimera.conf"], cwd=tmp_path, capture_output=True, text=True,
                          env=environment(), timeout=20)
    assert done.returncode == 1 and "`user`" in done.stderr, done.stderr


def test_a_user_that_does_not_exist_is_an_error(tmp_path):
    """The same for a name that nobody has."""
    if os.geteuid():
        pytest.skip("not root")
    (tmp_path / "chimera.conf").write_text(f"listen 127.0.0.1:{free_port()}\nuser no-such-user\n")
    done = subprocess.run([str(BINARY), "run", "--config", "chimera.conf"], cwd=tmp_path, capture_output=True, text=True,
                          env=environment(), timeout=20)
    assert done.returncode == 3 and "no-such-user" in done.stderr
