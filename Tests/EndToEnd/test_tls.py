"""TLS on listeners: which certificate is shown to whom, and what becomes of those who do not speak it."""

import hashlib
import json
import os
import re
import signal
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest

from rig import tls
from rig.client import Connection, request_bytes, wait_until
from rig.gateway import Gateway, run
from rig.metrics import Metrics
from rig.origin import pattern as pieces
from rig.tls import SecureConnection, certify, trusting, trusting_anybody


def pattern(count):
    return b"".join(pieces(count))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """name -> Certificate, for sites a, b and wild."""
    directory = tmp_path_factory.mktemp("certificates")
    return {
        "a": certify(directory, "a", "a.test"),
        "b": certify(directory, "b", "b.test"),
        "wild": certify(directory, "wild", "*.wild.test"),
    }


@pytest.fixture(scope="module")
def gateway(start_shared, certificates, tmp_path_factory):
    files = tmp_path_factory.mktemp("files")
    (files / "small.txt").write_bytes(b"small")
    (files / "large.bin").write_bytes(pattern(8_000_000))
    return start_shared({
        "a.conf": f"site a.test {{ tls {certificates['a'].line} {{ hsts 1y }} ; /* respond 200 'site a' ; "
                  f"/files/* files {files} ; /scheme respond 200 {{scheme}} }}",
        "b.conf": f"site b.test {{ tls {certificates['b'].line} redirect=off ; respond 200 'site b' }}",
        "wild.conf": f"site *.wild.test {{ tls {certificates['wild'].line} ; respond 200 'site wild' }}",
        "plain.conf": "site plain.test { respond 200 plain }",
    }, tls.LISTEN)


def shown(gateway, host, **options):
    with SecureConnection(gateway, host, **options) as connection:
        return connection.certificate


@pytest.mark.parametrize("host,name", [
    ("a.test", "a"), ("b.test", "b"), ("x.wild.test", "wild"), ("A.TEST", "a"),
])
def test_each_name_has_its_site_s_certificate(gateway, certificates, host, name):
    """config.md, TLS: the certificate is chosen by SNI, with wildcards; RFC 6066 §3: names have no case."""
    with SecureConnection(gateway, host, trusting(certificates[name])) as connection:
        assert connection.certificate == certificates[name].der
        answer = connection.get(host=host)
    assert (answer.status, answer.body) == (200, f"site {name}".encode())


@pytest.mark.parametrize("host", ["other.test", "wild.test", "x.y.wild.test", "plain.test", None])
def test_a_name_without_a_certificate_is_refused(gateway, host):
    """config.md, TLS: no SNI or an unknown one, without a `site *` that has `tls`: the handshake is refused."""
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        shown(gateway, host)


def test_the_site_for_all_hosts_shows_its_certificate_to_everybody_else(start_gateway, certificates):
    """config.md, TLS: no SNI or an unknown one gets the certificate of `site *`; a site without `tls` is 421 then."""
    gateway = start_gateway(
        f"site * {{ tls {certificates['a'].line} ; respond 200 all }}\nsite plain.test {{ respond 200 plain }}",
        tls.LISTEN)
    for host in ["other.test", None]:
        with SecureConnection(gateway, host) as connection:
            assert connection.certificate == certificates["a"].der
            assert connection.get(host="other.test").body == b"all"
    with SecureConnection(gateway, "plain.test") as connection:
        assert connection.get(host="plain.test").status == 421


def test_a_site_may_have_an_ecdsa_and_an_rsa_certificate(start_gateway, tmp_path):
    """config.md, TLS: `tls` twice for ECDSA and RSA."""
    first, second = certify(tmp_path / "c", "ec", "a.test"), certify(tmp_path / "c", "rsa", "a.test", kind="rsa")
    gateway = start_gateway(f"site a.test {{ tls {second.line} ; tls {first.line} ; respond 200 ok }}", tls.LISTEN)
    for ciphers, certificate in [("ECDHE+ECDSA", first), ("ECDHE+aRSA", second)]:
        context = trusting(certificate, version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(ciphers)
        with SecureConnection(gateway, "a.test", context) as connection:
            assert connection.certificate == certificate.der
            assert connection.get(host="a.test").status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_serve(gateway, version):
    """Mozilla's intermediate profile: TLS 1.2 and 1.3."""
    context = trusting_anybody()
    context.minimum_version = context.maximum_version = version
    with SecureConnection(gateway, "a.test", context) as connection:
        assert connection.get("/scheme", "a.test").body == b"https"


def test_the_modern_profile_is_tls_1_3_alone(start_gateway, certificates):
    """config.md, TLS: `profile modern`."""
    gateway = start_gateway(f"site a.test {{ tls {certificates['a'].line} {{ profile modern }} ; respond 200 ok }}",
                            tls.LISTEN)
    with SecureConnection(gateway, "a.test") as connection:
        assert connection.socket.version() == "TLSv1.3"
        assert connection.get(host="a.test").status == 200
    with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):
        shown(gateway, "a.test", context=trusting(certificates["a"], version=ssl.TLSVersion.TLSv1_2))


