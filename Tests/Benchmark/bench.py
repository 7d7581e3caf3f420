#!/usr/bin/env python3
"""CPU time for a request: Chimera beside nginx and HAProxy, on one machine.

    bench.py                                       every workload, every system, log off and on
    bench.py --rounds 15 --systems chimera,nginx --workloads proxy-1k --connections 64 --bar 0.95
    bench.py --sites 1,10000                       what ten thousand tenants cost
    bench.py --workers 2                           what a second worker costs
    bench.py --workloads idle,idle-proxied         memory of ten thousand idle connections, after an answer of each kind

The server runs alone on CPU 0 with one worker; load (wrk, and h2load for HTTP/2), origin and this script are on CPU 1. The systems run in
turn, round after round, each time in a new process. The figure is the CPU time of all the server's threads for a
request, from the scheduler's own account; requests a second and latency are those of this one machine, and mean
little where the load, not the server, was the limit. Ratios are made round by round, from neighbours in time.

Over TLS all clients offer TLS 1.3 with AES-128-GCM and X25519, so that the work is the same whatever a server prefers;
the certificate is ECDSA P-256.

Standard library only. It needs wrk, h2load, openssl, nginx and HAProxy (`make bench` installs them).
"""
import argparse
import concurrent.futures
import atexit
import contextlib
import http.client
import json
import math
import os
import platform
import re
import resource
import shlex
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

sys.dont_write_bytecode = True
import systems  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
START_SECONDS_MAX = 120
FOREIGN_SHARE_MAX = 0.10
ERROR_SHARE_MAX = 0.001


class BenchError(Exception):
    pass


@dataclass(frozen=True)
class Workload:
    name: str
    role: str
    path: str
    length: int
    tls: bool = False
    streams: int = 0
    """Requests under way on each HTTP/2 connection; 0: HTTP/1.1."""
    handshake: str = ""
    """Each request has a connection of its own: "full", or "resumed" by a ticket."""

    @property
    def is_idle(self):
        return self.name.startswith("idle")


WORKLOADS = [
    Workload("static-1k", "static", "/1k.bin", 1024),
    Workload("static-100k", "static", "/100k.bin", 102400),
    Workload("proxy-1k", "proxy", "/1k.bin", 1024),
    Workload("proxy-100k", "proxy", "/100k.bin", 102400),
    Workload("tls-static-1k", "static", "/1k.bin", 1024, tls=True),
    Workload("h2-static-1k", "static", "/1k.bin", 1024, tls=True, streams=16),
    Workload("h2-proxy-1k", "proxy", "/1k.bin", 1024, tls=True, streams=4),
    Workload("handshake-full", "static", "/1k.bin", 1024, tls=True, handshake="full"),
    Workload("handshake-resumed", "static", "/1k.bin", 1024, tls=True, handshake="resumed"),
    Workload("idle", "static", "/1k.bin", 1024),
    Workload("idle-proxied", "proxy", "/1k.bin", 1024),
]


# ---------------------------------------------------------------- processes and their CPU time

RUNNING = []


class Group:
    """A command and all that it starts, on the given CPUs.

    As root its CPU time is that of a cgroup (v2) made for it, which also remembers threads that have ended; else
    it is the sum over /proc/PID/task/*/schedstat. Both are the scheduler's own count, exact to the nanosecond.
    """

    def __init__(self, argv, cpus, log):
        self.cgroup = make_cgroup(len(RUNNING))

        def enter():
            if self.cgroup:
                with open(self.cgroup + "/cgroup.procs", "w") as f:
                    f.write("0")
            os.sched_setaffinity(0, cpus)

        with open(log, "ab") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            start_new_session=True, preexec_fn=enter)
        favour(self.process.pid)
        RUNNING.append(self)

    def pids(self):
        if self.cgroup:
            with open(self.cgroup + "/cgroup.procs") as f:
                return [int(pid) for pid in f.read().split()]
        parents = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/stat") as f:
                    parents[int(name)] = int(f.read().rpartition(")")[2].split()[1])
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def cpu_us(self):
        if self.cgroup:
            with open(self.cgroup + "/cpu.stat") as f:
                return float(re.search(r"usage_usec (\d+)", f.read()).group(1))
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/schedstat") as f:
                        total += int(f.read().split()[0])
        return total / 1000

    def resident_kib(self):
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as f:
                found = re.search(r"VmRSS:\s+(\d+)", f.read())
                total += int(found.group(1)) if found else 0
        return total

    def stop(self):
        with contextlib.suppress(OSError):
            self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)
        if self.cgroup:
            for _ in range(40):
                try:
                    os.rmdir(self.cgroup)
                    break
                except OSError:
                    with contextlib.suppress(OSError):
                        for pid in self.pids():
                            os.kill(pid, signal.SIGKILL)
                    time.sleep(0.05)
        RUNNING.remove(self)


