# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find Python interpreters by version: real ones, never the shims of a version manager."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

# Prints the real path of the interpreter; fails where it cannot create an environment (Debian ships `venv` apart).
PROBE = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"


def find(versions: Sequence[str]) -> Path | None:
    """Return the first interpreter of `versions` (such as `["3.13", "3.12"]`) that can create environments, or None."""
    for version in versions:
        interpreter = find_version(version)
        if interpreter:
            return interpreter
    return None


@functools.cache
def find_version(version: str) -> Path | None:
    """Return a real interpreter of exactly this minor version that can create environments, or None."""
    for candidate in candidates(version):
        interpreter = probe(candidate, version)
        if interpreter:
            return interpreter
    return None


def candidates(version: str) -> Iterator[Path]:
    """Yield the places where `pythonVERSION` may stand, those of version managers (real files) before those on PATH."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local" / "share" / "uv" / "python")
    for root in (pyenv / "versions", uv):
        yield from sorted(root.glob(f"*/bin/python{version}"))
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)


def probe(candidate: Path, version: str) -> Path | None:
    """Return the real interpreter behind `candidate` where it is of this version and usable, else None."""
    try:
        answer = subprocess.run(
            [str(candidate), "-I", "-c", PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return None
    found, executable = answer.stdout.decode().split("\n")[:2]
    return Path(executable) if found == version else None


def path_with_real_interpreters(first: Path) -> str:
    """Return a PATH that starts with `first` and the folders of every real interpreter.

    ansible-test looks interpreters up by name, and a version manager's shim answers for versions it cannot run.
    """
    found = (find_version(f"3.{minor}") for minor in range(8, 16))
    folders = [str(first), *(str(interpreter.parent) for interpreter in found if interpreter)]
    inherited = [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(folder).name != "shims"]
    return os.pathsep.join(dict.fromkeys(folders + inherited))
