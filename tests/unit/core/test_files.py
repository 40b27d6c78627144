# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are written whole or not at all, and each way that fails has its sentence."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any, Callable

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core import files
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.files import is_populated, json_bytes, read_bytes, read_json, write_atomic
from hypothesis import given
from hypothesis import strategies as st

OLD, NEW = b"old content\n", b"new content\n" * 10000
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)


def test_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(str(path), OLD, 0o600)
    write_atomic(str(path), NEW, 0o640)
    assert (path.read_bytes(), path.stat().st_mode & 0o7777, os.listdir(tmp_path)) == (NEW, 0o640, ["file"])


def test_owner_is_set(tmp_path: Path) -> None:
    wanted = (1234, 1235) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    write_atomic(str(tmp_path / "file"), OLD, owner=wanted)
    status = (tmp_path / "file").stat()
    assert (status.st_uid, status.st_gid) == wanted


def test_relative_path_is_written_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomic("file", OLD)
    assert (tmp_path / "file").read_bytes() == OLD


def test_content_is_never_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every step that touches the file, whoever may read it is whom the final mode lets."""
    seen: list[int] = []

    def watch(name: str) -> None:
        original: Callable[..., Any] = getattr(os, name)

        def watched(*arguments: Any) -> Any:
            result = original(*arguments)
            seen.extend(entry.stat().st_mode & 0o077 for entry in tmp_path.iterdir())
            return result

        monkeypatch.setattr(os, name, watched)

    for name in ("fchmod", "fsync", "replace"):
        watch(name)
    write_atomic(str(tmp_path / "secret"), OLD, 0o600)
    assert len(seen) >= 3 and set(seen) == {0}


@pytest.mark.parametrize("step", ["fchmod", "fchown", "fsync", "replace", "fsync of the folder"])
def test_crash_leaves_the_old_file_or_the_new_one(tmp_path: Path, step: str) -> None:
    """A process that dies before a step (or after the rename) leaves one of the two contents, whole."""
    path = tmp_path / "file"
    path.write_bytes(OLD)
    child = os.fork()
    if child == 0:
        die_at(step)
        write_atomic(str(path), NEW, owner=(os.geteuid(), os.getegid()))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert path.read_bytes() == (NEW if step == "fsync of the folder" else OLD)
    write_atomic(str(path), NEW)
    assert path.read_bytes() == NEW


def die_at(step: str) -> None:
    """Make this process end, as if killed, when it comes to ``step``."""

    def die(*arguments: Any) -> None:
        os._exit(42)

    if step == "fsync of the folder":
        files.sync_directory = die
    else:
        setattr(os, step, die)


@pytest.mark.parametrize("step", ["fchmod", "fsync", "replace"])
def test_full_disk_leaves_the_old_file_alone(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(Failure, match="Writing .*/file failed: No space left on device; free space there, correct its owner and mode"):
        write_atomic(str(path), NEW)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (OLD, ["file"])


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="Writing .*/none/file failed: No such file or directory; create its folder first"):
        write_atomic(str(tmp_path / "none" / "file"), OLD)


def test_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(Failure, match="Writing .*/file failed: Is a directory"):
        write_atomic(str(tmp_path / "file"), OLD)
    assert os.listdir(tmp_path) == ["file"]


@given(st.binary(max_size=1000))
def test_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = str(tmp_path_factory.mktemp("bytes") / "file")
    write_atomic(path, content)
    assert read_bytes(path) == content


def test_missing_file_is_nothing(tmp_path: Path) -> None:
    assert read_bytes(str(tmp_path / "none")) is None
    assert read_json(str(tmp_path / "none")) is None


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="Reading .* failed: Is a directory; correct its owner and mode, or run with `become: true`"):
        read_bytes(str(tmp_path))


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("json") / "file"
    path.write_bytes(json_bytes(value))
    assert read_json(str(path)) == value
    assert json.loads(path.read_bytes()) == value and path.read_bytes().endswith(b"}\n")


def test_damaged_json(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"schema": ')
    with pytest.raises(Failure, match="file is not valid JSON: .*; restore the file from a backup or correct it by hand"):
        read_json(str(tmp_path / "file"))


def test_json_that_is_no_object(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("[]")
    with pytest.raises(Failure, match="file holds no JSON object; restore the file"):
        read_json(str(tmp_path / "file"))


def test_folder_with_content(tmp_path: Path) -> None:
    assert not is_populated(str(tmp_path / "none"))
    assert not is_populated(str(tmp_path))
    (tmp_path / "lost+found").mkdir()
    assert not is_populated(str(tmp_path))
    (tmp_path / ".hidden").touch()
    assert is_populated(str(tmp_path))


def test_file_where_a_folder_is_expected(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="file is no folder; move it away"):
        is_populated(str(tmp_path / "file"))
