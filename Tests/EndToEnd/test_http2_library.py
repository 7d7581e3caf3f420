"""PyPI's h2 as a client: an implementation of the states of RFC 9113 that knows nothing of ours finds nothing wrong."""

import json
import signal

import pytest
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, GoAwayFrame

from rig import tls
from rig.h2_client import H2Client
from rig.origin import PATTERN, response_bytes
from rig.stress_origin import LINK, StressOrigin, content, digest
from rig.tls import trusting_anybody


@pytest.fixture
def origin():
    with StressOrigin() as made:
        yield made


@pytest.fixture(params=["plain", "tls"])
def connect(request, start_gateway, origins, origin, tmp_path):
    """connect(): a client of a gateway with files, an upstream, and an answer of its own. `connect.gateway` is the gateway."""
    secure = request.param == "tls"
    certificate = f"tls {tls.certify(tmp_path, 'test', 'test').line}" if secure else ""
    (tmp_path / "www").mkdir()
    (tmp_path / "www/large").write_bytes(content(1, 2_000_000))
    gateway = start_gateway(f"""site test {{
        {certificate}
        /up/* proxy {origin.target}
        /echo proxy {origins.echo().target}
        /large files {tmp_path / 'www'}
        /* respond 200 fine
    }}""", tls.LISTEN if secure else "")

    def made(**options) -> H2Client:
        if not secure:
            return H2Client(gateway.address, **options)
        context = trusting_anybody()
        context.set_alpn_protocols(["h2"])
        return H2Client(("127.0.0.1", tls.port(gateway)), secure=context, name="test", **options)
    made.gateway = gateway
    return made


def test_many_requests_at_once(connect):
    """Each stream gets its own answer, whoever gives it."""
    with connect() as client:
        expected = {}
        for number in range(20):
            expected[client.request("/")] = b"fine"
            expected[client.request(f"/up/chunked/5000/{number}")] = content(number, 5000)
            expected[client.request(f"/up/length/70000/{number}")] = content(number, 70_000)
        for _ in range(3):
            expected[client.request("/large")] = content(1, 2_000_000)
        for stream, body in expected.items():
            told = client.answer(stream)
            assert (told.status, told.ended, told.reset) == (200, True, None)
            assert bytes(told.body) == body


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_500_000])
def test_uploads(connect, size):
    """A body of any size arrives whole."""
    with connect() as client:
        for seed in range(3):
            stream = client.request(f"/up/echo/0/{seed}", "POST", end=False)
            client.send(stream, content(seed, size), end=True)
            assert bytes(client.answer(stream).body) == digest(content(seed, size))


def test_trailers_go_both_ways(connect):
    with connect() as client:
        told = client.get("/up/trailers/1000/7")
        assert bytes(told.body) == content(7, 1000) and told.trailers == [("x-sum", "1000")]
        stream = client.request("/echo", "POST", [("trailer", "x-sum")], end=False)
        client.send(stream, b"content")
        client.machine.send_headers(stream, [("x-sum", "42")], end_stream=True)
        client.flush()
        described = json.loads(bytes(client.answer(stream).body))
        assert described["length"] == 7 and ["x-sum", "42"] in [[n.lower(), v] for n, v in described["trailers"]]


def test_interim_answers(connect):
    """103 of the upstream, and 100 for who expects it."""
    with connect() as client:
        told = client.get("/up/interim/100/3")
        assert told.informational[0] == {":status": "103", "link": LINK} and bytes(told.body) == content(3, 100)
        stream = client.request("/up/echo/0/3", "POST", [("expect", "100-continue")], end=False)
        client.until(lambda: client.told[stream].informational)
        assert client.told[stream].informational[0] == {":status": "100"}
        client.send(stream, b"now", end=True)
        assert bytes(client.answer(stream).body) == digest(b"now")


