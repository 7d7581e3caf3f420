"""WebSockets: the websockets library on both ends, and frames as bytes."""

from __future__ import annotations

import asyncio
import socket
import threading

from websockets.asyncio.server import serve as websocket_serve
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .client import request_bytes

KEY = bytes.fromhex("37fa213d")
"""A masking key."""

SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
REQUEST = request_bytes(target="/chat", fields=[
    ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
RESTART = bytes.fromhex("880203f4")
"""A server's Close frame with 1012."""


def frame(payload: bytes, opcode: int = 1, final: bool = True, key: bytes | None = None) -> bytes:
    """A frame of up to 65535 octets (RFC 6455 5.2); with a key, as a client sends it."""
    mask = 0x80 if key else 0
    size = len(payload)
    length = bytes([mask | size]) if size < 126 else bytes([mask | 126]) + size.to_bytes(2, "big")
    return bytes([(0x80 if final else 0) | opcode]) + length + (key + masked(payload, key) if key else payload)


def masked(payload: bytes, key: bytes) -> bytes:
    return bytes(octet ^ key[index % 4] for index, octet in enumerate(payload))


def is_restart(data: bytes) -> bool:
    """Whether it is a client's Close frame with 1012, and nothing else."""
    return len(data) == 8 and data[:2] == b"\x88\x82" and masked(data[6:], data[2:6]) == b"\x03\xf4"


def dial(gateway):
    """A client of the websockets library that does not need a loop."""
    return connect(f"ws://test:{gateway.port}/chat", sock=socket.create_connection(gateway.address), proxy=None,
                   open_timeout=60, max_size=None, subprotocols=["chat"])


class WebSocketServer:
    """An echo server of the websockets library in a thread."""

    def __init__(self):
        self.closed: list[tuple[int, str]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def _handle(self, socket):
        try:
            async for message in socket:
                await socket.send(message)
        except ConnectionClosed:
            pass
        finally:
            self.closed.append((socket.close_code, socket.close_reason))

    async def _main(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with websocket_serve(self._handle, "127.0.0.1", 0, max_size=None, subprotocols=["chat"],
                                   open_timeout=60) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    def stop(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
