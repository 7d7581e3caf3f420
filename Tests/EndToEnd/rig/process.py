"""What /proc says of a process."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class Vitals:
    """Memory, descriptors and threads of a process, in bytes and counts."""

    def __init__(self, pid: int):
        self.pid = pid
        self._proc = Path("/proc") / str(pid)

    def _status(self, key: str) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise AssertionError(f"no {key} in /proc/{self.pid}/status")

    @property
    def resident(self) -> int:
        """Resident memory in bytes."""
        return self._status("VmRSS") * 1024

    @property
    def resident_peak(self) -> int:
        return self._status("VmHWM") * 1024

    @property
    def threads(self) -> int:
        return self._status("Threads")

    @property
    def descriptors(self) -> int:
        return len(os.listdir(self._proc / "fd"))

    @property
    def cpu_ticks(self) -> int:
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


class PeakMemory:
    """Samples the resident memory while it is open: `with PeakMemory(vitals) as peak: …; peak.bytes`."""

    def __init__(self, vitals: Vitals, every: float = 0.02):
        self.vitals, self.every = vitals, every
        self.bytes = 0
        self._done = threading.Event()

    def __enter__(self) -> "PeakMemory":
        self.before = self.bytes = self.vitals.resident
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._done.wait(self.every):
            try:
                self.bytes = max(self.bytes, self.vitals.resident)
            except (OSError, AssertionError):
                return

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()
        try:
            self.bytes = max(self.bytes, self.vitals.resident)
        except (OSError, AssertionError):
            pass


MiB = 1 << 20