@atexit.register
def stop_all():
    for group in list(RUNNING):
        group.stop()


def make_cgroup(number):
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.geteuid() == 0 and os.path.exists(root + "/cgroup.controllers"):
            path = f"{root}/chimera-bench-{os.getpid()}-{number}"
            with contextlib.suppress(OSError):
                os.mkdir(path)
                if os.path.exists(path + "/cpu.stat"):
                    return path
                os.rmdir(path)
    return None


def favour(pid):
    """Ahead of other work on the machine, where that is allowed; every system alike."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, -20)
        with open(f"/proc/{pid}/autogroup", "w") as f:
            f.write("-20")


def busy_us(cpus):
    """CPU time spent by anyone on these CPUs, and stolen from them."""
    tick, total = 1e6 / os.sysconf("SC_CLK_TCK"), 0
    with open("/proc/stat") as f:
        for line in f:
            if (m := re.match(r"cpu(\d+) (.*)", line)) and int(m.group(1)) in cpus:
                v = [int(x) for x in m.group(2).split()]
                total += (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) * tick
    return total


# ---------------------------------------------------------------- one run

class Bench:
    def __init__(self, args):
        self.args = args
        self.folder = tempfile.mkdtemp(prefix="chimera-bench-")
        atexit.register(shutil.rmtree, self.folder, True)
        self.www = os.path.join(self.folder, "www")
        os.mkdir(self.www)
        block = "".join(chr(97 + i * 7 % 26) for i in range(1024))
        for name, count in (("1k.bin", 1), ("100k.bin", 100)):
            with open(os.path.join(self.www, name), "w") as f:
                f.write(block * count)
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2 or len(cores) < args.workers:
            raise BenchError(f"{max(2, args.workers)} CPUs are needed, this process may use {len(cores)}")
        if args.workers > 1:  # One worker is measured on the same CPUs, under the same load.
            self.server_cpus = self.load_cpus = set(cores[:args.workers])
        else:
            self.server_cpus, self.load_cpus = {cores[0]}, {cores[1]}
        os.sched_setaffinity(0, self.load_cpus)
        favour(os.getpid())
        self.origin_port = free_port()
        self.certificate = make_certificate(self.folder)
        with open(os.path.join(self.folder, "openssl.cnf"), "w") as f:
            f.write(CLIENT_TLS)
        place = systems.Place(self.folder, self.www, 0, self.origin_port, *self.certificate)
        self.origin = Group(systems.origin(place), self.load_cpus, self.folder + "/origin.out")
        wait_until_listening(self.origin, self.origin_port, self.folder + "/origin.out")

    def run(self, system, workload, connections):
        """One run of one system, in a new process; a disturbed one is repeated."""
        for attempt in range(self.args.retries + 1):
            result = self.run_once(system, workload, connections)
            if result["foreign"] <= FOREIGN_SHARE_MAX:
                break
        return result

    def run_once(self, system, workload, connections):
        folder = tempfile.mkdtemp(dir=self.folder)
        place = systems.Place(folder, self.www, free_port(), self.origin_port, *self.certificate)
        log = folder + "/output"
        argv = system.prepare(place, workload)
        started = time.monotonic()
        server = Group(argv, self.server_cpus, log)
        try:
            wait_until_listening(server, place.port, log)
            started = time.monotonic() - started
            wait_until_quiet(server)
            for _ in range(3):
                probe(place.port, workload, system.host(), self.certificate[0])
            if workload.is_idle:
                result = self.idle(server, place, system)
            else:
                result = self.load(server, place, system, workload, connections)
            result["start_s"] = started
            if server.process.poll() is not None:
                raise BenchError(f"{system.label} ended with {server.process.returncode}: {tail(log)}")
            return result
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def ask(self, place, system, workload, connections, seconds):
        """Loads it for so long: (answers, errors, median and 99th percentile of the latency in microseconds)."""
        origin = f"https://localhost:{place.port}" if workload.tls else f"http://127.0.0.1:{place.port}"
        url = origin + workload.path
        options = ["-t", str(self.args.workers), "-c", str(connections)]
        if workload.handshake:
            return self.handshakes(workload, place.port, min(connections, 4), seconds)
        if workload.streams:
            return self.h2load([*options, "-m", str(workload.streams), "-D", str(seconds), url])
        options += ["-s", self.spread_script(system)] if self.args.spread and system.sites else \
            ["-H", f"Host: {system.host()}"]
        return self.wrk([*options, "--latency", "-d", f"{seconds}s", url])

    def load(self, server, place, system, workload, connections):
        self.ask(place, system, workload, connections, 1)  # Caches, pools and the branch predictor.
        origin_before = self.origin_requests() if workload.role == "proxy" else 0
        cpu, busy, wall = server.cpu_us(), busy_us(self.server_cpus), time.monotonic()
        requests, errors, p50, p99 = self.ask(place, system, workload, connections, self.args.seconds)
        cpu, busy, wall = server.cpu_us() - cpu, busy_us(self.server_cpus) - busy, time.monotonic() - wall
        if requests == 0 or errors > requests * ERROR_SHARE_MAX:
            raise BenchError(f"{system.label}: {requests} answers, {errors} errors")
        if workload.role == "proxy" and self.origin_requests() - origin_before < requests * 0.99:
            raise BenchError(f"{system.label}: the requests did not reach the origin")
        shared = self.server_cpus == self.load_cpus
        return dict(
            us=cpu / requests, rate=requests / wall, busy=cpu / 1e6 / wall / len(self.server_cpus),
            foreign=0.0 if shared else max(0.0, busy - cpu) / 1e6 / wall,
            p50_us=p50, p99_us=p99, resident_mib=server.resident_kib() / 1024)

    def wrk(self, options):
        said = self.client(["wrk", *options])
        errors = sum(int(n) for line in re.findall(r"(?:Non-2xx|Socket errors)[^\n]*", said)
                     for n in re.findall(r"(?:responses:|connect|read|write|timeout) (\d+)", line))
        return int(re.search(r"(\d+) requests in", said).group(1)), errors, *(
            microseconds(re.search(rf"^ +{part}% +(\S+)", said, re.M).group(1)) for part in (50, 99))

    def h2load(self, options):
        """It tells no percentiles."""
        said = self.client(["h2load", "--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519", *options])
        if "Application protocol: h2" not in said:
            raise BenchError(f"h2load: no HTTP/2: {said[-300:]}")
        # What was still under way when the time was up counts as failed there, and is none.
        answers = int(re.search(r"status codes: (\d+) 2xx", said).group(1))
        errors = sum(map(int, re.search(r"2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said).groups()))
        return answers, errors, float("nan"), float("nan")

    def handshakes(self, workload, port, clients, seconds):
        """Connections of TLS 1.3 one after the other, each with one request. It tells no percentiles."""
        argv = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-time", str(seconds), "-www", workload.path,
                "-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256",
                "-reuse" if workload.handshake == "resumed" else "-new"]
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            said = list(pool.map(self.client, [argv] * clients))
        made = sum(int(re.search(r"(\d+) connections in \d+ real seconds", text).group(1)) for text in said)
        resumed = sum(line.count("r") for text in said for line in re.findall(r"^[*rtuv\d.]{20,}", text, re.M))
        share = resumed / made if made else 0
        if not (share > 0.95 if workload.handshake == "resumed" else share < 0.01):
            raise BenchError(f"{workload.name}: {share:.0%} of {made} handshakes were resumed")
        return made, 0, float("nan"), float("nan")

    def client(self, argv):
        run = subprocess.run(argv, capture_output=True, text=True, timeout=self.args.seconds + 60,
                             stdin=subprocess.DEVNULL,
                             env={**os.environ, "OPENSSL_CONF": os.path.join(self.folder, "openssl.cnf")})
        if run.returncode:
            raise BenchError(f"{argv[0]}: {(run.stdout + run.stderr)[-300:]}")
        return run.stdout

    def spread_script(self, system):
        path = os.path.join(self.folder, f"spread-{system.sites}.lua")
        with open(path, "w") as f:
            f.write(f"local n, i = {system.sites}, 0\n"
                    "request = function()\n    i = (i + 7919) % n\n"
                    "    return wrk.format(nil, nil, { Host = 't' .. i .. '.localhost' })\nend\n")
        return path

    def origin_requests(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.origin_port, timeout=10)
        connection.request("GET", "/count")
        answer = connection.getresponse().read().decode()
        connection.close()
        return int(answer.split("\n")[2].split()[2])

    def idle(self, server, place, system):
        """Growth of resident memory for each open connection that has had one answer and now says nothing."""
        before, count = server.resident_kib(), self.args.idle_connections
        holder = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--hold", str(place.port), str(count), system.host()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            opened = int(holder.stdout.readline() or 0)
            time.sleep(2)  # A server may keep what it has for a moment before it counts a connection as idle.
            after = server.resident_kib()
            alive = int(holder.communicate("end\n", timeout=60)[0] or 0)
        finally:
            holder.kill()
            holder.wait()
        if min(opened, alive) < count * 0.99:
            raise BenchError(f"{system.label}: {opened} of {count} opened, {alive} still open")
        return dict(us=(after - before) / opened, foreign=0.0, resident_mib=after / 1024)


def hold(port, count, host):
    """Opens `count` connections, has one answer on each, says how many, and holds them until a line comes."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    request = f"GET /1k.bin HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    held = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < 1024:
            part = connection.recv(8192)
            if not part:
                break
            answer += part
        if answer.startswith(b"HTTP/1.1 200"):
            held.append(connection)
    print(len(held), flush=True)
    sys.stdin.readline()
    alive = 0
    for connection in held:
        connection.setblocking(False)
        try:
            alive += bool(connection.recv(1))
        except BlockingIOError:
            alive += 1
        except OSError:
            pass
    print(alive, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until_quiet(server):
    """What a start leaves to be done behind the first answers, such as keeping ten thousand files, is no request's cost."""
    deadline, before = time.monotonic() + 60, server.cpu_us()
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = server.cpu_us()
        if now - before < 3_000:
            return
        before = now
    raise BenchError("the server is busy without a request")


def wait_until_listening(group, port, log):
    end = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < end:
        if group.process.poll() is not None:
            raise BenchError(f"the server ended at once ({group.process.returncode}): {tail(log)}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise BenchError(f"nothing listens on port {port}: {tail(log)}")


CLIENT_TLS = """
openssl_conf = openssl_init
[openssl_init]
ssl_conf = ssl_sect
[ssl_sect]
system_default = tls
[tls]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
"""


def make_certificate(folder):
    """The paths of a certificate for localhost and of its key."""
    chain, key = os.path.join(folder, "localhost.pem"), os.path.join(folder, "localhost.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", chain],
        check=True, capture_output=True)
    return chain, key


def probe(port, workload, host, certificate):
    if workload.tls:
        connection = http.client.HTTPSConnection(
            "localhost", port, timeout=10, context=ssl.create_default_context(cafile=certificate))
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", workload.path, headers={"Host": host})
    answer = connection.getresponse()
    length = len(answer.read())
    connection.close()
    if answer.status != 200 or length != workload.length:
        raise BenchError(f"{workload.name}: status {answer.status}, {length} bytes")


def tail(path):
    with open(path, errors="replace") as f:
        return f.read()[-400:].strip()


def microseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s|m)$", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[unit]


