"""Clients that do what is allowed, in a random order that a number repeats, and check every answer octet by octet.

A `Session` is one connection of HTTP/2 with many streams; `plain_session` is one of HTTP/1.1. `Stress` keeps several of
both at work on one gateway, round after round, and looks between the rounds at what is left of them.
"""

from __future__ import annotations

import contextlib
import json
import random
import select
import socket
import ssl
import struct
import threading
import time
import traceback

from . import http2
from .client import Connection, chunked, request_bytes, wait_until
from .http2 import (ACK, CANCEL, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, GOAWAY, HEADER_TABLE_SIZE,
                    HEADERS, INITIAL_WINDOW_SIZE, NO_ERROR, PADDED, PING, PRIORITY, PRIORITY_FLAG,
                    PRIORITY_UPDATE, RST_STREAM, Http2, request_fields)
from .stress_asks import FILES, Ask, ask, large_file, tunnel
from .stress_origin import content
from .tls import trusting_anybody
from .wire import ConnectionEnded, WireError

STREAMS = 40
"""Streams that a session has open at once."""


class Session(Http2):
    """A connection of HTTP/2 that never blocks in sending, with a random way of giving windows back.

    It stays within the bounds on frames that docs/http2.md tells of, so that whatever ends the connection is a fault.
    """

    def __init__(self, address, chance: random.Random, secure: ssl.SSLContext | None, host: str):
        self.chance, self.host, self.scheme = chance, host, "https" if secure else "http"
        self.table = 4096
        self.giving = chance.choice(("at once", "at once", "late", "pieces"))
        """When what came is given back: with each frame, some time later, or later and in pieces."""
        self.owed: dict[int, int] = {}
        self.asks: dict[int, Ask] = {}
        self.initials: list[dict[int, int]] = []
        """What each SETTINGS frame without an acknowledgement changes for the windows that stood then."""
        self.tables: list[int] = []
        self.unsent = bytearray()
        self.is_broken = False
        self.left = {"settings": 8, "pings": 30, "resets": 60, "updates": 500, "priorities": 100, "empty": 20}
        self.done = 0
        self.slice = chance.choice((65536, 65536, 65536, 1000, 100))
        """Octets of one write."""
        super().__init__(address, preface=False, credit=False, secure=secure, name=host if secure else None,
                         receive_buffer=chance.choice((None, None, None, 4096)))
        self.socket.setblocking(False)
        self.decoder.max_allowed_table_size = 65536
        self.send(http2.PREFACE)
        self.set((INITIAL_WINDOW_SIZE, chance.choice((0, 1, 50, 2000, 16384, 65535, 65535, 1 << 20))),
                 (HEADER_TABLE_SIZE, chance.choice((0, 60, 4096, 4096, 65536))), (ENABLE_PUSH, 0))
        if chance.random() < 0.7:
            self.give(0, chance.choice((1, 100_000, 1 << 24)))

    # Moving octets

    def send(self, data: bytes) -> "Session":
        self.unsent += data
        return self

    def move(self, wait: float = 0.0) -> None:
        """Sends and reads what goes, and takes the frames that are there."""
        deadline = time.monotonic() + wait
        while True:
            progress = self._write()
            progress |= self._read()
            while len(self.buffer) >= 9 and len(self.buffer) >= 9 + int.from_bytes(self.buffer[:3], "big"):
                self.read()
            left = deadline - time.monotonic()
            if left <= 0:
                return
            if not progress:
                writing = [self.socket] if self.unsent and not self.is_broken else []
                select.select([self.socket], writing, [], min(left, 0.05))

    def _write(self) -> bool:
        if not self.unsent or self.is_broken:
            return False
        try:
            # A view would have to be the same one when TLS asks for the write again.
            count = self.socket.send(bytes(self.unsent[:self.slice]))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return False
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # What the gateway said before is still to be read; nothing may be left out of what it gets.
            self.is_broken = True
            return False
        del self.unsent[:count]
        return True

    def _read(self) -> bool:
        try:
            data = self.socket.recv(1 << 16)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return False
        if not data:
            raise ConnectionEnded(f"the gateway closed the connection{self._last_words()}")
        self.buffer += data
        return True

    # Settings and windows

    def set(self, *pairs: tuple[int, int]) -> None:
        """Sends settings, which hold for what comes behind their acknowledgement."""
        values = dict(pairs)
        change = values.get(INITIAL_WINDOW_SIZE, self.initial) - self.initial
        self.initials.append({stream: change for stream in self.windows if not self.answers[stream].is_over})
        self.initial += change
        self.tables.append(values.get(HEADER_TABLE_SIZE, self.table))
        self.table = self.tables[-1]
        self.send(http2.settings(*pairs))

    def _settings(self, frame) -> None:
        super()._settings(frame)
        if frame.flags & ACK:
            for stream, change in self.initials.pop(0).items():
                self.windows[stream] += change
            self.decoder.max_allowed_table_size = self.tables.pop(0)

    def _data(self, frame) -> None:
        super()._data(frame)
        count = len(frame.payload)
        for stream in (0, frame.stream):
            self.owed[stream] = self.owed.get(stream, 0) + count
        if self.giving == "at once":
            self.give_back(frame.stream)
            self.give_back(0)

    def _goaway(self, frame) -> None:
        super()._goaway(frame)
        assert frame.code == NO_ERROR, f"GOAWAY {frame.code} {frame.payload[8:]!r}"

    def give_back(self, stream: int, pieces: int = 1) -> None:
        """Gives back what came on a stream; on one that has ended that would be in vain."""
        owed = self.owed.pop(stream, 0)
        if stream and self.answers[stream].is_over:
            return
        while owed > 0:
            count = -(-owed // pieces)
            owed -= count
            pieces = max(1, pieces - 1)
            if count < 1000:
                # Small windows make small frames, and those many updates, which are bounded.
                self.left["updates"] -= 1
                if self.left["updates"] < 0:
                    count += 50_000
            self.give(stream, count)

    # Requests

    def open_stream(self, asked: Ask) -> None:
        chance = self.chance
        stream = self.open()
        self.asks[stream] = asked
        fields = list(asked.fields)
        if asked.body is not None and asked.length:
            fields.append(("content-length", str(len(asked.body))))
        if asked.body is not None and chance.random() < 0.1:
            fields.append(("expect", "100-continue"))
        if chance.random() < 0.2:
            fields.append(("priority", chance.choice(("u=0", "u=7", "u=2, i", "i"))))
        pseudo = [line for line in fields if line[0].startswith(":")]
        lines = request_fields(asked.target, asked.method, self.host, scheme=self.scheme)
        ordered = lines + pseudo + [line for line in fields if line not in pseudo]
        block = self.encoder.encode(ordered, huffman=chance.random() < 0.5)
        asked.has_ended = asked.body is None and asked.tunnel is None
        self._head_frames(stream, block, asked.has_ended)

    def _head_frames(self, stream: int, block: bytes, end: bool) -> None:
        """One HEADERS frame, perhaps padded or with a priority, and perhaps CONTINUATIONs."""
        chance = self.chance
        flags, before, after = END_STREAM if end else 0, b"", b""
        if chance.random() < 0.1:
            flags, before, after = flags | PADDED, b"\x07", bytes(7)
        if chance.random() < 0.1:
            flags, before = flags | PRIORITY_FLAG, before + struct.pack(">IB", 0, 15)
        parts = [block]
        if chance.random() < 0.15:
            cuts = sorted(chance.randrange(len(block) + 1) for _ in range(chance.randrange(1, 6)))
            parts = [block[a:b] for a, b in zip([0, *cuts], [*cuts, len(block)])]
        for index, part in enumerate(parts):
            last = END_HEADERS if index == len(parts) - 1 else 0
            if index == 0:
                self.frame(HEADERS, flags | last, stream, before + part + after)
            else:
                self.frame(CONTINUATION, last, stream, part)

    def upload(self, stream: int, most: int) -> None:
        """Sends up to `most` octets of a request's body, as far as the gateway's windows go, and its end."""
        asked, chance = self.asks[stream], self.chance
        while not asked.has_ended and most >= 0:
            room = min(16360, self.send_window, self.send_windows[stream], len(asked.body) - asked.sent, most)
            if room <= 0 and asked.sent < len(asked.body):
                return
            part = asked.body[asked.sent:asked.sent + room]
            asked.sent += room
            most -= max(1, room)
            is_last = asked.sent == len(asked.body)
            ends = is_last and chance.random() < 0.7
            padding = chance.randrange(1, 20) if room and chance.random() < 0.05 else 0
            if padding + 1 + room > min(self.send_window, self.send_windows[stream]):
                padding = 0
            payload = bytes([padding]) + part + bytes(padding) if padding else part
            self.send_window -= len(payload)
            self.send_windows[stream] -= len(payload)
            if payload or ends:
                self.frame(DATA, (END_STREAM if ends else 0) | (PADDED if padding else 0), stream, payload)
            if is_last and not ends:
                self.frame(HEADERS, END_STREAM | END_HEADERS, stream, self.encoder.encode([("x-sum", str(asked.sent))]))
            asked.has_ended = is_last

    def talk(self, stream: int, count: int, end: bool = False) -> None:
        """Sends some of what a tunnel is to give back."""
        asked = self.asks[stream]
        count = max(0, min(count, 16384, self.send_window, self.send_windows[stream]))
        part = content(stream + len(asked.tunnel), count)
        asked.tunnel += part
        self.send_window -= count
        self.send_windows[stream] -= count
        if part or end:
            self.frame(DATA, END_STREAM if end else 0, stream, part)
        asked.has_ended = end

    def give_up(self, stream: int) -> None:
        self.left["resets"] -= 1
        del self.asks[stream]
        self.answers[stream].reset = CANCEL
        self.frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))

    def settle(self) -> None:
        """Checks the answers that are complete."""
        for stream in [s for s in self.asks if self.answers[s].is_over]:
            asked, answer = self.asks.pop(stream), self.answers[stream]
            try:
                if asked.tunnel is not None:
                    assert (answer.status, answer.reset) == (200, None) and answer.body == asked.tunnel
                else:
                    asked.check(answer)
            except AssertionError as error:
                raise AssertionError(f"stream {stream}, {asked.method} {asked.target} ({asked.kind}): {error}; {answer.status}, "
                                     f"reset {answer.reset}, {list(answer.fields)}") from None
            self.done += 1
            # Uploads whose answer came early: what is left of them goes nowhere, and the client says so.
            if not asked.has_ended and answer.reset is None and self.left["resets"] > 0:
                self.left["resets"] -= 1
                self.frame(RST_STREAM, 0, stream, struct.pack(">I", NO_ERROR))
            answer.body.clear()

    # What a session does

    def step(self) -> None:
        chance = self.chance
        roll = chance.random()
        if roll < 0.45:
            for _ in range(min(chance.choice((1, 1, 3, 10)), STREAMS - len(self.asks))):
                self.open_stream(tunnel(chance) if chance.random() < 0.06 else ask(chance))
        elif roll < 0.6:
            for stream in list(self.asks):
                if self.asks[stream].body is not None and not self.answers[stream].is_over:
                    self.upload(stream, chance.choice((1, 1000, 20_000, 200_000)))
                elif self.asks[stream].tunnel is not None and self.answers[stream].status and not self.asks[stream].has_ended:
                    self.talk(stream, chance.choice((1, 100, 5000)))
        elif roll < 0.75:
            for stream in chance.sample(list(self.owed), min(len(self.owed), 5)):
                self.give_back(stream, chance.randrange(1, 5) if self.giving == "pieces" else 1)
        elif roll < 0.85:
            self._rarely()
        self.move(chance.choice((0, 0, 0, 0.001, 0.005, 0.02)))
        self.settle()

    def _rarely(self) -> None:
        chance = self.chance
        kind = chance.choice(list(self.left))
        if self.left[kind] <= 0 or kind == "updates":
            return
        open_streams = [s for s in self.asks if not self.answers[s].is_over]
        if kind == "settings":
            self.left[kind] -= 1
            pairs = [(INITIAL_WINDOW_SIZE, chance.choice((0, 1, 500, 30_000, 65535, 1 << 20)))]
            if chance.random() < 0.5:
                pairs.append((HEADER_TABLE_SIZE, chance.choice((0, 60, 500, 4096, 65536))))
            self.set(*pairs)
            size = chance.choice((0, 100, 1000, 4096))
            # hpack forgets to tell of a size that it is given twice.
            if size != self.encoder.header_table_size:
                self.encoder.header_table_size = size
        elif kind == "pings":
            self.left[kind] -= 1
            self.frame(PING, payload=chance.randbytes(8))
        elif kind == "resets" and open_streams:
            self.give_up(chance.choice(open_streams))
        elif kind == "priorities":
            self.left[kind] -= 1
            of = chance.choice([*open_streams, 1001])
            self.frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", of) + chance.choice((b"u=0", b"u=6, i", b"i", b"u=9, x")))
            self.frame(PRIORITY, 0, of, struct.pack(">IB", 0, 7))
        elif kind == "empty":
            self.left[kind] -= 1
            for stream in open_streams:
                if self.asks[stream].body is not None and not self.asks[stream].has_ended:
                    return self.frame(DATA, 0, stream)

    def finish(self, within: float = 60) -> None:
        """Lets all that is open come to its end."""
        self.giving = "at once"
        deadline = time.monotonic() + within
        if self.initial < 65535:
            self.set((INITIAL_WINDOW_SIZE, 65535))
        while self.asks:
            if self.window <= 65535:
                self.give(0, 1 << 20)
            for stream, asked in list(self.asks.items()):
                if self.answers[stream].is_over:
                    continue
                self.give_back(stream)
                if asked.tunnel is not None and self.answers[stream].status and not asked.has_ended:
                    self.talk(stream, 1000, end=True)
                elif asked.body is not None:
                    self.upload(stream, 1 << 20)
            self.move(0.02)
            self.settle()
            if time.monotonic() > deadline:
                raise AssertionError("no end of " + "; ".join(
                    f"stream {s} ({a.kind}, {a.method} {a.target}, sent {a.sent}, ended {a.has_ended}, answer "
                    f"{self.answers[s].status} with {len(self.answers[s].body)}, window {self.windows[s]})"
                    for s, a in self.asks.items()) + f"; the connection's window {self.window}, ours {self.send_window}")

    def leave(self) -> None:
        """Ends the connection in one of many ways; nobody waits for what is open then, but where it is finished."""
        chance = self.chance
        way = chance.choice(("finish", "finish", "finish", "goaway", "close", "reset", "end", "fault", "stall"))
        if way in ("finish", "goaway"):
            if way == "goaway":
                self.frame(GOAWAY, payload=struct.pack(">II", 0, NO_ERROR))
            self.finish()
        elif way == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif way == "end":
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
        elif way == "fault":
            self.frame(DATA, 0, 0, b"x")
            with contextlib.suppress(WireError, AssertionError, OSError):
                self.move(0.2)
        elif way == "stall":
            # Requests for much, and nothing is read.
            for _ in range(10):
                self.open_stream(large_file(chance))
            self._write()
            time.sleep(0.05)


