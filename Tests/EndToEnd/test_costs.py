"""Costs that are exact (quality.md, Tests): system calls and allocations for each request in steady state."""

import re
import signal
import struct
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from rig.client import request_bytes, wait_until
from rig.origin import response_bytes
from rig.programs import program
from rig.sessions import site
from rig.websocket import KEY, REQUEST, frame

READS = {"read", "readv", "recvfrom", "recvmsg", "recvmmsg", "pread64", "preadv"}
WRITES = {"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice", "pwrite64"}
WAITS = {"epoll_wait", "epoll_pwait", "epoll_pwait2"}
REQUESTS = 400

KINDS = {
    "static": request_bytes(target="/files/1kB"),
    "static, not modified": request_bytes(target="/files/1kB", fields=[("If-None-Match", "*")]),
    "static, missing": request_bytes(target="/files/none"),
    "fixed": request_bytes(target="/fixed"),
    "redirect": request_bytes(target="/old/a/b?c=d"),
    "no route": request_bytes(target="/none"),
}


@pytest.fixture
def started(start_gateway, origins):
    def start(log="log access off", **options):
        origin = origins(response_bytes(200, [], b"x" * 1024))
        gateway = start_gateway(f"""site test {{
            /files/* files ./root
            /fixed   respond 200 fixed
            /old/*   redirect /new/{{rest}}
            /up/*    proxy {origin.target}
        }}""", start=False, log=log, **options)
        root = gateway.directory / "conf.d/root"
        root.mkdir(parents=True)
        (root / "1kB").write_bytes(b"x" * 1024)
        return gateway.start().settle()
    return start


class Trace:
    """`with Trace(gateway) as trace: …` counts the system calls of all its threads."""

    def __init__(self, gateway, directory: Path):
        self.gateway, self.path = gateway, directory / "trace"

    def __enter__(self):
        self.process = subprocess.Popen([program("strace"), "-f", "-qq", "-o", str(self.path), "-p", str(self.gateway.pid)],
                                        stderr=subprocess.PIPE, text=True)
        self.await_attached()
        return self

    def await_attached(self):
        def attached():
            if self.process.poll() is not None:
                pytest.fail(f"strace may not attach here: {self.process.stderr.read()}")
            tasks = Path(f"/proc/{self.gateway.pid}/task").iterdir()
            return all(f"TracerPid:\t{self.process.pid}" in (task / "status").read_text() for task in tasks)
        wait_until(attached, what="strace on every thread")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self.calls = Counter()
        for line in self.path.read_text(errors="replace").splitlines():
            if match := re.match(r"\d+ +([a-z_0-9]+)\(", line):
                self.calls[match.group(1)] += 1

    def sum(self, names) -> int:
        return sum(self.calls[n] for n in names)

    @property
    def others(self) -> Counter:
        return Counter({n: c for n, c in self.calls.items() if n not in READS | WRITES | WAITS})


