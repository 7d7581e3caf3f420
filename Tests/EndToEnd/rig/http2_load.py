"""Clients of HTTP/2 that ask without a pause, follow GOAWAY to a new connection, and note everything that goes wrong."""

from __future__ import annotations

import random
import threading

from .client import wait_until
from .http2 import Http2
from .stress_origin import content, digest
from .wire import ConnectionEnded

LIMITLESS = 2 ** 31 - 1


class Http2Load:
    """`with Http2Load(connect) as load: …` keeps so many clients busy with a few streams each.

    `connect()` makes a connection. A stream that a GOAWAY leaves out is asked for again; any other that is not answered in
    full is a failure, and so is a connection that ends without GOAWAY, but where `may_reset` says that a crash may do that.
    """

    def __init__(self, connect, host: str = "test", scheme: str = "http", clients: int = 3, may_reset: bool = False):
        self.connect, self.host, self.scheme, self.may_reset = connect, host, scheme, may_reset
        self.failures: list[BaseException] = []
        self.answers = self.connections = self.repeated = self.resets = 0
        self.farewells: list[list[int]] = []
        """The last streams that each connection was told of."""
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(clients)]

    def __enter__(self) -> "Http2Load":
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.answers > 50 or self.failures, 30, what="the load")
        return self

    def __exit__(self, kind, *_) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(60)
        if kind is None:
            assert self.failures == [], self.failures[:3]

    def more(self, answers: int = 100) -> None:
        """Waits until so many more were answered."""
        wanted = self.answers + answers
        wait_until(lambda: self.answers >= wanted or self.failures, within=60, what=f"{answers} more answers")
        assert self.failures == [], self.failures[:3]

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        try:
            while not self._done.is_set():
                # A refused connection is a failure, whatever happens.
                self.connections += 1
                try:
                    with self.connect() as client:
                        self._use(client, chance)
                except (ConnectionRefusedError, TimeoutError):
                    raise
                # What is sent behind the end of a connection over TLS is an error of TLS.
                except (ConnectionEnded, OSError) as end:
                    if not self.may_reset:
                        raise AssertionError(f"a connection ended with requests under way: {end}") from end
                    self.resets += 1
        except BaseException as failure:
            self.failures.append(failure)

    def _use(self, client: Http2, chance: random.Random) -> None:
        while not self._done.is_set() and not client.goaways:
            asked = dict(self._ask(client, chance) for _ in range(4))
            try:
                client.until(lambda: all(self._is_settled(client, stream) for stream in asked))
            finally:
                self._count(client, asked)
        if client.goaways:
            self._follow(client)

    def _ask(self, client: Http2, chance: random.Random) -> tuple[int, bytes]:
        """Sends a request; its stream, and the content of the answer."""
        seed = chance.randrange(1 << 20)
        size = chance.choice((10, 3000, 60_000))
        target, body, expected = chance.choice((
            ("/fine", None, b"fine"), ("/files/medium", None, content(40_000, 40_000)),
            (f"/up/length/{size}/{seed}", None, content(seed, size)),
            (f"/up/chunked/{size}/{seed}", None, content(seed, size)),
            (f"/up/echo/0/{seed}", content(seed, size), digest(content(seed, size)))))
        stream = client.request(target, "POST" if body else "GET", self.host, body=body, scheme=self.scheme)
        return stream, expected

    @staticmethod
    def _is_settled(client: Http2, stream: int) -> bool:
        return client.answers[stream].is_over or any(stream > goaway.last_stream for goaway in client.goaways)

    def _count(self, client: Http2, asked: dict[int, bytes]) -> None:
        for stream, expected in asked.items():
            answer = client.answers[stream]
            if answer.ended:
                assert (answer.status, bytes(answer.body)) == (200, expected), (stream, answer.status, len(answer.body))
                self.answers += 1
            elif any(stream > goaway.last_stream for goaway in client.goaways):
                self.repeated += 1
            elif answer.reset is not None:
                raise AssertionError(f"stream {stream} was reset with {answer.reset}")

    def _follow(self, client: Http2) -> None:
        """Reads to the end of a connection that said goodbye; everything on it is over."""
        try:
            while True:
                client.read()
        except (ConnectionEnded, ConnectionResetError):
            pass
        assert {goaway.code for goaway in client.goaways} == {0}
        self.farewells.append([goaway.last_stream for goaway in client.goaways])