def plain_session(address, chance: random.Random, secure: ssl.SSLContext | None, host: str) -> int:
    """A connection of HTTP/1.1; how many answers it got."""
    done = 0
    with Connection(address, timeout=60) as connection:
        if secure:
            connection.socket = secure.wrap_socket(connection.socket, server_hostname=host)
        for _ in range(chance.randrange(1, 30)):
            asked = ask(chance)
            if asked.body is not None and asked.kind != "upload":
                # A gateway that closes drops a part of what comes only.
                asked.body = asked.body[:100_000]
            try:
                connection.socket.sendall(_plain_bytes(asked, chance, host))
            except TimeoutError:
                raise AssertionError(f"{asked.method} {asked.target} ({asked.kind}) is not taken") from None
            except OSError:
                # The answer to what it did take is still to be read.
                pass
            if chance.random() < 0.03:
                chance.choice((connection.reset, connection.close))()
                return done
            try:
                response = connection.response(asked.method, allow_cut=True)
            except (TimeoutError, WireError) as error:
                raise AssertionError(f"{asked.method} {asked.target} ({asked.kind}): {error!r}") from None
            _check_plain(asked, response)
            done += 1
            if not response.complete or response.framing == "close" or "close" in response.fields.tokens("Connection"):
                return done
    return done


