#!/usr/bin/env python3
"""What a request costs without the noise of a machine: instructions in user space, and system calls.

    instructions.py                                       proxied 1 kB: Chimera, nginx and HAProxy
    instructions.py --workloads static-1k --systems chimera,nginx

Each system runs once under callgrind, which counts the instructions of all its processes while wrk asks with 16
connections, and once under `strace -c -f`. Both divide by what wrk counted. What the kernel does for a system call
is in no figure here: that is bench.py's.

It needs valgrind, strace and binutils beside what bench.py needs.
"""
import argparse
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import types

sys.dont_write_bytecode = True
import bench  # noqa: E402
import systems  # noqa: E402

CALLGRIND = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--trace-children=yes"]


class Instructions:
    def __init__(self, args):
        self.args = args
        self.bench = bench.Bench(types.SimpleNamespace(workers=1, seconds=args.seconds, retries=0, spread=False))
        # valgrind stumbles over the debugging information of the linker that Swift uses.
        stripped = os.path.join(self.bench.folder, "chimera")
        subprocess.run(["strip", "-g", "-o", stripped, systems.named("chimera").binary()], check=True)
        os.environ["CHIMERA_BINARY"] = stripped

    def under(self, tool, name, workload, body):
        """Runs `body(group, place, system)` beside a process of the system under a tool, and ends it."""
        system = systems.named(name)
        folder = tempfile.mkdtemp(dir=self.bench.folder)
        place = systems.Place(folder, self.bench.www, bench.free_port(), self.bench.origin_port,
                              *self.bench.certificate)
        group = bench.Group([*tool(folder), *system.prepare(place, workload)], self.bench.server_cpus,
                            folder + "/output")
        try:
            bench.wait_until_listening(group, place.port, folder + "/output")
            for _ in range(3):
                bench.probe(place.port, workload, system.host(), self.bench.certificate[0])
            return body(group, place, system), folder
        finally:
            group.stop()

    def ask(self, place, system, workload, seconds):
        return self.bench.ask(place, system, workload, self.args.connections, seconds)[0]

    def instructions(self, name, workload):
        def body(group, place, system):
            self.ask(place, system, workload, 2)
            for state in ("on", "off"):
                for pid in group.pids():
                    subprocess.run(["callgrind_control", "-i", state, str(pid)], capture_output=True, timeout=60)
                if state == "on":
                    requests = self.ask(place, system, workload, self.args.seconds)
            for pid in group.pids():
                subprocess.run(["callgrind_control", "-d", str(pid)], capture_output=True, timeout=60)
            return requests
        requests, folder = self.under(
            lambda folder: [*CALLGRIND, f"--callgrind-out-file={folder}/callgrind.%p"], name, workload, body)
        total = 0
        for path in glob.glob(folder + "/callgrind.*"):
            with open(path) as f:
                total += sum(int(count) for count in re.findall(r"^totals: (\d+)$", f.read(), re.M))
        if total == 0:
            raise bench.BenchError(f"{name}: callgrind counted nothing")
        return total / requests

    def system_calls(self, name, workload):
        """Calls a request by their names, the most frequent first."""
        def body(group, place, system):
            self.ask(place, system, workload, 1)
            workers = [pid for pid in group.pids() if "strace" not in open(f"/proc/{pid}/comm").read()]
            output = f"{place.folder}/strace"
            tracer = subprocess.Popen(
                ["strace", "-c", "-f", "-o", output, *(word for pid in workers for word in ("-p", str(pid)))],
                stderr=subprocess.PIPE, text=True)
            tracer.stderr.readline()  # "Process N attached"
            requests = self.ask(place, system, workload, self.args.seconds)
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=60)
            with open(output) as f:
                rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", f.read(), re.M)
            return {call: int(count) / requests for count, call in rows if call != "total"}
        return self.under(lambda folder: [], name, workload, body)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--systems", type=lambda text: text.split(","), default=["chimera", "nginx", "haproxy"])
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=["proxy-1k"])
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=4)
    args = parser.parse_args()
    for tool in ("valgrind", "strace", "wrk"):
        if not shutil.which(tool):
            parser.error(f"{tool} is not installed")
    measured = Instructions(args)
    print("| workload | system | instructions | system calls | of them |\n|---|---|---|---|---|")
    for workload in (w for w in bench.WORKLOADS if w.name in args.workloads):
        for name in args.systems:
            instructions, calls = measured.instructions(name, workload), measured.system_calls(name, workload)
            named = ", ".join(f"{call} {count:.2f}" for call, count in
                              sorted(calls.items(), key=lambda item: -item[1]) if count >= 0.01)
            print(f"| {workload.name} | {name} | {instructions:,.0f} | {sum(calls.values()):.2f} | {named} |",
                  flush=True)


if __name__ == "__main__":
    main()