def test_old_versions_are_refused(gateway):
    """Mozilla's intermediate profile: nothing before TLS 1.2."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{tls.port(gateway)}", "-servername", "a.test", "-tls1_1",
         "-cipher", "ALL@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert "protocol version" in done.stderr, done.stderr


# Protocols

@pytest.mark.parametrize("offered,chosen", [
    (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), (["x", "h2"], "h2"), ([], None),
])
def test_the_protocol_is_chosen_by_what_the_client_offers(gateway, offered, chosen):
    """RFC 7301 §3.2: the first of ours that the client has."""
    context = trusting_anybody()
    if offered:
        context.set_alpn_protocols(offered)
    with SecureConnection(gateway, "a.test", context) as connection:
        assert connection.socket.selected_alpn_protocol() == chosen


def test_a_client_of_other_protocols_is_refused(gateway):
    """RFC 7301 §3.2: no_application_protocol."""
    context = trusting_anybody()
    context.set_alpn_protocols(["spdy/3"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        shown(gateway, "a.test", context=context)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_is_served_by_either_protocol(gateway, certificates, version, tmp_path):
    """Issue: sample tenants answer over https in curl with --http1.1 and --http2."""
    address = f"a.test:{tls.port(gateway)}"
    done = subprocess.run(
        ["curl", "-sS", version, "--cacert", certificates["a"].chain, "--resolve", f"{address}:127.0.0.1",
         "-w", "%{http_version} %{http_code} ", "-o", tmp_path / "large", f"https://{address}/files/large.bin",
         "-o", "-", f"https://{address}/scheme"], capture_output=True, text=True)
    number = "1.1" if version == "--http1.1" else "2"
    assert done.stdout == f"{number} 200 https{number} 200 ", done.stderr
    assert (tmp_path / "large").read_bytes() == pattern(8_000_000)


def test_http_2_is_told_of_another_site_s_demands(gateway):
    """RFC 9113 §9.1.2: 421 on a connection that was made for another site."""
    address = f"a.test:{tls.port(gateway)}"
    for host, status in [("b.test", "200"), ("plain.test", "421")]:
        done = subprocess.run(
            ["curl", "-sSk", "--http2", "--resolve", f"{address}:127.0.0.1", "-H", f"Host: {host}", "-o", "/dev/null",
             "-w", "%{http_version} %{http_code}", f"https://{address}/"], capture_output=True, text=True)
        assert done.stdout == f"2 {status}", done.stderr


# Bytes

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_large_file_comes_whole_to_a_slow_reader(gateway, version):
    """What the kernel does not take of a record is sent later, and nothing twice."""
    context = trusting_anybody()
    context.minimum_version = context.maximum_version = version
    with SecureConnection(gateway, "a.test", context, receive_buffer=4096) as connection:
        connection.send(request_bytes(target="/files/large.bin", host="a.test"))
        body = connection.response().body
        assert body == pattern(8_000_000)
        assert connection.get("/files/small.txt", "a.test").body == b"small"


def test_requests_and_answers_of_all_sizes_pass_through(start_gateway, certificates, origins):
    """Bodies in both directions, around the bounds of records."""
    origin = origins.echo()
    gateway = start_gateway(f"site a.test {{ tls {certificates['a'].line} ; proxy {origin.target} }}", tls.LISTEN)
    with SecureConnection(gateway, "a.test") as connection:
        for size in [0, 1, 4095, 4096, 4097, 16383, 16384, 16385, 65536, 300_000]:
            body = pattern(size)
            answer = json.loads(connection.request("POST", "/", "a.test", body=body).body)
            assert answer["sha256"] == hashlib.sha256(body).hexdigest(), size
            assert connection.get(f"/bytes/{size}", "a.test").body == body, size
            assert connection.get(f"/chunked/{size}", "a.test").body == body, size


def test_a_pipeline_in_one_record_is_answered(gateway):
    """RFC 9112 §9.3.2, over TLS: what came with the first request is not forgotten."""
    with SecureConnection(gateway, "a.test") as connection:
        connection.send(request_bytes(host="a.test") * 50)
        assert [connection.response().body for _ in range(50)] == [b"site a"] * 50


def test_a_request_in_many_records_is_answered(gateway):
    with SecureConnection(gateway, "a.test") as connection:
        connection.send_pieces([bytes([octet]) for octet in request_bytes(host="a.test")])
        assert connection.response().body == b"site a"


def test_the_end_is_told_both_ways(gateway):
    """RFC 8446 §6.1: close_notify before the end, ours and the client's."""
    with SecureConnection(gateway, "a.test") as connection:
        connection.send(request_bytes(host="a.test", fields=[("Connection", "close")]))
        assert connection.response().status == 200
        # unwrap() fails where the peer ends without close_notify.
        connection.socket.unwrap().close()


def test_a_client_that_ends_without_notice_has_its_answer(gateway):
    """RFC 9112 §9.8: a request that is whole by its framing is whole."""
    with SecureConnection(gateway, "a.test") as connection:
        connection.send(request_bytes(target="/files/large.bin", host="a.test"))
        connection.end_without_notice()
        assert len(connection.response().body) == 8_000_000


# Those who do not speak it

def test_a_request_without_tls_is_told_so(gateway):
    """As nginx does: 400 in plain text."""
    for request in [request_bytes(), request_bytes("OPTIONS"), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]:
        with Connection(("127.0.0.1", tls.port(gateway))) as connection:
            answer = connection.send(request).response()
            assert answer.status == 400 and b"https" in answer.body
            connection.expect_close()


def test_what_is_no_tls_is_closed(gateway):
    for garbage in [b"\x00" * 100, b"\x16\x03\x01\x00\x05hello" + b"x" * 100, b"\x80\x2e\x01\x00\x02" + b"z" * 50]:
        with Connection(("127.0.0.1", tls.port(gateway))) as connection:
            connection.send(garbage).read_until_close()
    with SecureConnection(gateway, "a.test") as connection:
        assert connection.get(host="a.test").status == 200


