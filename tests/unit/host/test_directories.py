# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders by the names of their owners."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.directories import DirectoriesEngine, Wanted, resolve
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.folders import Folder
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import execute


def test_what_is_not_wanted_stays_as_it_is() -> None:
    known = Folder("/a", (7, 8), "0700")
    assert resolve(Wanted("/a"), known) == known
    assert resolve(Wanted("/a", mode="755"), known) == Folder("/a", (7, 8), "0755")
    assert resolve(Wanted("/a", group="9"), known) == Folder("/a", (7, 9), "0700")


def test_a_new_folder_is_roots() -> None:
    assert resolve(Wanted("/a"), None) == Folder("/a", (0, 0), "0755")
    assert resolve(Wanted("/a", owner="root", group="root", mode="0750"), None) == Folder("/a", (0, 0), "0750")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted("/a", owner="no-such-user"), "The user no-such-user"),
        (Wanted("/a", group="no-such-group"), "The group no-such-group"),
        (Wanted("/a", mode="u=rwx"), "The mode u=rwx of /a is no octal number"),
        (Wanted("/a", mode="888"), "The mode 888"),
        (Wanted("/a", mode=0o770), r'The mode of /a came as 504 and not as text.*in quotes, such as "0750"'),
        (Wanted("/a", mode=0), "The mode of /a came as 0 and"),
    ],
)
def test_what_cannot_be_is_refused(wanted: Wanted, told: str) -> None:
    with pytest.raises(Failure, match=told):
        resolve(wanted, None)


def test_folders_are_made_once(tmp_path: Path) -> None:
    owner, group = str(os.getuid()), str(os.getgid())
    wanted = [Wanted(str(tmp_path / "a"), owner, group, "0750"), Wanted(str(tmp_path / "a" / "b"), owner, group)]
    checked = execute(DirectoriesEngine(wanted), check_mode=True)
    assert list(tmp_path.iterdir()) == []
    made = execute(DirectoriesEngine(wanted), check_mode=False)
    assert made["plan"] == checked["plan"]
    assert (tmp_path / "a" / "b").is_dir()
    assert not execute(DirectoriesEngine(wanted), check_mode=False)["changed"]
