"""Reloads, upgrades, crashes and new certificates while clients of HTTP/2 are served, with and without TLS."""

import os
import signal
import socket

import pytest

from rig import http2, tls
from rig.client import wait_until
from rig.http2 import DATA, END_STREAM, Http2, request_fields
from rig.http2_load import LIMITLESS, Http2Load
from rig.process import MiB
from rig.stress_origin import StressOrigin, content
from rig.tls import certify, trusting_anybody

# On a machine without a free core the kernel takes long to close an inotify descriptor, and with it a data plane's end
# and a reload's change of its watches.
PATIENCE = 60
pytestmark = pytest.mark.timeout(300)


class Serving:
    """A gateway with a plain listener and one with TLS, its origin, and clients of both."""

    def __init__(self, start_gateway, origin, directory):
        self.certificate = certify(directory / "c", "secure", "secure.test")
        self.origin = origin
        self.gateway = start_gateway(self.sites(), f"{tls.LISTEN}\ndrain 10m", start=False)
        root = self.gateway.directory / "conf.d/root"
        root.mkdir(parents=True)
        (root / "medium").write_bytes(content(40_000, 40_000))
        (root / "large").write_bytes(content(1, 6 * MiB))
        self.gateway.start().settle()
        self.port = tls.port(self.gateway)
        self.context = trusting_anybody()
        self.context.set_alpn_protocols(["h2"])

    def sites(self, fine: str = "fine") -> str:
        routes = f"""
            /fine respond 200 fine
            /version respond 200 {fine}
            /files/* files ./root
            /up/* proxy {self.origin.target}
            /tunnel/* proxy {self.origin.target}
        """
        return f"site test {{ {routes} }}\nsite secure.test {{ tls {self.certificate.line}\n{routes} }}"

    def plain(self, *pairs, **options) -> Http2:
        return Http2(self.gateway.address, *pairs, **options)

    def secure(self, *pairs, **options) -> Http2:
        return Http2(("127.0.0.1", self.port), *pairs, secure=self.context, name="secure.test", **options)

    def loads(self, **options) -> tuple[Http2Load, Http2Load]:
        return Http2Load(self.plain, **options), Http2Load(self.secure, "secure.test", "https", **options)


@pytest.fixture
def serving(start_gateway, tmp_path):
    with StressOrigin(patience=60) as origin:
        yield Serving(start_gateway, origin, tmp_path)


def tunnel(client, host, scheme) -> int:
    stream = client.head([*request_fields("/tunnel/0/0", "CONNECT", host, scheme=scheme), (":protocol", "echo")], end=False)
    client.until(lambda: client.answers[stream].status)
    assert client.answers[stream].status == 200
    return stream


def say(client, stream, text: bytes) -> None:
    """What a tunnel gives back."""
    expected = client.answers[stream].body + text
    client.frame(DATA, 0, stream, text)
    client.until(lambda: client.answers[stream].is_over or len(client.answers[stream].body) >= len(expected))
    assert client.answers[stream].body == expected


