# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of the collection away from the checkout: as a tree for ansible-test, and as a built archive."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .environments import ToolchainError
from .places import CACHE, LOGS, ROOT, source_files
from .processes import run

BUILD = CACHE / "build"
BUILD_SECONDS = 120.0


def copy_tree(parent: Path) -> Path:
    """Copy the collection to `parent/ansible_collections/toucan/selfhosted`, anew, and return that folder.

    ansible-test refuses a collection that it reaches through a link, and would look at `.cache` in the checkout.
    """
    target = parent / "ansible_collections" / "toucan" / "selfhosted"
    shutil.rmtree(target, ignore_errors=True)
    for path in source_files():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target / path, follow_symlinks=False)
    return target


def build(environment: Path, log: Path) -> Path:
    """Build the collection's archive with the environment's ansible-galaxy into `.cache/build`; return the archive."""
    tree = copy_tree(BUILD / "tree")
    for old in BUILD.glob("*.tar.gz"):
        old.unlink()
    command: list[str | Path] = [environment / "bin" / "ansible-galaxy", "collection", "build", "--output-path", BUILD]
    if run(command, log, cwd=tree, seconds=BUILD_SECONDS, environment=settings(environment)) != 0:
        raise ToolchainError(f"Building the collection failed; the reason stands in {log}.")
    return next(BUILD.glob("*.tar.gz"))


def empty_settings() -> Path:
    """Return a settings file of Ansible that sets nothing (the null device will not do: Ansible judges by the name)."""
    LOGS.mkdir(parents=True, exist_ok=True)
    file = LOGS / "empty.cfg"
    file.touch()
    return file


def settings(environment: Path) -> dict[str, str]:
    """Return the variables that make the tools of `environment` find each other and no developer's own settings."""
    return {
        "PATH": os.pathsep.join([str(environment / "bin"), os.environ.get("PATH", os.defpath)]),
        "ANSIBLE_CONFIG": str(empty_settings()),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
    }
