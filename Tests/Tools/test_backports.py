"""Tools/backports: where Debian 12 gets its backports from, and what it says when it cannot. By the real apt, with sources
and mirrors in a folder of the test; nothing of this machine is read or changed."""
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITE = "bookworm-backports"

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt on this machine")


def make_suite(mirror, name, origin="Debian"):
    """A suite of a mirror, with one package in it: apt passes over lists of none."""
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    folder = mirror / "dists" / name
    packages = folder / f"main/binary-{architecture}/Packages"
    packages.parent.mkdir(parents=True)
    listed = (f"Package: beast\nVersion: 1\nArchitecture: {architecture}\nMaintainer: Nobody <nobody@a.test>\n"
              f"Filename: beast.deb\nSize: 1\nSHA256: {'0' * 64}\nDescription: none\n\n")
    packages.write_text(listed)
    (folder / "Release").write_text(
        f"Origin: {origin}\nLabel: {origin}\nSuite: {name}\nCodename: {name}\nArchitectures: {architecture}\n"
        f"Components: main\nDate: Sat, 22 Nov 2025 00:00:00 UTC\nSHA256:\n"
        f" {hashlib.sha256(listed.encode()).hexdigest()} {len(listed)} main/binary-{architecture}/Packages\n")


class Machine:
    """Sources of packages, and a mirror `debian` that has Debian 12."""

    def __init__(self, folder):
        self.folder, self.etc = folder, folder / "etc"
        self.parts = self.etc / "sources.list.d"
        self.parts.mkdir(parents=True)
        for name in ("apt.conf.d", "preferences.d", "trusted.gpg.d"):
            (self.etc / name).mkdir()
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "status").write_text("")
        (folder / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
        (folder / "apt.conf").write_text(
            f'Dir::Etc "{self.etc}";\nDir::State "{folder}";\nDir::State::status "{folder}/status";\n'
            f'Dir::Cache "{folder}/cache";\nAcquire::Check-Valid-Until "false";\nAPT::Sandbox::User "";\n'
            '#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n')
        self.mirror = folder / "debian"
        make_suite(self.mirror, "bookworm")
        self.uri = f"file:{self.mirror}"

    def source(self, name, text):
        (self.parts / name).write_text(text.replace("MIRROR", self.uri))

    def added(self):
        return [p for p in self.parts.iterdir() if p.name.startswith("chimera")]

    def run(self):
        return subprocess.run(
            [ROOT / "Tools/backports"], capture_output=True, text=True, timeout=60,
            env={**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "OS_RELEASE": str(self.folder / "os-release")})


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    make_suite(made.mirror, SUITE, origin="Debian Backports")
    return made


ONE_LINE = "deb [trusted=yes] MIRROR bookworm main\n"
STANZA = "Types: deb\nURIs: MIRROR\nSuites: bookworm bookworm-updates\nComponents: main\nTrusted: yes\n"


def test_a_line_is_copied_with_its_options(machine):
    machine.source("debian.list", "# deb MIRROR bookworm main\ndeb-src [trusted=yes] MIRROR bookworm main\n"
                   "deb [ arch=amd64,arm64 trusted=yes ] MIRROR/ bookworm main contrib # the mirror\n")
    done = machine.run()
    assert (done.returncode, done.stdout) == (0, f"{SUITE}\n"), done.stderr
    [added] = machine.added()
    assert added.name == "chimera-backports.list" and added.stat().st_mode & 0o777 == 0o644
    assert added.read_text().splitlines()[1:] == [f"deb [ arch=amd64,arm64 trusted=yes ] {machine.uri}/ {SUITE} main"]
    assert str(machine.parts / "debian.list") in done.stderr and machine.uri in done.stderr


def test_a_stanza_is_copied_with_its_key(machine):
    key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEX\n -----END PGP PUBLIC KEY BLOCK-----\n"
    make_suite(machine.mirror, "bookworm-updates")
    machine.source("debian.sources",
                   "Enabled: no\n" + STANZA.replace("MIRROR\n", "http://off.invalid/\n") + "\n# one more\n# comment\n"
                   + STANZA + key + "\nTypes: deb\nURIs: MIRROR\nSuites: bookworm-security\nComponents: main\nEnabled: no\n")
    done = machine.run()
    assert (done.returncode, done.stdout) == (0, f"{SUITE}\n"), done.stderr
    [added] = machine.added()
    assert added.name == "chimera-backports.sources"
    assert added.read_text().split("\n", 1)[1] == (
        f"Types: deb\nSuites: {SUITE}\nComponents: main\nURIs: {machine.uri}\nTrusted: yes\n{key}")


def test_the_second_time_nothing_is_done(machine):
    machine.source("debian.sources", STANZA.replace(" bookworm-updates", ""))
    assert machine.run().returncode == 0
    before = {p: p.stat().st_mtime_ns for p in machine.parts.iterdir()}
    done = machine.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{SUITE}\n", "")
    assert {p: p.stat().st_mtime_ns for p in machine.parts.iterdir()} == before


def test_a_machine_that_has_the_suite_keeps_its_sources(machine):
    machine.source("debian.list", ONE_LINE + f"deb [trusted=yes] MIRROR {SUITE} main\n")
    # Once without lists of packages, as in a fresh image, and once with them.
    for _ in range(2):
        done = machine.run()
        assert (done.returncode, done.stdout) == (0, f"{SUITE}\n"), done.stderr
        assert machine.added() == []


def test_other_peoples_packages_are_no_mirror_of_debian(machine):
    other = machine.folder / "a-vendor"
    make_suite(other, "bookworm", origin="Vendor")
    machine.source("a-vendor.list", f"deb [trusted=yes] file:{other} bookworm main\n")
    machine.source("debian.list", ONE_LINE)
    assert machine.run().returncode == 0
    [added] = machine.added()
    assert "a-vendor" not in added.read_text()


def test_a_mirror_without_the_suite_is_named_and_no_source_stays(machine):
    shutil.rmtree(machine.mirror / "dists" / SUITE)
    machine.source("debian.list", ONE_LINE)
    done = machine.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{machine.uri}/ does not offer {SUITE}" in done.stderr
    assert "deb http://deb.debian.org/debian bookworm-backports main" in done.stderr
    assert machine.added() == []


def test_a_machine_without_a_mirror_is_told(machine):
    done = machine.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert "No source of this machine is a mirror of Debian 12 that can be reached" in done.stderr


@pytest.mark.parametrize("release", ["ID=debian\nVERSION_CODENAME=trixie\n", "ID=arch\n"])
def test_another_release_needs_nothing(machine, release):
    (machine.folder / "os-release").write_text(release)
    done = machine.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
