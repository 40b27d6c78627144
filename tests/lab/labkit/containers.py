# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers of the lab: what is there, and keeping one service of each kind running."""

from __future__ import annotations

from collections.abc import Sequence

from .command import run
from .engine import docker
from .names import LABEL, NETWORK


def ensure_network(subnet: str) -> None:
    """Create the lab's network if it is missing."""
    if run(["docker", "network", "inspect", NETWORK], check=False).returncode != 0:
        docker("network", "create", "--label", LABEL, "--subnet", subnet, NETWORK)


def ensure_service(container: str, kind: str, image: str, *options: str, command: Sequence[str] = ()) -> bool:
    """Have ``container`` run from ``image`` in the lab's network, anew if it ran from another.

    :param command: in the place of the image's own
    :returns: whether it was created now
    """
    if is_running(container) and image_of(container) == image:
        return False
    if exists(container):
        docker("rm", "--force", "--volumes", container)
    docker(
        "run", "--detach", "--init", "--name", container, "--hostname", kind, "--label", f"{LABEL}={kind}",
        "--network", NETWORK, *options, image, *command,
    )
    return True


def is_running(container: str) -> bool:
    """Whether ``container`` exists and runs."""
    return _inspect(container, "{{.State.Running}}") == "true"


def exists(container: str) -> bool:
    """Whether ``container`` exists."""
    return _inspect(container, "{{.Id}}") != ""


def image_of(container: str) -> str:
    """Name of the image that ``container`` was made from; empty if there is no such container."""
    return _inspect(container, "{{.Config.Image}}")


def _inspect(container: str, template: str) -> str:
    return run(["docker", "container", "inspect", "--format", template, container], check=False).stdout.strip()
