"""Mixed load for long: memory and descriptors stay where they were (issue: flat for 10 minutes)."""

import os
import random
import threading
import time

import pytest

from rig.client import byte_by_byte, chunked, request_bytes, wait_until
from rig.metrics import Metrics
from rig.process import MiB

SECONDS = float(os.environ.get("SOAK_SECONDS") or 20)


class Mixture:
    """Clients of every kind, each of which does one thing after the other until it is told to stop."""

    def __init__(self, gateway, clients=12):
        self.gateway, self.stop, self.failures, self.served = gateway, threading.Event(), [], [0] * clients
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)

    def _run(self, number):
        chance = random.Random(number)
        kinds = [self.pages, self.proxied, self.uploads, self.downloads, self.refused, self.leavers, self.slow_heads]
        try:
            while not self.stop.is_set():
                chance.choice(kinds)(chance)
                self.served[number] += 1
        except BaseException as failure:
            self.failures.append(failure)

    def pages(self, chance):
        with self.gateway.connect() as connection:
            for _ in range(chance.randrange(1, 40)):
                target = chance.choice(["/small", "/files/page.html", "/files/none", f"/files/{chance.random()}"])
                assert connection.get(target).status in (200, 404)

    def proxied(self, chance):
        with self.gateway.connect() as connection:
            for _ in range(chance.randrange(1, 20)):
                assert connection.get(f"/up/{chance.random()}").status == 200

    def uploads(self, chance):
        with self.gateway.connect() as connection:
            body = b"x" * chance.randrange(1, 300_000)
            if chance.random() < 0.5:
                assert connection.request("POST", "/up/echo", body=body).status == 200
            else:
                pieces = [body[i:i + 5000] for i in range(0, len(body), 5000)]
                connection.send(request_bytes("POST", "/up/echo", fields=[("Transfer-Encoding", "chunked")]))
                connection.send(chunked(*pieces))
                assert connection.response("POST").status == 200

    def downloads(self, chance):
        with self.gateway.connect() as connection:
            connection.send(request_bytes(target="/files/large"))
            if chance.random() < 0.5:
                assert len(connection.response().body) == 2 * MiB
            else:
                connection.read_exactly(chance.randrange(1, MiB))
                connection.reset()

    def refused(self, chance):
        bad = [b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", b"\x16\x03\x01\x00\xa5", b"GET /%00 HTTP/1.1\r\nHost: test\r\n\r\n",
               b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"]
        with self.gateway.connect() as connection:
            connection.send(chance.choice(bad) + b"\r\n")
            connection.socket.settimeout(5)
            try:
                while connection.read_some():
                    pass
            except OSError:
                pass

    def leavers(self, chance):
        connection = self.gateway.connect()
        connection.send(request_bytes("POST", "/up/echo", fields=[("Content-Length", "100000")]) + b"y" * 500)
        chance.choice([connection.reset, connection.close])()

    def slow_heads(self, chance):
        with self.gateway.connect() as connection:
            connection.send_pieces(byte_by_byte(request_bytes(target="/small")))
            assert connection.response().status in (200, 429)


@pytest.fixture
def soaked(start_gateway, origins):
    origin = origins.echo()
    metrics = Metrics(start_gateway, f"""
        site test {{
            /small    respond 200 ok {{ limit requests 1000000/s per=client }}
            /files/*  files ./root
            /up/*     proxy {origin.target} {{ limit connections 1000 }}
        }}""", start=False)
    root = metrics.gateway.directory / "conf.d/root"
    root.mkdir(parents=True)
    (root / "page.html").write_text("<p>page</p>" * 100)
    (root / "large").write_bytes(bytes(2 * MiB))
    metrics.gateway.start()
    return metrics


def soak(metrics, seconds):
    """Memory and descriptors stay flat from the first fifth of the time on, and all is given back at the end."""
    gateway = metrics.gateway
    start = gateway.vitals.descriptors
    with Mixture(gateway) as mixture:
        samples, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(seconds / 100)
            samples.append((gateway.vitals.resident, gateway.vitals.descriptors))
            assert mixture.failures == []
            assert metrics.get("/ready").status == 200
    assert mixture.failures == [] and all(n > 3 for n in mixture.served)
    early, late = samples[20:40], samples[-20:]
    memory = [sorted(s[0] for s in part)[len(part) // 2] for part in (early, late)]
    assert memory[1] < memory[0] * 1.1 + 8 * MiB, f"{memory[0] / MiB:.1f} MiB became {memory[1] / MiB:.1f} MiB"
    assert max(s[1] for s in late) < max(s[1] for s in samples[:40]) + 40
    # Connections to the upstream are kept for half a minute, 32 for each worker.
    wait_until(lambda: gateway.vitals.descriptors <= start + 2 * 32 + 16, 20, "descriptors given back")
    wait_until(lambda: metrics.value("chimera_connections", state="busy") <= 1, what="no connection busy")
    gateway.assert_alive()


@pytest.mark.timeout(120)
def test_a_short_soak(soaked):
    """Issue: memory under a bounded load stays bounded; the short form."""
    soak(soaked, min(SECONDS, 20))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_minutes(soaked):
    """Issue: soak, 10 minutes of mixed load, flat. `make soak`."""
    soak(soaked, float(os.environ.get("SOAK_SECONDS") or 600))
