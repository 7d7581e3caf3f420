"""Start, drain, end; the access log; one-line forms of the command."""

import contextlib
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from rig.client import Connection, request_bytes, wait_until
from rig.gateway import BINARY, environment, free_port, run
from rig.origin import OK, answers, in_turn, pattern
from rig.process import MiB

SITE = "site test { respond 200 ok }"


# Start

def test_it_says_where_it_listens(start_gateway):
    """User promise: one line for each listener, once it serves."""
    gateway = start_gateway(SITE)
    assert re.search(rf"listening on 127\.0\.0\.1:{gateway.port}\b", gateway.stderr)
    assert gateway.get().status == 200


def test_two_workers_serve(start_gateway):
    """Issue: listeners for each worker, accepts evened out: many connections are served by more than one thread."""
    gateway = start_gateway(SITE)
    connections = [gateway.connect() for _ in range(200)]
    busy = set()
    for connection in connections:
        assert connection.get().status == 200

    def times():
        result = {}
        for thread in os.listdir(f"/proc/{gateway.pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It may have ended.
                fields = Path(f"/proc/{gateway.pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()
                result[thread] = int(fields[11]) + int(fields[12])
        return result
    before, deadline = times(), time.monotonic() + 10
    while len(busy) < 2 and time.monotonic() < deadline:
        for connection in connections:
            connection.send(request_bytes() * 20)
        for connection in connections:
            for _ in range(20):
                connection.response()
        busy = {t for t, ticks in times().items() if ticks - before.get(t, 0) > 2}
    assert len(busy) >= 2, "all the work is done by one thread"
    for connection in connections:
        connection.close()


def test_a_port_in_use_is_a_clear_error(tmp_path):
    """User promise: the address, the reason, and an exit code that is not 0."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "chimera.conf").write_text(f"listen 127.0.0.1:{port}\n")
        done = run("run", "--config", tmp_path / "chimera.conf")
    assert done.returncode != 0
    assert str(port) in done.stderr and re.search("in use", done.stderr, re.I), done.stderr
    assert "listening on" not in done.stderr


def test_an_address_that_is_not_ours_is_a_clear_error(tmp_path):
    """The same for an address that this machine does not have."""
    (tmp_path / "chimera.conf").write_text("listen 192.0.2.1:8080\n")
    done = run("run", "--config", tmp_path / "chimera.conf")
    assert done.returncode != 0 and "192.0.2.1" in done.stderr


def test_no_configuration(tmp_path):
    """config.md, Rules: `./chimera.conf`, then `/etc/chimera/chimera.conf`; none is an error that names them."""
    if os.path.exists("/etc/chimera/chimera.conf"):
        pytest.skip("this machine has a configuration of its own")
    done = run("run", cwd=tmp_path)
    assert done.returncode != 0 and "chimera.conf" in done.stderr


def test_the_configuration_of_the_working_directory(start_gateway):
    """config.md: `chimera run` takes ./chimera.conf."""
    gateway = start_gateway(SITE, arguments=["run"])
    assert gateway.get().text == "ok"


# End

def test_sigterm_closes_idle_connections_and_ends(start_gateway):
    """Issue: SIGTERM drains: idle connections close, exit code 0."""
    gateway = start_gateway(SITE)
    idle = [gateway.connect() for _ in range(20)]
    for connection in idle[:10]:
        assert connection.get().status == 200
    gateway.signal(signal.SIGTERM)
    for connection in idle[:10]:
        connection.expect_close()
    assert gateway.await_exit() == 0
    for connection in idle:
        connection.close()


def test_sigint_ends_as_well(start_gateway):
    """User promise: Ctrl-C ends `make run` in order."""
    gateway = start_gateway(SITE)
    assert gateway.get().status == 200
    gateway.signal(signal.SIGINT)
    gateway.await_exit()
    gateway.expected_exit = {0, 130, -signal.SIGINT}


def test_sigterm_lets_requests_finish(start_gateway, origins):
    """Issue: the rest finish within the deadline; new connections are refused; the answer says `close`."""
    origin, release = origins.held()
    gateway = start_gateway(f"site test {{ /files/* files ./root ; /* proxy {origin.target} }}", start=False)
    root = gateway.directory / "conf.d/root"
    root.mkdir(parents=True)
    with open(root / "file", "wb") as file:
        for piece in pattern(20 * MiB):
            file.write(piece)
    gateway.start()
    with gateway.connect() as waiting, gateway.connect(receive_buffer=65536) as download, gateway.connect() as idle:
        assert idle.get("/files/none").status == 404
        waiting.send(request_bytes(target="/x"))
        download.send(request_bytes(target="/files/file"))
        download.reader.response_head()
        origin.request()
        gateway.signal(signal.SIGTERM)
        idle.expect_close()

        def refused():
            try:
                with gateway.connect(timeout=2) as late:
                    return late.send(request_bytes()).read_until_close() == b""
            except OSError:
                return True
        wait_until(refused, what="new connections being refused")
        assert gateway.process.poll() is None
        release.set()
        response = waiting.response()
        assert (response.status, response.body) == (200, b"ok")
        assert "close" in response.fields.tokens("Connection")
        assert len(download.read_exactly(20 * MiB)) == 20 * MiB
        download.expect_close()
    assert gateway.await_exit() == 0


def test_a_second_sigterm_ends_at_once(start_gateway, origins):
    """Issue: a second one ends at once, whatever is under way."""
    origin = origins(lambda connection: (connection.read_request(), connection.wait_closed()))
    gateway = start_gateway(f"site test {{ proxy {origin.target} }}")
    with gateway.connect() as connection:
        connection.send(request_bytes())
        origin.request()
        gateway.signal(signal.SIGTERM)
        time.sleep(0.5)  # What must not happen has no signal: the request under way keeps it alive.
        assert gateway.process.poll() is None
        gateway.signal(signal.SIGTERM)
        gateway.await_exit(3)
    gateway.expected_exit = {0, 1, 143, -signal.SIGTERM}


def test_sigterm_under_load(start_gateway):
    """quality.md: SIGTERM under load. Each client sees whole answers until its connection ends; exit code 0."""
    gateway = start_gateway(SITE)
    failures, served = [], [0]

    def client():
        try:
            while True:
                with gateway.connect() as connection:
                    while True:
                        connection.send(request_bytes())
                        if not connection.reader.buffer and not connection.reader.fill():
                            return
                        response = connection.response()
                        assert (response.status, response.body) == (200, b"ok")
                        served[0] += 1
                        if "close" in response.fields.tokens("Connection"):
                            return
        except OSError:
            return
        except BaseException as failure:
            failures.append(failure)
    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: served[0] > 500)
    gateway.signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert gateway.await_exit() == 0
    assert failures == []


# Access log

def test_the_time_of_a_line_is_that_of_the_request(start_gateway, origins):
    """docs/operations.md: `time` is when the request's head was complete, however long the answer took."""
    origin, release = origins.held(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    gateway = start_gateway(f"site * {{ proxy {origin.target} }}")
    with gateway.connect() as connection:
        connection.send(request_bytes())
        origin.request(0)
        came = time.time()
        while time.time() < came + 0.01:
            time.sleep(0.001)
        release.set()
        assert connection.response().status == 200
    stamp = gateway.records(1)[0]["time"].replace("Z", "+00:00")
    assert datetime.datetime.fromisoformat(stamp).timestamp() <= came


def test_the_fields_of_the_access_log(start_gateway, origins):
    """Issue: site, tenant, route, method, path, status, bytes both ways, times, upstream, close reason, request id."""
    origin = origins.echo()
    gateway = start_gateway({"shop.conf": f"""
        site shop.test {{
            /here/{{x}}  respond 200 "twelve bytes" {{ header X-Id {{id}} }}
            /up/*      proxy {origin.target}
        }}"""})
    here = gateway.request("GET", "/here/a%20b?q=1", "shop.test", [("User-Agent", 'a "quoted"\\ \u00e9'), ("Referer", "x")])
    body = gateway.request("POST", "/up/x", "shop.test", body=b"x" * 1000).body
    gateway.request("GET", "/nothing", "shop.test")
    gateway.exchange(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    records = gateway.records(4)
    first, second, third = [next(r for r in records if r.get("path", "").startswith(p)) for p in ("/here", "/up", "/nothing")]
    assert (first["site"], first["tenant"], first["route"]) == ("shop.test", "shop", "/here/{x}")
    assert (first["method"], first["path"], first["protocol"]) == ("GET", "/here/a%20b?q=1", "HTTP/1.1")
    assert (first["status"], first["bytes_in"], first["bytes_out"]) == (200, 0, 12)
    assert (first["host"], first["client"], first["id"]) == ("shop.test", "127.0.0.1", here.fields["X-Id"])
    assert first["referer"] == "x" and first["user_agent"].startswith('a "quoted"\\ ')
    assert 0 <= first["first_byte_us"] <= first["total_us"] < 10_000_000 and "upstream" not in first
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert (second["method"], second["status"], second["route"]) == ("POST", 200, "/up/*")
    assert (second["bytes_in"], second["bytes_out"]) == (1000, len(body))
    assert second["upstream"]["address"].endswith(str(origin.port))
    assert all(0 <= second["upstream"][k] < 10_000_000 for k in ("connect_us", "first_byte_us", "total_us"))
    assert third["status"] == 404
    assert [r["status"] for r in records if "refused" in r] == [400]


def test_the_access_log_has_every_request_once(start_gateway):
    """quality.md: nothing is lost below the bound of the buffers, and each line is one JSON object."""
    gateway = start_gateway("site test { respond 200 ok }")
    connections = [gateway.connect() for _ in range(10)]
    for turn in range(20):
        for number, connection in enumerate(connections):
            connection.send(b"".join(request_bytes(target=f"/{number}/{turn}/{i}") for i in range(5)))
        for connection in connections:
            for _ in range(5):
                connection.response()
    records = gateway.records(1000)
    assert len({r["id"] for r in records}) == len(records) == 1000
    assert len({r["path"] for r in records}) == 1000
    for connection in connections:
        connection.close()


def test_the_access_log_cannot_be_forged(start_gateway):
    """Quality: line ends, quotes and control characters of a request stay inside their field."""
    gateway = start_gateway("site test { respond 200 ok }")
    gateway.get('/x%0a{"forged":1}%22', fields=[("User-Agent", 'x","forged":"1'), ("Referer", "\xff\xfe\\")])
    records = gateway.records(1)
    assert len(records) == 1 and "forged" not in records[0]


def test_aborted_requests_have_their_reason(start_gateway, origins):
    """Issue: the close reason; quality.md: a reason for everything that ends before its time."""
    origin = origins(lambda connection: (connection.read_request(), connection.wait_closed()))
    gateway = start_gateway(f"site test {{ /refused proxy 127.0.0.1:{free_port()} ; /* proxy {origin.target} }}")
    connection = gateway.connect()
    connection.send(request_bytes(target="/gone"))
    origin.request()
    connection.reset()
    gateway.get("/refused")
    records = {r["path"]: r for r in gateway.records(2)}
    assert records["/refused"]["status"] == 502
    assert "close" in records["/gone"]


@pytest.mark.parametrize("log", ["json", "text"])
def test_the_log_tells_why_an_upstream_failed(start_gateway, origins, log):
    """User promise: who reads the log of a 502 or 504 sees which error of RFC 9209 it was, as the client does."""
    def retried(connection):
        connection.read_request()
        connection.send(OK)
        connection.read_request()  # On a kept connection, and then no answer: the request is sent once more.
    stalls = origins(lambda connection: (connection.read_request(), connection.wait_closed()))
    breaks = origins(lambda connection: connection.read_request())
    nonsense = origins(answers(b"HTP/1.1 200 OK\r\n\r\n"))
    kept = origins(in_turn(retried, OK))
    gateway = start_gateway(f"""site test {{
        /refused   proxy 127.0.0.1:{free_port()}
        /unknown   proxy nothing.invalid:80
        /stalls    proxy {stalls.target} {{ timeout answer=200ms }}
        /breaks    proxy {breaks.target}
        /nonsense  proxy {nonsense.target}
        /kept      proxy {kept.target}
    }}""", log=f"log access {log} access.log")
    expected = {"/refused": (502, "connection-refused"), "/unknown": (502, "dns-error"),
                "/stalls": (504, "http-response-timeout"), "/breaks": (502, "connection-terminated"),
                "/nonsense": (502, "http-protocol-error")}
    for path, (status, error) in expected.items():
        response = gateway.get(path)
        assert response.status == status
        assert f"error={error.replace('-', '_')}" in response.fields["Proxy-Status"]
    with gateway.connect() as connection:
        assert [connection.get("/kept").status for _ in range(2)] == [200, 200]
    if log == "json":
        found = {r["path"]: r["upstream"] for r in gateway.records(7)}
        assert {path: found[path].get("error") for path in expected} == {p: e for p, (_, e) in expected.items()}
        assert "address" in found["/refused"] and "address" not in found["/unknown"]
        assert "error" not in found["/kept"], "the error of the first attempt stands beside the answer of the second"
    else:
        path = gateway.directory / "access.log"
        lines = wait_until(lambda: (t := path.exists() and path.read_text().splitlines()) and len(t) == 7 and t)
        found = {line.split('"')[1].split()[1]: re.findall(r" upstream-error=(\S+)", line) for line in lines}
        assert found == {**{p: [e] for p, (_, e) in expected.items()}, "/kept": []}


def test_the_log_is_opened_again(start_gateway):
    """docs/operations.md: SIGUSR1 opens the access log's file again; that is news and no warning."""
    gateway = start_gateway(SITE)
    gateway.get("/old")
    gateway.records(1)
    (gateway.directory / "access.log").rename(gateway.directory / "access.log.1")
    gateway.signal(signal.SIGUSR1)
    line = gateway.await_stderr("access log: opened again")
    assert " INFO " in line
    gateway.get("/new")
    assert [r["path"] for r in gateway.records(1)] == ["/new"]
    assert [r["path"] for r in gateway.records(1, "access.log.1")] == ["/old"]


def test_log_access_off(start_gateway):
    """config.md: `log access off`, for the machine, a site or a route."""
    gateway = start_gateway("site test { /quiet/* { log access off } ; /* respond 200 ok }")
    gateway.get("/quiet/x")
    gateway.get("/loud")
    gateway.get("/quiet/y")
    gateway.get("/last")
    assert {r["path"] for r in gateway.records(2)} == {"/loud", "/last"}
    silent = start_gateway(SITE, log="log access off")
    silent.get()
    silent.stop()
    assert not (silent.directory / "access.log").exists()
    assert (silent.directory / "stdout").read_text() == ""


def test_log_access_text(start_gateway):
    """config.md: text, one line for each request; "-" is standard output."""
    gateway = start_gateway(SITE, log="log access text -")
    gateway.get("/one?a=b")
    gateway.request("POST", "/two", body=b"x")
    lines = wait_until(lambda: (t := (gateway.directory / "stdout").read_text().splitlines()) and len(t) >= 2 and t)
    assert len(lines) == 2
    first, second = sorted(lines, key=lambda line: "/two" in line)  # Two workers may have served them.
    assert all(word in first for word in ("GET", "/one", "200", "127.0.0.1")) and "/two" in second and "POST" in second


def test_the_log_is_json_where_there_is_no_terminal(start_gateway):
    """config.md, Defaults: JSON to standard output where that is no terminal."""
    gateway = start_gateway(SITE, log="")
    gateway.get("/one")
    line = wait_until(lambda: (gateway.directory / "stdout").read_text().splitlines())[0]
    assert json.loads(line)["path"] == "/one"


def test_the_last_requests_are_logged_before_the_end(start_gateway):
    """Quality: SIGTERM flushes the buffers of the log."""
    gateway = start_gateway(SITE)
    for number in range(50):
        gateway.get(f"/{number}")
    gateway.stop()
    assert len(gateway.records(50)) == 50


# One-line forms

class OneLine:
    def __init__(self, tmp_path, *arguments):
        self.port = free_port()
        self.process = subprocess.Popen([str(BINARY), *map(str, arguments), "--listen", f"127.0.0.1:{self.port}"], cwd=tmp_path,
                                        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment())
        line = ""
        while "listening on" not in line:
            line = self.process.stderr.readline()
            assert line, f"ended with {self.process.wait()}"

    def __enter__(self):
        return Connection(("127.0.0.1", self.port))

    def __exit__(self, *_):
        self.process.terminate()
        _, rest = self.process.communicate(timeout=10)
        assert self.process.returncode == 0, rest


def test_chimera_files(tmp_path):
    """config.md, Rules 9: `chimera files ./public` serves a directory to any host, with its rules."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public/index.html").write_text("<h1>hello</h1>")
    (tmp_path / "public/.env").write_text("secret")
    with OneLine(tmp_path, "files", "./public") as connection:
        for host in ("localhost", "127.0.0.1", "anything.test"):
            assert connection.get("/", host).text == "<h1>hello</h1>"
        assert connection.get("/.env").status == 404
        assert connection.get("/none").status == 404


def test_chimera_proxy(tmp_path, origins):
    """config.md, Rules 9: `chimera proxy 127.0.0.1:3000`."""
    origin = origins.echo()
    with OneLine(tmp_path, "proxy", origin.target) as connection:
        assert connection.get("/name", "anything.test").text == "origin"
        assert connection.request("POST", "/x", body=b"hello").status == 200
    assert origin.requests[0].fields["Host"] == "anything.test"


def test_chimera_files_of_a_directory_that_is_not_there(tmp_path):
    """User promise: a clear error, not an empty server."""
    done = run("files", "./none", "--listen", f"127.0.0.1:{free_port()}", cwd=tmp_path)
    assert done.returncode != 0 and "none" in done.stderr
