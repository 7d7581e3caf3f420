"""Fixtures: gateways that end cleanly or fail the test, and origins that must not have failed."""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("rig.client", "rig.wire", "rig.origin", "rig.gateway", "rig.metrics")

from rig.gateway import BINARY, Gateway  # noqa: E402
from rig.origin import OK, EchoOrigin, Origin  # noqa: E402

def pytest_configure(config):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    if not config.option.markexpr:
        config.option.markexpr = "not slow"
    # Without the binary nothing is skipped in silence; the tests of the rig itself need none.
    of_the_rig = all("test_rig" in argument for argument in config.args)
    if not BINARY.exists() and not of_the_rig and not config.option.collectonly:
        raise pytest.UsageError(f"{BINARY} is not built: `make build`, or set CHIMERA_BINARY")


class Starter:
    """Starts gateways and, at the end, asks of each that it ends with exit code 0 and no trace of a crash."""

    def __init__(self, directory: Path):
        self.directory, self.gateways = directory, []

    def __call__(self, sites="", machine: str = "", start: bool = True, **options) -> Gateway:
        directory = self.directory / f"gateway{len(self.gateways) or ''}"
        gateway = Gateway(directory, sites, machine, **options)
        self.gateways.append(gateway)
        return gateway.start() if start else gateway

    def finish(self) -> None:
        failures = []
        for gateway in self.gateways:
            try:
                gateway.stop()
            except AssertionError as failure:
                failures.append(failure)
            finally:
                gateway.kill()
        if failures:
            raise failures[0]


@pytest.fixture
def start_gateway(tmp_path):
    """start_gateway(sites, machine): a started Gateway of this test."""
    starter = Starter(tmp_path)
    yield starter
    starter.finish()


@pytest.fixture
def marked():
    """What tells the programs of this test's sessions."""
    # Not above: the tests of the rig itself need no packages.
    from rig.sessions import Marked
    return Marked()


@pytest.fixture
def session(start_gateway, marked):
    """session(*command, options=, block=): a gateway with one session, whose processes are `marked`."""
    from rig.sessions import site

    def start(*command, options="", block="", machine="", **more):
        return start_gateway(site(*command, options=f"{marked.option} {options}", block=block), machine, **more)
    yield start
    marked.await_gone()


@pytest.fixture(scope="module")
def start_shared(tmp_path_factory):
    """The same for a gateway that the tests of a module share; they check that it lives."""
    starter = Starter(tmp_path_factory.mktemp("shared"))
    yield starter
    starter.finish()


class Origins:
    def __init__(self):
        self.all: list[Origin] = []

    def __call__(self, script=None, **options) -> Origin:
        origin = Origin(script, **options) if script is not None else Origin(**options)
        self.all.append(origin)
        return origin

    def held(self, answer: bytes = OK, **options) -> tuple[Origin, threading.Event]:
        """An origin that holds each answer back until the event is set, with the event."""
        release = threading.Event()

        def script(connection):
            connection.read_request()
            assert release.wait(30), "the answer was never let go"
            connection.send(answer)
        return self(script, **options), release

    def echo(self, name: str = "origin", **options) -> EchoOrigin:
        origin = EchoOrigin(name, **options)
        self.all.append(origin)
        return origin

    def finish(self) -> None:
        for origin in self.all:
            origin.stop()
        for origin in self.all:
            origin.assert_unharmed()


@pytest.fixture
def origins():
    """origins(script), origins.echo(name) and origins.held(answer): origins that end with the test."""
    made = Origins()
    yield made
    made.finish()


@pytest.fixture(scope="module")
def shared_origins():
    made = Origins()
    yield made
    made.finish()


@pytest.fixture
def websocket_server():
    """An echo server of the websockets library."""
    # Not above: the tests of the rig itself need no packages.
    from rig.websocket import WebSocketServer
    server = WebSocketServer()
    yield server
    server.stop()
