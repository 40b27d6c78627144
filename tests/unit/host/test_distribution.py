# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package that goes to managed hosts: the same bytes from the same files, and nothing else accepted."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.distribution import (
    PACKAGE,
    content_hash,
    pack,
    package_files,
    unpack,
    write_package,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from hypothesis import given
from hypothesis import strategies as st

from toolchain.places import ROOT

LIBRARY = ROOT / "plugins" / "module_utils"
NAMES = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}\.py", fullmatch=True).map(f"{PACKAGE}/".__add__)


@pytest.fixture
def files() -> dict[str, bytes]:
    return package_files(LIBRARY, "1.2.3")


def test_packages_go_in_and_what_imports_from_ansible_stays_out(files: dict[str, bytes]) -> None:
    assert f"{PACKAGE}/core/plan.py" in files
    assert f"{PACKAGE}/contract/routes.py" in files
    assert f"{PACKAGE}/toucan_module.py" not in files
    assert [name for name, content in files.items() if b"from ansible" in content or b"import ansible" in content] == []


def test_the_version_can_be_read_where_the_package_is_installed(files: dict[str, bytes], tmp_path: Path) -> None:
    write_package(files, str(tmp_path / "place"))
    code = f"import {PACKAGE}, {PACKAGE}.core.state as state; print({PACKAGE}.__version__, state.SCHEMA)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "place", stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"1.2.3", b"1"]


@given(st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=5))
def test_packing_is_deterministic_and_loses_nothing(tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes]) -> None:
    assert pack(content) == pack(dict(reversed(content.items())))
    path = tmp_path_factory.mktemp("archive") / "package.zip"
    path.write_bytes(pack(content))
    assert unpack(str(path), content_hash(content)) == content


def test_the_hash_tells_names_and_contents_apart() -> None:
    hashes = {content_hash(files) for files in ({"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b"1"})}
    assert len(hashes) == 4


def test_another_archive_than_the_one_announced_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(pack({f"{PACKAGE}/a.py": b"1"}))
    with pytest.raises(Failure, match="not the one that the controller built"):
        unpack(str(path), content_hash({f"{PACKAGE}/a.py": b"2"}))


@pytest.mark.parametrize("name", [f"{PACKAGE}/../../evil.py", "evil.py", f"{PACKAGE}/evil.so", f"/{PACKAGE}/evil.py"])
def test_a_place_outside_the_package_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"1")
    with pytest.raises(Failure, match="not the one that the controller built"):
        unpack(str(path), content_hash({name: b"1"}))


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(Failure, match="Reading the package archive"):
        unpack(str(path), "")
