"""Autobahn|Testsuite against a session that echoes, over HTTP/1.1: every case has to pass strictly.

    python3 Tests/Autobahn/run.py WSTEST CHIMERA REPORTS [CASE…]

WSTEST is the suite's program, see Tools/autobahn, CHIMERA the binary, and REPORTS where the suite's pages go. A CASE
is a number such as 9.1.2, or a group such as '12.*'; all of them without one.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

# What the suite itself only looks at, since RFC 6455 leaves it open: how long things take, and what a status code that
# nobody has defined is answered with.
ONLY_TOLD = {"INFORMATIONAL"}
AGENT = "chimera"
START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def gateway(binary: Path, directory: Path):
    """A gateway whose sessions give each message back, text as text; yields its port."""
    port = free_port()
    root = " user=root" if os.geteuid() == 0 else ""
    user = "user root\n" if os.geteuid() == 0 else ""
    configuration = directory / "chimera.conf"
    configuration.write_text(
        f"listen 127.0.0.1:{port}\nworkers 2\nlog access off\nadmin unix:{directory}/admin.sock\n"
        f"data {directory}/data\n{user}"
        f"site * {{\n    session framing=typed message=64MiB{root} -- cat\n}}\n")
    log = (directory / "chimera.log").open("w")
    process = subprocess.Popen([binary, "run", "--config", configuration], stdout=log, stderr=log)
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"the gateway does not start:\n{(directory / 'chimera.log').read_text()}")
            time.sleep(0.05)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def run(wstest: Path, port: int, reports: Path, cases: list[str]) -> dict[str, dict]:
    specification = reports / "specification.json"
    specification.write_text(json.dumps({
        "outdir": str(reports), "cases": cases, "exclude-cases": [], "exclude-agent-cases": {},
        "servers": [{"agent": AGENT, "url": f"ws://127.0.0.1:{port}"}]}))
    with (reports / "wstest.log").open("w") as log:
        status = subprocess.run([wstest, "--mode", "fuzzingclient", "--spec", specification], cwd=reports,
                                stdout=log, stderr=log).returncode
    if status != 0:
        sys.exit(f"wstest ended with {status}:\n{(reports / 'wstest.log').read_text()[-4000:]}")
    return json.loads((reports / "index.json").read_text())[AGENT]


def is_passed(outcome: dict) -> bool:
    return all(outcome[part] == "OK" or outcome[part] in ONLY_TOLD for part in ("behavior", "behaviorClose"))


def main() -> int:
    wstest, binary, reports = (Path(argument).resolve() for argument in sys.argv[1:4])
    reports.mkdir(parents=True, exist_ok=True)
    (reports / "index.json").unlink(missing_ok=True)
    with gateway(binary, reports) as port:
        outcomes = run(wstest, port, reports, sys.argv[4:] or ["*"])
    failed = {case: outcome for case, outcome in outcomes.items() if not is_passed(outcome)}
    for case, outcome in sorted(failed.items(), key=lambda item: [int(n) for n in item[0].split(".")]):
        print(f"case {case}: {outcome['behavior']}, close {outcome['behaviorClose']} ({outcome['remoteCloseCode']}); "
              f"see {reports / outcome['reportfile']}")
    told = sum(outcome["behavior"] in ONLY_TOLD for outcome in outcomes.values())
    print(f"Autobahn|Testsuite: {told} cases are informational")
    print(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
