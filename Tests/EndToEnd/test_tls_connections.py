"""Connections over TLS where the bounds of records and of messages do not agree, and where they end."""

import ssl

import pytest

from rig import http2, tls
from rig.client import Connection, request_bytes, wait_until
from rig.gateway import free_port
from rig.http2 import Http2, request_fields
from rig.metrics import Metrics
from rig.tls import SecureConnection, certify, trusting_anybody
from rig.wire import ConnectionEnded


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certify(tmp_path_factory.mktemp("certificates"), "a", "a.test")


class Records:
    """A client that says itself which octets of its records go when."""

    def __init__(self, gateway, protocol="http/1.1"):
        self.connection = Connection(("127.0.0.1", tls.port(gateway)))
        self.socket = self.connection.socket
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = trusting_anybody()
        context.set_alpn_protocols([protocol])
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="a.test")
        while not self.step(self.tls.do_handshake):
            pass
        self.socket.sendall(self.outgoing.read())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def step(self, act):
        """Whether it is done; else the other side has its turn."""
        try:
            act()
            return True
        except ssl.SSLWantReadError:
            self.socket.sendall(self.outgoing.read())
            self.receive()
            return False

    def receive(self):
        data = self.socket.recv(1 << 16)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        return data

    def seal(self, data):
        self.tls.write(data)
        return self.outgoing.read()

    def last_word(self):
        """close_notify."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def read(self):
        """What comes next, decrypted; nothing behind the other side's last word."""
        while True:
            try:
                return self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                assert self.receive(), "an end without close_notify"

    def until(self, end):
        """What comes up to `end`."""
        text = b""
        while not text.endswith(end):
            more = self.read()
            assert more, f"the end behind {text!r}"
            text += more
        return text

    def until_the_end(self):
        text = b""
        while more := self.read():
            text += more
        return text

    def rest(self):
        """All that still comes of the wire; a reset is no end."""
        text = b""
        while data := self.socket.recv(1 << 16):
            text += data
        return text


def test_the_end_in_the_segment_of_the_last_request_is_seen(start_gateway, certificate):
    """RFC 8446 6.1: close_notify is the end, whether anything comes behind it or not."""
    gateway = start_gateway(f"site a.test {{ tls {certificate.line} ; respond 200 fine }}",
                            f"{tls.LISTEN}\ntimeout idle=1h")
    with Records(gateway) as client:
        client.socket.sendall(client.seal(request_bytes(host="a.test")) + client.last_word())
        assert client.until(b"fine").startswith(b"HTTP/1.1 200")
        client.rest()


@pytest.mark.parametrize("before", [0, 1], ids=["the first", "the second"])
@pytest.mark.parametrize("part", [1, 5, 40], ids=["less than a header", "a header", "more than a header"])
def test_a_part_of_a_record_is_a_part_of_a_request(start_gateway, certificate, before, part):
    """config.md, `timeout head`: from its first octet on, whatever of it can be read; 408, and it is counted."""
    metrics = Metrics(start_gateway, f"site a.test {{ tls {certificate.line} ; respond 200 fine }}",
                      f"{tls.LISTEN}\ntimeout head=1s idle=1h")
    with Records(metrics.gateway) as client:
        for _ in range(before):
            client.socket.sendall(client.seal(request_bytes(host="a.test")))
            assert client.until(b"fine").startswith(b"HTTP/1.1 200")
        client.socket.sendall(client.seal(request_bytes(host="a.test"))[:part])
        assert client.until_the_end().startswith(b"HTTP/1.1 408 ")
    metrics.expect(1, "chimera_closes_total", reason="head-timeout")
    metrics.expect(1, "chimera_refusals_total", reason="head-timeout")


def test_a_record_may_come_in_parts(start_gateway, certificate):
    gateway = start_gateway(f"site a.test {{ tls {certificate.line} ; respond 200 fine }}", tls.LISTEN)
    with Records(gateway) as client:
        for cut in [1, 4, 5, 6, 30]:
            record = client.seal(request_bytes(host="a.test"))
            client.connection.send_pieces([record[:cut], record[cut:]])
            assert client.until(b"fine").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_an_alert_is_the_last_word(start_gateway, certificate, protocol):
    """RFC 8446 6.2: who is told what was wrong is told so, however much it had sent by then; no reset takes it back."""
    metrics = Metrics(start_gateway, f"site a.test {{ tls {certificate.line} ; respond 200 fine }}", tls.LISTEN)
    with Records(metrics.gateway, protocol) as client:
        client.socket.sendall(b"\x17\x03\x03\x00\x30" + bytes(48) + bytes(150_000))
        client.incoming.write(client.rest())
        with pytest.raises(ssl.SSLError, match="(?i)bad.record.mac"):
            while True:
                client.tls.read(1 << 16)
    metrics.expect(1, "chimera_closes_total", reason="client-failed")


def test_an_alert_is_the_last_word_of_a_handshake_too(start_gateway, certificate):
    gateway = start_gateway(f"site a.test {{ tls {certificate.line} ; respond 200 fine }}", tls.LISTEN)
    with Connection(("127.0.0.1", tls.port(gateway))) as client:
        client.socket.sendall(b"\x16\x03\x01\x00\x05hello" + bytes(150_000))
        text = b""
        while data := client.socket.recv(100):
            text += data
        # RFC 8446 6.2: an alert that is fatal.
        assert text[:1] == b"\x15" and text[5] == 2


