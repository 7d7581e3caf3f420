"""SIGHUP: a new configuration without dropping a connection, and a bad one without any effect."""

import hashlib
import signal
import socket
import threading
import time

import pytest

from rig.client import Connection, request_bytes, wait_until
from rig.gateway import free_port
from rig.origin import pattern, pattern_digest
from rig.process import MiB
from rig.wire import ConnectionEnded


def site(text: str) -> str:
    return f"site test {{\n{text}\n}}"


def test_a_reload_takes_effect_on_open_connections(start_gateway):
    """Issue: SIGHUP loads a new snapshot without dropping a connection; keep-alive connections see it."""
    gateway = start_gateway(site("/* respond 200 one"))
    connections = [gateway.connect() for _ in range(8)]
    assert all(c.get("/").text == "one" for c in connections)
    gateway.reload(site("/* respond 200 two"))
    wait_until(lambda: all(c.get("/").text == "two" for c in connections), what="the new answer on the old connections")
    gateway.reload({"test.conf": site("/* respond 200 three"), "other.conf": "site other.test { respond 200 other }"})
    wait_until(lambda: connections[0].get("/", "other.test").status == 200, what="the new site")
    wait_until(lambda: all(c.get("/").text == "three" for c in connections))
    gateway.reload({"test.conf": site("/* respond 200 three")})
    wait_until(lambda: all(c.get("/", "other.test").status == 421 for c in connections), what="the end of the removed site")
    for connection in connections:
        connection.close()


def test_a_reload_drops_nothing_under_load(start_gateway, origins):
    """Issue: without dropping a connection. Four clients, many reloads, every request is answered by the old or the new
    configuration and no connection ends."""
    origin = origins.echo()

    def version(number):
        return site(f"/fixed respond 200 v{number}\n/* proxy {origin.target} {{ header X-Version {number} }}")
    gateway = start_gateway(version(0))
    stop, failures, count = threading.Event(), [], [0]

    def client(number):
        try:
            with gateway.connect() as connection:
                while not stop.is_set():
                    assert connection.get("/fixed").text.startswith("v")
                    response = connection.request("POST", "/name", body=b"x" * 100)
                    assert response.status == 200 and response.fields["X-Version"].isdigit()
                    count[0] += 2
        except BaseException as failure:
            failures.append(failure)
    threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 21):
        gateway.reload(version(number))
        wait_until(lambda: gateway.get("/fixed").text == f"v{number}", what=f"version {number}")
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == [] and count[0] > 20


def test_a_download_goes_on_across_a_reload(start_gateway):
    """architecture.md, Reload: an exchange holds its site; a slow download finishes though its site is gone."""
    gateway = start_gateway(site("files ./root"), start=False)
    root = gateway.directory / "conf.d/root"
    root.mkdir(parents=True)
    with open(root / "file", "wb") as file:
        for piece in pattern(20 * MiB):
            file.write(piece)
    gateway.start()
    with gateway.connect(receive_buffer=65536) as connection:
        connection.send(request_bytes(target="/file"))
        connection.reader.response_head()
        gateway.reload("site other.test { respond 200 other }")
        wait_until(lambda: gateway.get("/", "other.test").status == 200)
        assert gateway.get("/file").status == 421
        digest = hashlib.sha256(connection.read_exactly(20 * MiB))
        assert digest.hexdigest() == pattern_digest(20 * MiB)
        assert connection.get("/", "other.test").text == "other"


def test_a_proxied_request_goes_on_across_a_reload(start_gateway, origins):
    """The same for a request that waits at an upstream which the new configuration does not have, and for a tunnel."""
    release = threading.Event()

    def script(connection):
        request = connection.read_request()
        if "Upgrade" in request.fields:
            connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: t\r\n\r\n")
            while data := connection.read_some():
                connection.send(data)
        if request.target == "/waiting":
            assert release.wait(10)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
    origin = origins(script)
    gateway = start_gateway(site(f"proxy {origin.target}"))
    with gateway.connect() as waiting, gateway.connect() as tunnel:
        waiting.send(request_bytes(target="/waiting"))
        tunnel.send(request_bytes(target="/t", fields=[("Connection", "Upgrade"), ("Upgrade", "t")]))
        assert tunnel.response().status == 101
        origin.request(0)
        gateway.reload(site("respond 200 new"))
        wait_until(lambda: gateway.get().text == "new")
        release.set()
        assert waiting.response().text == "old"
        assert waiting.get().text == "new"
        assert tunnel.send(b"still here").read_exactly(10) == b"still here"


