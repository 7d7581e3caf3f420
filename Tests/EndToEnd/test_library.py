"""The library: a package that is not ours depends on the product `Chimera` and serves one handler.

It is built as any program outside would build it, without the project's own settings.
"""

from __future__ import annotations

import re
import signal
import subprocess
import threading

import pytest

from rig.client import Connection, chunked
from rig.gateway import REPOSITORY as ROOT
from rig.http2 import END_HEADERS, END_STREAM, HEADERS, Http2, request_fields

PACKAGE = ROOT / "Tests/ForeignPackage"
SCRATCH = ROOT / ".build/foreign"
BUILD_SECONDS = 300
"""A first build takes half a minute on two idle cores; the rest is for cores that are not idle."""

pytestmark = pytest.mark.timeout(BUILD_SECONDS + 60)


class Program:
    """The foreign program, serving on a free port that it says itself."""

    def __init__(self, binary):
        self.process = subprocess.Popen([binary, "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, text=True)
        self.output = ""
        for line in self.process.stdout:
            self.output += line
            if match := re.search(r"listening on 127\.0\.0\.1:(\d+)", line):
                self.address = ("127.0.0.1", int(match.group(1)))
                break
        else:
            raise AssertionError(f"it does not listen: {self.output}")
        # What it says later must not fill the pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(10) == -signal.SIGTERM, self.output
        finally:
            self.process.kill()


@pytest.fixture(scope="module")
def greeter():
    done = subprocess.run(["swift", "build", "--package-path", PACKAGE, "--scratch-path", SCRATCH],
                          capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    program = Program(SCRATCH / "debug/Greeter")
    yield program
    program.stop()


def test_a_foreign_package_serves_its_handler(greeter):
    """From the first release on, a program outside can depend on `Chimera`."""
    with Connection(greeter.address) as client:
        answer = client.get("/")
        port = client.socket.getsockname()[1]
        assert (answer.status, answer.text) == (200, f"Hello, 127.0.0.1:{port}\n")
        assert answer.fields["Content-Type"] == "text/plain; charset=utf-8"
        client.expect_open()


def test_its_handler_streams_a_body_with_trailers(greeter):
    """RFC 9112 7.1: content and trailers go through the handler in both directions."""
    with Connection(greeter.address) as client:
        head = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.send(head + chunked(b"one", b"two", trailers=b"X-Sum: 6\r\n"))
        answer = client.response("POST")
        assert (answer.status, answer.body) == (200, b"onetwo")
        assert answer.trailers["X-Sum"] == "6"


def test_curl_gets_what_it_sends(greeter):
    content = "0123456789" * 50_000
    done = subprocess.run(["curl", "-sS", "--max-time", "20", "-H", "Expect: 100-continue", "--data-binary", "@-",
                           f"http://127.0.0.1:{greeter.address[1]}/"],
                          input=content, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout == content) == (0, True), done.stderr


def test_its_directive_counts(greeter):
    """The handler's package says `limit body 10MB`."""
    with Connection(greeter.address) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10000001\r\n\r\n")
        assert client.response("POST").status == 413


@pytest.mark.parametrize("name", ["Package.swift", "Sources/Greeter/Greeter.swift"])
def test_the_guide_shows_this_very_code(name):
    """docs/library.md promises code that builds."""
    page = (ROOT / "docs/library.md").read_text()
    shown = re.findall(r"```swift\n(.*?)```", page, re.S)
    assert (PACKAGE / name).read_text() in shown


def test_its_handler_over_http2(greeter):
    """A handler knows nothing of the version: content larger than every window, and trailers, in both directions."""
    with Http2(greeter.address) as client:
        answer = client.get("/")
        port = client.socket.getsockname()[1]
        assert (answer.status, bytes(answer.body)) == (200, f"Hello, 127.0.0.1:{port}\n".encode())
        assert answer.fields["content-type"] == "text/plain; charset=utf-8"
        streams = [client.head(request_fields("/", "POST"), end=False) for _ in range(3)]
        for stream in streams:
            client.body(stream, bytes([stream]) * 1_000_000, end=False)
            client.frame(HEADERS, END_HEADERS | END_STREAM, stream, client.encoder.encode([("x-sum", str(stream))]))
        for stream in streams:
            answer = client.answer(stream)
            assert (answer.status, bytes(answer.body)) == (200, bytes([stream]) * 1_000_000)
            assert answer.trailers == [("x-sum", str(stream))]
