# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things stand in a checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
LOGS = CACHE / "test"
ENVIRONMENTS = CACHE / "environments"
REQUIREMENTS = ROOT / "tests" / "requirements"

#: Where Ansible finds the checkout as the collection `toucan.selfhosted`.
COLLECTION_LINK = CACHE / "ansible_collections" / "toucan" / "selfhosted"


def link_collection() -> None:
    """Make the checkout answer as `toucan.selfhosted` for whoever has `.cache` in its collections path."""
    replace_link(COLLECTION_LINK, ROOT)


def replace_link(link: Path, target: Path) -> None:
    """Point the symbolic link `link` at `target` by a relative path, in one step, so that nobody ever sees it missing."""
    link.parent.mkdir(parents=True, exist_ok=True)
    wanted = os.path.relpath(target, link.parent)
    if link.is_symlink() and os.readlink(link) == wanted:
        return
    fresh = link.with_name(f"{link.name}.{os.getpid()}")
    fresh.symlink_to(wanted)
    fresh.replace(link)


def source_files() -> list[Path]:
    """Return the files of the checkout that Git knows or would add, relative to `ROOT`, without those deleted from disk."""
    # A checkout that belongs to another user is normal for a build machine's root.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, stdin=subprocess.DEVNULL)
    paths = [Path(os.fsdecode(name)) for name in listing.stdout.split(b"\0") if name]
    return [path for path in paths if os.path.lexists(ROOT / path)]
