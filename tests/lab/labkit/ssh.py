# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's ssh key, the hosts' keys, and the files a client needs to reach them by name."""

from __future__ import annotations

from .command import run
from .engine import docker
from .names import LAB_CACHE

FOLDER = LAB_CACHE / "ssh"
KEY = FOLDER / "id_ed25519"
KNOWN_HOSTS = FOLDER / "known_hosts"
CONFIG = LAB_CACHE / "ssh_config"


def ensure_key() -> None:
    """Make the lab's own key pair if it is missing."""
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not KEY.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "toucan-lab", "-f", str(KEY)])


def authorize(host: str) -> None:
    """Let the lab's key log in as root on ``host``."""
    public = KEY.with_suffix(".pub").read_text()
    write = "umask 077; mkdir -p /root/.ssh; cat > /root/.ssh/authorized_keys"
    run(["docker", "exec", "--interactive", host, "sh", "-c", write], stdin=public)


def write_client_files(addresses: dict[str, str]) -> None:
    """Write known_hosts and ssh_config for hosts ``addresses`` (name -> IP).

    The host keys are read through the engine, not over the network, so that strict checking means something.
    """
    known, config = [], []
    for host, address in addresses.items():
        copy = FOLDER / f"{host}.pub"
        docker("cp", f"{host}:/etc/ssh/ssh_host_ed25519_key.pub", str(copy))  # works for a stopped host too
        key = copy.read_text().split()
        known.append(f"{address},{host} {key[0]} {key[1]}\n")
        config.append(f"Host {host}\n  HostName {address}\n")
    KNOWN_HOSTS.write_text("".join(known))
    config.append(
        f"Host *\n  User root\n  IdentityFile {KEY}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {KNOWN_HOSTS}\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n  BatchMode yes\n"
    )
    CONFIG.write_text("".join(config))


def answers(host: str) -> bool:
    """Whether a command can be run on ``host`` over ssh."""
    return run(["ssh", "-F", str(CONFIG), "-o", "ConnectTimeout=2", host, "true"], check=False).returncode == 0