def _plain_bytes(asked: Ask, chance: random.Random, host: str) -> bytes:
    if asked.body is None or asked.length:
        return request_bytes(asked.method, asked.target, host, asked.fields, asked.body)
    cuts = sorted(chance.randrange(len(asked.body) + 1) for _ in range(3))
    parts = [asked.body[a:b] for a, b in zip([0, *cuts], [*cuts, len(asked.body)])]
    head = request_bytes(asked.method, asked.target, host, [*asked.fields, ("Transfer-Encoding", "chunked")])
    return head + chunked(*filter(None, parts))


def _check_plain(asked: Ask, response) -> None:
    what = f"{asked.method} {asked.target} ({asked.kind}) over HTTP/1.1: {response.status}, {len(response.body)} octets"
    assert response.status in asked.status, what
    if not response.complete:
        assert asked.faults and asked.expected.startswith(response.body), what
    elif response.status == asked.status[0] and asked.expected is not None:
        assert response.body == (b"" if asked.method == "HEAD" else asked.expected), what


class Stress:
    """Rounds of random sessions on one gateway: `test` is its site on the plain listener, `secure.test` on the other."""

    def __init__(self, metrics, secure_port: int, origin, seed: int, clients: int = 6):
        self.metrics, self.gateway, self.origin, self.seed, self.clients = metrics, metrics.gateway, origin, seed, clients
        self.secure_port = secure_port
        self.rounds = self.sessions = self.answers = 0
        self.failures: list[str] = []
        self.contexts = []
        for protocol in ("h2", "http/1.1"):
            context = trusting_anybody()
            context.set_alpn_protocols([protocol])
            self.contexts.append(context)
        self._run(random.Random(0), lambda number: number >= 8)
        assert not self.failures, self.failures[0]
        self._quiet()
        self.descriptors = self.gateway.vitals.descriptors
        self.resident: list[int] = []

    def round(self, seconds: float) -> None:
        """Random sessions for so long, and then a look at what is left of them."""
        self.rounds += 1
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._run, args=(random.Random(f"{self.seed}/{self.rounds}/{number}"),
                                                            lambda _: time.monotonic() > end), daemon=True)
                   for number in range(self.clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and not self.failures:
            self._answers_at_once()
            time.sleep(0.1)
        for thread in threads:
            thread.join(120)
        assert not self.failures, f"seed {self.seed}, round {self.rounds}: {self.failures[0]}"
        self._answers_at_once()
        self._quiet()
        # Each worker may hold each file open for the next who asks.
        most = self.descriptors + 2 * len(FILES)
        wait_until(lambda: self.gateway.vitals.descriptors <= most, 20,
                   f"descriptors given back, {most}, in round {self.rounds} of seed {self.seed}")
        self.resident.append(self.gateway.vitals.resident)

    def _run(self, chance: random.Random, is_over) -> None:
        number = 0
        while not is_over(number) and not self.failures:
            number += 1
            try:
                self._session(random.Random(chance.random()))
            except BaseException:
                self.failures.append(traceback.format_exc())

    def _session(self, chance: random.Random) -> None:
        secure = chance.random() < 0.5
        address = ("127.0.0.1", self.secure_port) if secure else self.gateway.address
        host = "secure.test" if secure else "test"
        self.sessions += 1
        if chance.random() < 0.25:
            self.answers += plain_session(address, chance, self.contexts[1] if secure else None, host)
            return
        with Session(address, chance, self.contexts[0] if secure else None, host) as session:
            for _ in range(chance.choice((3, 20, 100))):
                session.step()
            session.leave()
            self.answers += session.done

    def _answers_at_once(self) -> None:
        """Others are served, whatever the sessions do."""
        assert self.gateway.get("/fine").body == b"fine"
        with Http2(self.gateway.address, timeout=30) as client:
            assert client.get("/fine").body == b"fine"
        address = ("127.0.0.1", self.secure_port)
        with Http2(address, secure=self.contexts[0], name="secure.test", timeout=30) as client:
            assert client.get("/fine", host="secure.test", scheme="https").body == b"fine"

    def _quiet(self) -> None:
        """Nothing is under way any more, and the workers do nothing."""
        for connection in list(self.origin.connections):
            connection.close()
        self.origin.forget()
        wait_until(lambda: self.metrics.value("chimera_connections", state="busy") <= 1, 30, "no connection busy")

        def others():
            lines = [json.loads(line) for line in self.gateway.command("connections", "--json").stdout.splitlines()]
            return [line for line in lines if "id" in line]
        wait_until(lambda: not others(), 30, "no connection listed")
        self.gateway.assert_alive()
        before = self.gateway.vitals.cpu_ticks
        time.sleep(1)
        spent = self.gateway.vitals.cpu_ticks - before
        assert spent < 30, f"{spent} ticks of a second in which nothing was asked, in round {self.rounds} of seed {self.seed}"
