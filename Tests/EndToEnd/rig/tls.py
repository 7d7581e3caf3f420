"""Certificates, and clients that speak TLS."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .client import PATIENCE, Connection
from .gateway import Gateway

LISTEN = "listen 127.0.0.1:0 tls"
"""For a machine's file: a listener on a port of the kernel's choice."""


def openssl(*words) -> str:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Certificate:
    """A certificate and its key, as files."""
    chain: Path
    key: Path

    @property
    def line(self) -> str:
        """The words behind `tls`."""
        return f"{self.chain} {self.key}"

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.chain.read_text())


def certify(directory: Path, name: str, *hosts: str, kind: str = "ec", issuer: Certificate | None = None,
            authority: bool = False, more: tuple[str, ...] = ()) -> Certificate:
    """Makes directory/NAME.pem and .key: self-signed, or signed by `issuer`; `more` are extensions, as openssl takes them."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificate(directory / f"{name}.pem", directory / f"{name}.key")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
    extensions = []
    if hosts:
        extensions += ["-addext", "subjectAltName=" + ",".join(f"DNS:{h}" for h in hosts)]
    if not authority:
        extensions += ["-addext", "basicConstraints=critical,CA:FALSE"]
    extensions += [word for extension in more for word in ("-addext", extension)]
    signed = ["-CA", issuer.chain, "-CAkey", issuer.key] if issuer else []
    openssl("req", "-x509", *key, "-nodes", "-keyout", made.key, "-out", made.chain, "-days", "30",
            "-subj", f"/CN={name}", *extensions, *signed)
    return made


def certify_status(authority: Certificate, certificate: Certificate, path: Path, status: str = "V") -> Path:
    """Has the authority sign an OCSP response about a certificate, for a day: it is valid (V), or nothing is known of it ("")."""
    number = openssl("x509", "-in", certificate.chain, "-noout", "-serial").strip().split("=")[1]
    index, asked = path.with_suffix(".index"), path.with_suffix(".request")
    index.write_text(f"{status}\t991231235959Z\t\t{number}\tunknown\t/CN=x\n" if status else "")
    openssl("ocsp", "-reqout", asked, "-issuer", authority.chain, "-cert", certificate.chain)
    openssl("ocsp", "-index", index, "-rsigner", authority.chain, "-rkey", authority.key, "-CA", authority.chain,
            "-reqin", asked, "-respout", path, "-ndays", "1")
    return path


def port(gateway: Gateway) -> int:
    """The port of the gateway's one listener with TLS."""
    listening = r"listening on 127\.0\.0\.1:(\d+) with TLS$"
    gateway.await_stderr(listening)
    return int(re.findall(listening, gateway.stderr, re.M)[-1])


def trusting(*certificates: Certificate, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for certificate in certificates:
        context.load_verify_locations(certificate.chain)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def trusting_anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class SecureConnection(Connection):
    """A client's connection over TLS."""

    def __init__(self, gateway: Gateway, host: str | None, context: ssl.SSLContext | None = None,
                 session: ssl.SSLSession | None = None, timeout: float = PATIENCE, **options):
        super().__init__(("127.0.0.1", port(gateway)), timeout, **options)
        try:
            self.socket = (context or trusting_anybody()).wrap_socket(
                self.socket, server_hostname=host, session=session)
        except BaseException:
            self.socket.close()
            raise

    def end_without_notice(self) -> None:
        """Sends FIN where TLS would send close_notify before, and goes on reading."""
        with socket.socket(fileno=os.dup(self.socket.fileno())) as below:
            below.shutdown(socket.SHUT_WR)

    @property
    def certificate(self) -> bytes:
        """What the gateway showed, in DER form."""
        return self.socket.getpeercert(binary_form=True)