# ---------------------------------------------------------------- comparison and report

def cases(args):
    """(workload, connections, systems, pairs to compare) for each line of the table."""
    chosen = [w for w in WORKLOADS if w.name in args.workloads]
    for workload in chosen:
        counts = [args.idle_connections] if workload.is_idle else args.connections
        for count in counts:
            if args.sites:
                row = [systems.named(label, sites=n, routes=args.routes)
                       for label in args.systems if label.startswith("chimera") for n in args.sites]
                pairs = [(s, row[i - i % len(args.sites)]) for i, s in enumerate(row) if i % len(args.sites)]
            elif args.workers > 1:
                row = [systems.named(label, workers=n) for label in args.systems for n in (1, args.workers)]
                pairs = list(zip(row[1::2], row[::2]))
            else:
                row = [systems.named(label) for label in args.systems]
                ours = [s for s in row if s.name == "chimera"]
                pairs = [(o, p) for o in ours for p in row if p.name != "chimera" and p.log == o.log]
                pairs += [(o, p) for o in ours for p in ours if o.log and not p.log]
            row = [s for s in row if workload.role in s.roles]
            yield workload, count, row, [(a, b) for a, b in pairs if a in row and b in row]


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    return statistics.quantiles(values, n=4, method="inclusive")


def in_both(rounds, ours, theirs, combine):
    """What comes of both systems' figures, for each round in which both have one."""
    return [combine(r[ours.label]["us"], r[theirs.label]["us"])
            for r in rounds if ours.label in r and theirs.label in r and r[theirs.label]["us"] > 0]


