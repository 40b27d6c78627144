# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collection awx.awx, kept beside the environments under the hash of its requirement."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from .environments import ToolchainError, lock
from .places import ENVIRONMENTS, LOGS, REQUIREMENTS, ROOT
from .processes import run

REQUIREMENT = REQUIREMENTS / "awx.txt"
MEMBERS = "ansible_collections/awx/awx/"
DOWNLOAD_SECONDS = 600.0


def ensure_awx_collection() -> Path:
    """Have awx.awx unpacked; return the folder that a collections path would name.

    Raises ToolchainError where the bundle cannot be downloaded.
    """
    folder = ENVIRONMENTS / f"awx-{hashlib.sha256(REQUIREMENT.read_bytes()).hexdigest()[:12]}"
    with lock():
        if not folder.exists():
            for old in ENVIRONMENTS.glob("awx-*"):
                shutil.rmtree(old)
            with tempfile.TemporaryDirectory(dir=ENVIRONMENTS) as scratch:
                unpack(download(Path(scratch)), Path(scratch) / "unpacked")
                (Path(scratch) / "unpacked").rename(folder)
    return folder


def download(folder: Path) -> Path:
    """Download the bundle into `folder`; pip compares its hash. Return the file."""
    log = LOGS / "awx-collection.log"
    command: list[str | Path] = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    options: list[str | Path] = ["--require-hashes", "--requirement", REQUIREMENT, "--dest", folder]
    if run([*command, *options], log, cwd=ROOT, seconds=DOWNLOAD_SECONDS) != 0:
        raise ToolchainError(f"Downloading {REQUIREMENT.relative_to(ROOT)} failed; the reason stands in {log}.")
    return next(folder.glob("*.whl"))


def unpack(bundle: Path, folder: Path) -> None:
    """Unpack awx.awx from the bundle, without its own tests."""
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(MEMBERS) and not name.startswith(f"{MEMBERS}test")])
