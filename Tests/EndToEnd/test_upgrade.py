"""A new binary takes over while clients are served."""

import hashlib
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from rig.client import request_bytes, wait_until
from rig.gateway import BINARY, free_port
from rig.load import Load
from rig.origin import pattern, pattern_digest
from rig.process import MiB
from rig.websocket import dial

SITE = "site test { respond 200 ok }"


@pytest.fixture
def installed(tmp_path):
    """A copy of the binary that a test may replace."""
    path = tmp_path / "bin/chimera"
    path.parent.mkdir()
    shutil.copy2(BINARY, path)
    return path


def replace(path: Path, source: Path | None = None, text: str | None = None):
    """Puts another file in the binary's place, as a package manager does."""
    fresh = path.with_name("fresh")
    if text is None:
        shutil.copy2(source or BINARY, fresh)
    else:
        fresh.write_text(text)
        fresh.chmod(0o755)
    fresh.rename(path)


def executable(pid):
    return os.stat(f"/proc/{pid}/exe").st_ino


def test_upgrades_under_load_lose_nothing(start_gateway, installed, origins, websocket_server):
    """Issue: zero lost requests, resets or refused connections in 4 upgrades under load with keep-alive connections, a
    download and a WebSocket open (20 in the long form)."""
    upgrade_under_load(start_gateway, installed, origins, websocket_server, 4)


def test_the_newest_data_plane_reloads_and_keeps_last_good_versions(start_gateway, installed, origins):
    """architecture.md, Processes: the newest data plane owns what is kept; the one that drains reads no files any more."""
    origin = origins(lambda connection: (connection.read_request(), connection.wait_closed()))
    gateway = start_gateway(f"site test {{ /wait proxy {origin.target} ; /* respond 200 one }}", "drain 10m", binary=installed)
    kept = gateway.directory / "data/tenants/test.good"
    wait_until(lambda: kept.exists() and b"200 one" in kept.read_bytes(), what="the first version on the disk")
    with gateway.connect() as busy:
        busy.send(request_bytes(target="/wait"))
        origin.request()
        gateway.upgrade()
        assert len(gateway.data_planes()) == 2
        seen = gateway.stderr_lines
        gateway.sites = "site test { respond 200 two }"
        gateway.write_configuration()
        wait_until(lambda: gateway.get().text == "two", what="the change that the directory told of")
        wait_until(lambda: b"200 two" in kept.read_bytes(), what="the second version on the disk")
        gateway.await_stderr("configuration loaded again.*changed=1", after=seen)
        assert sum("configuration loaded again" in line for line in gateway.stderr.splitlines()[seen:]) == 1
        assert len(gateway.data_planes()) == 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_upgrades_under_load_lose_nothing(start_gateway, installed, origins, websocket_server):
    upgrade_under_load(start_gateway, installed, origins, websocket_server, 20)


def upgrade_under_load(start_gateway, installed, origins, websocket_server, count):
    size = 60 * MiB
    origin = origins.echo()
    gateway = start_gateway(f"""site test {{
        /files/* files ./root
        /chat proxy {websocket_server.target}
        /app/* proxy {origin.target}
        /* respond 200 ok
    }}""", "drain 10m", start=False, binary=installed)
    root = gateway.directory / "conf.d/root"
    root.mkdir(parents=True)
    with open(root / "file", "wb") as file:
        for piece in pattern(size):
            file.write(piece)
    gateway.start()
    first = gateway.pid
    with (gateway.connect(receive_buffer=65536) as download, dial(gateway) as chat,
          Load(gateway, clients=4) as load, Load(gateway, clients=2, target="/app/name") as proxied):
        download.send(request_bytes(target="/files/file"))
        download.reader.response_head()
        digest = hashlib.sha256()
        for number in range(count):
            # Some of it, so that the client is one that takes something.
            digest.update(download.read_exactly(MiB))
            assert say(chat, f"before {number}") == f"before {number}"
            replace(installed)
            old = gateway.pid
            gateway.upgrade()
            assert gateway.pid != old and executable(gateway.pid) == os.stat(installed).st_ino
            planes = gateway.data_planes()
            assert len(planes) <= 3 and first in planes
            assert say(chat, f"after {number}") == f"after {number}"
            load.more(50)
            proxied.more(50)
        # The first data plane has nothing left but these two.
        digest.update(download.read_exactly(size - count * MiB))
        assert digest.hexdigest() == pattern_digest(size)
        assert say(chat, "at last") == "at last"
        assert first in gateway.data_planes()
        chat.close()
        wait_until(lambda: websocket_server.closed, what="the close at the server")
        assert websocket_server.closed == [(1000, "")]
    wait_until(lambda: len(gateway.data_planes()) == 1, what="the end of those that drain")
    states = [plane["state"] for plane in gateway.status()["supervisor"]["data_planes"]]
    assert states == ["serving"]


def say(chat, text):
    """What an echo answers."""
    chat.send(text)
    return chat.recv(timeout=30)


def test_a_connection_in_use_moves_with_its_next_request(start_gateway):
    """architecture.md: the old data plane answers what comes, and says that the connection closes."""
    gateway = start_gateway(SITE)
    with gateway.connect() as connection:
        assert connection.get().text == "ok"
        gateway.upgrade()
        # The new one serves before the old one has heard that it is to drain.
        responses = [connection.get()]
        while "close" not in responses[-1].fields.tokens("Connection"):
            responses.append(connection.get())
        assert {response.text for response in responses} == {"ok"}
        connection.expect_close()
    wait_until(lambda: len(gateway.data_planes()) == 1, what="the end of the old one")


