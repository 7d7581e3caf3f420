"""`metrics ADDRESS`: what it shows, in which form, and who is not disturbed by it."""

import json
import re
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from rig.client import Connection, request_bytes, wait_until
from rig.gateway import free_port
from rig.metrics import Metrics, parse

ROOT = Path(__file__).resolve().parents[2]


def test_the_text_format(start_gateway):
    """Issue: `/metrics` in Prometheus text; every family is there from the start."""
    metrics = Metrics(start_gateway, "site test { respond 200 ok }")
    response = metrics.get("/metrics")
    assert response.fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    page = parse(response.text)
    assert page.types["chimera_request_duration_seconds"] == "histogram"
    assert page.value("chimera_build_info") == 1 and page.value("chimera_workers") == 2
    assert page.value("process_resident_memory_bytes") == pytest.approx(metrics.gateway.vitals.resident, rel=0.3)
    assert 0 < page.value("process_open_fds") < page.value("process_max_fds")
    assert page.value("chimera_config_loads_total", outcome="applied") == 1


@pytest.mark.parametrize("accept, expected", [
    ("application/openmetrics-text; version=1.0.0", True),
    ("text/plain, application/openmetrics-text;q=0.5, */*;q=0.1", True),
    ("application/openmetrics-text;q=0, text/plain", False), ("text/plain", False), ("*/*", False),
])
def test_openmetrics_where_asked(start_shared, accept, expected, shared_metrics):
    """Issue: OpenMetrics where Accept asks for it."""
    response = shared_metrics.get("/metrics", Accept=accept)
    assert response.fields["Content-Type"].startswith("application/openmetrics-text; version=1.0.0") == expected
    page = parse(response.text, open_metrics=expected)
    assert ("chimera_requests" in page.types) == expected


@pytest.fixture(scope="module")
def shared_metrics(start_shared):
    return Metrics(start_shared, "site test { respond 200 ok }")


def test_requests_by_site_route_and_class(start_gateway, origins):
    """Issue: counters and latency histograms by site, route and status class; bytes."""
    origin = origins.echo()
    metrics = Metrics(start_gateway, {"shop.conf": f"""
        site a.test {{ /x/* respond 200 twelve-bytes ; /up/* proxy {origin.target} }}
        site b.test {{ /* respond 503 }}"""})
    gateway = metrics.gateway
    for _ in range(3):
        gateway.get("/x/1", "a.test")
    gateway.request("POST", "/up/y", "a.test", body=b"x" * 1000)
    gateway.get("/none", "a.test")
    gateway.get("/", "b.test")
    gateway.get("/", "unknown.test")
    page = metrics.page()
    name = "chimera_request_duration_seconds_count"

    def count(site, route, kind):
        return page.value(name, tenant="shop", site=site, route=route, **{"class": kind})
    assert [count("a.test", "/x/*", "2xx"), count("a.test", "/up/*", "2xx"), count("a.test", "", "4xx")] == [3, 1, 1]
    assert count("b.test", "/*", "5xx") == 1 and count("a.test", "/x/*", "4xx") == 0
    assert page.value(name, tenant="", site="", route="", **{"class": "4xx"}) == 1
    assert page.value("chimera_site_requests_total", site="a.test") == 5
    assert page.value("chimera_site_errors_total", site="b.test", **{"class": "5xx"}) == 1
    assert page.value("chimera_site_received_bytes_total", site="a.test") == 1000
    assert page.value("chimera_site_sent_bytes_total", site="a.test") >= 36
    assert page.value("chimera_request_duration_seconds_sum", route="/up/*") > 0
    assert page.value("chimera_requests_total", **{"class": "5xx"}) == 1


def test_a_slow_answer_is_in_a_high_bucket(start_gateway, origins):
    """quality: a histogram that says what was measured: an answer that takes 300 ms is past 250 ms."""
    def script(connection):
        connection.read_request()
        threading.Event().wait(0.3)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    metrics = Metrics(start_gateway, f"site test {{ proxy {origins(script).target} }}")
    metrics.gateway.get()
    page = metrics.page()
    for name in ("chimera_request_duration_seconds", "chimera_upstream_answer_seconds"):
        assert page.value(name + "_bucket", le="0.25") == 0
        assert page.value(name + "_bucket", le="10.0") == 1