def test_a_handshake_has_a_deadline_and_keeps_nobody_waiting(start_gateway, certificates):
    """Issue: a handshake's deadline is bounded, and other connections go on meanwhile."""
    gateway = start_gateway(f"site a.test {{ tls {certificates['a'].line} ; respond 200 ok }}",
                            f"{tls.LISTEN}\ntimeout head=1s")
    silent = [Connection(("127.0.0.1", tls.port(gateway))) for _ in range(20)]
    for number, connection in enumerate(silent):
        # Nothing, or the beginning of a ClientHello.
        connection.send(b"\x16\x03\x01\x02\x00\x01\x00"[:number % 8])
    with SecureConnection(gateway, "a.test") as other:
        assert other.get(host="a.test").status == 200
        for connection in silent:
            connection.expect_close()
            connection.close()
        assert other.get(host="a.test").status == 200


def test_handshakes_are_counted_and_failures_by_reason(start_gateway, certificates):
    """Issue: failures are counted by reason."""
    metrics = Metrics(start_gateway, f"site a.test {{ tls {certificates['a'].line} ; respond 200 ok }}", tls.LISTEN)
    gateway = metrics.gateway
    with SecureConnection(gateway, "a.test") as connection:
        assert connection.get(host="a.test").status == 200
    with pytest.raises(ssl.SSLError):
        shown(gateway, "unknown.test")
    with pytest.raises(ssl.SSLError):
        shown(gateway, "a.test", context=ssl.create_default_context())
    with Connection(("127.0.0.1", tls.port(gateway))) as connection:
        assert connection.send(request_bytes()).response().status == 400
    with Connection(("127.0.0.1", tls.port(gateway))) as connection:
        pass

    def failures(reason):
        return metrics.value("chimera_tls_handshake_failures_total", reason=reason)
    for reason in ["unknown-name", "certificate-refused", "plain-request", "client-closed"]:
        wait_until(lambda: failures(reason) == 1, what=f"a failure counted as {reason}")
    assert metrics.value("chimera_tls_handshakes_total", kind="full") >= 1


# http and https

def test_http_is_sent_to_https(gateway):
    """config.md, Sites: 308 with the port, the path and the query."""
    answer = gateway.get("/x%20y?z=1", "a.test")
    assert answer.status == 308
    assert answer.fields.get("Location") == f"https://a.test:{tls.port(gateway)}/x%20y?z=1"


def test_what_need_not_be_sent_to_https_is_not(gateway):
    """config.md, Sites: never `/.well-known/acme-challenge/`, nor with `redirect=off`, nor a site without `tls`."""
    assert gateway.get("/.well-known/acme-challenge/token", "a.test").body == b"site a"
    assert gateway.get("/", "b.test").body == b"site b"
    assert gateway.get("/", "plain.test").body == b"plain"


def test_the_port_of_redirects_is_the_public_one(start_gateway, certificates):
    """config.md, Listeners: `public=443` is no port at all in an https URI."""
    gateway = start_gateway(f"site a.test {{ tls {certificates['a'].line} ; respond 200 ok }}",
                            f"{tls.LISTEN} public=443")
    assert gateway.get("/x", "a.test").fields.get("Location") == "https://a.test/x"


def test_hsts_is_said_over_tls_alone(gateway):
    """RFC 6797 §7.2: not over http."""
    with SecureConnection(gateway, "a.test") as connection:
        answer = connection.get(host="a.test")
        assert answer.fields.get("Strict-Transport-Security") == "max-age=31536000"
        missing = connection.request("GET", "/files/none", "a.test")
        assert missing.status == 404 and missing.fields.get("Strict-Transport-Security") == "max-age=31536000"
    assert gateway.get("/", "a.test").fields.get("Strict-Transport-Security") is None
    with SecureConnection(gateway, "b.test") as connection:
        assert connection.get(host="b.test").fields.get("Strict-Transport-Security") is None


def test_upstreams_learn_that_it_was_https(start_gateway, certificates, origins):
    """X-Forwarded-Proto says https."""
    origin = origins.echo()
    gateway = start_gateway(f"site a.test {{ tls {certificates['a'].line} ; proxy {origin.target} }}", tls.LISTEN)
    with SecureConnection(gateway, "a.test") as connection:
        fields = {name.lower(): value for name, value in json.loads(connection.get(host="a.test").body)["fields"]}
    assert fields["x-forwarded-proto"] == "https"


def test_a_connection_carries_requests_for_sites_that_ask_for_the_same(gateway):
    """RFC 9110 §7.4: 421 only where Host and SNI belong to sites with different demands, or one is without TLS."""
    with SecureConnection(gateway, "a.test") as connection:
        assert connection.get(host="b.test").body == b"site b"
        refused = connection.get(host="plain.test")
        assert refused.status == 421 and b"made for another site" in refused.body
        assert connection.get(host="a.test").status == 200
    gateway.records(1, where=lambda record: record.get("refused") == "site-mismatched")


def test_http_is_not_answered_over_tls(gateway):
    """RFC 9110 §7.4, RFC 9112 §3.2.2: the absolute form says which scheme is asked for."""
    for target, status in [("http://a.test/", 421), ("https://a.test/", 200), ("HTTP://a.test/", 421)]:
        with SecureConnection(gateway, "a.test") as connection:
            assert connection.request("GET", target, "a.test").status == status


def test_a_site_that_requires_certificates_is_closed_without_tls(start_gateway, certificates, clients):
    """docs/tls.md: `client require` holds for all doors of a site."""
    gateway = start_gateway(
        f"site a.test {{ tls {certificates['a'].line} redirect=off {{ client-ca {clients[0].chain} }} ; "
        "respond 200 secret }", tls.LISTEN)
    assert gateway.get(host="a.test").status == 403
    assert gateway.get("/.well-known/acme-challenge/x", "a.test").status == 403


