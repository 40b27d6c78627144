# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders are observed as they are, planned where they differ, and made with owner and mode."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.folders import Folder, make_folder, observe_folder, plan_folders

OWNER = (os.getuid(), os.getgid())


@pytest.mark.parametrize("mode", ["0750", "0700", "0755"])
def test_what_was_made_is_observed_and_needs_nothing(tmp_path: Path, mode: str) -> None:
    folder = Folder(str(tmp_path / "a" / "b"), OWNER, mode)
    make_folder(folder)
    assert observe_folder(folder.path) == folder
    assert plan_folders([folder], {folder.path: observe_folder(folder.path)}) == []


def test_parents_are_made_with_the_usual_mode_and_the_umask_decides_nothing(tmp_path: Path) -> None:
    former = os.umask(0o077)
    try:
        make_folder(Folder(str(tmp_path / "a"), OWNER, "0755"))
    finally:
        os.umask(former)
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o755


def test_the_content_of_a_folder_survives_a_change_of_mode(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "a"), OWNER, "0755")
    make_folder(folder)
    (tmp_path / "a" / "file").write_text("data")
    make_folder(replace(folder, mode="0700"))
    assert ((tmp_path / "a" / "file").read_text(), (tmp_path / "a").stat().st_mode & 0o7777) == ("data", 0o700)


def test_no_folder_is_nothing(tmp_path: Path) -> None:
    assert observe_folder(str(tmp_path / "none")) is None


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Failure, match=f"{tmp_path}/file is no folder; move it away, or name another folder"):
        observe_folder(str(tmp_path / "file"))


def test_a_file_among_its_parents_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    below = str(tmp_path / "file" / "folder")
    with pytest.raises(Failure, match=f"Looking at {below} failed: Not a directory; correct its parent's owner and mode"):
        observe_folder(below)
    with pytest.raises(Failure, match=f"Making folder {below} failed: Not a directory; correct its parent's owner and mode"):
        make_folder(Folder(below, OWNER, "0755"))


def test_a_plan_makes_what_is_missing_and_sets_right_what_differs() -> None:
    missing, differing, right = (Folder(f"/srv/{name}", (0, 0), "0750") for name in ("missing", "differing", "right"))
    steps = plan_folders([missing, differing, right], {differing.path: replace(differing, owner=(1, 2), mode="0700"), right.path: right})
    assert [(step.id, step.action, step.before, step.after) for step in steps] == [
        ("folder:/srv/missing", "create", None, {"owner": "0:0", "mode": "0750"}),
        ("folder:/srv/differing", "update", {"owner": "1:2", "mode": "0700"}, {"owner": "0:0", "mode": "0750"}),
    ]
