"""What the README promises: `make run` serves, each of its curl lines works, and everything ends with it."""
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("CHIMERA_BINARY") or ROOT / ".build/release/chimera")
PORTS = (8080, 8443, 9001, 9002)
README = (ROOT / "README.md").read_text()
LINES = re.findall(r"^(curl .*?) +# (\d{3})$", README, re.M)
PRINTING = re.findall(r"^(curl .*?) +# (CN=\S+)$", README, re.M)
TRUST = re.findall(r"^(\.build/release/chimera trust > \S+)$", README, re.M)


CONNECT = re.findall(r"^(echo .*chimera connect .*?) +# (.+)$", README, re.M)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Samples:
    """The samples, served as `make run` does once the binary is built."""

    def __init__(self, folder):
        self.output = folder / "output"
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen([ROOT / "Tools/run", BINARY, "chimera.conf"], cwd=ROOT,
                                            start_new_session=True, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        end = time.monotonic() + 30
        while "Ctrl-C ends it." not in self.said():
            assert time.monotonic() < end and self.process.poll() is None, self.said()
            time.sleep(0.05)

    def said(self):
        return self.output.read_text(errors="replace")

    def end(self, number=signal.SIGTERM):
        """Ends it by a signal to the script alone, and returns its status; nothing may be left."""
        self.process.send_signal(number)
        try:
            status = self.process.wait(40)
        finally:
            self.process.kill()
        assert [port for port in PORTS if listens(port)] == []
        return status


# Before the fixture below, which holds the ports as long as it lives.
@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_it_ends_with_all_that_it_started(number, status, tmp_path):
    assert Samples(tmp_path).end(number) == status


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    samples = Samples(tmp_path_factory.mktemp("samples"))
    for line in TRUST:
        subprocess.run(line.replace(".build/release/chimera", str(BINARY)), cwd=ROOT, shell=True, check=True, timeout=20)
    yield samples
    samples.end()


def test_the_readme_has_curl_lines():
    assert len(LINES) >= 15


@pytest.mark.parametrize("line, status", LINES, ids=[line for line, _ in LINES])
def test_a_curl_line_works(served, line, status, tmp_path):
    words = shlex.split(line) + ["--silent", "--show-error", "--max-time", "20", "-w", "%{http_code}", "-D", "-"]
    if "-o" not in words:
        words += ["-o", str(tmp_path / "body")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout[-3:]) == (0, status), done.stdout + done.stderr


def test_the_readme_joins_programs():
    assert CONNECT


@pytest.mark.parametrize("line, said", CONNECT, ids=[line for line, _ in CONNECT])
def test_a_program_answers(served, line, said):
    """Also where root runs it from a folder of its own, as long as others may read that."""
    if "are not served" in served.said():
        assert os.geteuid() == 0 and (ROOT / "chimera.conf").stat().st_uid == 0
        pytest.skip("nobody else than root may read the samples")
    done = subprocess.run(line.replace(".build/release/chimera", str(BINARY)), cwd=ROOT, shell=True,
                          capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(said), done.stdout + done.stderr


def test_the_readme_shows_tls():
    assert len(TRUST) == 1
    assert len([line for line, _ in LINES if "--cacert" in line]) >= 4
    assert len({printed for _, printed in PRINTING}) >= 2


@pytest.mark.parametrize("line, printed", PRINTING, ids=[printed for _, printed in PRINTING])
def test_a_line_shows_a_tenants_own_certificate(served, line, printed):
    done = subprocess.run(line, cwd=ROOT, shell=True, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip().endswith(printed), done.stdout + done.stderr


@pytest.mark.parametrize("option, version", [("--http1.1", "1.1"), ("--http2", "2")])
@pytest.mark.parametrize("host", ["localhost", "site.localhost", "app.localhost", "api.localhost", "old.localhost"])
def test_each_tenant_answers_over_https_in_either_version(served, host, option, version):
    authority = TRUST[0].split(" > ")[1]
    done = subprocess.run(
        ["curl", "-sS", "-L", "--max-time", "20", "--cacert", authority, option, "-o", "/dev/null", "-w",
         "%{http_code} %{http_version} %{scheme}", f"https://{host}:8443/"],
        cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.stdout.upper() == f"200 {version} HTTPS", done.stderr


def test_both_backends_answer(served):
    said = subprocess.run(["curl", "-s"] + ["http://api.localhost:8080/"] * 4, capture_output=True, text=True).stdout
    assert {"lion", "goat"} <= set(re.findall(r'"backend": "(\w+)"', said))


@pytest.mark.parametrize("address, expected", [
    ("http://localhost:8080/", ["site.localhost", "app.localhost", "api.localhost", "old.localhost"]),
    ("http://app.localhost:8080/deep/down/the/tree?with=a", ["/deep/down/the/tree?with=a", "A route of the app's own"]),
    ("http://app.localhost:8080/backends", ["lion", "goat", "answers in"]),
    ("http://site.localhost:8080/", ["Three heads"]),
])
def test_a_browser_shows_the_page(served, address, expected, tmp_path):
    """Headless Chromium, with scripts run."""
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--timeout=20000",
         "--virtual-time-budget=5000", "--dump-dom", address],
        capture_output=True, text=True, timeout=60)
    assert [text for text in expected if text not in done.stdout] == []