def test_an_idle_connection_is_closed_after_a_moment(start_gateway):
    """The same for one without a request: it may still have one for a while, and then ends."""
    gateway = start_gateway(SITE)
    with gateway.connect() as used, gateway.connect() as fresh:
        assert used.get().text == "ok"
        gateway.upgrade()
        used.expect_close()
        fresh.expect_close()


def test_sigusr2_upgrades_as_well(start_gateway, installed):
    """Issue: SIGUSR2 or the command."""
    gateway = start_gateway(SITE, binary=installed)
    replace(installed)
    gateway.signal(signal.SIGUSR2)
    gateway.await_stderr("the upgrade is done")
    assert executable(gateway.pid) == os.stat(installed).st_ino
    assert gateway.get().text == "ok"


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 0\n", "not a program\n", ""])
def test_a_bad_binary_changes_nothing(start_gateway, installed, text):
    """Issue: if the new one does not get ready, the old one goes on and the error is reported."""
    gateway = start_gateway(SITE, binary=installed)
    with gateway.connect() as connection:
        assert connection.get().text == "ok"
        old = gateway.pid
        replace(installed, text=text)
        done = gateway.command("upgrade")
        assert done.returncode == 3 and "ready" in done.stderr, done.stderr
        gateway.await_stderr("the upgrade failed")
        assert connection.get().text == "ok" and gateway.pid == old
    replace(installed)
    gateway.upgrade()
    assert gateway.pid != old


def test_a_crash_after_a_new_binary_was_installed_starts_the_old_one(start_gateway, installed):
    """User promise: installing a binary is no upgrade; a restart is of the binary that served."""
    gateway = start_gateway(SITE, binary=installed)
    before = executable(gateway.pid)
    replace(installed, text="#!/bin/sh\nexit 1\n")
    old = gateway.pid
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: gateway.pid not in (old, gateway.process.pid))
    assert gateway.get().text == "ok" and executable(gateway.pid) == before


def test_a_bad_configuration_fails_the_upgrade(start_gateway):
    """Issue: bad configuration; the old one goes on, and the command prints what is wrong."""
    gateway = start_gateway(SITE)
    gateway.machine = "nonsense"
    gateway.write_configuration()
    done = gateway.command("upgrade")
    assert done.returncode == 3 and "nonsense" in done.stderr, done.stderr
    assert gateway.get().text == "ok"


def test_at_most_three_live_and_a_further_upgrade_waits(start_gateway, origins):
    """Issue: at most three data planes live, a further upgrade waits."""
    origin, release = origins.held()
    gateway = start_gateway(f"site test {{ /wait proxy {origin.target} ; /* respond 200 ok }}", "drain 10m")
    held = []
    for number in range(2):
        connection = gateway.connect()
        connection.send(request_bytes(target="/wait"))
        origin.request(number)
        held.append(connection)
        gateway.upgrade()
    assert len(gateway.data_planes()) == 3
    results = []
    waiting = threading.Thread(target=lambda: results.append(gateway.command("upgrade")))
    waiting.start()
    wait_until(lambda: gateway.status()["supervisor"]["upgrade_waits"], what="the upgrade that waits")
    assert gateway.get().text == "ok" and results == []
    release.set()
    assert all(connection.response().text == "ok" for connection in held)
    waiting.join(30)
    assert results[0].returncode == 0
    for connection in held:
        connection.close()


def test_an_upgrade_takes_listeners_up_and_gives_them_up(start_gateway):
    """Issue: where a listener is removed, its accept queue is drained before it closes; one that is new is bound."""
    removed, added = free_port(), free_port()
    gateway = start_gateway(SITE, f"listen 127.0.0.1:{removed}")
    from rig.client import Connection
    with Connection(("127.0.0.1", removed)) as connection:
        gateway.machine = f"listen 127.0.0.1:{added}"
        gateway.write_configuration()
        gateway.upgrade()
        # It was there before, and is served.
        assert connection.get().text == "ok"
    with Connection(("127.0.0.1", added)) as connection:
        assert connection.get().text == "ok"

    def refused():
        try:
            Connection(("127.0.0.1", removed), timeout=2).close()
            return False
        except OSError:
            return True
    wait_until(refused, what="the end of the listener")


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_may_change(start_gateway, workers):
    """Issue: the group's size stays where the number of workers changes, so that no queue is lost."""
    gateway = start_gateway(SITE)
    with Load(gateway) as load:
        path = gateway.directory / "chimera.conf"
        path.write_text(path.read_text().replace("workers 2", f"workers {workers}"))
        gateway.upgrade()
        load.more(200)
    assert len(gateway.status()["data_plane"]["workers"]) == workers


def test_a_stop_during_an_upgrade(start_gateway):
    """Quality: SIGTERM while two live ends both."""
    gateway = start_gateway(SITE)
    with gateway.connect() as connection:
        assert connection.get().text == "ok"
        gateway.upgrade()
        gateway.signal(signal.SIGUSR2)
        gateway.signal(signal.SIGTERM)
        assert gateway.await_exit() == 0
    assert gateway.data_planes() == []
