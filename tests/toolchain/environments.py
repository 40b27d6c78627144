# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual environments, one for each file of `tests/requirements`, kept under the hash of that file."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import interpreters
from .places import CACHE, ENVIRONMENTS, LOGS, REQUIREMENTS, ROOT, link_collection, replace_link
from .processes import run

INSTALL_SECONDS = 900.0


class ToolchainError(Exception):
    """Something that the tests need could not be set up; the message says what, and what to do."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment: the name of its requirements file, and the Python versions that fit, best first."""

    name: str
    versions: tuple[str, ...]

    @property
    def requirements(self) -> Path:
        """The file with the pinned packages."""
        return REQUIREMENTS / f"{self.name}.txt"

    @staticmethod
    def core(folder: Path) -> str:
        """Return the version of ansible-core that was installed into the environment's folder."""
        installed = next(folder.glob("lib/python3.*/site-packages/ansible_core-*.dist-info"))
        return installed.name[len("ansible_core-") : -len(".dist-info")]

    def missing(self) -> str | None:
        """Return why this machine cannot have the environment, or None where it can."""
        if interpreters.find(self.versions):
            return None
        return f"no Python {' or '.join(self.versions)} with venv on this machine"


MAIN = Environment("main", ("3.11", "3.12", "3.13", "3.14"))
LINT = Environment("lint", ("3.13", "3.12", "3.11", "3.14"))
GALAXY = Environment("galaxy", ("3.11",))
CORE_2_16 = Environment("core-2.16", ("3.11", "3.12"))
CORE_2_21 = Environment("core-2.21", ("3.13", "3.12", "3.14"))
MANAGED = Environment("managed-3.9", ("3.9",))
STANDINS = Environment("standins", MAIN.versions)


def ensure(environment: Environment) -> Path:
    """Create the environment unless it stands already; return its folder.

    Raises ToolchainError where no interpreter fits or an installation failed.
    """
    interpreter = interpreters.find(environment.versions)
    if interpreter is None:
        raise ToolchainError(f"Cannot create the environment {environment.name}: {environment.missing()}; install one and run again.")
    digest = hashlib.sha256(environment.requirements.read_bytes() + os.fsencode(interpreter)).hexdigest()[:12]
    folder = ENVIRONMENTS / f"{environment.name}-{digest}"
    with lock():
        if not complete(folder).exists():
            create(environment, interpreter, folder)
        remove_older(environment, folder)
    return folder


def complete(folder: Path) -> Path:
    """Return the file that is written last: an environment without it was interrupted."""
    return folder / ".complete"


def create(environment: Environment, interpreter: Path, folder: Path) -> None:
    """Create the environment anew and install its packages."""
    print(f"Creating the environment {environment.name} with {interpreter} ...", flush=True)
    log = LOGS / f"environment-{environment.name}.log"
    log.unlink(missing_ok=True)
    steps: tuple[list[str | Path], ...] = (
        [interpreter, "-m", "venv", "--clear", folder],
        [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", environment.requirements],
        [folder / "bin" / "pip", "check", "--disable-pip-version-check"],
    )
    for step in steps:
        if run(step, log, cwd=ROOT, seconds=INSTALL_SECONDS) != 0:
            raise ToolchainError(f"Installing {environment.requirements.relative_to(ROOT)} failed; the reason stands in {log}.")
    complete(folder).touch()


def remove_older(environment: Environment, folder: Path) -> None:
    """Remove what earlier requirements of the same environment left."""
    for old in ENVIRONMENTS.glob(f"{environment.name}-" + "[0-9a-f]" * 12):
        if old != folder:
            shutil.rmtree(old)


def set_up_main() -> Path:
    """Make `.cache/venv` the main environment and the checkout a collection; return the environment's folder."""
    install_venv_package()
    folder = ensure(MAIN)
    replace_link(CACHE / "venv", folder)
    link_collection()
    return folder


def install_venv_package() -> None:
    """Install Debian's `python3-venv` where a fresh machine has a fitting Python but cannot create environments."""
    if interpreters.find(MAIN.versions) or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    log = LOGS / "environment-python3-venv.log"
    for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "python3-venv"]):
        if run(["apt-get", *words], log, cwd=ROOT, seconds=INSTALL_SECONDS, environment={"DEBIAN_FRONTEND": "noninteractive"}) != 0:
            raise ToolchainError(f"Installing python3-venv by apt-get failed; the reason stands in {log}.")
    interpreters.find_version.cache_clear()


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Keep a second run from building the same environment at the same time."""
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (ENVIRONMENTS / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
