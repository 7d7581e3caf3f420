"""Programs that the tests need and `Tools/require test` installs: where one is missing, the tests that need it fail."""

from __future__ import annotations

import os
import platform
import shutil


def program(*names: str) -> str:
    """The path of the first of these programs that is there."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    found = next((where for where in (shutil.which(name, path=path) for name in names) if where), None)
    assert found, f"{names[0]} is missing: `Tools/require test` installs it"
    return found


def library(package: str, below: str) -> str:
    """The path of a library of Debian's package, below the folder of this machine's libraries."""
    found = f"/usr/lib/{platform.machine()}-linux-gnu/{below}"
    assert os.path.exists(found), f"{found} is missing: `Tools/require test` installs {package}"
    return found
