#!/usr/bin/env python3
"""Latency at half of the capacity: Chimera beside nginx, at the same rate.

    latency.py                                     static and proxied 1 kB, 9 rounds
    latency.py --rounds 15 --seconds 6 --workloads static-1k

The capacity of each is what wrk gets of it with 64 connections; the rate is half of the lesser of the two. Requests
then come at that rate, whatever becomes of those before them, from a client of its own (constant_rate.c), and a time
counts from the moment at which its request was due. The systems run in turn, each time in a new process: the server
alone on CPU 0, the client on CPU 1, where it polls without sleeping; behind a proxy the origin is on CPU 1 as well, and
the client sleeps between requests.
The table has the medians of the rounds, and their quartiles.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import types

sys.dont_write_bytecode = True
import bench  # noqa: E402
import systems  # noqa: E402

FIGURES = ("p50", "p99", "p99.9")


def compiled(folder):
    path = os.path.join(folder, "constant_rate")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "constant_rate.c")
    subprocess.run(["cc", "-O2", "-Wall", "-o", path, source], check=True)
    return path


class Latency:
    def __init__(self, args):
        self.args = args
        self.bench = bench.Bench(types.SimpleNamespace(workers=1, seconds=args.seconds, retries=1, spread=False))
        self.client = compiled(self.bench.folder)

    def with_server(self, name, workload, body):
        """Runs `body(port, host)` beside a new process of the server."""
        system = systems.named(name)
        folder = tempfile.mkdtemp(dir=self.bench.folder)
        place = systems.Place(folder, self.bench.www, bench.free_port(), self.bench.origin_port,
                              *self.bench.certificate)
        server = bench.Group(system.prepare(place, workload), self.bench.server_cpus, folder + "/output")
        try:
            bench.wait_until_listening(server, place.port, folder + "/output")
            for _ in range(3):
                bench.probe(place.port, workload, system.host(), self.bench.certificate[0])
            return body(place.port, system.host())
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def capacity(self, name, workload):
        """Requests a second that wrk gets, the median of three runs."""
        return statistics.median(
            self.bench.run(systems.named(name), workload, self.args.connections)["rate"] for _ in range(3))

    def at_rate(self, name, workload, rate):
        """p50, p99 and p99.9 in microseconds. A run that something else on the machine disturbed is repeated."""
        for attempt in range(4):
            try:
                return self.at_rate_once(name, workload, rate)
            except bench.BenchError:
                if attempt == 3:
                    raise

    def at_rate_once(self, name, workload, rate):
        def body(port, host):
            run = subprocess.run(
                [self.client, str(port), workload.path, host, str(self.args.connections), str(rate),
                 str(self.args.seconds + 1), *(["sleep"] if workload.role == "proxy" else [])],
                capture_output=True, text=True, timeout=self.args.seconds + 60)
            if run.returncode:
                raise bench.BenchError(f"{name}: {run.stderr[-300:]}")
            count, reached, p50, p99, p999, greatest, failures = (float(x) for x in run.stdout.split())
            if failures or reached < rate * 0.98:
                raise bench.BenchError(f"{name}: {reached:.0f} of {rate} a second, {failures:.0f} failures")
            return dict(zip(FIGURES, (p50, p99, p999)))
        return self.with_server(name, workload, body)

    def measure(self, workload):
        capacities = {name: self.capacity(name, workload) for name in self.args.systems}
        rate = int(min(capacities.values()) / 2)
        rounds = {name: [] for name in self.args.systems}
        for _ in range(self.args.rounds):
            for name in self.args.systems:
                rounds[name].append(self.at_rate(name, workload, rate))
        return dict(workload=workload.name, rate=rate, capacities=capacities, rounds=rounds)


def cell(runs, figure):
    low, middle, high = statistics.quantiles([run[figure] for run in runs], n=4)
    return f"{middle:.0f} ({low:.0f}–{high:.0f})"


def show_head():
    print("| workload | rate | system | capacity | " + " | ".join(f"{f} µs" for f in FIGURES) + " |")
    print("|---|---|---|---|" + "---|" * len(FIGURES))


def show(result):
    for name, runs in result["rounds"].items():
        cells = " | ".join(cell(runs, figure) for figure in FIGURES)
        print(f"| {result['workload']} | {result['rate']}/s | {name} | {result['capacities'][name]:.0f}/s | {cells} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=4, help="of each run, without the first second")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--systems", type=lambda text: text.split(","), default=["chimera", "nginx"])
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=["static-1k", "proxy-1k"])
    parser.add_argument("--json", help="write the rounds to this file")
    args = parser.parse_args()
    latency = Latency(args)
    results = []
    show_head()
    for workload in bench.WORKLOADS:
        if workload.name in args.workloads:
            results.append(latency.measure(workload))
            show(results[-1])
    if args.json:
        with open(args.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    try:
        main()
    except bench.BenchError as error:
        sys.exit(f"latency: {error}")