@pytest.mark.parametrize("kind", ["tls", "proxy-protocol=on"])
def test_who_does_not_come_to_a_request_gives_way(start_gateway, certificate, kind):
    """Issue: as many connections as there may be, and none of them serves: the one that waits longest gives way."""
    port = free_port()
    metrics = Metrics(start_gateway, f"site a.test {{ tls {certificate.line} redirect=off ; respond 200 fine }}",
                      f"{tls.LISTEN}\nlisten 127.0.0.1:{port} {kind}\ntrust 127.0.0.1\nlimit connections 20\n"
                      "timeout head=1h idle=1h")
    first = b"\x16\x03\x01" if kind == "tls" else b"PROXY TCP4 "
    silent = [Connection(("127.0.0.1", port)).send(first) for _ in range(30)]
    wait_until(lambda: metrics.value("chimera_closes_total", reason="making-room"), what="who gives way")
    with SecureConnection(metrics.gateway, "a.test") as client:
        assert client.get(host="a.test").status == 200
    # The same is counted as a handshake that came to nothing, a moment later.
    if kind == "tls":
        wait_until(lambda: metrics.value("chimera_tls_handshake_failures_total", reason="making-room"), what="its count")
    for connection in silent:
        connection.close()


def test_a_request_that_is_not_for_https_leaves_no_trace(start_gateway, certificate):
    """RFC 9110 7.4: it is sent back before anything else is looked at, such as what the client may still ask for."""
    gateway = start_gateway(
        f"site a.test {{ tls {certificate.line} ; limit requests 1/h ; respond 200 fine }}", tls.LISTEN)
    context = trusting_anybody()
    context.set_alpn_protocols(["h2"])
    with Http2(("127.0.0.1", tls.port(gateway)), secure=context, name="a.test") as client:
        for scheme, status in [("http", 421), ("http", 421), ("https", 200), ("https", 429), ("http", 421)]:
            stream = client.head(request_fields(host="a.test", scheme=scheme))
            assert client.answer(stream).status == status


@pytest.mark.parametrize("secure, octets", [(True, 16_375), (False, 16_384)], ids=["tls", "plain"])
def test_a_frame_and_its_head_fill_a_record(start_gateway, certificate, tmp_path, secure, octets):
    """RFC 8446 5.1: 16,384 octets of plaintext."""
    (tmp_path / "large").write_bytes(bytes(1_000_000))
    gateway = start_gateway(
        f"site a.test {{ tls {certificate.line} redirect=off ; files {tmp_path} }}", tls.LISTEN)
    context = trusting_anybody()
    context.set_alpn_protocols(["h2"])
    with Http2(("127.0.0.1", tls.port(gateway)), (http2.INITIAL_WINDOW_SIZE, 2_000_000), secure=context,
               name="a.test") if secure else Http2(gateway.address, (http2.INITIAL_WINDOW_SIZE, 2_000_000)) as client:
        client.give(0, 2_000_000)
        stream = client.head(request_fields("/large", host="a.test", scheme="https" if secure else "http"))
        sizes = set()
        while not client.answers[stream].is_over:
            found = client.read()
            if found.type == http2.DATA:
                sizes.add(len(found.payload))
        assert max(sizes) == octets and len(client.answers[stream].body) == 1_000_000


# What a connection speaks

PRI = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2.settings()


@pytest.mark.parametrize("change", ["tls comes", "tls goes"])
def test_a_connection_keeps_what_it_was_accepted_with(start_gateway, certificate, change):
    """RFC 9113 3.2, 3.3: the preface makes a plain connection HTTP/2, and one over TLS that agreed on HTTP/1.1 never; a
    reload that gives the listener TLS, or takes it, changes nothing of connections that are there."""
    with_tls = f"listen 127.0.0.1:{(number := free_port())} tls"
    plain = f"listen 127.0.0.1:{number}"
    before, after = (plain, with_tls) if change == "tls comes" else (with_tls, plain)

    def site(text, secure):
        return f"site a.test {{\n{f'tls {certificate.line}' if secure else ''}\nrespond 200 {text}\n}}"

    gateway = start_gateway(site("old", change == "tls goes"), before)

    def connect(secure):
        made = Connection(("127.0.0.1", number))
        if secure:
            made.socket = trusting_anybody().wrap_socket(made.socket, server_hostname="a.test")
        return made

    def is_new():
        try:
            with connect(change == "tls comes") as fresh:
                return fresh.get(host="a.test").text == "new"
        except (OSError, ConnectionEnded):
            return False

    with connect(change == "tls goes") as client:
        mine = "%s:%d" % client.socket.getsockname()
        wait_until(lambda: mine in gateway.command("connections", "--json").stdout, what="the connection in the list")
        gateway.reload(site("new", change == "tls comes"), machine=after)
        wait_until(is_new, what="the new configuration")
        client.send(PRI)
        first = client.read_exactly(4)
        assert (first[3] == http2.SETTINGS) == (change == "tls comes"), first
