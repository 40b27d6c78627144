# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free space is asked where something is to be written, and what shares a file system shares its room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core import space
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure


def test_a_folder_that_is_not_there_yet_is_asked_for_by_its_parent(tmp_path: Path) -> None:
    free = space.free_bytes(str(tmp_path / "a" / "b"))
    assert abs(free - shutil.disk_usage(tmp_path).free) < 0.2 * shutil.disk_usage(tmp_path).total
    assert not (tmp_path / "a").exists()


def test_there_is_room_for_a_little(tmp_path: Path) -> None:
    space.require_space({str(tmp_path): 1, str(tmp_path / "a"): 1}, reserve=0)


def test_needs_on_one_file_system_are_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(space, "free_bytes", lambda path: 100_000_000)
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    space.require_space({one: 50_000_000, other: 40_000_000}, reserve=10_000_000)
    with pytest.raises(Failure) as caught:
        space.require_space({one: 50_000_000, other: 40_000_001}, reserve=10_000_000)
    assert str(caught.value) == (
        f"{one} and {other} need 90 MB, and 10 MB are to stay free, but only 100 MB are free there; free space there, or name a place on a larger file system."
    )


def test_a_file_system_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(path: str) -> os.statvfs_result:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "statvfs", broken)
    with pytest.raises(Failure, match="Asking for the free space .* failed: Input/output error"):
        space.free_bytes(str(tmp_path))
