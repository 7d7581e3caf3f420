#!/usr/bin/env python3
"""Ten thousand tenant files: cold start, memory, one change, one bad file, and what the others notice of a reload.

    tenants.py                              10,000 tenants of five routes, 50 pairs of windows of 2 s
    tenants.py --tenants 1000 --windows 5   a short form
    tenants.py --unpinned                   server and load on all cores, two workers

The server runs on CPU 0 with one worker, its reload thread beside it; load (wrk) runs on CPU 1. A window is 2 s of
load on one tenant; in every second one another tenant's file is changed half way. Standard library and wrk only.
"""
import argparse
import http.client
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.environ.get("CHIMERA_BINARY") or os.path.join(HERE, "../../.build/release/chimera")


def tenant(number, version):
    return (f"site t{number}.test www.t{number}.test {{\n    /assets/* respond 200 assets\n    /api/{{item}} respond 200 {{item}}\n"
            f"    GET,POST /cart respond 200 cart\n    /old/* redirect /new/{{rest}} 308\n    /* respond 200 {version}\n}}\n")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, directory, options):
        self.directory, self.options, self.port, self.metrics_port = directory, options, free_port(), free_port()
        self.lines, self.news = [], threading.Condition()

    def write(self, name, text):
        path = os.path.join(self.directory, "conf.d", name)
        with open(path + ".new", "w") as file:
            file.write(text)
        os.replace(path + ".new", path)

    def configure(self):
        os.makedirs(os.path.join(self.directory, "conf.d"))
        workers = 2 if self.options.unpinned else 1
        # Root's directories are closed to others, so it is root who serves, without its privileges.
        user = "user root\n" if os.geteuid() == 0 else ""
        with open(os.path.join(self.directory, "chimera.conf"), "w") as file:
            file.write(f"listen 127.0.0.1:{self.port}\nmetrics 127.0.0.1:{self.metrics_port}\nworkers {workers}\n{user}"
                       "admin unix:admin.sock\nlog access off\ndata data\nimport conf.d/*.conf\n")
        for number in range(self.options.tenants):
            self.write(f"t{number}.conf", tenant(number, "v0"))

    def start(self):
        """Seconds until the last tenant is answered for."""
        pin = [] if self.options.unpinned else ["taskset", "-c", "0"]
        began = time.monotonic()
        self.lines.clear()
        self.process = subprocess.Popen(
            [*pin, BINARY, "run", "--config", "chimera.conf"], cwd=self.directory,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self.collect, args=(self.process.stderr,), daemon=True).start()
        while self.get(self.options.tenants - 1) not in ("v0", "last"):
            if self.process.poll() is not None:
                sys.exit("the server ended:\n" + "\n".join(self.lines[-20:]))
            if time.monotonic() - began > 120:
                sys.exit("the server did not start")
            time.sleep(0.005)
        return time.monotonic() - began

    def collect(self, pipe):
        for line in pipe:
            with self.news:
                self.lines.append(line.rstrip())
                self.news.notify_all()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def get(self, number, path="/"):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", path, headers={"Host": f"t{number}.test"})
            response = connection.getresponse()
            return response.read().decode() if response.status == 200 else f"status {response.status}"
        except OSError:
            return None

    def processes(self):
        """The supervisor and its data plane."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return [self.process.pid, *map(int, file.read().split())]

    def memory(self, key="VmRSS"):
        """Of both processes, in MB."""
        total = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/status") as file:
                total += int(re.search(rf"{key}:\s+(\d+)", file.read())[1])
        return total / 1024

    def reload_turns(self):
        """How many turns of workers there were that a reload was part of, by the bucket's upper bound in seconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=5)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        found = re.findall(r'chimera_worker_reload_turn_seconds_bucket\{le="([^"]+)"\} (\d+)', text)
        return {float(bound): int(count) for bound, count in found}

    def await_get(self, number, text, began):
        while self.get(number) != text:
            if time.monotonic() - began > 60:
                sys.exit(f"tenant {number} never answered {text}")
            time.sleep(0.002)
        return time.monotonic() - began

    def await_kept(self):
        folder = os.path.join(self.directory, "data/tenants/index")
        began = time.monotonic()
        while not os.path.exists(folder):
            if time.monotonic() - began > 60:
                sys.exit("the last good versions were not kept")
            time.sleep(0.05)
        print(f"last good versions are kept after {time.monotonic() - began:.1f} s more")