def test_upgrades_under_load_lose_nothing(serving):
    """Issue: upgrade holds for TLS and HTTP/2: what is under way ends on the old data plane, which says goodbye twice."""
    upgrade_under_load(serving, 3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifteen_upgrades_under_load_lose_nothing(serving):
    upgrade_under_load(serving, 15)


def upgrade_under_load(serving, count):
    gateway, size = serving.gateway, 6 * MiB
    first = gateway.pid
    plain, secure = serving.loads()
    with serving.secure((http2.INITIAL_WINDOW_SIZE, 1000), credit=False) as client, plain, secure:
        download = client.head(request_fields("/files/large", host="secure.test", scheme="https"))
        stream = tunnel(client, "secure.test", "https")
        body = client.answers[download].body
        client.until(lambda: len(body) == 1000)
        for number in range(count):
            say(client, stream, b"before %d" % number)
            gateway.upgrade()
            say(client, stream, b"after %d" % number)
            client.give(0, 100_000)
            client.give(download, 100_000)
            client.until(lambda: len(body) == 1000 + (number + 1) * 100_000)
            plain.more(50)
            secure.more(50)
            assert first in gateway.data_planes()
        client.give(0, size)
        client.give(download, size)
        assert bytes(client.answer(download).body) == content(1, size)
        say(client, stream, b"at last")
        client.frame(DATA, END_STREAM, stream)
        assert client.answer(stream).reset is None
        assert [(goaway.code, goaway.last_stream) for goaway in client.goaways] == [(0, LIMITLESS), (0, stream)]
    wait_until(lambda: len(gateway.data_planes()) == 1, PATIENCE, "the end of those that drain")
    # A client may leave with the last answer, and one without streams need not be told a second time.
    told = [farewell for load in (plain, secure) for farewell in load.farewells]
    assert len(told) >= 2 * count and all(farewell[0] == LIMITLESS for farewell in told)
    assert plain.resets == secure.resets == 0


def test_reloads_under_load_end_no_connection(serving):
    """A new configuration holds for connections that are open, and ends none."""
    gateway = serving.gateway
    plain, secure = serving.loads()
    with serving.plain() as client, plain, secure:
        for version in ("one", "two", "three", "one"):
            gateway.reload(serving.sites(version))
            wait_until(lambda: client.get("/version").body == version.encode(), PATIENCE, version)
            plain.more(50)
            secure.more(50)
    assert (plain.connections, secure.connections) == (3, 3)
    assert plain.farewells == secure.farewells == []


def test_a_crash_under_load_refuses_no_connection(serving):
    """Issue: kill -SEGV of the data plane: what is under way is lost, and all that comes is served by the next."""
    gateway = serving.gateway
    gateway.may_crash = True
    plain, secure = serving.loads(may_reset=True)
    with plain, secure:
        for _ in range(2):
            old = gateway.pid
            os.kill(old, signal.SIGSEGV)
            wait_until(lambda: gateway.pid not in (old, gateway.process.pid), PATIENCE, "another data plane")
            plain.more()
            secure.more()
    assert plain.resets >= 2 and secure.resets >= 2
    assert gateway.process.poll() is None


def test_certificates_that_are_replaced_under_load_end_no_connection(serving, tmp_path):
    """Issue: a certificate that is replaced is served, and no connection drops."""
    def shown() -> bytes:
        with serving.secure() as client:
            return client.socket.getpeercert(binary_form=True)

    old = serving.certificate
    plain, secure = serving.loads()
    with plain, secure:
        for number in range(3):
            fresh = certify(tmp_path / f"fresh{number}", "secure", "secure.test")
            os.replace(fresh.key, old.key)
            os.replace(fresh.chain, old.chain)
            wait_until(lambda: shown() == old.der, PATIENCE, "the new certificate")
            secure.more(50)
            plain.more(50)
    assert (plain.connections, secure.connections) == (3, 3)
    assert plain.farewells == secure.farewells == []


def test_a_drain_under_load_answers_what_it_took(serving):
    """SIGTERM: what the gateway took is answered; clients learn which of their requests that is not."""
    gateway = serving.gateway
    with serving.secure() as client:
        assert client.get("/fine", host="secure.test", scheme="https").status == 200
        slow = [client.request(f"/up/slow/200000/{n}", host="secure.test", scheme="https") for n in range(10)]
        client.until(lambda: all(client.answers[stream].status for stream in slow))
        gateway.signal(signal.SIGTERM)
        client.until(lambda: client.goaways)
        late = client.request("/fine", host="secure.test", scheme="https")
        client.until(lambda: len(client.goaways) == 2)
        for number, stream in enumerate(slow):
            assert bytes(client.answer(stream).body) == content(number, 200_000)
        assert client.goaways[0].last_stream == LIMITLESS
        if late <= client.goaways[1].last_stream:
            assert client.answer(late).status == 200
    assert gateway.await_exit(30) == 0
    with pytest.raises(OSError):
        socket.create_connection(gateway.address, 5)
