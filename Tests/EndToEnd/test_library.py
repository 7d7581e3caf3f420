"""The library: a package that is not ours depends on the product `Chimera` and serves one handler.

It is built as any program outside would build it, without the project's own settings.
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import threading

import pytest

from rig import tls
from rig.client import Connection, chunked
from rig.gateway import REPOSITORY as ROOT
from rig.http2 import END_HEADERS, END_STREAM, HEADERS, PREFACE, Http2, request_fields, settings

PACKAGE = ROOT / "Tests/ForeignPackage"
SCRATCH = ROOT / ".build/foreign"
BUILD_SECONDS = 300
"""A first build takes half a minute on two idle cores; the rest is for cores that are not idle."""

pytestmark = pytest.mark.timeout(BUILD_SECONDS + 60)


class Program:
    """The foreign program, serving on free ports that it says itself, on one of them with TLS."""

    def __init__(self, binary):
        self.process = subprocess.Popen([binary, "127.0.0.1:0", "127.0.0.1:0 tls"], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        self.output = ""
        self.address = self.secure_address = None
        for line in self.process.stdout:
            self.output += line
            if match := re.search(r"listening on 127\.0\.0\.1:(\d+)( with TLS)?$", line):
                address = ("127.0.0.1", int(match.group(1)))
                if match.group(2):
                    self.secure_address = address
                else:
                    self.address = address
            if self.address and self.secure_address:
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


def streams_come_back(client, scheme="http"):
    streams = [client.head(request_fields("/", "POST", scheme=scheme), end=False) for _ in range(3)]
    for stream in streams:
        client.body(stream, bytes([stream]) * 1_000_000, end=False)
        client.frame(HEADERS, END_HEADERS | END_STREAM, stream, client.encoder.encode([("x-sum", str(stream))]))
    for stream in streams:
        answer = client.answer(stream)
        assert (answer.status, bytes(answer.body)) == (200, bytes([stream]) * 1_000_000)
        assert answer.trailers == [("x-sum", str(stream))]


def test_its_handler_over_http2(greeter):
    """A handler knows nothing of the version: content larger than every window, and trailers, in both directions."""
    with Http2(greeter.address) as client:
        answer = client.get("/")
        port = client.socket.getsockname()[1]
        assert (answer.status, bytes(answer.body)) == (200, f"Hello, 127.0.0.1:{port}\n".encode())
        assert answer.fields["content-type"] == "text/plain; charset=utf-8"
        streams_come_back(client)


def secured(client, protocol):
    """The client's connection, which is silent so far, goes on with TLS, on which both sides choose this protocol."""
    context = tls.trusting_anybody()
    context.set_alpn_protocols([protocol])
    client.socket = context.wrap_socket(client.socket, server_hostname="greeter.test")
    assert client.socket.selected_alpn_protocol() == protocol
    return client


def http2_over_tls(greeter):
    return secured(Http2(greeter.secure_address, preface=False), "h2").send(PREFACE + settings())


def test_its_handler_over_tls(greeter):
    """The same handler with TLS, in HTTP/1.1 and in HTTP/2, learns of it."""
    with secured(Connection(greeter.secure_address), "http/1.1") as client:
        port = client.socket.getsockname()[1]
        assert client.get("/").text == f"Hello, 127.0.0.1:{port} over TLSv1.3\n"
    with http2_over_tls(greeter) as client:
        port = client.socket.getsockname()[1]
        answer = client.answer(client.head(request_fields("/", scheme="https")))
        assert bytes(answer.body) == f"Hello, 127.0.0.1:{port} over TLSv1.3\n".encode()


def test_its_handler_streams_over_tls_and_http2(greeter):
    """As without TLS: content larger than every window, and trailers, in both directions."""
    with http2_over_tls(greeter) as client:
        streams_come_back(client, "https")


def test_curl_gets_what_it_sends_over_tls_and_http2(greeter):
    content = "0123456789" * 50_000
    done = subprocess.run(["curl", "-sSk", "--http2", "--max-time", "20", "--data-binary", "@-", "-w", "%{http_version}",
                           f"https://127.0.0.1:{greeter.secure_address[1]}/"],
                          input=content, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout == content + "2") == (0, True), done.stderr


def test_its_handler_goes_over_to_another_protocol(greeter):
    """RFC 9110 7.8: bytes both ways, and each side ends for itself."""
    with Connection(greeter.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly")
        assert client.reader.response_head().status == 101
        assert client.read_exactly(5) == b"early"
        client.send(b"late")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.read_until_close() == b"late"


@pytest.mark.parametrize("over", ["h2c", "TLS"])
def test_its_handler_goes_over_to_another_protocol_on_a_stream(greeter, over):
    """RFC 8441: the same handler, asked by an extended CONNECT, while other streams go on."""
    scheme = "https" if over == "TLS" else "http"
    with http2_over_tls(greeter) if over == "TLS" else Http2(greeter.address) as client:
        stream = client.head([(":method", "CONNECT"), (":protocol", "echo"), (":scheme", scheme), (":path", "/"),
                              (":authority", "test")], end=False)
        for piece in (b"one", b"two" * 100_000):
            client.body(stream, piece, end=False)
            client.until(lambda: len(client.answers[stream].body) >= len(piece))
            assert bytes(client.answers[stream].body) == piece
            client.answers[stream].body.clear()
        assert client.answer(client.head(request_fields("/", scheme=scheme))).status == 200
        client.body(stream, b"end")
        answer = client.answer(stream)
        assert (answer.status, bytes(answer.body)) == (200, b"end")
