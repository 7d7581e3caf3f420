#!/usr/bin/env python3
"""Programs as sessions: Chimera beside websocketd.

    sessions.py                                    starts, echoes and 1,000 idle sessions, 9 rounds
    sessions.py --rounds 15 --seconds 3 --workloads starts,echo

- starts: 16 clients, each of which opens a WebSocket, waits for the first line that its program writes, and closes:
  the CPU time of gateway and programs for one such start, and how many there are in a second.
- echo: 16 clients with one message of 100 octets under way each, whose programs are `cat`: the CPU time of gateway
  and programs for a message.
- idle: what 1,000 sessions take of the gateway's own processes, in KiB for each.

The systems run in turn, each time in a new process: gateway and programs on CPU 0, the client on CPU 1.
The table has the medians of the rounds, and the ratios with their quartiles.
"""
import argparse
import contextlib
import json
import os
import re
import selectors
import shutil
import socket
import statistics
import sys
import tempfile
import time
import types

sys.dont_write_bytecode = True
import bench  # noqa: E402
import systems  # noqa: E402

IDLE = 1000
CLIENTS = 16
HANDSHAKE = (b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
MESSAGE = b"m" * 100
# What clients send is masked; a mask of zeros is one.
FRAME = bytes((0x81, 0x80 | len(MESSAGE))) + bytes(4) + MESSAGE
CLOSE = bytes((0x88, 0x80)) + bytes(4)
PROGRAMS = {"starts": ["/bin/sh", "-c", "echo ready"], "echo": ["/bin/cat"], "idle": ["/bin/cat"]}


def chimera(folder, port, program):
    root = "user=root " if os.getuid() == 0 else ""
    words = " ".join(f'"{word}"' if " " in word else word for word in program)
    text = (f"listen 127.0.0.1:{port}\nworkers 1\nlog access off\n{'user root' if root else ''}\n"
            f"site * {{\n    /* session {root}-- {words} {{\n"
            "        limit sessions 100000\n        limit sessions 100000 per=client\n    }\n}\n")
    path = systems.write(types.SimpleNamespace(folder=folder), "chimera.conf", text)
    return [systems.Chimera().binary(), "run", "--config", path]


def websocketd(folder, port, program):
    return [shutil.which("websocketd"), "--loglevel=error", "--address=127.0.0.1", f"--port={port}", *program]


SYSTEMS = {"chimera": chimera, "websocketd": websocketd}


class Client:
    """A WebSocket's client, over and over."""

    def __init__(self, port, selector):
        self.port, self.selector, self.done, self.failed = port, selector, 0, 0
        self.open()

    def open(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(HANDSHAKE)
        self.got, self.is_open, self.has_ended = b"", False, False
        self.selector.register(self.socket, selectors.EVENT_READ, self)

    def close(self):
        self.selector.unregister(self.socket)
        self.socket.close()

    def read(self):
        part = self.socket.recv(65536)
        self.has_ended = not part
        self.got += part
        if not self.is_open and b"\r\n\r\n" in self.got:
            head, _, self.got = self.got.partition(b"\r\n\r\n")
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise bench.BenchError(f"no WebSocket: {head[:80]!r}")
            self.is_open = True
            return True
        return False


def starts(client):
    """The first line is there: the next session."""
    client.read()
    if b"ready" in client.got:
        client.done += 1
        with contextlib.suppress(OSError):
            client.socket.sendall(CLOSE)
    elif client.has_ended:
        client.failed += 1
    else:
        return
    client.close()
    client.open()


def echo(client):
    """The message is back: the next one."""
    has_opened = client.read()
    if client.has_ended:
        raise bench.BenchError("a session ended")
    if len(client.got) >= len(MESSAGE) + 2:
        client.got = b""
        client.done += 1
    elif not has_opened:
        return
    client.socket.sendall(FRAME)


def idle(client):
    """Stays as it is once it is open."""
    client.done += client.read()


BEHAVIOURS = {"starts": starts, "echo": echo, "idle": idle}


class Sessions:
    def __init__(self, args):
        self.args = args
        self.bench = bench.Bench(types.SimpleNamespace(workers=1, seconds=args.seconds, retries=1, spread=False))

    def run(self, name, workload):
        folder = tempfile.mkdtemp(dir=self.bench.folder)
        port = bench.free_port()
        server = bench.Group(SYSTEMS[name](folder, port, PROGRAMS[workload]), self.bench.server_cpus, folder + "/output")
        clients = []
        try:
            bench.wait_until_listening(server, port, folder + "/output")
            with selectors.DefaultSelector() as selector:
                measure = self.memory if workload == "idle" else self.load
                return measure(server, port, selector, clients, BEHAVIOURS[workload])
        finally:
            for client in clients:
                client.socket.close()
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def drive(selector, behaviour, goes_on):
        """Until `goes_on` says no; fails where nothing happens for ten seconds."""
        while goes_on():
            ready = selector.select(10)
            if not ready:
                raise bench.BenchError("nothing came for ten seconds")
            for key, _ in ready:
                behaviour(key.data)

    def load(self, server, port, selector, clients, behaviour):
        clients += [Client(port, selector) for _ in range(CLIENTS)]
        begun = time.monotonic() + 0.5
        self.drive(selector, behaviour, lambda: time.monotonic() < begun)
        before, counted, begun = server.cpu_us(), sum(c.done for c in clients), time.monotonic()
        self.drive(selector, behaviour, lambda: time.monotonic() < begun + self.args.seconds)
        seconds = time.monotonic() - begun
        count = sum(c.done for c in clients) - counted
        if any(c.failed for c in clients) or not count:
            raise bench.BenchError(f"{sum(c.failed for c in clients)} of {count} sessions wrote nothing")
        return dict(cost=(server.cpu_us() - before) / count, rate=count / seconds)

    def memory(self, server, port, selector, clients, behaviour):
        begun = time.monotonic()
        clients.append(Client(port, selector))
        self.drive(selector, behaviour, lambda: not clients[0].done)
        own = [pid for pid in server.pids() if not is_program(pid)]
        before = sum(map(anonymous_kib, own))
        for _ in range(IDLE // 50):
            clients += [Client(port, selector) for _ in range(50)]
            self.drive(selector, behaviour, lambda: not all(c.done for c in clients))
        seconds = time.monotonic() - begun
        return dict(cost=(sum(map(anonymous_kib, own)) - before) / IDLE, rate=IDLE / seconds)


def is_program(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read().split(b"\0")[0] in {program[0].encode() for program in PROGRAMS.values()}


def anonymous_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"Anonymous:\s+(\d+)", f.read()).group(1))


UNITS = {"starts": ("µs a start", "starts/s"), "echo": ("µs a message", "messages/s"),
         "idle": ("KiB a session", "sessions/s, one client")}


def text_of(values):
    low, middle, high = bench.quartiles(values)
    return f"{middle:.2f} ({low:.2f}–{high:.2f})" if middle < 10 else f"{middle:.0f} ({low:.0f}–{high:.0f})"


def show(workload, rounds):
    cost, rate = UNITS[workload]
    for name in rounds[0]:
        costs, rates = ([r[name][figure] for r in rounds] for figure in ("cost", "rate"))
        print(f"| {workload} | {name} | {text_of(costs)} {cost} | {text_of(rates)} {rate} |", flush=True)
    if len(rounds[0]) == 2:
        ours, theirs = rounds[0]
        low, middle, high = bench.quartiles([r[ours]["cost"] / r[theirs]["cost"] for r in rounds])
        print(f"| {workload} | {ours} to {theirs} | **{middle:.2f}** ({low:.2f}–{high:.2f}) | {len(rounds)} rounds |",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=2, help="of each run, behind half a second")
    parser.add_argument("--systems", type=lambda text: text.split(","), default=list(SYSTEMS))
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=list(BEHAVIOURS))
    parser.add_argument("--json", help="write the rounds to this file")
    args = parser.parse_args()
    sessions, results = Sessions(args), {}
    print("| workload | system | cost | rate |\n|---|---|---|---|")
    for workload in args.workloads:
        results[workload] = [{name: sessions.run(name, workload) for name in args.systems} for _ in range(args.rounds)]
        show(workload, results[workload])
    if args.json:
        with open(args.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    try:
        main()
    except bench.BenchError as error:
        sys.exit(f"sessions: {error}")
