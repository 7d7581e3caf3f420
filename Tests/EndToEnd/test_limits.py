"""`limit requests` and `limit connections`: two workers count together."""

import re
import time

from rig.client import request_bytes, wait_until
from rig.metrics import Metrics


def statuses(gateway, count, connections=16, **fields):
    """The statuses of so many requests over several connections, which both workers serve."""
    opened = [gateway.connect() for _ in range(connections)]
    result = []
    for turn in range(count // connections):
        for connection in opened:
            connection.send(request_bytes(fields=list(fields.items())))
        result += [connection.response().status for connection in opened]
    for connection in opened:
        connection.close()
    return result


def test_two_workers_share_a_bucket(start_gateway):
    """Issue: token bucket, shared between workers; 429 past it."""
    gateway = start_gateway("site test { limit requests 20/h ; respond 200 ok }")
    result = statuses(gateway, 320)
    assert result.count(200) == 20 and result.count(429) == 300


def test_a_refusal_says_when_to_come_again(start_gateway):
    """Issue: Retry-After (RFC 6585 §4); the connection stays open, and the time that it says suffices."""
    gateway = start_gateway("site test { limit requests 1/s burst=1 ; respond 200 ok }")
    with gateway.connect() as connection:
        assert connection.get().status == 200
        refused = connection.get()
        assert refused.status == 429 and refused.fields["Retry-After"] == "1"
        assert re.search("Too Many Requests", refused.text)
        time.sleep(1.05)
        assert connection.get().status == 200


def test_clients_have_buckets_of_their_own(start_gateway):
    """config.md: per=client."""
    gateway = start_gateway("site test { limit requests 5/h per=client ; respond 200 ok }")
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        with gateway.connect(source=source) as connection:
            assert [connection.get().status for _ in range(7)] == [200] * 5 + [429] * 2


def test_a_header_has_buckets_of_its_own(start_gateway):
    """Issue: by header."""
    gateway = start_gateway("site test { limit requests 2/h per=header:X-Key ; respond 200 ok }")
    with gateway.connect() as connection:
        keys = ["a", "b", "a", "a", "b", "b", "c"]
        assert [connection.get(X_Key=key).status for key in keys] == [200, 200, 200, 429, 200, 429, 200]


def test_a_reload_forgives_nothing(start_gateway):
    """Issue: state is carried by a stable identity: the bucket of a limit that is the same stays as empty as it was."""
    gateway = start_gateway("site test { limit requests 3/h ; respond 200 one }")
    assert [gateway.get().status for _ in range(4)] == [200, 200, 200, 429]
    gateway.reload("site test { limit requests 3/h ; respond 200 two }\nsite other { respond 200 two }")
    wait_until(lambda: gateway.get(host="other").text == "two", what="the new configuration")
    assert gateway.get().status == 429


def test_refused_requests_do_not_reach_the_upstream(start_gateway, origins):
    """User promise: the limit protects the backend; what it refuses is counted and logged."""
    origin = origins.echo()
    metrics = Metrics(start_gateway, f"site test {{ limit requests 2/h ; proxy {origin.target} }}")
    assert [metrics.gateway.get().status for _ in range(5)] == [200, 200, 429, 429, 429]
    assert len(origin.requests) == 2
    metrics.expect(3, "chimera_limit_hits_total", limit="requests")
    assert sorted(r["status"] for r in metrics.gateway.records(5)) == [200, 200, 429, 429, 429]


def test_requests_under_way(start_gateway, origins):
    """config.md: `limit connections` of a site: 503 past it, and a place is free when its request is over."""
    origin, release = origins.held(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    metrics = Metrics(start_gateway, f"site test {{ /* proxy {origin.target} {{ limit connections 3 }} ; /free respond 200 }}")
    waiting = [metrics.gateway.connect() for _ in range(3)]
    for connection in waiting:
        connection.send(request_bytes())
    for index in range(3):
        origin.request(index)
    refused = metrics.gateway.get()
    assert refused.status == 503 and refused.fields["Retry-After"] == "1"
    assert metrics.gateway.get("/free").status == 200
    release.set()
    assert [connection.response().status for connection in waiting] == [200] * 3
    assert metrics.gateway.get().status == 200
    metrics.expect(1, "chimera_limit_hits_total", limit="requests-under-way")


def test_a_client_that_leaves_leaves_its_place(start_gateway, origins):
    """Quality: no way to end a request keeps its place: a client that resets, half a request, a refused one."""
    origin = origins(lambda c: (c.read_request(), c.wait_closed()))
    gateway = start_gateway(f"""site test {{
        /slow proxy {origin.target} {{ limit connections 2 per=client }}
        /*    respond 200 ok {{ limit connections 2 }}
    }}""")

    def passed_on(connection):
        """Whether a request reaches the origin, or 503 comes back."""
        before = len(origin.requests)
        connection.send(request_bytes(target="/slow"))
        connection.socket.settimeout(0.05)
        while len(origin.requests) == before:
            try:
                return connection.response().status != 503
            except TimeoutError:
                continue
        return True
    for _ in range(5):
        waiting = []

        def another():
            connection = gateway.connect()
            waiting.append(connection)
            if passed_on(connection):
                return True
            waiting.pop().close()
        for _ in range(2):
            wait_until(another, what="a place")
        assert gateway.get("/slow").status == 503
        for connection in waiting:
            connection.reset()
    for _ in range(20):
        with gateway.connect() as connection:
            connection.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf")
            connection.reset()
    wait_until(lambda: gateway.get().status == 200, what="the places of broken requests")


def test_connections_of_one_client(start_gateway):
    """config.md: `limit connections N per=client` of the machine: one connection too many gets 503 and is closed."""
    metrics = Metrics(start_gateway, "site test { respond 200 ok }", "limit connections 4 per=client")
    gateway = metrics.gateway
    mine = [gateway.connect() for _ in range(4)]
    assert [c.get().status for c in mine] == [200] * 4
    with gateway.connect() as excess:
        refused = excess.get()
        assert refused.status == 503 and "close" in refused.fields.tokens("Connection")
        excess.expect_close()
    with gateway.connect(source="127.0.0.9") as other:
        assert other.get().status == 200
    mine.pop().close()

    def admitted():
        with gateway.connect() as connection:
            return connection.get().status == 200
    wait_until(admitted, what="the place of the closed connection")
    assert metrics.value("chimera_limit_hits_total", limit="client-connections") >= 1
    assert [c.get().status for c in mine] == [200] * 3
    for connection in mine:
        connection.close()


def test_trusted_peers_are_not_clients(start_gateway):
    """Quality: a balancer in front has the connections of all clients."""
    gateway = start_gateway("site test { respond 200 ok }", "limit connections 2 per=client\ntrust 127.0.0.0/8")
    connections = [gateway.connect() for _ in range(10)]
    assert [c.get().status for c in connections] == [200] * 10
    for connection in connections:
        connection.close()


def test_connections_of_the_machine(start_gateway):
    """config.md: past `limit connections` the longest idle connection gives way to a new one."""
    metrics = Metrics(start_gateway, "site test { respond 200 ok }", "limit connections 20")
    gateway = metrics.gateway
    connections = []
    for _ in range(60):
        connection = gateway.connect()
        assert connection.get().status == 200
        connections.append(connection)
    # The newest are open: one answered request after the other, and none of them was closed.
    assert [c.get().status for c in connections[-5:]] == [200] * 5
    connections[0].expect_close()
    page = metrics.page()
    assert page.value("chimera_connections_max") == 20
    assert page.value("chimera_limit_hits_total", limit="connections") >= 30
    assert page.value("chimera_closes_total", reason="making-room") >= 30
    assert page.value("chimera_connections") <= 24
    for connection in connections:
        connection.close()
