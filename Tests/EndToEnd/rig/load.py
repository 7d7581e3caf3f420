"""Clients that ask without a pause and note everything that goes wrong."""

from __future__ import annotations

import threading

from .client import Connection, wait_until


class Load:
    """`with Load(gateway) as load: …` keeps so many clients busy, each on a connection that it keeps until an answer says
    that it closes. Anything else that ends it is a failure, and so is a wrong answer or a refused connection."""

    def __init__(self, gateway, clients: int = 4, target: str = "/", check=lambda response: response.status == 200,
                 may_reset: bool = False):
        self.gateway, self.target, self.check, self.may_reset = gateway, target, check, may_reset
        self.failures: list[BaseException] = []
        self.answers = self.connections = self.resets = 0
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.answers > 50 or self.failures, what="the load")
        return self

    def __exit__(self, kind, *_) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(30)
        if kind is None:
            assert self.failures == [], self.failures[:3]

    def _run(self) -> None:
        try:
            while not self._done.is_set():
                # A refused connection is a failure, whatever happens.
                connection = Connection(self.gateway.address)
                try:
                    self.connections += 1
                    self._use(connection)
                except ConnectionResetError:
                    if not self.may_reset:
                        raise
                    self.resets += 1
                finally:
                    connection.close()
        except BaseException as failure:
            self.failures.append(failure)

    def _use(self, connection: Connection) -> None:
        while not self._done.is_set():
            connection.send(self._request)
            if not connection.reader.buffer and not connection.reader.fill():
                if self.may_reset:
                    raise ConnectionResetError("the connection ended without an answer")
                raise AssertionError("the connection ended without an answer")
            response = connection.response()
            assert self.check(response), response
            self.answers += 1
            if "close" in response.fields.tokens("Connection"):
                return

    @property
    def _request(self) -> bytes:
        return f"GET {self.target} HTTP/1.1\r\nHost: test\r\n\r\n".encode()

    def more(self, answers: int = 100) -> None:
        """Waits until so many more were answered."""
        wanted = self.answers + answers
        wait_until(lambda: self.answers >= wanted or self.failures, within=30, what=f"{answers} more answers")
