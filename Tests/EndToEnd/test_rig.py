"""The rig itself: its strict readers refuse what they should, and its client and origins get on with Debian's nginx."""

import hashlib
import json
import subprocess

import pytest

from rig.client import Connection, chunked, request_bytes, wait_until
from rig.gateway import free_port
from rig.origin import pattern, pattern_digest
from rig.programs import program
from rig.wire import ConnectionEnded, Reader, WireError


def reader(data: bytes, step: int = 0) -> Reader:
    pieces = [data[i:i + step] for i in range(0, len(data), step)] if step else [data]
    return Reader(lambda: pieces.pop(0) if pieces else b"")


@pytest.mark.parametrize("data", [
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", b"HTTP/1.1 200\r\n\r\n",
])
def test_a_malformed_response_is_noticed(data):
    """What the gateway might write wrongly, the reader refuses."""
    with pytest.raises(WireError):
        reader(data).response()


@pytest.mark.parametrize("step", [0, 1, 3])
def test_a_response_is_read_at_any_split(step):
    """Any chunking gives the same events, here as well."""
    wire = reader(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-A: 2"
                  b"\r\n\r\n" + chunked(b"hel", b"lo", trailers=b"X-T: 1\r\n") + b"HTTP/1.1 204 No Content\r\n\r\n", step)
    response = wire.response()
    assert (response.status, response.body, response.trailers["X-T"], response.fields["X-A"]) == (200, b"hello", "1", "1, 2")
    assert [i.status for i in response.informational] == [103]
    assert wire.response().status == 204
    with pytest.raises(ConnectionEnded):
        wire.response()


@pytest.mark.parametrize("data", [
    b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET  / HTTP/1.1\r\n\r\n", b"G@T / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX Y: a\r\n\r\n",
])
def test_a_malformed_request_is_noticed(data):
    """The same for what reaches an origin."""
    with pytest.raises(WireError):
        reader(data).request()


NGINX = """
daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    upstream origin {{ server {target}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port}; server_name test;
        location /fixed {{ return 200 fixed; }}
        location /files/ {{ root {directory}; }}
        location / {{
            proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
            proxy_request_buffering off; proxy_buffering off; client_max_body_size 0;
        }}
    }}
}}
"""


@pytest.fixture
def nginx(tmp_path, origins):
    origin, port = origins.echo(), free_port()
    (tmp_path / "files").mkdir()
    (tmp_path / "files/x").write_bytes(b"".join(pattern(200_000)))
    (tmp_path / "files").chmod(0o755)
    tmp_path.chmod(0o755)
    (tmp_path / "nginx.conf").write_text("user root;\n" * (subprocess.getoutput("id -u") == "0") + NGINX.format(
        directory=tmp_path, port=port, target=origin.target))
    process = subprocess.Popen([program("nginx"), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], stderr=subprocess.DEVNULL)

    def accepts():
        try:
            Connection(("127.0.0.1", port)).close()
            return True
        except OSError:
            return False
    wait_until(accepts, what="nginx")
    yield ("127.0.0.1", port), origin
    process.terminate()
    process.wait(10)


def test_the_client_and_the_origin_with_nginx_between(nginx):
    """The helpers agree with an implementation that everybody trusts."""
    address, origin = nginx
    with Connection(address) as connection:
        assert connection.get("/fixed").text == "fixed"
        assert hashlib.sha256(connection.get("/files/x").body).hexdigest() == pattern_digest(200_000)
        assert connection.get("/files/x", Range="bytes=5-9").body == b"".join(pattern(10))[5:]
        assert connection.request("HEAD", "/files/x").fields["Content-Length"] == "200000"
        body = b"".join(pattern(100_000))
        for fields, wire in (([], body), ([("Transfer-Encoding", "chunked")], chunked(body[:777], body[777:]))):
            answer = json.loads(connection.request("POST", "/x?y", fields=fields, body=wire).body)
            assert (answer["length"], answer["sha256"]) == (100_000, hashlib.sha256(body).hexdigest())
            assert answer["target"] == "/x?y" and ["Host", "test"] in answer["fields"]
        for kind in ("bytes", "chunked"):
            response = connection.get(f"/{kind}/300000")
            assert hashlib.sha256(response.body).hexdigest() == pattern_digest(300_000)
        assert connection.get("/status/204").status == 204
        assert connection.get("/fixed").text == "fixed"
    assert len(origin.connections) <= 2


def test_a_refusal_by_nginx_is_one_answer_and_a_close(nginx):
    """How the refusal tests talk works against a server that refuses as we do."""
    address, origin = nginx
    with Connection(address) as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: abc\r\n\r\n" + request_bytes(target="/smuggled"))
        response = connection.response()
        assert response.status == 400
        connection.expect_close()
    assert origin.received == b""
