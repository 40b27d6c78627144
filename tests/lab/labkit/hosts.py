# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lab hosts: containers that boot systemd and sshd, reached over ssh as any other machine."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from pathlib import Path

from . import ssh
from .command import LabError, run, say, wait_for
from .containers import exists, is_running
from .engine import docker
from .names import DNS_IP, LABEL, MAX_HOSTS, NETWORK, host_ip, host_names

# Every capability but those that reach the machine itself: resource limits (this kind of machine lacks that one), the
# clock, kernel modules, raw ports and the kernel's log. `--privileged` would keep them.
_SANDBOX = (
    "--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--cap-drop", "SYS_TIME", "--cap-drop", "SYS_MODULE",
    "--cap-drop", "SYS_RAWIO", "--cap-drop", "SYSLOG",
    "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
    "--device-cgroup-rule", "a *:* rwm", "--cgroupns=private",
    "--tmpfs", "/run:exec,mode=755", "--tmpfs", "/tmp:exec,mode=1777", "--stop-signal", "SIGRTMIN+3",
)

SHARED_VOLUME = "toucan-lab-shared"
"""Mounted in every host, as a file server's export is; what hosts put there outlives them until the lab goes down."""
SHARED_FOLDER = "/srv/shared"
UNSHARED_FOLDER = "/srv/alone"


def names() -> list[str]:
    """Names of the lab's hosts, running or not, in order of their numbers."""
    listed = docker("ps", "--all", "--filter", f"label={LABEL}=host", "--format", "{{.Names}}").split()
    return sorted(listed, key=number_of)


def number_of(host: str) -> int:
    """7 for ``host7``.

    :raises LabError: for a name of another form.
    """
    if not host.startswith("host") or not host[4:].isdecimal() or not 1 <= int(host[4:]) <= MAX_HOSTS:
        raise LabError(f"{host!r} is no lab host: they are called host1 to host{MAX_HOSTS}.")
    return int(host[4:])


def ensure(wanted: Iterable[str], image: str) -> None:
    """Start those of hosts ``wanted`` that do not run (new ones from ``image``) and wait until all answer over ssh."""
    started = list(wanted)
    for host in started:
        if not exists(host):
            _create(host, image)
        if not is_running(host):
            docker("start", host)
    for host in started:
        _wait_until_booted(host)
        ssh.authorize(host)
    ssh.write_client_files({host: host_ip(number_of(host)) for host in names()})
    for host in started:
        wait_for(f"ssh of {host}", functools.partial(ssh.answers, host), seconds=30)


def remove(hosts: Iterable[str]) -> None:
    """Remove ``hosts`` with all their data."""
    removed = list(hosts)
    if removed:
        docker("rm", "--force", "--volumes", *removed)
        docker("volume", "rm", "--force", *map(_docker_volume, removed))


def prepare_image(base: str, script: Path, target: str) -> None:
    """Boot a host from image ``base``, run ``script`` in it, and keep the result as image ``target``."""
    container = "toucan-lab-prepare"
    remove([container] if exists(container) else [])
    try:
        docker(
            "run", "--detach", "--name", container, "--hostname", "prepare", "--label", f"{LABEL}=prepare", *_SANDBOX,
            "--volume", f"{_docker_volume(container)}:/var/lib/docker", base,
        )
        _wait_until_booted(container)
        run(["docker", "exec", "--interactive", container, "sh", "-s"], stdin=script.read_text(), timeout=900)
        docker("stop", "--time", "30", container)
        docker("commit", container, target)
    finally:
        remove([container] if exists(container) else [])


def _create(host: str, image: str) -> None:
    docker("volume", "create", "--label", LABEL, SHARED_VOLUME)
    docker(
        "run", "--detach", "--name", host, "--hostname", host, "--label", f"{LABEL}=host",
        "--network", NETWORK, "--ip", host_ip(number_of(host)), "--dns", DNS_IP, "--env", f"LAB_DNS={DNS_IP}",
        *itertools.chain.from_iterable(("--network-alias", alias) for alias in host_names(host)),
        # A host that reboots itself comes back; one that cannot boot does not try for ever.
        "--restart", "on-failure:3", *_SANDBOX, "--volume", f"{_docker_volume(host)}:/var/lib/docker",
        # One folder that all hosts have in common, and one mounted at the same place in all, which they have not.
        "--volume", f"{SHARED_VOLUME}:{SHARED_FOLDER}", "--volume", UNSHARED_FOLDER, image,
    )


def _wait_until_booted(host: str) -> None:
    def booted() -> bool:
        if not is_running(host):
            raise LabError(f"{host} ended while booting; `docker logs {host}` says why.")
        shown = run(["docker", "exec", host, "systemctl", "is-system-running"], check=False).stdout.strip()
        if shown == "degraded":
            failed = run(["docker", "exec", host, "systemctl", "--failed", "--no-legend", "--plain"], check=False).stdout
            say(f"{host} runs with failed units: {' '.join(line.split()[0] for line in failed.splitlines())}")
        return shown in ("running", "degraded")

    wait_for(f"systemd in {host} (`docker exec {host} systemctl list-jobs` tells)", booted, seconds=90)


def _docker_volume(host: str) -> str:
    return f"{host if host.startswith(NETWORK) else f'{NETWORK}-{host}'}-docker"