# Sessions

def resumed(gateway, host, session, context):
    with SecureConnection(gateway, host, context, session=session) as connection:
        assert connection.get(host=host).status == 200
        return connection.socket.session_reused


def session_of(gateway, host, context):
    with SecureConnection(gateway, host, context) as connection:
        # With TLS 1.3 the ticket comes after the handshake, before the first answer.
        assert connection.get(host=host).status == 200
        return connection.socket.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_go_on_with_any_worker_but_at_no_other_site(gateway, version):
    """Issue: keys of tickets are shared by all workers and bound to the site."""
    context = trusting_anybody()
    context.minimum_version = context.maximum_version = version
    session = session_of(gateway, "a.test", context)
    assert all(resumed(gateway, "a.test", session, context) for _ in range(20))
    assert not any(resumed(gateway, "b.test", session, context) for _ in range(6))


def test_who_resumes_gets_another_ticket(gateway):
    """RFC 8446 C.4: a ticket is shown once, so each connection brings the next one."""
    context = trusting_anybody()
    sessions = [session_of(gateway, "a.test", context)]
    for _ in range(3):
        with SecureConnection(gateway, "a.test", context, session=sessions[-1]) as connection:
            assert connection.get(host="a.test").status == 200
            assert connection.socket.session_reused
            sessions.append(connection.socket.session)
    assert len({session.id for session in sessions}) == 4


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_survive_the_death_of_the_data_plane_and_an_upgrade(start_gateway, certificates, version):
    """architecture.md, What a restart keeps: the supervisor holds the secret of tickets."""
    gateway = start_gateway(f"site a.test {{ tls {certificates['a'].line} ; respond 200 ok }}", tls.LISTEN)
    context = trusting_anybody()
    context.minimum_version = context.maximum_version = version
    session = session_of(gateway, "a.test", context)
    before = gateway.pid
    os.kill(before, signal.SIGKILL)
    gateway.may_crash = True
    wait_until(lambda: gateway.pid not in (before, gateway.process.pid), what="another data plane")
    assert resumed(gateway, "a.test", session, context)
    gateway.upgrade()
    assert resumed(gateway, "a.test", session, context)


def test_connections_survive_an_upgrade(start_gateway, certificates, origins):
    """Issue: what an upgrade promises holds for connections over TLS."""
    origin = origins(lambda connection: (connection.read_request(), connection.wait_closed()))
    gateway = start_gateway(
        f"site a.test {{ tls {certificates['a'].line} ; /wait proxy {origin.target} ; /* respond 200 ok }}", tls.LISTEN)
    with SecureConnection(gateway, "a.test") as idle, SecureConnection(gateway, "a.test") as busy:
        assert idle.get(host="a.test").status == 200
        busy.send(request_bytes(target="/wait", host="a.test"))
        origin.request()
        gateway.upgrade()
        # The old data plane drains a moment after the new one serves.
        wait_until(lambda: idle.get(host="a.test").fields.get("Connection") == "close", what="a last answer")
        origin.connection().send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
        assert busy.response().body == b"done"


# Certificates that change

def test_a_certificate_that_is_replaced_is_shown_within_a_second(start_gateway, tmp_path):
    """Issue: swapped without a reload, and no connection drops."""
    folder = tmp_path / "c"
    old = certify(folder, "a", "a.test")
    before = old.der
    gateway = start_gateway(f"site a.test {{ tls {old.line} ; respond 200 ok }}", tls.LISTEN).settle()
    with SecureConnection(gateway, "a.test") as open_before:
        assert open_before.certificate == before
        fresh = certify(tmp_path / "fresh", "a", "a.test")
        os.replace(fresh.key, old.key)
        os.replace(fresh.chain, old.chain)
        assert old.der != before
        wait_until(lambda: shown(gateway, "a.test") == old.der, what="the new certificate", within=3)
        assert open_before.get(host="a.test").status == 200


def test_a_certificate_is_watched_without_an_import_too(start_gateway, tmp_path):
    """docs/tls.md: a file that changes is read again by itself; one file is a configuration as well."""
    old = certify(tmp_path / "c", "a", "a.test")
    gateway = start_gateway("", tls.LISTEN, start=False)
    gateway.import_line = f"site a.test {{ tls {old.line} ; respond 200 ok }}"
    gateway.start()
    assert shown(gateway, "a.test") == old.der
    fresh = certify(tmp_path / "fresh", "a", "a.test")
    os.replace(fresh.key, old.key)
    os.replace(fresh.chain, old.chain)
    wait_until(lambda: shown(gateway, "a.test") == old.der, what="the new certificate")


def test_a_certificate_that_is_replaced_by_half_stays_as_it_was(start_gateway, tmp_path):
    """config.md, rule 3: what fails keeps the last good version in service."""
    old = certify(tmp_path / "c", "a", "a.test")
    before = old.der
    gateway = start_gateway(f"site a.test {{ tls {old.line} ; respond 200 ok }}", tls.LISTEN).settle()
    fresh = certify(tmp_path / "fresh", "a", "a.test")
    os.replace(fresh.chain, old.chain)
    gateway.await_stderr("holds the key of another certificate")
    assert shown(gateway, "a.test") == before
    os.replace(fresh.key, old.key)
    wait_until(lambda: shown(gateway, "a.test") == old.der, what="the new certificate")


# tls internal