def test_upstreams_by_endpoint_and_error(start_gateway, origins):
    """Issue: upstream errors by kind and endpoint."""
    good, closed = origins.echo(), free_port()
    metrics = Metrics(start_gateway, f"site test {{ /good proxy {good.target} ; /bad proxy 127.0.0.1:{closed} }}")
    for _ in range(3):
        assert metrics.gateway.get("/good").status == 200
    assert metrics.gateway.get("/bad").status == 502
    page = metrics.page()
    assert page.value("chimera_upstream_requests_total", endpoint=good.target) == 3
    assert 1 <= page.value("chimera_upstream_connections_total", endpoint=good.target) <= 3
    assert page.value("chimera_upstream_errors_total", endpoint=good.target) == 0
    bad = f"127.0.0.1:{closed}"
    assert page.value("chimera_upstream_errors_total", endpoint=bad, error="connection_refused") == 1
    assert page.value("chimera_upstream_requests_total", endpoint=bad) == 0


def test_connections_refusals_and_closes(start_gateway, origins):
    """Issue: connections open and idle, every refusal by reason."""
    origin = origins(lambda c: (c.read_request(), c.wait_closed()))
    metrics = Metrics(start_gateway, f"site test {{ /slow proxy {origin.target} ; /* respond 200 ok }}")
    gateway = metrics.gateway
    idle = [gateway.connect() for _ in range(5)]
    for connection in idle:
        connection.get()
    busy = gateway.connect()
    busy.send(request_bytes(target="/slow"))
    origin.request()
    gateway.exchange(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    page = metrics.page()
    assert page.value("chimera_connections", state="busy") >= 1
    # The one that asks is busy with that itself.
    assert page.value("chimera_connections", state="idle") >= 5
    assert page.value("chimera_refusals_total", reason="host-malformed") == 1
    assert page.value("chimera_connections_accepted_total") >= 8
    busy.reset()
    wait_until(lambda: metrics.value("chimera_closes_total", reason="client-failed") == 1, what="the reset")
    assert metrics.value("chimera_connections", state="busy") <= 1
    for connection in idle:
        connection.close()


def test_workers_are_busy_or_wait(start_gateway):
    """Issue: worker busy share, turns' durations."""
    metrics = Metrics(start_gateway, "site test { respond 200 ok }")
    before = metrics.page()
    with metrics.gateway.connect() as connection:
        for _ in range(200):
            connection.get()
    after = metrics.page()
    busy = [after.value("chimera_worker_busy_seconds_total", worker=str(w)) for w in (0, 1)]
    assert all(b > 0 for b in busy)
    turns = "chimera_worker_turn_seconds_count"
    assert after.value(turns) >= before.value(turns) + 200
    spent = sum(after.value(f"chimera_worker_{w}_seconds_total") - before.value(f"chimera_worker_{w}_seconds_total")
                for w in ("busy", "waiting"))
    assert spent > 0


def test_ready_and_draining(start_gateway, origins):
    """Issue: `/ready` says 503 while the gateway drains; it and the metrics answer until the end."""
    origin, release = origins.held()
    metrics = Metrics(start_gateway, f"site test {{ proxy {origin.target} }}")
    assert (metrics.get("/ready").status, metrics.get("/ready").text) == (200, "ready\n")
    with metrics.gateway.connect() as connection:
        connection.send(request_bytes())
        origin.request()
        metrics.gateway.signal(signal.SIGTERM)
        wait_until(lambda: metrics.get("/ready").status == 503, what="/ready saying no")
        assert metrics.get("/ready").text == "draining\n"
        assert metrics.value("chimera_draining") == 1 and metrics.value("chimera_ready") == 0
        release.set()
        assert connection.response().text == "ok"
    assert metrics.gateway.await_exit() == 0


def test_the_last_answer_of_a_drain_says_why_its_connection_ends(start_gateway, origins):
    """Quality: what ends a connection is counted by its reason, and the log says how many are open."""
    first, release_first = origins.held()
    second, release_second = origins.held()
    metrics = Metrics(start_gateway, f"site test {{ /first proxy {first.target} ; /* proxy {second.target} }}")
    with ExitStack() as stack:
        connections = [stack.enter_context(metrics.gateway.connect()) for _ in range(6)]
        for connection in connections[:5]:
            connection.send(request_bytes(target="/first"))
        connections[5].send(request_bytes(target="/second"))
        wait_until(lambda: (len(first.requests), len(second.requests)) == (5, 1), what="the requests")
        metrics.gateway.signal(signal.SIGTERM)
        metrics.gateway.await_stderr(r"draining.*connections=6")
        wait_until(lambda: metrics.get("/ready").status == 503, what="the drain")
        release_first.set()
        for connection in connections[:5]:
            # Where its worker hears of the drain behind the answer, the connection ends a moment later, for the same reason.
            assert connection.response().text == "ok"
        # Who asks for metrics is told to go as well, by the same reason.
        wait_until(lambda: metrics.value("chimera_closes_total", reason="draining") >= 5, what="the reasons")
        release_second.set()
        assert connections[5].response().text == "ok"
    assert metrics.gateway.await_exit() == 0


def test_what_is_open_at_the_deadline_is_counted_in_the_log(start_gateway, origins):
    """Quality: an operator learns how many were cut off."""
    origin, _ = origins.held()
    gateway = start_gateway(f"site test {{ proxy {origin.target} }}", "drain 1s")
    with gateway.connect() as one, gateway.connect() as other:
        for connection in (one, other):
            connection.send(request_bytes())
        wait_until(lambda: len(origin.requests) == 2, what="the requests")
        gateway.signal(signal.SIGTERM)
        gateway.await_stderr(r"open at the deadline and are closed.*connections=2")
    assert gateway.await_exit() == 0


def test_idle_scrapers_do_not_hold_up_the_end(start_gateway):
    """Quality: what asks for metrics is no reason to wait."""
    metrics = Metrics(start_gateway, "site test { respond 200 ok }")
    with Connection(("127.0.0.1", metrics.port)) as scraper:
        assert scraper.get("/metrics", "x").status == 200
        metrics.gateway.signal(signal.SIGTERM)
        assert metrics.gateway.await_exit(5) == 0


def test_status(start_gateway):
    """Issue: `/status` JSON."""
    metrics = Metrics(start_gateway, {"good.conf": "site a { respond 200 }", "bad.conf": "site b { respnd 200 }"})
    response = metrics.get("/status")
    assert response.fields["Content-Type"] == "application/json"
    status = json.loads(response.text)
    assert status["ready"] is True and status["draining"] is False and status["sites"] == 1
    assert status["outdated"]["bad"]["serves"] == "none" and "bad.conf:1:10: " in status["outdated"]["bad"]["why"]
    page = metrics.page()
    assert page.value("chimera_config_tenants", state="current") == 1
    assert page.value("chimera_config_tenant_outdated", tenant="bad", serves="none",
                      error=f"{metrics.gateway.directory}/conf.d/bad.conf:1:10") == 1
    metrics.gateway.reload({"good.conf": "site a {\nrespnd 200 }", "bad.conf": "site b { respond 200 }"})
    wait_until(lambda: metrics.value("chimera_config_tenant_outdated", tenant="good", serves="last-good",
                                     error=f"{metrics.gateway.directory}/conf.d/good.conf:2:1") == 1,
               what="the tenant whose last good version serves")
    assert json.loads(metrics.get("/status").text)["outdated"]["good"]["serves"] == "last-good"
    assert metrics.page().value("chimera_config_tenants", state="last-good") == 1


def test_reloads(start_gateway):
    """Issue: reload outcome and age."""
    metrics = Metrics(start_gateway, "site test { respond 200 ok }")
    metrics.gateway.reload("site test { respond 201 ok }")
    wait_until(lambda: metrics.value("chimera_config_loads_total", outcome="applied") == 2, what="the second load")
    assert metrics.value("chimera_config_last_load_successful") == 1
    wait_until(lambda: metrics.value("chimera_worker_reload_turn_seconds_count") >= 2, what="both workers' turns")
    assert metrics.value("chimera_config_last_applied_timestamp_seconds") > 1_600_000_000


def test_what_is_not_there(start_gateway):
    """Quality: other paths and methods are refused; the listeners of sites know nothing of the metrics."""
    metrics = Metrics(start_gateway, "site * { /x respond 200 }")
    assert metrics.get("/").status == 404 and metrics.get("/metrics/more").status == 404
    with Connection(("127.0.0.1", metrics.port)) as connection:
        assert connection.request("POST", "/metrics", "x", body=b"x").status == 405
        assert connection.request("HEAD", "/ready", "x").status == 200
    assert metrics.gateway.get("/metrics").status == 404
    metrics.gateway.get("/x")
    assert {r["path"] for r in metrics.gateway.records(2)} == {"/metrics", "/x"}


def test_a_unix_socket(start_gateway):
    """config.md: the address may be a Unix socket."""
    gateway = start_gateway("site test { respond 200 }", "metrics unix:metrics.sock")
    with Connection(str(gateway.directory / "metrics.sock")) as connection:
        assert connection.get("/ready", "x").status == 200


def test_many_scrapes_leave_the_others_alone(start_gateway):
    """Quality: pages are made off the workers; scrapes under load answer, and no request fails."""
    metrics = Metrics(start_gateway, {f"t{n}.conf": f"site s{n}.test {{ respond 200 ok }}" for n in range(300)})
    for n in range(300):
        metrics.gateway.get("/", f"s{n}.test")
    stop, failures = threading.Event(), []

    def client():
        try:
            with metrics.gateway.connect() as connection:
                while not stop.is_set():
                    assert connection.get("/", "s7.test").status == 200
        except BaseException as failure:
            failures.append(failure)
    thread = threading.Thread(target=client)
    thread.start()
    pages = [metrics.page() for _ in range(10)]
    stop.set()
    thread.join()
    assert failures == []
    counts = [page.value("chimera_requests_total") for page in pages]
    assert counts == sorted(counts)
    assert len({dict(k[1])["site"] for k in pages[-1].samples if k[0] == "chimera_site_requests_total"}) >= 300


# The documents

def exported(metrics):
    page = metrics.page()
    names = set()
    for name, kind in page.types.items():
        names |= {name + suffix for suffix in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


METRIC = re.compile(r"\b((?:chimera|process)_[a-z_]+)\b")


def test_the_dashboard_asks_for_what_is_there(shared_metrics):
    """Issue: a sample Grafana dashboard, whose every metric the program exports."""
    dashboard = json.loads((ROOT / "docs/grafana-dashboard.json").read_text())
    panels = [p for panel in dashboard["panels"] for p in [panel, *panel.get("panels", [])]]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    asked = set(METRIC.findall("\n".join(expressions)))
    assert len(expressions) >= 12
    assert asked - exported(shared_metrics) == set()


def test_the_alerts_ask_for_what_is_there(shared_metrics):
    """Issue: sample alert rules, likewise."""
    text = (ROOT / "docs/alerts.yml").read_text()
    expressions = re.findall(r"expr: (?:\|\n((?: {10,}.*\n)+)|(.+\n))", text)
    assert len(expressions) == text.count("- alert:") >= 8
    asked = set(METRIC.findall("\n".join(a or b for a, b in expressions)))
    assert asked and asked - exported(shared_metrics) == set()


def test_the_table_of_the_documents_is_complete(shared_metrics):
    """docs/metrics.md has each family with its type, and no other."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    assert dict(rows) == shared_metrics.page().types
