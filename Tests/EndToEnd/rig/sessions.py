"""Sessions: programs for WebSocket clients, and what is left of them."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

from websockets.sync.client import connect

from .client import wait_until

ROOT = "user=root " if os.geteuid() == 0 else ""
"""What a session needs where the tests run as root, as who the gateway serves then."""


class Marked:
    """The processes that have a mark in their environment, which programs hand on to all that they start."""

    def __init__(self):
        self.mark = uuid.uuid4().hex

    @property
    def option(self) -> str:
        return f"env=MARK={self.mark}"

    def pids(self) -> list[int]:
        """Those that live; a zombie does not."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"MARK={self.mark}".encode() in entry.read_bytes().split(b"\0"):
                    found.append(int(entry.parent.name))
            except OSError:
                continue
        return found

    def await_count(self, count: int) -> list[int]:
        return wait_until(lambda: (found,) if len(found := self.pids()) == count else None,
                          what=f"{count} processes, of which there are {len(self.pids())}", within=40)[0]

    def await_gone(self) -> None:
        self.await_count(0)


def words(*command: str) -> str:
    """A command as the configuration has it."""
    assert not any("'" in word or "\n" in word for word in command)
    return " ".join(f"'{word}'" for word in command)


def site(*command: str, options: str = "", block: str = "", pattern: str = "/*") -> str:
    """A site whose one route is a session."""
    return f"site test {{\n{pattern} session {ROOT}{options} -- {words(*command)} {{ {block} }}\n}}"


def shell(script: str) -> tuple[str, ...]:
    return "/bin/sh", "-c", script


def join(gateway, target: str = "/", host: str = "test", **options):
    """A client of the websockets library that does not need a loop."""
    options = {"open_timeout": 60, "close_timeout": 30, "max_size": None, "compression": None, "legacy": True, **options}
    return connect(f"ws://{host}:{gateway.port}{target}", sock=socket.create_connection(gateway.address), proxy=None,
                   **options)