@pytest.mark.parametrize("window", [0, 1, 1000])
@pytest.mark.parametrize("path", ["/large", "/up/chunked/2000000/1"], ids=["file", "upstream"])
def test_flow_control(connect, window, path):
    """No octet more than the windows allow, and all of them once they do."""
    with connect(credit=False, settings={SettingCodes.INITIAL_WINDOW_SIZE: window}) as client:
        stream, other = client.request(path), client.request("/")
        told = client.told[stream]
        client.until(lambda: told.status and len(told.body) == window)
        client.machine.ping(b"12345678")
        client.flush()
        client.until(lambda: client.pongs)
        assert len(told.body) == window
        if window < 4:
            client.machine.increment_flow_control_window(100, other)
            client.flush()
        assert bytes(client.answer(other).body) == b"fine"
        client.machine.increment_flow_control_window(3_000_000, stream)
        client.machine.increment_flow_control_window(3_000_000)
        client.flush()
        assert bytes(client.answer(stream).body) == content(1, 2_000_000)


def test_a_window_that_shrinks(connect):
    """RFC 9113 6.9.2: windows may become negative; nothing goes until they are positive again."""
    with connect(credit=False) as client:
        stream = client.request("/large")
        told = client.told[stream]
        client.until(lambda: len(told.body) == 65_535)
        client.machine.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
        client.flush()
        client.machine.increment_flow_control_window(3_000_000)
        client.until(lambda: client.machine.local_settings.initial_window_size == 10)
        client.machine.increment_flow_control_window(65_535 - 10, stream)
        client.flush()
        client.machine.ping(b"12345678")
        client.flush()
        client.until(lambda: client.pongs)
        assert len(told.body) == 65_535, "the window is 0 again"
        client.machine.increment_flow_control_window(3_000_000, stream)
        client.flush()
        assert bytes(client.answer(stream).body) == content(1, 2_000_000)


def test_a_reset_ends_one_stream(connect):
    with connect(credit=False) as client:
        stream = client.request("/large")
        client.until(lambda: client.told[stream].body)
        client.machine.reset_stream(stream, 8)
        client.machine.increment_flow_control_window(65_535)
        client.flush()
        assert bytes(client.get("/").body) == b"fine"


def test_a_drain_says_goodbye_twice(start_gateway, origins):
    """RFC 9113 6.8: first without a bound, so that what is on its way is served; what is under way ends whole."""
    origin, release = origins.held(response_bytes(200, [], PATTERN))
    gateway = start_gateway(f"site test {{\n/up proxy {origin.target}\n/* respond 200 fine\n}}", "drain 20s")
    with H2Client(gateway.address) as client:
        stream = client.request("/up")
        origin.request()
        gateway.signal(signal.SIGTERM)
        client.until(lambda: client.goaways)
        assert (client.goaways[0].error_code, client.goaways[0].last_stream_id) == (0, 2 ** 31 - 1)

        def came(kind):
            return [frame for frame in client.afterwards if isinstance(frame, kind)]
        client.until(lambda: came(GoAwayFrame))
        assert [(frame.error_code, frame.last_stream_id) for frame in came(GoAwayFrame)] == [(0, stream)]
        release.set()
        client.until(lambda: any("END_STREAM" in frame.flags for frame in came(DataFrame)))
        assert b"".join(frame.data for frame in came(DataFrame)) == PATTERN
    assert gateway.await_exit() == 0


@pytest.mark.parametrize("protocol", ["websocket", "echo"])
def test_an_extended_connect(connect, protocol):
    """RFC 8441: the gateway offers it, and the stream is a tunnel to an upstream of HTTP/1.1."""
    with connect() as client:
        client.until(lambda: client.machine.remote_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL))
        stream = client.request("/up/tunnel", "CONNECT", pseudo=[(":protocol", protocol)], end=False)
        client.until(lambda: client.told[stream].status == 200)
        for number in range(20):
            client.send(stream, content(number, 10_000))
        client.send(stream, b"end", end=True)
        assert bytes(client.answer(stream).body) == b"".join(content(n, 10_000) for n in range(20)) + b"end"
        assert bytes(client.get("/").body) == b"fine"


def test_errors_of_an_upstream(connect):
    """What is cut does not look whole, and the others do not notice."""
    with connect() as client:
        streams = [client.request(f"/up/{kind}/5000/1") for kind in ("cut", "reset", "garbage", "silence", "length")]
        told = [client.answer(stream) for stream in streams]
        assert [(one.ended, one.reset) for one in told[:1]] == [(False, 2)]
        assert told[1].reset == 2 or told[1].status == 502
        assert [one.status for one in told[2:]] == [502, 502, 200]