def verdict(low, high, bar):
    return "met" if high <= bar else "missed" if low > bar else "undecided"


def report(args, done, versions):
    lines = ["## Cost of a request", "", "    " + shlex.join(["bench.py", *sys.argv[1:]]), "",
             f"Linux {platform.release()}, {os.cpu_count()} CPUs; {args.rounds} rounds of {args.seconds} s; "
             + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".", "",
             "Medians over the rounds. CPU is that of the server, user and system, in microseconds a request (for"
             " idle connections: KiB of resident memory for each).", "", *figures(done)]
    compared = [(w, c, a, b, rounds) for w, c, _, pairs, rounds in done for a, b in pairs]
    if compared:
        lines += ["", "Ratios of CPU time, round by round.", "", *ratios(compared, args.bar)]
    lines += ["", *log_costs(compared), *start_times(done)]
    return "\n".join(lines).rstrip() + "\n"


def figures(done):
    yield "| workload | connections | system | CPU µs | quartiles | requests/s | p50 ms | p99 ms | core busy | MiB |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for workload, count, row, _, rounds in done:
        for system in row:
            runs = [r[system.label] for r in rounds if system.label in r]
            yield f"| {workload.name} | {count} | {system.label} | " + " | ".join(cells(runs)) + " |"


def cells(runs):
    if not runs:
        return ["failed", "", "", "", "", "", ""]
    low, mid, high = quartiles([r["us"] for r in runs])
    disturbed = "~" if all(r["foreign"] > FOREIGN_SHARE_MAX for r in runs) else ""
    med = {key: statistics.median(r[key] for r in runs) for key in runs[0]}
    rate = ([f"{med['rate']:,.0f}", *(milliseconds(med[key]) for key in ("p50_us", "p99_us")), f"{med['busy']:.0%}"]
            if "rate" in med else ["", "", "", ""])
    return [f"{disturbed}{mid:.2f}", f"{low:.2f}–{high:.2f}", *rate, f"{med['resident_mib']:.1f}"]


