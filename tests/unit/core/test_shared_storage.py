# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder is shared when what one host writes is read and renamed by another, and that is seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.shared_storage import clear, read_and_rename, see_and_clear, write


def test_a_shared_folder_is_proven_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("data")
    token = write(str(tmp_path), ["b", "c"])
    for host in ("b", "c"):
        read_and_rename(str(tmp_path), token, host, "a", patience=0)
    see_and_clear(str(tmp_path), token, ["b", "c"], patience=0)
    assert os.listdir(tmp_path) == ["data"]


def test_two_folders_are_not_one(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    token = write(str(first), ["b"])
    with pytest.raises(Failure, match=f"The storage folder {second} is not shared: what a wrote there is not seen here; mount one file system there"):
        read_and_rename(str(second), token, "b", "a", patience=0)
    with pytest.raises(Failure, match=f"The storage folder {first} is not shared: what b renamed there is not seen here"):
        see_and_clear(str(first), token, ["b"], patience=0)
    assert (os.listdir(first), os.listdir(second)) == ([], [])


def test_a_file_of_another_proof_is_none_of_this_one(tmp_path: Path) -> None:
    other = write(str(tmp_path), ["b"])
    token = write(str(tmp_path), ["b"])
    clear(str(tmp_path), token)
    (left,) = os.listdir(tmp_path)
    assert other in left
    with pytest.raises(Failure, match="is not seen here"):
        read_and_rename(str(tmp_path), token, "b", "a", patience=0)


def test_a_folder_that_is_not_there_cannot_be_shared(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(Failure, match=f"Writing into the storage folder {missing} failed: No such file or directory; mount one file system there"):
        write(missing, ["b"])
    with pytest.raises(Failure, match=f"Working in the shared storage folder {missing} failed: No such file or directory"):
        read_and_rename(missing, "0", "b", "a", patience=0)
