"""The gateway under test: a configuration in a directory, a process, its log and its vital signs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from .client import PATIENCE, Connection, wait_until
from .process import Vitals
from .wire import Response

REPOSITORY = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("CHIMERA_BINARY") or REPOSITORY / ".build/release/chimera")

CRASH = re.compile(
    r"Fatal error|Precondition failed|Assertion failed|crashed|Crash:|Illegal instruction|Segmentation fault"
    r"|Sanitizer|\*\*\* |double free|BUG: |SWIFT TASK CONTINUATION MISUSE|overlapping accesses", re.I)
ADDRESS_IN_USE = re.compile(r"address already in use|EADDRINUSE|address in use", re.I)
LISTENING = re.compile(r"listening on (\S+)")
CRASH_SIGNALS = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGILL, -signal.SIGBUS, -signal.SIGTRAP, -signal.SIGFPE,
                 -signal.SIGPIPE}


def free_port(family: int = socket.AF_INET) -> int:
    """A port that was free a moment ago. Whoever uses it tries again on "address in use"."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**more) -> dict[str, str]:
    # A crash must end the process, not start a backtracer that outlives the test.
    return {**os.environ, "SWIFT_BACKTRACE": "enable=no", "RES_OPTIONS": "attempts:1 timeout:1", **more}