def window(server, options, change):
    """The p99 in milliseconds and the requests of one window."""
    pin = [] if options.unpinned else ["taskset", "-c", "1"]
    load = subprocess.Popen([*pin, "wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "--latency",
                             "-H", "Host: t0.test", f"http://127.0.0.1:{server.port}/"], stdout=subprocess.PIPE, text=True)
    if change:
        time.sleep(options.seconds / 2)
        change()
    output = load.communicate(timeout=60)[0]
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", output).groups()
    errors = re.search(r"Socket errors.*|Non-2xx.*", output)
    if errors:
        sys.exit(errors[0])
    return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit], float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])


def main():
    sys.stdout.reconfigure(line_buffering=True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--windows", type=int, default=50, help="pairs of windows")
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--changes", type=int, default=10, help="changes whose time to service is measured")
    parser.add_argument("--unpinned", action="store_true")
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="chimera-tenants-")
    server = Server(directory, options)
    try:
        server.configure()
        print(f"cold start, empty data directory: {server.start():.2f} s")
        print(f"resident memory: {server.memory():.0f} MB, peak {server.memory('VmHWM'):.0f} MB")
        server.await_kept()
        times = []
        for number in range(options.changes):
            server.write("t5.conf", tenant(5, f"c{number}"))
            times.append(server.await_get(5, f"c{number}", time.monotonic()))
        if times:
            print(f"a changed file is in service after: median {statistics.median(times) * 1e3:.0f} ms, "
                  f"longest {max(times) * 1e3:.0f} ms")
        server.write("t6.conf", "site t6.test {\n    /* respnd 200 x\n}\n")
        server.write("t5.conf", tenant(5, "last"))
        server.await_get(5, "last", time.monotonic())
        assert server.get(6) == "v0"
        plain, reloaded, rates = [], [], []
        for pair in range(options.windows):
            result, rate = window(server, options, None)
            plain.append(result)
            rates.append(rate)
            result, rate = window(server, options, lambda: server.write("t5.conf", tenant(5, f"w{pair}")))
            reloaded.append(result)
        if plain:
            before, after = statistics.median(plain), statistics.median(reloaded)
            print(f"p99 of another tenant, median of {len(plain)} windows: {before:.2f} ms without a reload, "
                  f"{after:.2f} ms with one ({after / before:.2f} times; {statistics.median(rates):.0f} requests/s)")
        turns = server.reload_turns()
        within = max((count for bound, count in turns.items() if bound <= 0.002), default=0)
        print(f"turns of workers that a reload was part of: {max(turns.values(), default=0)}, of them {within} within 2 ms; "
              + ", ".join(f"{bound * 1e3:g} ms: {count}" for bound, count in turns.items()))
        print(f"resident memory at the end: {server.memory():.0f} MB")
        time.sleep(1)
        server.stop()
        print(f"cold start, with last good versions: {server.start():.2f} s")
        bad = [line for line in server.lines if "t6.conf:2:8" in line]
        print("the bad file's last good version serves after the restart:", server.get(6) == "v0")
        print("its error:", bad[0] if bad else "was not reported")
        others = sum(server.get(number) is not None for number in range(0, options.tenants, max(1, options.tenants // 100)))
        print(f"others that serve, of a hundred asked: {others}")
    finally:
        if getattr(server, "process", None) and server.process.poll() is None:
            server.process.kill()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
