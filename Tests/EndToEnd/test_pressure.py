"""What the machine runs short of: descriptors, disk for the log, a steady clock."""

import os
import signal
import subprocess
import threading
import time

import pytest

from rig.client import request_bytes, wait_until
from rig.metrics import Metrics
from rig.programs import library
from rig.wire import ConnectionEnded

LIMITED = ["prlimit", "--nofile=256:256"]


class KeepAliveClient:
    """Keeps one connection as long as the gateway lets it, and opens another when it asks for more."""

    def __init__(self, gateway):
        self.gateway, self.connection = gateway, None
        self.served, self.slowest = 0, 0.0

    def ask(self, target="/"):
        begun = time.monotonic()
        for _ in range(50):
            try:
                if self.connection is None:
                    self.connection = self.gateway.connect(timeout=20)
                self.connection.send(request_bytes(target=target))
                assert self.connection.response().status == 200
                self.served += 1
                self.slowest = max(self.slowest, time.monotonic() - begun)
                return
            except (OSError, ConnectionEnded):
                # RFC 9112 §9.3.1: an idle connection may end at any time; the request is sent again.
                self.close()
        raise AssertionError("not served in fifty attempts")

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


@pytest.mark.parametrize("kind", ["respond", "proxy"])
def test_a_thousand_clients_and_256_descriptors(start_gateway, origins, kind):
    """Issue: descriptor limit of 256 with 1,000 keep-alive clients: every client is served within seconds."""
    verb = "respond 200 ok" if kind == "respond" else f"proxy {origins.echo().target}"
    metrics = Metrics(start_gateway, f"site test {{ {verb} }}", wrapper=LIMITED)
    gateway = metrics.gateway
    clients = [KeepAliveClient(gateway) for _ in range(1000)]
    failures = []

    def serve(some):
        try:
            for _ in range(2):
                for client in some:
                    client.ask()
        except BaseException as failure:
            failures.append(failure)
    threads = [threading.Thread(target=serve, args=(clients[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(client.served == 2 for client in clients)
    assert max(client.slowest for client in clients) < 5
    page = metrics.page()
    assert page.value("process_max_fds") == 256 and page.value("chimera_connections_max") == 192
    assert page.value("chimera_closes_total", reason="making-room") >= 500
    assert page.value("chimera_limit_hits_total", limit="connections") > 0
    # The youngest stay: the last to be served finds its connection open.
    last = clients[-1]
    last.ask()
    kept, before = last.connection, last.served
    last.ask()
    assert last.connection is kept and last.served == before + 1
    for client in clients:
        client.close()
    gateway.assert_alive()


def test_silent_clients_do_not_keep_the_others_out(start_gateway):
    """Issue: connections that never send anything give way as well; accepting resumes; nothing spins meanwhile."""
    gateway = start_gateway("site test { respond 200 ok }", wrapper=LIMITED)
    silent = [gateway.connect(timeout=20) for _ in range(400)]
    ticks = gateway.vitals.cpu_ticks
    begun = time.monotonic()
    with gateway.connect(timeout=20) as connection:
        assert connection.get().status == 200
    assert time.monotonic() - begun < 5
    time.sleep(1)  # What must not happen has no signal: a pause that spins would burn CPU.
    assert gateway.vitals.cpu_ticks - ticks < 60
    for connection in silent:
        connection.close()
    wait_until(lambda: gateway.vitals.descriptors < 60, what="descriptors given back")
    assert gateway.get().status == 200


def test_busy_connections_are_never_closed_for_new_ones(start_gateway, origins):
    """Quality: only what is idle gives way; a request under way is answered."""
    origin, release = origins.held()
    gateway = start_gateway(f"site test {{ /slow proxy {origin.target} ; /* respond 200 ok }}", "limit connections 30")
    busy = [gateway.connect(timeout=20) for _ in range(20)]
    for connection in busy:
        connection.send(request_bytes(target="/slow"))
    for _ in busy:
        origin.request()
    clients = [KeepAliveClient(gateway) for _ in range(100)]
    for client in clients:
        client.ask()
    release.set()
    assert [c.response().status for c in busy] == [200] * 20
    for connection in [*busy, *clients]:
        connection.close()


def test_the_limit_is_raised_to_the_hard_one(start_gateway):
    """Issue: RLIMIT_NOFILE raised to the hard limit."""
    metrics = Metrics(start_gateway, "site test { respond 200 ok }", wrapper=["prlimit", "--nofile=64:500"])
    assert metrics.value("process_max_fds") == 500
    assert metrics.value("chimera_connections_max") == 375


# The log

def test_a_full_disk_under_the_log(start_gateway, tmp_path):
    """Issue: disk full under the access log: requests are served, lines are counted as dropped, and it recovers."""
    metrics = Metrics(start_gateway, "site test { respond 200 ok }", log="log access json /dev/full")
    gateway = metrics.gateway
    with gateway.connect() as connection:
        for _ in range(300):
            connection.send(request_bytes(target="/" + "x" * 4000) * 20)
            for _ in range(20):
                assert connection.response().status == 200
    gateway.await_stderr("access log")
    assert metrics.value("chimera_log_dropped_records_total") > 0
    assert gateway.get().status == 200


def test_a_small_disk_that_is_emptied(start_gateway, tmp_path):
    """The same on a disk of 256 KiB, which takes lines again once there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small disk")
    try:
        gateway = start_gateway("site test { respond 200 ok }", log=f"log access json {disk}/access.log")
        with gateway.connect() as connection:
            for _ in range(25):
                connection.send(request_bytes(target="/" + "x" * 1000) * 10)
                for _ in range(10):
                    assert connection.response().status == 200
        gateway.await_stderr("access log.*(space|ENOSPC)")
        (disk / "access.log").rename(disk / "old.log")
        (disk / "old.log").write_bytes(b"")
        gateway.signal(signal.SIGUSR1)
        gateway.await_stderr("access log: opened again")
        gateway.get("/after")
        wait_until(lambda: "/after" in (disk / "access.log").read_text(), what="a line on the emptied disk")
        gateway.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_renamed_log_is_reopened_by_itself(start_gateway):
    """Issue: the log is opened again when its file was renamed, and no line is lost."""
    gateway = start_gateway("site test { respond 200 ok }")
    gateway.get("/before")
    gateway.records(1)
    log = gateway.directory / "access.log"
    log.rename(gateway.directory / "old.log")
    count = 0

    def reopened():
        nonlocal count
        gateway.get(f"/{count}")
        count += 1
        return log.exists() and log.read_text()
    wait_until(reopened, 20, what="a new file", every=0.1)
    records = gateway.records(1)
    old = [line for line in (gateway.directory / "old.log").read_text().splitlines()]
    wait_until(lambda: len(old) + len(gateway.records(1)) >= count + 1, what="all lines")
    assert records


# The clock

def test_a_clock_that_jumps(start_gateway, tmp_path):
    """Issue: the wall clock may step: deadlines go by another clock, and Date follows."""
    control = tmp_path / "time"
    control.write_text("+0\n")
    gateway = start_gateway(
        "site test { respond 200 ok }", "timeout head=2s idle=3s",
        # The library changes the environment of the first process that loads it, in which Swift then finds no arguments.
        wrapper=["env"], env={"LD_PRELOAD": library("libfaketime", "faketime/libfaketimeMT.so.1"), "FAKETIME_TIMESTAMP_FILE": str(control), "FAKETIME_NO_CACHE": "1",
             "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"})
    with gateway.connect() as connection, gateway.connect() as half:
        first = connection.get().fields["Date"]
        half.send(b"GET / HTTP/1.1\r\n")
        for step in ("+400d", "-400d"):
            control.write_text(step + "\n")
            assert connection.get().status == 200
            wait_until(lambda: connection.get().fields["Date"][12:16] != first[12:16], what="Date following the clock")
        # Neither jump ended the idle connection or the half head before its time, or kept it beyond.
        begun = time.monotonic()
        assert half.response().status == 408
        assert time.monotonic() - begun < 4
    with gateway.connect() as idle:
        assert idle.get().status == 200
        control.write_text("+4000d\n")
        begun = time.monotonic()
        idle.expect_close()
        assert 1.5 < time.monotonic() - begun < 6
    assert gateway.get().status == 200