def milliseconds(us):
    return "" if math.isnan(us) else f"{us / 1e3:.2f}"


def ratios(compared, bar):
    yield "| workload | connections | of | to | median | quartiles | rounds |" + (f" bar {bar} |" if bar else "")
    yield "|---|---|---|---|---|---|---|" + ("---|" if bar else "")
    for workload, count, ours, theirs, rounds in compared:
        values = in_both(rounds, ours, theirs, lambda a, b: a / b)
        if values:
            low, mid, high = quartiles(values)
            yield (f"| {workload.name} | {count} | {ours.label} | {theirs.label} | **{mid:.3f}** |"
                   f" {low:.3f}–{high:.3f} | {len(values)} |" + (f" {verdict(low, high, bar)} |" if bar else ""))


def log_costs(compared):
    for workload, count, ours, theirs, rounds in compared:
        if ours.name == theirs.name and ours.log and not theirs.log and not workload.is_idle:
            costs = in_both(rounds, ours, theirs, lambda a, b: a - b)
            if costs:
                low, mid, high = quartiles(costs)
                yield f"- {workload.name}, {count} connections: the log adds {mid:.2f} µs ({low:.2f}–{high:.2f})."


def start_times(done):
    for system in done[0][2]:
        starts = [rounds[system.label]["start_s"] for d in done for rounds in d[4] if system.label in rounds]
        if system.sites and starts:
            yield f"- {system.label}: {statistics.median(starts):.2f} s from start to listening."