class Gateway:
    """One `chimera run` in a directory of its own.

    `sites` is the content of conf.d/test.conf, or a dictionary of file name to content; `machine` is added to
    chimera.conf, which has two workers, one listener, and the access log as JSON in access.log.
    """

    def __init__(self, directory: Path, sites: str | dict[str, str] = "", machine: str = "", log: str | None = None,
                 listen: bool = True, env: dict[str, str] | None = None, arguments: list[str] | None = None,
                 wrapper: list[str] | None = None, binary: Path | None = None, stdout: int | None = None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.sites, self.machine, self.listen = sites, machine, listen
        self.import_line = "import conf.d/*.conf"
        self.log_line = "log access json access.log" if log is None else log
        self.env, self.arguments, self.wrapper = env or {}, arguments, wrapper or []
        self.binary = binary or BINARY
        self.stdout = stdout
        self.port = 0
        self.process: subprocess.Popen | None = None
        self.vitals: Vitals | None = None
        self.expected_exit: set[int] = {0}
        self.may_crash = False
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._collector: threading.Thread | None = None

    # Life

    def write_configuration(self) -> None:
        """Writes the files that `start` and `reload` read."""
        listen = f"listen 127.0.0.1:{self.port}\n" if self.listen else ""
        # Root's directories are closed to others, so it is root who serves, without its privileges.
        user = "user root\n" if os.geteuid() == 0 and "user " not in self.machine else ""
        admin = "admin unix:admin.sock\n" if "admin " not in self.machine else ""
        (self.directory / "chimera.conf").write_text(
            f"workers 2\n{user}{admin}{listen}{self.log_line}\n{self.machine.replace('PORT', str(self.port))}\n"
            f"{self.import_line}\n" + ("" if "data " in self.machine else "data data\n"))
        folder = self.directory / "conf.d"
        folder.mkdir(exist_ok=True)
        files = self.sites if isinstance(self.sites, dict) else {"test.conf": self.sites}
        for stale in set(p.name for p in folder.glob("*.conf")) - set(files):
            (folder / stale).unlink()
        for name, content in files.items():
            # As a whole: the gateway may look at any time.
            (folder / (name + ".new")).write_text(content.replace("PORT", str(self.port)))
            os.replace(folder / (name + ".new"), folder / name)

    def start(self, within: float = 20) -> "Gateway":
        for _ in range(5):
            self.port = free_port()
            self.write_configuration()
            self.spawn()
            if self._await_listening(within):
                if not self.arguments and "admin " not in self.machine:
                    wait_until(self._serves, within, "a data plane that says that it serves")
                self.vitals = Vitals(self.pid)
                return self
            output = self.stderr
            code = self.process.wait(PATIENCE)
            if not ADDRESS_IN_USE.search(output):
                raise AssertionError(f"the gateway ended with {code} before it was ready:\n{output}")
            self._lines.clear()
        raise AssertionError("no free port in five attempts")

    def _serves(self) -> bool:
        """Whether the supervisor knows that the data plane serves, which that says a little after it listens. One that
        ends before has not started at all."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            try:
                s.connect(str(self.directory / "admin.sock"))
                s.sendall(b'{"command":"status"}\n')
                answer = b"".join(iter(lambda: s.recv(1 << 16), b""))
            except (FileNotFoundError, ConnectionError):
                return False
        planes = json.loads(answer).get("supervisor", {}).get("data_planes", []) if answer else []
        return any(plane["state"] == "serving" for plane in planes)

    def settle(self) -> "Gateway":
        """Waits for the last that a start does by itself: the last good versions are kept, in a file that stays open."""
        wait_until((self.directory / "data/tenants/index").exists, what="the last good versions on the disk")
        return self

    def spawn(self) -> None:
        """Starts the process without waiting for it."""
        arguments = self.arguments or ["run", "--config", str(self.directory / "chimera.conf")]
        arguments = [a.replace("PORT", str(self.port)) for a in arguments]
        self.process = subprocess.Popen(
            [*self.wrapper, str(self.binary), *arguments], cwd=self.directory, env=environment(**self.env),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            stdout=open(self.directory / "stdout", "ab") if self.stdout is None else self.stdout)
        self._collector = threading.Thread(target=self._collect, args=(self.process.stderr,), daemon=True)
        self._collector.start()

    def stop(self, within: float = 60) -> int:
        """Ends the gateway by SIGTERM, and fails where that takes longer than `within` seconds."""
        if not self.process:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the gateway did not end within {within} s of SIGTERM:\n{self.stderr}")
        self._collector.join(PATIENCE)
        code = self.process.returncode
        if not self.may_crash:
            self.assert_no_crash()
            assert code in self.expected_exit, f"exit code {code}:\n{self.stderr}"
        return code

    def kill(self) -> None:
        """Ends the process at once, whatever it does."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def reload(self, sites=None, machine: str | None = None) -> None:
        """Writes a new configuration and sends SIGHUP; what shows that it is in use is the caller's to wait for."""
        if sites is not None:
            self.sites = sites
        if machine is not None:
            self.machine = machine
        self.write_configuration()
        self.signal(signal.SIGHUP)

    def await_exit(self, within: float = PATIENCE) -> int:
        code = self.process.wait(within)
        self._collector.join(PATIENCE)
        return code

    # Talking to it

    @property
    def pid(self) -> int:
        """The process that serves: the newest data plane, or the one process of a form without a supervisor."""
        return (self.data_planes() or [self.process.pid])[-1]

    def data_planes(self) -> list[int]:
        """The data planes that live, the oldest first; what has ended and is not yet reaped is none."""
        return [pid for pid in children(self.process.pid) if is_data_plane(pid)]

    def command(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess:
        """Runs an operator's command for this gateway."""
        return run(*arguments, "--admin", f"unix:{self.directory}/admin.sock", timeout=timeout)

    def status(self) -> dict:
        """What `chimera status --json` says."""
        done = self.command("status", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def upgrade(self) -> None:
        """Lets a new data plane take over, and waits until it serves."""
        done = self.command("upgrade")
        assert done.returncode == 0, done.stderr + self.stderr
        self.vitals = Vitals(self.pid)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def connect(self, **options) -> Connection:
        return Connection(self.address, **options)

    def exchange(self, data: bytes, method: str = "GET") -> Response:
        """One request given as bytes, on a connection of its own, and its response."""
        with self.connect() as connection:
            return connection.send(data).response(method)

    def request(self, method: str = "GET", target: str = "/", host: str = "test", fields=(), body=None,
                version: str = "1.1") -> Response:
        with self.connect() as connection:
            return connection.request(method, target, host, fields, body, version)

    def get(self, target: str = "/", host: str = "test", fields=()) -> Response:
        return self.request("GET", target, host, fields)

    # What it says

    @property
    def stderr(self) -> str:
        with self._news:
            return "\n".join(self._lines)

    def await_stderr(self, text: str, within: float = PATIENCE, after: int = 0) -> str:
        """The first line from number `after` on that the regular expression `text` matches."""
        wanted, deadline = re.compile(text), time.monotonic() + within
        with self._news:
            while True:
                for line in self._lines[after:]:
                    if wanted.search(line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no line {text!r} on stderr within {within} s:\n" + "\n".join(self._lines))
                self._news.wait(left)

    @property
    def stderr_lines(self) -> int:
        with self._news:
            return len(self._lines)

    def records(self, count: int = 0, name: str = "access.log", where=lambda record: True) -> list[dict]:
        """The access log's records, once there are `count` of them. Each line must be one JSON object."""
        def read():
            path = self.directory / name
            text = path.read_text() if path.exists() else ""
            complete = text[: text.rfind("\n") + 1]
            found = [r for r in map(json.loads, complete.splitlines()) if where(r)]
            return (found,) if len(found) >= count else None
        return wait_until(read, what=f"{count} records in the access log")[0]

    def assert_alive(self) -> None:
        assert self.process.poll() is None, f"the gateway ended with {self.process.returncode}:\n{self.stderr}"
        self.assert_no_crash()

    def assert_no_crash(self) -> None:
        match = CRASH.search(self.stderr)
        assert not match, f"a sign of a crash ({match.group(0)}) on stderr:\n{self.stderr}"
        assert self.process.returncode not in CRASH_SIGNALS, f"ended by signal {self.process.returncode}"

    def _collect(self, stream) -> None:
        for line in stream:
            with self._news:
                self._lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _await_listening(self, within: float) -> bool:
        deadline = time.monotonic() + within
        ours = f":{self.port}"
        with self._news:
            while not any((m := LISTENING.search(line)) and m.group(1).rstrip(",.;").endswith(ours)
                          for line in self._lines):
                if self.process.poll() is not None:
                    break
                left = deadline - time.monotonic()
                if left <= 0:
                    self.process.kill()
                    raise AssertionError("no line 'listening on …' within the time:\n" + "\n".join(self._lines))
                self._news.wait(min(left, 0.1))
            else:
                return True
        self._collector.join(PATIENCE)
        return False


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid` and that live, in the order of their start."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] not in "ZX":
            found.append((int(fields[19]), int(entry.parent.name)))
    return [number for _, number in sorted(found)]


def is_data_plane(pid: int) -> bool:
    """Whether a child of a supervisor is a data plane; the others are programs of sessions."""
    try:
        return b"\0data-plane\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def run(*arguments: str, cwd: Path | None = None, stdin: str | None = None, timeout: float = 20,
        **env) -> subprocess.CompletedProcess:
    """Runs a command of the binary to its end, as text."""
    if arguments[0] == "run" and os.geteuid() == 0:
        arguments = (*arguments, "--user", "root")
    done = subprocess.run([str(BINARY), *map(str, arguments)], cwd=cwd, input=stdin, text=True, capture_output=True,
                          timeout=timeout, env=environment(**env))
    assert done.returncode not in CRASH_SIGNALS and not CRASH.search(done.stderr), \
        f"crashed with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done
