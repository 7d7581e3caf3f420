"""Names of upstreams: resolved by the system's resolver, and again when their time to live ends (config.md, Verbs)."""

import os
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from rig.client import wait_until
from rig.origin import response_bytes

# No other resolver of a machine is at these addresses; each process of the test run has its own.
SERVER = f"127.0.0.{153 + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])}"


def mounts_are_private() -> bool:
    """Whether a process here may see another /etc/resolv.conf, and port 53 may be bound."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/resolv.conf"],
                          capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not mounts_are_private(), reason="needs root and mounts of its own, for a name server")


class NameServer:
    """Answers questions for addresses of names under .test by UDP (RFC 1035)."""

    def __init__(self):
        self.names: dict[str, tuple[str, int]] = {}
        """Address and time to live, by name."""
        self.questions: list[tuple[str, int]] = []
        """Name and type of each, in order: 1 is A, 28 AAAA."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((SERVER, 53))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            message, client = self.socket.recvfrom(512)
            if message == b"end":
                return
            labels, at = [], 12
            while message[at]:
                labels.append(message[at + 1:at + 1 + message[at]].decode())
                at += 1 + message[at]
            name, question = ".".join(labels), message[12:at + 5]
            kind, = struct.unpack(">H", message[at + 1:at + 3])
            self.questions.append((name, kind))
            address, seconds = self.names.get(name, (None, 0))
            records = b""
            if address and kind == 1:
                records = struct.pack(">HHHIH", 0xC00C, 1, 1, seconds, 4) + socket.inet_aton(address)
            code = 0 if address else 3  # No such name.
            self.socket.sendto(message[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, bool(records), 0, 0) + question + records,
                               client)

    def stop(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", (SERVER, 53))
        self.thread.join(10)
        self.socket.close()


@pytest.fixture
def names():
    server = NameServer()
    yield server
    server.stop()


@pytest.fixture
def gateway_with_names(start_gateway, names, tmp_path):
    """A gateway whose only name server is `names`."""
    (tmp_path / "resolv.conf").write_text(f"nameserver {SERVER}\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost from-hosts.test\n")
    script = "".join(f"mount --bind {tmp_path}/{name} /etc/{name} && " for name in ("resolv.conf", "nsswitch.conf", "hosts"))

    def start(sites: str):
        return start_gateway(sites, wrapper=["unshare", "--mount", "sh", "-c", script + 'exec "$@"', "sh"])
    return start


@pytest.fixture
def twins(request, origins):
    """The one port of two origins: at 127.0.0.2 one that answers "old", at 127.0.0.3 one that answers "new"."""
    fields = getattr(request, "param", [])
    first = origins(response_bytes(200, fields, b"old"), address="127.0.0.2")
    origins(response_bytes(200, fields, b"new"), address="127.0.0.3", port=first.port)
    return first.port


@pytest.mark.parametrize("twins", [[], [("Connection", "close")]], indirect=True, ids=["kept connections", "new ones"])
def test_a_name_is_resolved_again_when_its_time_to_live_ends(gateway_with_names, names, twins):
    """config.md: an upstream that moves is found at its new address, also where connections to the old one are kept and
    in use; nothing fails meanwhile."""
    names.names["api.test"] = ("127.0.0.2", 1)
    gateway = gateway_with_names(f"site test {{ proxy api.test:{twins} }}")

    def name():
        response = gateway.get("/name")
        assert response.status == 200
        return response.text
    assert name() == "old"
    names.names["api.test"] = ("127.0.0.3", 1)
    wait_until(lambda: name() == "new", what="the new address")
    # Each worker has its own view.
    wait_until(lambda: [name() for _ in range(20)] == ["new"] * 20, what="the new address for every worker")


def test_a_long_time_to_live_is_kept(gateway_with_names, names, twins):
    """config.md: not before: a name with minutes to live is asked for once by each worker."""
    names.names["api.test"] = ("127.0.0.2", 200)
    names.names["quick.test"] = ("127.0.0.2", 1)
    gateway = gateway_with_names(f"site test {{ /quick/* proxy quick.test:{twins} ; /* proxy api.test:{twins} }}")

    def asked(wanted):
        return sum(name == wanted for name, _ in names.questions)

    def both():
        for path in ("/name", "/quick/name"):
            assert gateway.get(path).status == 200
    # Five look-ups of the other name: more than one time to live of a second passes. A, AAAA, and A for the time.
    wait_until(lambda: both() or asked("quick.test") >= 5 * 3, 20, "the other name asked for again")
    assert asked("api.test") <= 2 * 3


def test_names_of_the_hosts_file(gateway_with_names, names, twins, origins):
    """User promise: /etc/hosts counts, and goes before the name servers."""
    origin = origins.echo("here")
    names.names["from-hosts.test"] = ("127.0.0.2", 1)
    gateway = gateway_with_names(f"site test {{ /l/* proxy localhost:{origin.port} ; /* proxy from-hosts.test:{origin.port} }}")
    assert gateway.get("/name").text == "here"
    before = len(names.questions)
    assert gateway.get("/l/name").text == "here"
    assert not [q for q in names.questions[before:] if "localhost" in q[0]]


def test_a_name_that_appears(gateway_with_names, names, twins):
    """config.md: one that does not resolve gives 502, never a refused start; and serves once it does."""
    gateway = gateway_with_names(f"site test {{ proxy late.test:{twins} }}")
    response = gateway.get("/name")
    assert (response.status, "dns_error" in response.fields["Proxy-Status"]) == (502, True)
    names.names["late.test"] = ("127.0.0.2", 60)
    wait_until(lambda: gateway.get("/name").status == 200, what="the name's answer")
