"""The sample tenants in a browser: headless Chromium on the welcome page, the single-page app and the static site,
over http and https."""

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

from rig import browser, tls
from rig.browser import Browser
from rig.client import wait_until
from rig.gateway import REPOSITORY, free_port, run

SAMPLES = REPOSITORY / "conf.d"

pytestmark = pytest.mark.timeout(300)


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
    machine = "\n".join(line for line in machine.splitlines()
                        if not re.match(r"\s*(listen|workers|import|log|data)\b", line)) + f"\n{tls.LISTEN}"

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


def dom(gateway, directory: Path, host: str, path: str = "/", pattern: str = "") -> str:
    """The page's markup, once its scripts have run and it has what is waited for."""
    with Browser(directory, directory) as page:
        assert page.open(f"http://{host}:{gateway.port}{path}") == ""
        return wait_until(lambda: re.search(pattern, markup := page.evaluate("document.documentElement.outerHTML")) and markup,
                          browser.PATIENCE, f"{pattern!r} on the page", 0.1)


def picture(gateway, directory: Path, host: str, path: str = "/") -> bytes:
    with Browser(directory, directory) as page:
        assert page.open(f"http://{host}:{gateway.port}{path}") == ""
        return page.screenshot(directory / "page.png")


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
    assert colours(picture(samples, tmp_path, "localhost")) > 50


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
    page = dom(samples, tmp_path, "app.localhost", path, word)
    assert 'id="route">\u2026<' not in page, "the script did not run"


def test_the_single_page_app_from_the_browsers_cache(samples, tmp_path):
    """Issue: look at the screenshots. A page that the browser had already is not said to weigh nothing."""
    for _ in range(2):
        page = dom(samples, tmp_path, "app.localhost")
        assert re.search(r"Page, on the wire</h2><span class=\"big\">([1-9]\d* B|from cache)<", page), page[:3000]


def test_the_single_page_app_can_be_seen(samples, tmp_path):
    """The same as a picture."""
    assert colours(picture(samples, tmp_path, "app.localhost", "/backends")) > 50


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


# Over https

@pytest.fixture(scope="module")
def trusting_home(samples, tmp_path_factory):
    """The home of a person who trusts what `chimera trust` prints for the samples."""
    home = tmp_path_factory.mktemp("home")
    printed = run("trust", "--config", samples.directory / "chimera.conf")
    assert printed.returncode == 0, printed.stderr
    (home / "authority.pem").write_text(printed.stdout)
    browser.trust(home, home / "authority.pem")
    return home


@pytest.mark.parametrize("host, path, word, least", [
    ("localhost", "/", "Chimera is running", 1),
    ("app.localhost", "/", "(?i)protocol\\s+h2", 3),
    ("app.localhost", "/deep/down/the/tree?with=a", "deep/down/the/tree", 3),
    ("site.localhost", "/", "(?i)three heads", 2),
])
def test_a_page_over_https_comes_by_http2(samples, trusting_home, tmp_path, host, path, word, least):
    """Issue: sample tenants answer over https in headless Chromium, which verifies the certificate and takes HTTP/2 for the
    page and for all that it loads."""
    with Browser(tmp_path, trusting_home) as page:
        assert page.open(f"https://{host}:{tls.port(samples)}{path}") == ""
        page.await_text(word)
        assert page.evaluate("isSecureContext && location.protocol") == "https:"
        protocols = {name: protocol for name, protocol in page.protocols().items() if name.startswith("https:")}
        assert len(protocols) >= least and set(protocols.values()) == {"h2"}, protocols
        assert colours(page.screenshot(tmp_path / "page.png")) > 30


def test_the_welcome_page_over_https_leads_to_https(samples, trusting_home, tmp_path):
    """Its counters live there as well, and a card's link can be followed."""
    with Browser(tmp_path, trusting_home) as page:
        assert page.open(f"https://localhost:{tls.port(samples)}/") == ""
        links = page.evaluate("[...document.querySelectorAll('article li a')].map(a => a.href)")
        assert {re.sub(r":\d+/$", "", link) for link in links} >= {
            f"https://{host}.localhost" for host in ("site", "app", "api", "old")}, links
        wait_until(lambda: any("chimera-counters" in name and protocol == "h2"
                               for name, protocol in page.protocols().items()), browser.PATIENCE, "the counters")
        link, = (link for link in links if "site." in link)
        assert page.open(link) == ""
        assert page.evaluate("location.href") == link


def test_the_apps_own_requests_over_https(samples, trusting_home, tmp_path):
    """The API under the same origin is asked over the page's own connection."""
    with Browser(tmp_path, trusting_home) as page:
        assert page.open(f"https://app.localhost:{tls.port(samples)}/backends") == ""
        page.await_text("(?s)goat.*lion|lion.*goat")
        asked = {name: protocol for name, protocol in page.protocols().items() if "/api/" in name}
        assert asked and set(asked.values()) == {"h2"}, asked


def test_who_does_not_trust_the_authority_is_warned(samples, tmp_path):
    """The other side of it: a browser that was told nothing takes no certificate of ours."""
    with Browser(tmp_path, tmp_path) as page:
        assert page.open(f"https://app.localhost:{tls.port(samples)}/") == "net::ERR_CERT_AUTHORITY_INVALID"


def test_each_sample_has_a_certificate_of_its_own(samples, trusting_home):
    """Issue: two tenants with different certificates on one port, each good for its own name."""
    context = tls.ssl.create_default_context(cafile=trusting_home / "authority.pem")
    shown = {}
    for host in ("localhost", "site.localhost", "app.localhost", "api.localhost", "old.localhost"):
        with tls.SecureConnection(samples, host, context) as connection:
            names = [name for kind, name in connection.socket.getpeercert()["subjectAltName"] if kind == "DNS"]
            assert names == [host]
            shown[host] = connection.certificate
    assert len(set(shown.values())) == 5