def test_a_bad_file_keeps_the_old_configuration(start_gateway):
    """config.md, Rules 3: a file is a transaction; what fails is reported with its position and changes nothing."""
    gateway = start_gateway({"test.conf": site("respond 200 one"), "other.conf": "site other.test { respond 200 other }"})
    with gateway.connect() as connection:
        assert connection.get().text == "one"
        gateway.reload({"test.conf": site("respnd 200 two"), "other.conf": "site other.test { respond 200 other }"})
        gateway.await_stderr(r"test\.conf:2:1: .*respnd")
        for _ in range(10):
            assert connection.get().text == "one"
            assert connection.get("/", "other.test").text == "other"
        gateway.reload(machine="workerz 3")
        gateway.await_stderr(r"chimera\.conf:\d+:1: .*workerz")
        assert connection.get().text == "one"
        gateway.reload(site("respond 200 three"), machine="")
        wait_until(lambda: connection.get().text == "three", what="the repaired file")


def test_a_reload_of_the_same_changes_nothing(start_gateway, origins):
    """config.md, Rules 5: tenants whose content is the same do not notice: pooled upstream connections stay."""
    origin = origins.echo()
    gateway = start_gateway({"test.conf": site(f"proxy {origin.target}"), "other.conf": "site other.test { respond 200 1 }"})
    with gateway.connect() as connection:
        assert connection.get("/name").status == 200
        for number in range(2, 5):
            gateway.reload({"test.conf": site(f"proxy {origin.target}"),
                            "other.conf": f"site other.test {{ respond 200 {number} }}"})
            wait_until(lambda: connection.get("/", "other.test").text == str(number))
            assert connection.get("/name").status == 200
    assert len(origin.connections) == 1


def test_reloads_leave_nothing_behind(start_gateway, origins):
    """Quality: a hundred reloads leave no descriptor, thread or configuration in memory."""
    origin = origins.echo()

    def version(number):
        return "\n".join([f"site test {{ /v respond 200 {number} ; /* proxy {origin.target} }}"]
                         + [f"site s{n}.test {{ header X {'x' * 500} ; respond 200 {number} }}" for n in range(200)])
    gateway = start_gateway(version(0))

    def turn(number):
        gateway.reload(version(number))
        wait_until(lambda: gateway.get("/v").text == str(number), every=0.005)
        assert gateway.get("/name").status == 200
    for number in range(1, 30):
        turn(number)
    descriptors, threads, memory = gateway.vitals.descriptors, gateway.vitals.threads, gateway.vitals.resident
    for number in range(30, 130):
        turn(number)
    wait_until(lambda: gateway.vitals.descriptors <= descriptors + 8, what="descriptors back to where they were")
    assert gateway.vitals.threads <= threads + 4
    assert gateway.vitals.resident - memory < 16 * MiB


def test_many_signals_at_once(start_gateway):
    """Quality: a storm of SIGHUP ends in the last configuration."""
    gateway = start_gateway(site("respond 200 v0"))
    for number in range(1, 31):
        gateway.sites = site(f"respond 200 v{number}")
        gateway.write_configuration()
        gateway.signal(signal.SIGHUP)
    wait_until(lambda: gateway.get().text == "v30", what="the last version")
    time.sleep(0.2)
    assert gateway.get().text == "v30"


@pytest.mark.parametrize("change", ["added", "removed"])
def test_a_listener_comes_and_goes_with_a_reload(start_gateway, change):
    """Issue: SIGHUP loads a new snapshot; a change of the listeners is taken up, or refused by name, and never silently
    ignored."""
    other = free_port()
    line = f"listen 127.0.0.1:{other}"
    gateway = start_gateway(site("respond 200 ok"), line if change == "removed" else "")
    seen = gateway.stderr_lines

    def reachable():
        try:
            with Connection(("127.0.0.1", other), timeout=2) as connection:
                return connection.get().status == 200
        except (OSError, ConnectionEnded):
            return False
    assert wait_until(lambda: reachable() == (change == "removed"))
    gateway.reload(machine=line if change == "added" else "")
    said = lambda: any("listen" in line_ for line_ in gateway.stderr.splitlines()[seen:])  # noqa: E731
    wait_until(lambda: reachable() == (change == "added") or said(), what="the change of the listener")
    assert gateway.get().text == "ok"


def test_a_listener_that_cannot_be_bound_changes_nothing(start_gateway):
    """config.md, Rules 3: a reload is a transaction, its listeners included; what fails is named."""
    gateway = start_gateway(site("respond 200 old"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        gateway.reload(site("respond 200 new"), machine=f"listen 127.0.0.1:{port}")
        gateway.await_stderr(rf"cannot listen on 127\.0\.0\.1:{port}.*the old configuration stays in service")
        assert gateway.get().text == "old"
    gateway.reload(site("respond 200 new"), machine=f"listen 127.0.0.1:{port}")
    wait_until(lambda: gateway.get().text == "new", what="the new configuration")