def test_internal_certificates_are_signed_by_an_authority_that_stays(start_gateway):
    """config.md: `tls internal` issues from a local authority that is made once and kept; `chimera trust` prints it."""
    gateway = start_gateway("site a.internal *.b.internal { tls internal ; respond 200 ok }\n"
                            "site * { tls internal ; respond 200 all }", tls.LISTEN)
    config = gateway.directory / "chimera.conf"
    printed = run("trust", "--config", config)
    assert printed.returncode == 0, printed.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=printed.stdout)
    for host in ["a.internal", "x.b.internal", "anything.example", "localhost"]:
        with SecureConnection(gateway, host, context) as connection:
            assert connection.get(host=host).status == 200
    with SecureConnection(gateway, "127.0.0.1", context) as connection:
        assert connection.get(host="127.0.0.1").body == b"all"
    key = gateway.directory / "data/tls/authority.key"
    assert key.stat().st_mode & 0o777 == 0o600
    # What is printed is no secret, so the key is not looked at.
    os.rename(key, key.with_suffix(".away"))
    assert run("trust", "--config", config).stdout == printed.stdout
    os.rename(key.with_suffix(".away"), key)
    gateway.stop()
    gateway.start()
    assert run("trust", "--config", config).stdout == printed.stdout
    with SecureConnection(gateway, "a.internal", context) as connection:
        assert connection.get(host="a.internal").status == 200


def test_without_an_authority_there_is_nothing_to_trust(tmp_path):
    config = tmp_path / "chimera.conf"
    config.write_text("listen 127.0.0.1:0\ndata data\n")
    done = run("trust", "--config", config)
    assert done.returncode == 3 and "no local authority yet" in done.stderr


# Clients with certificates

@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    directory = tmp_path_factory.mktemp("clients")
    authority = certify(directory, "authority", authority=True)
    return authority, certify(directory, "ann", issuer=authority), certify(directory, "stranger")