def serve(connection, request: bytes, count: int, batch: int = 1):
    for _ in range(count // batch):
        connection.send(request * batch)
        for _ in range(batch):
            connection.response()


SLACK = 12
"""Calls that belong to no request: a timer, the tick of the date, a worker's look at its mailbox."""


@pytest.mark.parametrize("kind", KINDS)
def test_system_calls_of_an_answer_from_memory(started, tmp_path, kind):
    """quality.md: one read, one write (and the wait for the next request), no other call."""
    gateway = started()
    with gateway.connect() as connection:
        serve(connection, KINDS[kind], 100)
        with Trace(gateway, tmp_path) as trace:
            serve(connection, KINDS[kind], REQUESTS)
    assert REQUESTS <= trace.sum(READS) <= REQUESTS + SLACK, trace.calls
    assert REQUESTS <= trace.sum(WRITES) <= REQUESTS + SLACK, trace.calls
    assert trace.sum(WAITS) <= REQUESTS + 4 * SLACK, trace.calls
    assert sum(trace.others.values()) <= 2 * SLACK, trace.calls


def test_system_calls_of_a_pipeline(started, tmp_path):
    """architecture.md: one read, all its frames, all their answers, one write."""
    gateway = started()
    batch = 16
    with gateway.connect() as connection:
        serve(connection, KINDS["fixed"], 160, batch)
        with Trace(gateway, tmp_path) as trace:
            serve(connection, KINDS["fixed"], REQUESTS, batch)
    assert trace.sum(READS) <= REQUESTS / batch + SLACK, trace.calls
    assert trace.sum(WRITES) <= REQUESTS / batch + SLACK, trace.calls


def test_system_calls_of_the_access_log(started, tmp_path):
    """architecture.md: each worker formats into its own double buffer, and a thread writes: no call for each request."""
    gateway = started(log="log access json access.log")
    with gateway.connect() as connection:
        serve(connection, KINDS["static"], 100)
        with Trace(gateway, tmp_path) as trace:
            serve(connection, KINDS["static"], REQUESTS)
    assert trace.sum(READS) <= REQUESTS + 2 * SLACK, trace.calls
    assert trace.sum(WRITES) + trace.calls["futex"] <= REQUESTS * 1.25 + 2 * SLACK, trace.calls


def test_system_calls_of_a_proxied_answer(started, tmp_path):
    """architecture.md: a read and a write on either side, and no read that only finds the socket empty."""
    gateway = started()
    request = request_bytes(target="/up/x")
    with gateway.connect() as connection:
        serve(connection, request, 100)
        with Trace(gateway, tmp_path) as trace:
            serve(connection, request, REQUESTS)
    assert 2 * REQUESTS <= trace.sum(READS) <= 2 * REQUESTS + SLACK, trace.calls
    assert 2 * REQUESTS <= trace.sum(WRITES) <= 2 * REQUESTS + SLACK, trace.calls
    assert trace.calls["epoll_ctl"] <= 2 * SLACK, trace.calls
    assert sum(trace.others.values()) <= 2 * SLACK, trace.calls


def test_system_calls_of_a_message_to_a_program(start_gateway, marked, tmp_path):
    """A read and a write on either side for an echoed message, and no read that only finds a pipe empty."""
    gateway = start_gateway(site("cat", options=marked.option)).settle()
    message, echo = frame(b"hello", key=KEY), frame(b"hello")

    def talk(connection, count):
        for _ in range(count):
            connection.send(message)
            assert connection.read_exactly(len(echo)) == echo
    with gateway.connect() as connection:
        connection.send(REQUEST.replace(b"/chat", b"/"))
        assert connection.response().status == 101
        talk(connection, 100)
        with Trace(gateway, tmp_path) as trace:
            talk(connection, REQUESTS)
    marked.await_gone()
    assert 2 * REQUESTS <= trace.sum(READS) <= 2 * REQUESTS + SLACK, trace.calls
    assert 2 * REQUESTS <= trace.sum(WRITES) <= 2 * REQUESTS + SLACK, trace.calls
    assert trace.sum(WAITS) <= 2 * REQUESTS + 4 * SLACK, trace.calls
    assert sum(trace.others.values()) <= 2 * SLACK, trace.calls


class Mallocs:
    """The number of allocations that a gateway has made, read from memory that it shares with us."""

    def __init__(self, directory: Path):
        self.path = directory / "mallocs"
        self.path.write_bytes(bytes(8))
        library = directory / "malloc_counter.so"
        subprocess.run([program("cc"), "-O2", "-shared", "-fPIC", "-o", library, Path(__file__).parent / "malloc_counter.c"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "MALLOC_COUNTER": str(self.path)}

    @property
    def count(self) -> int:
        return struct.unpack("=Q", self.path.read_bytes())[0]


@pytest.mark.parametrize("log", ["log access off", "log access json access.log"], ids=["log off", "log on"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_from_memory_allocates_nothing(started, tmp_path, kind, log):
    """quality.md: static 1 kB over HTTP/1.1 in steady state: no malloc; nor for what else needs no wait."""
    mallocs = Mallocs(tmp_path)
    gateway = started(log, env=mallocs.environment)
    assert mallocs.count > 0, "the counter is not in the process"
    with gateway.connect() as connection:
        serve(connection, KINDS[kind], 200)
        before = mallocs.count
        serve(connection, KINDS[kind], 2000)
        made = mallocs.count - before
    assert made <= 40, f"{made} allocations in 2000 requests"
