"""Real applications behind the gateway: Flask under gunicorn, a Node HTTP server; and real clients in front: curl."""

import hashlib
import http.client
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rig.client import chunked, request_bytes, wait_until
from rig.origin import pattern, pattern_digest
from rig.process import MiB, PeakMemory
from rig.programs import program

APPS = Path(__file__).parent / "apps"


def started(arguments, announcement: str, **options):
    """Starts a backend and reads its port from what it prints."""
    process = subprocess.Popen(arguments, cwd=APPS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if match := re.search(announcement, line):
            return process, int(match.group(1))
    raise AssertionError("the backend did not start:\n" + "".join(lines))


def ended(process):
    process.terminate()
    try:
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def flask_port(tmp_path_factory):
    process, port = started(
        [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--worker-class", "gthread", "--threads", "8", "--workers",
         "1", "--keep-alive", "30", "--timeout", "120", "--no-control-socket", "flask_app:app"], r"Listening at: http://127\.0\.0\.1:(\d+)")
    yield port
    ended(process)


@pytest.fixture(scope="module")
def node_port():
    process, port = started([program("node"), "server.js"], r"listening on (\d+)")
    yield port
    ended(process)


@pytest.fixture
def flask(start_gateway, flask_port):
    return start_gateway(f"site test {{ proxy 127.0.0.1:{flask_port} }}")


@pytest.fixture
def node(start_gateway, node_port):
    return start_gateway(f"site test {{ proxy 127.0.0.1:{node_port} }}")


def test_flask(flask):
    """User promise: a person's real application works: pages, forms, uploads, sessions, redirects, errors, HEAD."""
    with flask.connect() as connection:
        assert connection.get("/").text == "<h1>Flask</h1>"
        assert connection.get("/none").status == 404
        assert connection.get("/away").fields["Location"].endswith("/somewhere?x=1")
        assert connection.get("/fails").status == 500
        assert connection.request("HEAD", "/").status == 200
        assert connection.request("POST", "/").status == 405
        who = json.loads(connection.get("/who?a=b", "test:1234").body)
        assert who == {"address": "127.0.0.1", "scheme": "http", "host": "test:1234", "url": "/who?a=b"}
        form = connection.request("POST", "/form", fields=[("Content-Type", "application/x-www-form-urlencoded")],
                                  body=b"a=1&b=%C3%A9")
        assert json.loads(form.body)["form"] == {"a": "1", "b": "\u00e9"}
        chunks = chunked(*[b"--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n", b"z" * 100000, b"\r\n--x--\r\n"])
        form = connection.request("POST", "/form", fields=[("Content-Type", "multipart/form-data; boundary=x"),
                                                           ("Transfer-Encoding", "chunked")], body=chunks)
        assert json.loads(form.body)["files"] == {"f": 100000}
        cookies = []
        for count in (1, 2, 3):
            response = connection.request("GET", "/counter", fields=[("Cookie", c) for c in cookies])
            assert json.loads(response.body) == {"count": count}
            cookies = [response.fields["Set-Cookie"].partition(";")[0]]


def test_node(node):
    """User promise: so does a Node server, with early hints, trailers and an upgrade."""
    with node.connect() as connection:
        answer = json.loads(connection.request("PATCH", "/x?y=z", body=b"b").body)
        assert (answer["method"], answer["url"], answer["headers"]["host"]) == ("PATCH", "/x?y=z", "test")
        hinted = connection.get("/hints")
        assert [h.status for h in hinted.informational] == [103] and hinted.text == "hinted"
        trailed = connection.request("GET", "/trailers", fields=[("TE", "trailers"), ("Connection", "TE")])
        assert (trailed.text, trailed.trailers.get("X-Sum")) == ("body", "42")
        connection.send(request_bytes(target="/u", fields=[("Connection", "Upgrade"), ("Upgrade", "echo")]))
        assert connection.response().status == 101
        assert connection.send(b"hello").read_exactly(5) == b"hello"


@pytest.mark.parametrize("application", ["flask", "node"])
def test_events_arrive_as_they_are_made(request, application):
    """Issue: server-sent events arrive unbuffered. Each event carries the time at which it was made."""
    gateway = request.getfixturevalue(application)
    with gateway.connect() as connection:
        connection.send(request_bytes(target="/events"))
        assert connection.reader.response_head().fields["Content-Type"].startswith("text/event-stream")
        seen, text = [], ""
        while len(seen) < 5:
            data = connection.read_some()
            assert data
            text += data.decode("latin-1")
            for number, stamp in re.findall(r"data: (\d) ([\d.]+)\n\n", text)[len(seen):]:
                seen.append(time.time() - float(stamp))
    assert seen[0] < 0.6, f"the first event was held back: {seen}"


def stream_both_ways(gateway, upload: str, download: str, count: int):
    with PeakMemory(gateway.vitals) as peak:
        for framing in ("length", "chunked"):
            with gateway.connect(timeout=60) as connection:
                connection.send(request_bytes("PUT", upload, fields=[
                    ("Content-Length", str(count)) if framing == "length" else ("Transfer-Encoding", "chunked")]))
                for piece in pattern(count):
                    connection.send(piece if framing == "length" else b"%x\r\n%b\r\n" % (len(piece), piece))
                if framing == "chunked":
                    connection.send(b"0\r\n\r\n")
                answer = json.loads(connection.response().body)
                assert (answer["count"], answer["sha256"]) == (count, pattern_digest(count))
        client = http.client.HTTPConnection(*gateway.address, timeout=60)
        for suffix in ("", "length"):
            client.request("GET", download + suffix, headers={"Host": "test"})
            response, digest, received = client.getresponse(), hashlib.sha256(), 0
            assert (response.getheader("Content-Length") is not None) == bool(suffix)
            while block := response.read(1 << 18):
                digest.update(block)
                received += len(block)
            assert (received, digest.hexdigest()) == (count, pattern_digest(count))
        client.close()
    assert peak.bytes < 64 * MiB, f"the gateway took {peak.bytes / MiB:.0f} MiB"


PATHS = {"flask": ("/upload", "/download/COUNT?"), "node": ("/upload", "/download?bytes=COUNT&")}


@pytest.mark.parametrize("application", PATHS)
def test_uploads_and_downloads_stream(request, application):
    """Issue: they stream with the gateway's memory under 64 MB (the short form: 64 MiB each way, in both framings)."""
    upload, download = PATHS[application]
    stream_both_ways(request.getfixturevalue(application), upload, download.replace("COUNT", str(64 * MiB)), 64 * MiB)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("application", PATHS)
def test_a_gigabyte_streams(request, application):
    """Issue: uploads and downloads of 1 GB stream with the gateway's memory under 64 MB."""
    upload, download = PATHS[application]
    stream_both_ways(request.getfixturevalue(application), upload, download.replace("COUNT", str(1 << 30)), 1 << 30)


# A real application killed and restarted under load

def load(gateway, stop: threading.Event, statuses: list, failures: list):
    """Requests of several kinds over one connection after the other, until `stop`; /here is the gateway's own."""
    kinds = [("GET", "/x", None), ("PUT", "/upload", b"u" * 100_000), ("GET", "/download?bytes=300000&length", None),
             ("POST", "/x", b"p" * 100)]
    try:
        turn = 0
        while not stop.is_set():
            with gateway.connect() as connection:
                for verb, path, body in kinds * 10:
                    turn += 1
                    connection.send(request_bytes(verb, path, body=body))
                    response = connection.response(allow_cut=True)
                    statuses.append(response.status if response.complete else "cut")
                    if not response.complete or "close" in response.fields.tokens("Connection"):
                        break
                    assert connection.get("/here").text == "ok"
                    if stop.is_set():
                        break
    except BaseException as failure:
        failures.append(failure)


@pytest.mark.timeout(180)
def test_a_real_application_killed_and_restarted_under_load(start_gateway):
    """Issue: an upstream killed and restarted under load gives only 502, 503 or 504 while it is gone, and nothing else
    breaks: a Node server ended by SIGKILL, ten times. An answer that was half way is cut, never made to look whole."""
    process, port = started([program("node"), "server.js"], r"listening on (\d+)")
    gateway = start_gateway(f"site test {{ /here respond 200 ok ; /* proxy 127.0.0.1:{port} }}")
    stop, statuses, failures = threading.Event(), [], []
    threads = [threading.Thread(target=load, args=(gateway, stop, statuses, failures)) for _ in range(8)]
    for thread in threads:
        thread.start()

    def wait_for(status, count):
        mark = len(statuses)
        wait_until(lambda: statuses[mark:].count(status) >= count or failures, 20, f"{count} answers {status}")
    try:
        for _ in range(10):
            wait_for(200, 200)
            process.kill()
            process.communicate()
            wait_for(502, 20)
            process, _ = started([program("node"), "server.js", str(port)], r"listening on (\d+)")
        wait_for(200, 200)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
        ended(process)
    assert failures == []
    assert set(statuses) <= {200, 502, 503, 504, "cut"}
    # The client that each kill hits in the middle of an answer is one of eight.
    assert statuses.count("cut") <= 10 * len(threads)
    gateway.assert_alive()


# curl

@pytest.mark.parametrize("arguments, expected", [
    ([], "hello"), (["--http1.0"], "hello"), (["-X", "POST", "-d", "x=y"], "hello"), (["-T", "-"], "hello"),
    (["-H", "Transfer-Encoding: chunked", "-d", "x"], "hello"), (["--compressed"], "hello"), (["-r", "1-2"], "hello"),
    (["-H", "Expect: 100-continue", "-d", "x" * 2000], "hello"), (["--http2"], "hello"), (["-I"], None),
], ids=lambda a: " ".join(a)[:40] if isinstance(a, list) else "")
def test_curl(start_gateway, arguments, expected):
    """User promise: each curl line works."""
    gateway = start_gateway("site localhost { respond 200 hello }")
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", "10", *arguments, f"http://127.0.0.1:{gateway.port}/x", "-H",
                           "Host: localhost"], input="body", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected if expected else done.stdout.startswith("HTTP/1.1 200")


def test_curl_resumes_a_download(start_gateway, tmp_path):
    """User promise: `curl -C -` goes on where it stopped."""
    gateway = start_gateway("site localhost { files ./root }", start=False)
    root = gateway.directory / "conf.d/root"
    root.mkdir(parents=True)
    content = b"".join(pattern(500_000))
    (root / "file").write_bytes(content)
    gateway.start()
    (tmp_path / "part").write_bytes(content[:200_000])
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "-C", "-", "-o", str(tmp_path / "part"), "-H", "Host: localhost",
                           f"http://127.0.0.1:{gateway.port}/file"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "part").read_bytes() == content