def listed(text):
    return [part for part in text.split(",") if part]


def numbers(text):
    return [int(part) for part in listed(text)]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="length of a measured run")
    parser.add_argument("--workloads", type=listed, default=[w.name for w in WORKLOADS if not w.is_idle],
                        help="of " + ", ".join(w.name for w in WORKLOADS))
    parser.add_argument("--systems", type=listed,
                        default=["chimera", "nginx", "haproxy", "chimera+log", "nginx+log", "haproxy+log"])
    parser.add_argument("--connections", type=numbers, default=[64, 512])
    parser.add_argument("--sites", type=numbers, default=[], metavar="N,M",
                        help="Chimera with so many tenant files, each against the first of them")
    parser.add_argument("--routes", type=int, default=100, help="routes of each of those sites")
    parser.add_argument("--spread", action="store_true", help="ask every site in turn, not one of them")
    parser.add_argument("--workers", type=int, default=1,
                        help="compare so many workers with one, both under the same load on so many CPUs")
    parser.add_argument("--idle-connections", type=int, default=10_000)
    parser.add_argument("--bar", type=float, help="say whether each ratio's quartiles keep below this")
    parser.add_argument("--retries", type=int, default=2, help="of a run that other work disturbed")
    parser.add_argument("--out", help="every run, as JSON")
    parser.add_argument("--markdown", help="the tables, also into this file")
    args = parser.parse_args()
    if unknown := set(args.workloads) - {w.name for w in WORKLOADS}:
        parser.error(f"no workload {', '.join(sorted(unknown))}")
    if args.sites and any(w.tls for w in WORKLOADS if w.name in args.workloads):
        parser.error("--sites is measured without TLS")
    if args.sites and args.workers > 1:
        parser.error("--sites and --workers are two measurements")
    return args


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "--hold":
        return hold(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for program in ("wrk", "h2load", "openssl"):
        if not shutil.which(program):
            raise BenchError(f"{program} is not there")
    plan = list(cases(args))
    versions = {}
    for system in (s for _, _, row, _ in plan for s in row):
        if not system.binary():
            raise BenchError(f"{system.name} is not there")
        versions.setdefault(system.name, system.version())
    bench, done = Bench(args), []
    for workload, count, row, pairs in plan:
        rounds = []
        for number in range(args.rounds):
            results = {}
            for system in row[number % len(row):] + row[:number % len(row)]:  # Nobody always goes first.
                try:
                    results[system.label] = r = bench.run(system, workload, count)
                    print(f"{workload.name:12} {count:6} round {number + 1:2} {system.label:24} {r['us']:8.2f}"
                          + (f" {r['rate']:10,.0f}/s" if "rate" in r else "")
                          + ("  disturbed" if r["foreign"] > FOREIGN_SHARE_MAX else ""), file=sys.stderr, flush=True)
                except (BenchError, OSError, subprocess.TimeoutExpired) as problem:
                    print(f"{workload.name:12} {count:6} round {number + 1:2} {system.label:24} {problem}",
                          file=sys.stderr, flush=True)
            rounds.append(results)
        done.append((workload, count, row, pairs, rounds))
    text = report(args, done, versions)
    print(text)
    if args.markdown:
        with open(args.markdown, "w") as f:
            f.write(text)
    if args.out:
        with open(args.out, "w") as f:
            json.dump([dict(workload=w.name, connections=c, rounds=r) for w, c, _, _, r in done], f, indent=1)
    failed = any(s.label not in r for _, _, row, _, rounds in done for s in row for r in rounds)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as problem:
        sys.exit(f"bench: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
