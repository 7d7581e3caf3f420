"""Tools/require: what it has apt install, and from where. With an apt, a pkg-config and a Tools/backports of the test."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BACKPORTED = ["libnghttp3-dev", "libngtcp2-crypto-gnutls-dev", "libngtcp2-dev"]


class Machine:
    """One on which pkg-config finds nothing until `apt-get install` was called."""

    def __init__(self, folder: Path):
        self.folder, self.log = folder, folder / "log"
        self.log.write_text("")
        (folder / "bin").mkdir()
        (folder / "Tools").mkdir()
        shutil.copy(ROOT / "Tools/require", folder / "Tools/require")
        self.program("bin/pkg-config", f'test -e {folder}/installed || ! echo "$*" | grep -Eq "gnutls|nghttp3|ngtcp2"')
        self.program("bin/apt-get", f'echo "$*" >>{self.log}; case "$*" in *install*) touch {folder}/installed ;; esac')
        self.program("bin/swift", "echo Swift version 6.3")
        self.program("bin/id", "echo 0")
        self.program("bin/sudo", "exit 1")
        self.backports("echo bookworm-backports")

    def program(self, name, text):
        (self.folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (self.folder / name).chmod(0o755)

    def backports(self, text):
        self.program("Tools/backports", f"echo backports >>{self.log}; {text}")

    def run(self):
        return subprocess.run([self.folder / "Tools/require", "build"], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, env={**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"})

    def calls(self):
        """What was called, without apt's options."""
        return [" ".join(word for word in line.split() if not word.startswith("-") and "::" not in word)
                for line in self.log.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("suite, installed", [
    ("bookworm-backports", [f"{name}/bookworm-backports" for name in BACKPORTED]), ("", BACKPORTED),
])
def test_what_is_too_old_comes_from_the_backports_where_there_are_any(machine, suite, installed):
    machine.backports(f"echo {suite}")
    done = machine.run()
    assert done.returncode == 0, done.stdout + done.stderr
    update, plain, backports, backported = machine.calls()
    assert (update, backports) == ("update", "backports")
    assert "libgnutls28-dev" in plain.split() and not set(plain.split()) & set(BACKPORTED)
    assert backported.split() == ["install", *installed]


def test_where_there_are_no_backports_nothing_else_is_tried(machine):
    machine.backports("echo no such mirror >&2; exit 1")
    done = machine.run()
    assert done.returncode == 1 and "no such mirror" in done.stderr
    assert machine.calls()[-1] == "backports"


def test_a_machine_that_has_everything_is_left_alone(machine):
    (machine.folder / "installed").touch()
    done = machine.run()
    assert (done.returncode, machine.calls()) == (0, []), done.stderr


def test_who_is_not_root_is_told_what_to_run(machine):
    machine.program("bin/id", "echo 1000")
    done = machine.run()
    assert done.returncode == 1 and machine.calls() == []
    said = done.stderr[done.stderr.index("apt-get update"):]
    # It is a line for a shell, and does what root's run does.
    machine.program("bin/id", "echo 0")
    subprocess.run(["bash", "-c", said], check=True, timeout=60,
                   env={**os.environ, "PATH": f"{machine.folder}/bin:{os.environ['PATH']}"})
    update, plain, backports, backported = machine.calls()
    assert (update, backports) == ("update", "backports") and "libgnutls28-dev" in plain.split()
    assert backported.split() == ["install", *(f"{name}/bookworm-backports" for name in BACKPORTED)]
