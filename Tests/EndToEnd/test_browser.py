"""The sample tenants in a browser: headless Chromium on the welcome page, the single-page app and the static site."""

import json
import re
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from rig.client import wait_until
from rig.gateway import REPOSITORY, free_port
from rig.programs import program

SAMPLES = REPOSITORY / "conf.d"

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def samples(start_shared, tmp_path_factory):
    """The repository's own chimera.conf and conf.d on free ports, with the sample backends."""
    backends = []
    gateway = start_shared(start=False)
    shutil.copytree(SAMPLES, gateway.directory / "conf.d")
    ports = {str(number): str(free_port()) for number in (9001, 9002)}
    for (_, port), name in zip(ports.items(), ("lion", "goat")):
        process = subprocess.Popen([sys.executable, str(SAMPLES / "api/backend.py"), "--port", port, "--name", name],
                                   stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline(), "a sample backend did not start"
        backends.append(process)
    machine = (REPOSITORY / "chimera.conf").read_text()
    machine = "\n".join(line for line in machine.splitlines() if not re.match(r"\s*(listen|workers|import|log)\b", line))

    def sites(port: str) -> dict[str, str]:
        result = {}
        for path in SAMPLES.glob("*.conf"):
            text = path.read_text().replace("8080", port)
            for old, new in ports.items():
                text = text.replace(old, new)
            result[path.name] = text
        return result
    gateway.machine, gateway.sites = machine, sites("PORT")
    gateway.start()
    yield gateway
    for process in backends:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def chromium(directory: Path, url: str, *arguments: str) -> str:
    done = subprocess.run(
        [program("chromium", "chromium-browser", "google-chrome"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--no-proxy-server", "--hide-scrollbars",
         f"--user-data-dir={directory}/profile", "--virtual-time-budget=8000", "--timeout=20000",
         "--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP localhost 127.0.0.1, MAP * ~NOTFOUND", *arguments, url],
        capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def dom(gateway, directory: Path, host: str, path: str = "/") -> str:
    return chromium(directory, f"http://{host}:{gateway.port}{path}", "--dump-dom")


def colours(png: bytes) -> int:
    """The number of different rows of a screenshot: a blank page has one."""
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    data, at = b"", 8
    while at < len(png):
        size, = struct.unpack(">I", png[at:at + 4])
        if png[at + 4:at + 8] == b"IDAT":
            data += png[at + 8:at + 8 + size]
        at += 12 + size
    raw = zlib.decompress(data)
    stride = len(raw) // height
    return len({raw[n * stride + 1:(n + 1) * stride] for n in range(height)})


def test_the_welcome_page(samples, tmp_path):
    """Issue: `http://localhost:8080/` shows the sample tenants as cards with their configuration beside them and live
    request counters."""
    page = dom(samples, tmp_path, "localhost")
    for host in ("site.localhost", "app.localhost", "api.localhost", "old.localhost"):
        assert host in page, f"no card of {host}"
    assert "proxy" in page and "files" in page and "redirect" in page, "the configuration is not shown"
    assert "unpkg" not in page and "cdn" not in page.lower()
    counts = re.findall(r'<b data-count="site [^"]*">([\d,]+)</b> <span>(\w+)</span>', page)
    assert len(counts) >= 4 and all(noun == ("request" if number == "1" else "requests") for number, noun in counts)


def test_the_welcome_page_can_be_seen(samples, tmp_path):
    """Issue: look at the screenshots. It is not blank, and the picture is kept beside the test's other files."""
    picture = tmp_path / "welcome.png"
    chromium(tmp_path, f"http://localhost:{samples.port}/", f"--screenshot={picture}", "--window-size=1280,900")
    assert colours(picture.read_bytes()) > 50


def test_the_welcome_counters_live(samples, tmp_path):
    """Issue: live request counters: what the page shows grows with the requests."""
    def numbers():
        return [int(n) for n in re.findall(r">\s*(\d+)\s*<", dom(samples, tmp_path, "localhost"))]
    for _ in range(57):
        samples.get("/", "site.localhost")
    wait_until(lambda: any(n >= 57 for n in numbers()), 60, "a counter of 57 or more")


@pytest.mark.parametrize("path, word", [("/", "Every path leads here"), ("/deep/down/the/tree?with=a&query", "deep"),
                                        ("/backends", "lion|goat")])
def test_the_single_page_app(samples, tmp_path, path, word):
    """Issue: headless Chromium shows the single-page app: each route opens directly, scripts and styles load, and its API
    answers under the same origin."""
    page = dom(samples, tmp_path, "app.localhost", path)
    assert re.search(word, page), page[:3000]
    assert 'id="route">\u2026<' not in page, "the script did not run"


def test_the_single_page_app_from_the_browsers_cache(samples, tmp_path):
    """Issue: look at the screenshots. A page that the browser had already is not said to weigh nothing."""
    for _ in range(2):
        page = dom(samples, tmp_path, "app.localhost")
        assert re.search(r"Page, on the wire</h2><span class=\"big\">([1-9]\d* B|from cache)<", page), page[:3000]


def test_the_single_page_app_can_be_seen(samples, tmp_path):
    """The same as a picture."""
    picture = tmp_path / "app.png"
    chromium(tmp_path, f"http://app.localhost:{samples.port}/backends", f"--screenshot={picture}", "--window-size=1000,700")
    assert colours(picture.read_bytes()) > 50


def test_the_static_site(samples, tmp_path):
    """Issue: a static site, with its own page for what is not there."""
    assert "<h1" in dom(samples, tmp_path, "site.localhost")
    missing = samples.get("/none", "site.localhost")
    assert missing.status == 404 and missing.text == (SAMPLES / "site/404.html").read_text()


def test_the_sample_backends_and_the_redirect(samples):
    """Issue: a reverse proxy in front of two real backends, and a redirect."""
    with samples.connect() as connection:
        names = {json.loads(connection.get("/", "api.localhost").body)["backend"] for _ in range(6)}
        assert names == {"lion", "goat"}
        moved = connection.get("/x?y=z", "old.localhost")
        assert moved.status == 301 and moved.fields["Location"].endswith("/x?y=z")