def showing(certificate, version=None):
    context = trusting_anybody()
    if certificate:
        context.load_cert_chain(certificate.chain, certificate.key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_clients_without_a_trusted_certificate_are_refused(start_gateway, certificates, clients, version):
    """config.md, TLS: `client require`."""
    authority, ann, stranger = clients
    gateway = start_gateway(
        f"site a.test {{ tls {certificates['a'].line} {{ client-ca {authority.chain} }} ; respond 200 ok }}\n"
        f"site b.test {{ tls {certificates['b'].line} ; respond 200 open }}", tls.LISTEN)
    with SecureConnection(gateway, "a.test", showing(ann, version)) as connection:
        assert connection.get(host="a.test").body == b"ok"
        # The other site asks for less: that is another demand as well.
        assert connection.get(host="b.test").status == 421
    for refused in [None, stranger]:
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            with SecureConnection(gateway, "a.test", showing(refused, version)) as connection:
                connection.get(host="a.test")
    # A connection for the other site must not open this one.
    with SecureConnection(gateway, "b.test", showing(None, version)) as connection:
        assert connection.get(host="b.test").body == b"open"
        assert connection.get(host="a.test").status == 421
    # Nor must a session from there.
    session = session_of(gateway, "b.test", showing(None, version))
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        context = showing(None, version)
        with SecureConnection(gateway, "a.test", context) as connection:
            connection.get(host="a.test")
    assert session is not None


def test_a_session_with_a_certificate_goes_on_with_it(start_gateway, certificates, clients):
    """RFC 8446 §2.2: who was known is known."""
    authority, ann, _ = clients
    gateway = start_gateway(
        f"site a.test {{ tls {certificates['a'].line} {{ client-ca {authority.chain} }} ; respond 200 ok }}", tls.LISTEN)
    context = showing(ann)
    session = session_of(gateway, "a.test", context)
    assert resumed(gateway, "a.test", session, context)
    # What was verified once is not good for longer than that.
    with SecureConnection(gateway, "a.test", context, session=session) as connection:
        assert connection.get(host="a.test").status == 200
        assert connection.socket.session.id == session.id


def test_clients_may_be_asked_and_not_have_one(start_gateway, certificates, clients):
    """config.md, TLS: `client optional`."""
    authority, ann, _ = clients
    gateway = start_gateway(
        f"site a.test {{ tls {certificates['a'].line} {{ client-ca {authority.chain} ; client optional }} ; "
        "respond 200 ok }", tls.LISTEN)
    for certificate in [None, ann]:
        with SecureConnection(gateway, "a.test", showing(certificate)) as connection:
            assert connection.get(host="a.test").body == b"ok"


def test_who_the_client_is_can_be_matched_and_passed_on(start_gateway, certificates, clients, origins):
    """Issue: result and subject for matchers, variables and upstream headers."""
    authority, ann, _ = clients
    origin = origins.echo()
    gateway = start_gateway(
        f"""site a.test {{
            tls {certificates['a'].line} {{ client-ca {authority.chain} ; client optional }}
            @known tls.client
            @ann tls.client CN=ann
            @bob tls.client CN=bob*
            /who @bob respond 200 bob
            /who @ann respond 200 "ann, {{tls.client}} over {{tls.version}}"
            /who @known respond 200 somebody
            /who respond 200 "nobody {{tls.client}}"
            /up proxy {origin.target} {{ request-header X-Client {{tls.client}} }}
        }}""", tls.LISTEN)
    with SecureConnection(gateway, "a.test", showing(ann)) as connection:
        assert connection.get("/who", "a.test").body == b"ann, CN=ann over TLSv1.3"
        answer = connection.request("GET", "/up", "a.test", [("X-Client", "CN=root")])
        assert [v for n, v in json.loads(answer.body)["fields"] if n.lower() == "x-client"] == ["CN=ann"]
    with SecureConnection(gateway, "a.test", showing(None)) as connection:
        assert connection.get("/who", "a.test").body == b"nobody "


# The log

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_log_tells_what_a_handshake_came_to(start_gateway, certificates, clients, version):
    """docs/operations.md: version, cipher, name, client's certificate, and whether a session went on; for each request."""
    authority, ann, _ = clients
    gateway = start_gateway(
        {"a.conf": f"site a.test {{ tls {certificates['a'].line} redirect=off {{ client-ca {authority.chain} ; "
                   "client optional } ; respond 200 ok }",
         "b.conf": f"site * {{ tls {certificates['b'].line} redirect=off ; respond 200 ok }}"}, tls.LISTEN)
    context = showing(ann)
    context.minimum_version = context.maximum_version = version
    with SecureConnection(gateway, "A.test", context) as connection:
        for target in ("/first", "/second"):
            assert connection.get(target, "a.test").status == 200
        name, session = connection.socket.cipher()[0], connection.socket.session
    with SecureConnection(gateway, "a.test", context, session=session) as connection:
        assert connection.get("/resumed", "a.test").status == 200
        assert connection.socket.session_reused
    with SecureConnection(gateway, None) as connection:
        assert connection.get("/nameless", "other.test").status == 200
    assert gateway.get("/plain", "a.test").status == 200
    by_path = {record["path"]: record for record in gateway.records(5)}
    facts = by_path["/first"]["tls"]
    assert facts == {
        "version": {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name], "cipher": REGISTERED[name],
        "resumed": False, "server_name": "a.test", "client": "CN=ann"}
    assert by_path["/second"]["tls"] == facts
    assert by_path["/resumed"]["tls"] == facts | {"resumed": True}
    assert by_path["/nameless"]["tls"].keys() == {"version", "cipher", "resumed"}
    assert "tls" not in by_path["/plain"]


REGISTERED = {
    "TLS_AES_128_GCM_SHA256": "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384": "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256": "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}
"""OpenSSL's names of ciphers, and those of RFC 8446 and of IANA's registry."""


@pytest.mark.parametrize("cipher", [name for name in REGISTERED if name.startswith("ECDHE")])
def test_each_cipher_is_logged_by_its_registered_name(logged, cipher):
    context = trusting_anybody()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    with SecureConnection(logged, "both.test", context) as connection:
        assert connection.get(f"/{cipher}", "both.test").status == 200
        assert connection.socket.cipher()[0] == cipher
    record, = logged.records(1, where=lambda record: record["path"] == f"/{cipher}")
    assert record["tls"]["cipher"] == REGISTERED[cipher]


@pytest.mark.parametrize("cipher", [name for name in REGISTERED if name.startswith("TLS_")])
def test_each_cipher_of_tls_1_3_is_logged_by_its_name(logged, cipher):
    done = subprocess.run(
        ["curl", "-sSk", "--max-time", "20", "--tls13-ciphers", cipher, "--tlsv1.3", "--connect-to",
         f"::127.0.0.1:{tls.port(logged)}", f"https://both.test/{cipher}"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr
    record, = logged.records(1, where=lambda record: record["path"] == f"/{cipher}")
    assert (record["tls"]["version"], record["tls"]["cipher"]) == ("TLSv1.3", cipher)


@pytest.fixture(scope="module")
def logged(start_shared, tmp_path_factory):
    directory = tmp_path_factory.mktemp("logged")
    lines = " ; ".join(f"tls {certify(directory, kind, 'both.test', kind=kind).line}" for kind in ("ec", "rsa"))
    return start_shared(f"site both.test {{ {lines} ; respond 200 ok }}", tls.LISTEN)


def test_the_text_log_tells_it_too(start_gateway, certificates):
    gateway = start_gateway(f"site a.test {{ tls {certificates['a'].line} ; respond 200 ok }}", tls.LISTEN,
                            log="log access text access.log")
    with SecureConnection(gateway, "a.test") as connection:
        assert connection.get(host="a.test").status == 200
        cipher = connection.socket.cipher()[0]
    path = gateway.directory / "access.log"
    line = wait_until(lambda: path.exists() and path.read_text(), what="a line")
    assert f' tls=TLSv1.3 tls-cipher={cipher} tls-resumed=no tls-name="a.test" ' in line


# OCSP

def stapled(gateway, host):
    """What openssl says of the OCSP response that comes with the certificate."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{tls.port(gateway)}", "-servername", host, "-status"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert "OCSP response:" in done.stdout, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("status,said", [("V", "Cert Status: good"), ("", "Cert Status: unknown")])
def test_an_ocsp_response_is_sent_with_the_certificate(start_gateway, tmp_path, status, said):
    """RFC 6066 §8: stapling."""
    folder = tmp_path / "c"
    authority = certify(folder, "authority", authority=True)
    site = certify(folder, "a", "a.test", issuer=authority)
    response = tls.certify_status(authority, site, folder / "a.ocsp", status)
    gateway = start_gateway(f"site a.test {{ tls {site.line} ocsp={response} ; respond 200 ok }}", tls.LISTEN)
    shown = stapled(gateway, "a.test")
    assert "OCSP Response Status: successful" in shown and said in shown


def test_an_ocsp_response_that_changes_is_sent_within_a_second_and_one_of_others_never(start_gateway, tmp_path):
    """docs/tls.md: whoever fetches it replaces the file; what is none leaves the last good version in service."""
    folder = tmp_path / "c"
    authority = certify(folder, "authority", authority=True)
    site, other = (certify(folder, name, f"{name}.test", issuer=authority) for name in "ab")
    response = tls.certify_status(authority, other, folder / "a.ocsp")
    gateway = start_gateway(f"site a.test {{ tls {site.line} ocsp={response} ; respond 200 ok }}", tls.LISTEN).settle()
    gateway.await_stderr(r"warning: the OCSP response in .*a\.ocsp. is about another certificate, so it is not sent")
    assert "no response sent" in stapled(gateway, "a.test")
    fresh = tls.certify_status(authority, site, folder / "fresh.ocsp")
    os.replace(fresh, response)
    wait_until(lambda: "Cert Status: good" in stapled(gateway, "a.test"), what="the new response")
    (folder / "bad").write_bytes(b"none")
    os.replace(folder / "bad", response)
    gateway.await_stderr("is no OCSP response in DER form")
    assert "Cert Status: good" in stapled(gateway, "a.test")


def checked(tmp_path, lines, listen="listen 127.0.0.1:443 tls"):
    """What `chimera check` says of the site a.test with these lines."""
    config = tmp_path / "chimera.conf"
    config.write_text(f"{listen}\nsite a.test {{\n    {lines}\n    respond 200 ok\n}}\n")
    return run("check", "--config", config)


def test_what_is_no_ocsp_response_is_an_error_at_its_place(tmp_path, certificates):
    """config.md, rule 7: errors help, with their position."""
    chain = certificates["a"].chain
    line = f"tls {certificates['a'].line} ocsp={chain}"
    done = checked(tmp_path, line)
    column = 5 + line.index("ocsp=") + len("ocsp=")
    assert done.returncode == 1 and f"chimera.conf:3:{column}: " in done.stderr, done.stderr
    assert f'"{chain}" is no OCSP response in DER form' in done.stderr
    done = checked(tmp_path, f"tls {certificates['a'].line} ocsp=none.der")
    assert done.returncode == 1 and '"none.der" does not exist' in done.stderr, done.stderr


def test_a_chain_is_examined(tmp_path):
    """docs/tls.md: what clients may take amiss is a warning, what cannot be read an error."""
    folder = tmp_path / "c"
    root = certify(folder, "root", authority=True)
    middle = certify(folder, "middle", authority=True, issuer=root)
    site = certify(folder, "a", "a.test", issuer=middle, more=("authorityInfoAccess=caIssuers;URI:http://x.test/",))
    worker = certify(folder, "worker", "a.test", more=("extendedKeyUsage=clientAuth",))
    whole = folder / "whole.pem"

    def said(*parts, key=site.key):
        whole.write_text("".join(parts))
        return checked(tmp_path, f"tls {whole} {key}")

    leaf, between, top = (c.chain.read_text() for c in (site, middle, root))
    for right in [(leaf, between), (leaf, between, top), ("a comment\n", leaf, "\n\n", between)]:
        done = said(*right)
        assert done.returncode == 0 and "warning" not in done.stderr + done.stdout, done.stderr
    for wrong, warning in [
        ((leaf,), "holds no certificate of who signed this one"),
        ((leaf, top), "certificate 2 in "), ((leaf, top, between), "certificate 3 in "),
        ((leaf, top, between), "did not sign the one before it"),
    ]:
        done = said(*wrong)
        assert done.returncode == 0 and warning in done.stderr, done.stderr
        assert "chimera.conf:3:9: warning" in done.stderr, done.stderr
    done = said(worker.chain.read_text(), key=worker.key)
    assert done.returncode == 0 and "is not one for servers: its extended key usage lacks serverAuth" in done.stderr
    for broken in [leaf + between.replace("M", "*", 1), leaf + between[:len(between) // 2]]:
        done = said(broken)
        assert done.returncode == 1 and "holds a certificate that cannot be read, number 2" in done.stderr, done.stderr


def test_a_certificate_for_no_host_of_the_site_is_warned_of(tmp_path, certificates):
    """docs/tls.md: a line of several whose certificate is for none of the hosts, at its own place."""
    done = checked(tmp_path, f"tls {certificates['a'].line}\n    tls {certificates['b'].line}")
    assert done.returncode == 0, done.stderr
    warning = "chimera.conf:4:5: warning: the certificate of this line is one for no host of the site"
    assert warning in done.stderr, done.stderr
    done = checked(tmp_path, f"tls {certificates['b'].line}")
    assert 'no certificate of this site is one for "a.test"' in done.stderr and "this line" not in done.stderr


def test_explain_says_which_certificate_is_shown(tmp_path, certificates):
    """Issue: why a request gets what it gets; of two certificates the one for the name, of each kind of key."""
    folder = tmp_path / "c"
    rsa = certify(folder, "rsa", "a.test", kind="rsa")
    config = tmp_path / "chimera.conf"
    config.write_text(f"listen 127.0.0.1:443 tls\nsite a.test {{\n    tls {certificates['b'].line}\n"
                      f"    tls {certificates['a'].line}\n    tls {rsa.line}\n    respond 200 ok\n}}\n")
    done = run("explain", "https://a.test/", "--config", config)
    assert done.returncode == 0, done.stderr
    for part in [f"certificate {certificates['a'].chain}, ECDSA ({config}:4:5)", f"certificate {rsa.chain}, RSA ({config}:5:5)",
                 "profile intermediate", "answer    200"]:
        assert part in done.stdout, done.stdout
    assert str(certificates["b"].chain) not in done.stdout


# Configuration

@pytest.mark.parametrize("line,message", [
    ("tls KEY KEY", "holds no certificate"),
    ("tls CHAIN CHAIN", "holds no private key"),
    ("tls CHAIN OTHER", "holds the key of another certificate"),
    ("tls CHAIN none.key", "does not exist"),
    ("tls CHAIN", "needs CHAIN and KEY"),
    ("tls internal KEY", "has no files"),
    ("tls CHAIN KEY { client require }", "needs a `client-ca`"),
])
def test_what_is_wrong_with_a_certificate_is_said(tmp_path, certificates, line, message):
    """config.md, rule 7: errors help, with their position."""
    words = {"CHAIN": certificates["a"].chain, "KEY": certificates["a"].key, "OTHER": certificates["b"].key}
    text = " ".join(str(words.get(word, word)) for word in line.split())
    config = tmp_path / "chimera.conf"
    config.write_text(f"listen 127.0.0.1:0 tls\nsite a.test {{\n    {text}\n    respond 200 ok\n}}\n")
    done = run("check", "--config", config)
    assert done.returncode == 1 and message in done.stderr + done.stdout, done.stderr + done.stdout


def test_a_site_with_tls_needs_a_listener_with_tls(tmp_path, certificates):
    """config.md, TLS: an error at check time."""
    config = tmp_path / "chimera.conf"
    config.write_text(f"listen 127.0.0.1:0\nsite a.test {{ tls {certificates['a'].line} ; respond 200 ok }}\n")
    done = run("check", "--config", config)
    assert done.returncode == 1 and "no listener with `tls`" in done.stderr + done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_keys_that_only_root_may_read_serve_a_gateway_that_is_not_root(tmp_path):
    """architecture.md, Users: keys are handed over by the supervisor, and nothing else; a reload reads them again."""
    site = certify(tmp_path / "c", "a", "a.test")
    secret = tmp_path / "c/secret"
    secret.write_text("hidden")
    os.chmod(tmp_path / "c", 0o700)
    with tempfile.TemporaryDirectory(prefix="chimera-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        gateway = Gateway(Path(name) / "gateway", f"site a.test {{ tls {site.line} ; respond 200 one }}",
                          f"{tls.LISTEN}\nuser nobody\n", log="log access off").start()
        try:
            def answer():
                with SecureConnection(gateway, "a.test", trusting(site)) as connection:
                    return connection.get(host="a.test").body
            assert answer() == b"one"
            gateway.reload(f"site a.test {{ tls {site.line} ; respond 200 two }}")
            wait_until(lambda: answer() == b"two", what="the new version")
            gateway.reload(f"site a.test {{ tls {site.line} ; respond 200 file:{secret} }}")
            gateway.await_stderr("permission denied")
            assert answer() == b"two"
            gateway.stop()
        finally:
            gateway.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_keys_in_a_folder_of_roots_are_watched_for_a_gateway_that_is_not_root(tmp_path):
    """Issue: certificates are watched and swapped without a reload, also as certbot keeps them: links in a folder that only
    root may enter, which lead to another file after each renewal. The connection that is open goes on."""
    letsencrypt = tmp_path / "letsencrypt"
    old = certify(letsencrypt / "archive/a", "old", "a.test")
    new = certify(letsencrypt / "archive/a", "new", "a.test")
    live = letsencrypt / "live/a"
    live.mkdir(parents=True)

    def renew(certificate):
        for name, target in (("privkey.pem", certificate.key), ("fullchain.pem", certificate.chain)):
            (live / "next").symlink_to(os.path.relpath(target, live))
            os.replace(live / "next", live / name)
    renew(old)
    for folder in ("live", "archive"):
        os.chmod(letsencrypt / folder, 0o700)
    with tempfile.TemporaryDirectory(prefix="chimera-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        line = f"{live}/fullchain.pem {live}/privkey.pem"
        gateway = Gateway(Path(name) / "gateway", f"site a.test {{ tls {line} ; respond 200 one }}",
                          f"{tls.LISTEN}\nuser nobody\n", log="log access off").start()
        try:
            with SecureConnection(gateway, "a.test", trusting(old)) as connection:
                assert connection.get(host="a.test").body == b"one"
                for certificate in (new, old, new):
                    renew(certificate)
                    wait_until(lambda: shown(gateway, "a.test") == certificate.der, what="the renewed certificate")
                # In its place, as some other tools do.
                for path, content in ((new.key, old.key.read_bytes()), (new.chain, old.chain.read_bytes())):
                    path.write_bytes(content)
                wait_until(lambda: shown(gateway, "a.test") == old.der, what="the certificate that was written over")
                assert connection.get(host="a.test").body == b"one"
            assert "cannot be watched" not in gateway.stderr
            # And behind another data plane.
            gateway.upgrade()
            renew(certify(letsencrypt / "archive/a", "newest", "a.test"))
            newest = (letsencrypt / "archive/a/newest.pem").read_text()
            wait_until(lambda: shown(gateway, "a.test") == ssl.PEM_cert_to_DER_cert(newest), what="the newest certificate")
            gateway.stop()
        finally:
            gateway.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_gateway_that_gives_root_up_keeps_its_authority(tmp_path):
    """architecture.md, Users: root's data directory is made for who serves, so that `chimera trust` finds what is kept."""
    with tempfile.TemporaryDirectory(prefix="chimera-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        gateway = Gateway(Path(name) / "gateway", "site a.test { tls internal ; respond 200 ok }",
                          f"{tls.LISTEN}\nuser nobody\ndata kept/data\n", log="log access off").start()
        try:
            kept = gateway.directory / "kept/data"
            assert (kept.owner(), kept.stat().st_mode & 0o777, kept.parent.owner()) == ("nobody", 0o700, "root")
            printed = run("trust", "--config", gateway.directory / "chimera.conf")
            assert printed.returncode == 0, printed.stderr
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=printed.stdout)
            with SecureConnection(gateway, "a.test", context) as connection:
                assert connection.get(host="a.test").body == b"ok"
            gateway.stop()
        finally:
            gateway.kill()
