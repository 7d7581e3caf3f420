"""`listen … proxy-protocol=on`: the PROXY header of trusted peers, versions 1 and 2."""

import contextlib
import socket
import struct
import subprocess

import pytest

from rig.client import Connection, byte_by_byte, request_bytes, wait_until
from rig.gateway import free_port, run
from rig.metrics import Metrics

SITE = "site test { respond 200 ok { header X-Client {client} } }"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n"
V2_ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 50000, 443)


def v2(command=0x21, kind=0x11, rest=V2_ADDRESSES):
    return SIGNATURE + bytes([command, kind]) + struct.pack("!H", len(rest)) + rest


def ends(connection):
    """Waits for the end. What was not read of the header resets the connection."""
    with contextlib.suppress(ConnectionResetError):
        assert connection.socket.recv(1) == b""


V6_ADDRESSES = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "::1") + b"\0\1\0\2"


@pytest.fixture
def front(start_gateway):
    """A gateway with metrics, and how to connect to its listener for proxies."""
    def start(site=SITE, trust="127.0.0.1 ::1", more=""):
        port = free_port()
        metrics = Metrics(start_gateway, site, f"listen 127.0.0.1:{port} proxy-protocol=on\ntrust {trust}\n{more}")
        metrics.proxied = lambda **options: Connection(("127.0.0.1", port), **options)
        return metrics
    return start


@pytest.mark.parametrize("header, client", [
    (V1, "192.0.2.7"), (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7"), (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (v2(), "192.0.2.7"), (v2(kind=0x21, rest=V6_ADDRESSES), "2001:db8::7"), (v2(0x20, 0, b""), "127.0.0.1"),
    (v2(rest=V2_ADDRESSES + b"\x04\0\x02ab"), "192.0.2.7"), (v2(kind=0, rest=b""), "127.0.0.1"),
], ids=["v1 TCP4", "v1 TCP6", "v1 UNKNOWN", "v2 TCP4", "v2 TCP6", "v2 LOCAL", "v2 with parts", "v2 UNSPEC"])
@pytest.mark.parametrize("pieces", ["whole", "apart", "dribble"])
def test_the_header_says_who_the_client_is(front, header, client, pieces):
    """PROXY protocol 2.1, 2.2: also where it comes in pieces; requests follow each other behind it."""
    metrics = front()
    with metrics.proxied() as connection:
        if pieces == "whole":
            connection.send(header + request_bytes())
        else:
            connection.send_pieces(byte_by_byte(header) if pieces == "dribble" else [header])
            connection.send(request_bytes())
        for _ in range(2):
            response = connection.response()
            assert response.text == "ok" and response.fields["X-Client"] == client
            connection.send(request_bytes())
        assert connection.response().status == 200


def test_upstream_and_log_have_the_client(front, origins):
    """User promise: behind a balancer everything is as if clients came themselves."""
    origin = origins.echo()
    metrics = front(f"site test {{ proxy {origin.target} }}")
    with metrics.proxied() as connection:
        connection.send(V1 + request_bytes())
        assert connection.response().status == 200
    assert origin.requests[0].fields["X-Forwarded-For"] == "192.0.2.7"
    assert metrics.gateway.records(1)[0]["client"] == "192.0.2.7"


@pytest.mark.parametrize("sent", [
    request_bytes(), V1[:-2] + b"\n", b"PROXY TCP4 192.0.2.7\r\n", v2(0x22), v2(rest=b"short"), v2(0x20, 0, bytes(5000)),
    b"\x16\x03\x01\x02\x00\x01", b"PROXY " + b"x" * 200,
], ids=["none", "bare LF", "short", "command", "length", "too long", "TLS", "endless"])
def test_a_trusted_peer_without_a_header_is_not_served(front, sent):
    """The same, 2: a receiver must not guess whether there is a header: the connection ends, and is counted."""
    metrics = front()
    with metrics.proxied() as connection:
        connection.send(sent)
        ends(connection)
    metrics.expect(1, "chimera_closes_total", reason="proxy-header")
    with metrics.proxied() as connection:
        connection.send(V1 + request_bytes())
        assert connection.response().status == 200


def test_a_header_that_does_not_come_is_not_waited_for(front):
    """Everything is bounded: `timeout head` is the header's as well; who just connects and leaves is no error."""
    metrics = front(more="timeout head=1s")
    with metrics.proxied() as connection:
        connection.send(V1[:10])
        ends(connection)
    metrics.expect(1, "chimera_closes_total", reason="head-timeout")
    metrics.proxied().close()
    wait_until(lambda: metrics.value("chimera_connections", state="busy") <= 1, what="the end of the connections")
    assert metrics.value("chimera_closes_total", reason="proxy-header") == 0


def test_who_is_not_trusted_says_nothing_of_itself(front):
    """config.md: only from `trust`ed peers: others are served as who they are, and a header of theirs is no request."""
    metrics = front(trust="192.0.2.0/24")
    with metrics.proxied() as connection:
        assert connection.get().fields["X-Client"] == "127.0.0.1"
    with metrics.proxied() as connection:
        connection.send(V1 + request_bytes())
        assert connection.response().status == 400
        connection.expect_close()


def test_clients_behind_the_proxy_are_told_apart(front):
    """`limit connections per=client` counts those whom the headers name."""
    metrics = front(more="limit connections 2 per=client")

    def connected(address):
        connection = metrics.proxied()
        connection.send(b"PROXY TCP4 %b 198.51.100.1 1 443\r\n" % address + request_bytes())
        return connection, connection.response().status
    kept = [connected(b"192.0.2.1") for _ in range(3)] + [connected(b"192.0.2.2") for _ in range(2)]
    assert [status for _, status in kept] == [200, 200, 503, 200, 200]
    for connection, _ in kept:
        connection.close()


def test_a_unix_socket_is_a_proxys(start_gateway, tmp_path):
    """Whoever may use the socket is believed: it has no address that could be trusted."""
    path = str(tmp_path / "front.sock")
    start_gateway(SITE, f"listen unix:{path} proxy-protocol=on")
    with Connection(path) as connection:
        connection.send(V1 + request_bytes())
        assert connection.response().fields["X-Client"] == "192.0.2.7"


def test_curl_behind_tls(front, tmp_path):
    """The header comes before the handshake; curl sends one itself."""
    def ran(*arguments):
        return subprocess.run(arguments, cwd=tmp_path, check=True, capture_output=True)
    ran("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
        "/CN=test", "-addext", "subjectAltName=DNS:test", "-keyout", "key.pem", "-out", "chain.pem")
    port = free_port()
    site = (f"site test {{ tls {tmp_path}/chain.pem {tmp_path}/key.pem ; respond 200 ok {{ header X-Client {{client}} }} }}")
    front(site, more=f"listen 127.0.0.1:{port} tls proxy-protocol=on")
    for version in ("--http1.1", "--http2"):
        said = ran("curl", "-sS", "-i", version, "--haproxy-protocol", "--cacert", "chain.pem", "--resolve",
                   f"test:{port}:127.0.0.1", f"https://test:{port}/").stdout.decode().lower()
        assert " 200" in said.splitlines()[0] and "x-client: 127.0.0.1" in said and said.endswith("ok")


def test_a_configuration_without_trust_is_refused(tmp_path):
    """config.md: only from `trust`ed peers."""
    (tmp_path / "chimera.conf").write_text(f"listen 8080 proxy-protocol=on\n{SITE}\n")
    done = run("check", "--config", "chimera.conf", cwd=tmp_path)
    assert done.returncode == 1 and "`proxy-protocol=on` needs `trust`" in done.stderr
