# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker Engine of this machine: found, or installed and started by hand, and stopped again if it is ours."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .command import LabError, output, run, run_logged, say, wait_for
from .names import LAB_CACHE

PACKAGES_OF_TOOLS = {
    "dockerd": ("docker.io", "iptables"),
    "docker": ("docker.io", "docker-cli"),
    "mmdebstrap": ("mmdebstrap", "debian-archive-keyring"),
    "openssl": ("openssl",),
    "ssh": ("openssh-client",),
    "ssh-keygen": ("openssh-client",),
}
"""Program -> Debian or Ubuntu packages it may come from (those the distribution lacks are left out)."""

PID_FILE = LAB_CACHE / "dockerd.pid"
LOG_FILE = LAB_CACHE / "dockerd.log"


def docker(*arguments: str, **options: object) -> str:
    """Standard output of ``docker ARGUMENTS``; options and errors as :func:`command.run`."""
    return output(["docker", *arguments], **options)


def answers() -> bool:
    """Whether a Docker Engine answers."""
    return shutil.which("docker") is not None and run(["docker", "version"], check=False, timeout=60).returncode == 0


def is_ours() -> bool:
    """Whether the running engine is the one the lab started."""
    pid = _recorded_pid()
    return pid is not None and _command_name(pid) == "dockerd"


def ensure() -> None:
    """Make sure of an engine and of the programs the lab needs, installing and starting what is missing."""
    needed = ["docker", "mmdebstrap", "openssl", "ssh", "ssh-keygen"]
    if not answers():
        needed.append("dockerd")
    install_missing(needed)
    if not answers():
        start()


def install_missing(programs: Sequence[str]) -> None:
    """Install the packages of those ``programs`` that are not on PATH."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise LabError(f"The lab needs {', '.join(missing)}: install them, or run as root on Debian or Ubuntu.")
    log = LAB_CACHE / "logs" / "apt.log"
    say(f"installing what provides {', '.join(missing)}")
    run_logged(["apt-get", "update", "-q"], log)
    candidates = sorted({package for program in missing for package in PACKAGES_OF_TOOLS[program]})
    packages = [package for package in candidates if _is_available(package)]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_logged(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], log, env=environment)
    still = [program for program in missing if shutil.which(program) is None]
    if still:
        raise LabError(f"Installed {', '.join(packages)}, but {', '.join(still)} is still not on PATH; see {log}.")


def start() -> None:
    """Start ``dockerd`` in the background and wait until it answers."""
    say("starting dockerd")
    LAB_CACHE.mkdir(parents=True, exist_ok=True)
    # A pid file left by a killed engine keeps the next one from starting.
    stale = Path("/var/run/docker.pid")
    if stale.exists() and not _is_alive_engine(stale):
        stale.unlink()
    with LOG_FILE.open("ab") as log:
        process = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )
    PID_FILE.write_text(f"{process.pid}\n")

    def up() -> bool:
        if process.poll() is not None:
            raise LabError(f"dockerd ended with {process.returncode}; see {LOG_FILE}.")
        return answers()

    wait_for(f"dockerd (log: {LOG_FILE})", up, seconds=90)


def stop() -> None:
    """Stop the engine if the lab started it; one that was there before stays."""
    pid = _recorded_pid()
    if pid is None or not is_ours():
        say("the engine was not started by the lab: it stays")
        return
    os.kill(pid, signal.SIGTERM)
    wait_for("the end of dockerd", lambda: not is_ours(), seconds=60)
    PID_FILE.unlink()
    say("dockerd stopped")


def cgroup_version() -> int:
    """1 or 2: which control groups the engine (and so every lab host) has."""
    return int(docker("info", "--format", "{{.CgroupVersion}}"))


def _is_available(package: str) -> bool:
    return "Candidate: (none)" not in (policy := output(["apt-cache", "policy", package])) and policy != ""


def _recorded_pid() -> int | None:
    try:
        return int(PID_FILE.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _is_alive_engine(pid_file: Path) -> bool:
    try:
        return _command_name(int(pid_file.read_text())) == "dockerd"
    except ValueError:
        return False


def _command_name(pid: int) -> str | None:
    """Name of the live process ``pid``; None if there is none, or only its unreaped remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, dummy, rest = stat.partition("(")[2].rpartition(")")
    return None if rest.split()[0] == "Z" else name
