# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.info import dumps_info
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import proofs
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.directory import Dump

from ..dump import small_dump


@pytest.fixture(name="dump")
def _dump(tmp_path: Path) -> Dump:
    return small_dump.write(tmp_path)


def only(folder: Path, verify: str = "none") -> dict[str, Any]:
    (found,) = dumps_info(str(folder), [], verify)
    return found


@pytest.mark.parametrize("verify", ["none", "checksums", "structure"])
def test_a_sound_dump_is_told_as_it_is(tmp_path: Path, dump: Dump, verify: str) -> None:
    found = only(tmp_path, verify)
    assert (found["name"], found["kind"], found["problems"], found["encrypted"]) == (dump.name, "app", [], False)
    assert (found["apps"], found["product"], found["consistency"]) == (["sales"], "v101.1.0", "hot")
    assert found["bytes"] == sum(Path(dump.path, name).stat().st_size for name in ("laputa_version", "mongodump.tar.gz", "storage.tar.gz"))


def test_damage_is_told_where_it_is_looked_for(tmp_path: Path, dump: Dump) -> None:
    Path(dump.path, "mongodump.tar.gz").write_bytes(b"no gzip")
    assert only(tmp_path)["problems"] == []
    assert "mongodump.tar.gz" in only(tmp_path, "checksums")["problems"][0]


def test_a_damaged_manifest_is_told_without_being_asked(tmp_path: Path, dump: Dump) -> None:
    Path(dump.path, "manifest.json").write_bytes(b"{")
    found = only(tmp_path)
    assert (found["kind"], found["apps"], found["begun"]) == ("ours", [], "")
    assert "manifest.json" in found["problems"][0]


def test_a_dump_of_the_vendors_is_read_without_a_manifest(tmp_path: Path, dump: Dump) -> None:
    Path(dump.path, "manifest.json").unlink()
    found = only(tmp_path, "checksums")
    assert (found["kind"], found["problems"], found["product"]) == ("vendor's", [], "v101.1.0")
    assert found["notes"]


def test_an_unfinished_dump_is_told_and_other_folders_are_not(tmp_path: Path, dump: Dump) -> None:
    Path(dump.path).rename(f"{dump.path}.partial")
    (tmp_path / "notes").mkdir()
    found = only(tmp_path, "structure")
    assert (found["kind"], found["problems"]) == ("partial", [])


def test_a_proof_counts_for_the_dump_as_it_is_now(tmp_path: Path, dump: Dump) -> None:
    assert only(tmp_path)["proven"] is False
    path = proofs.record(str(tmp_path), proofs.Proof(dump.name, dump.manifest_sha256, datetime(2026, 11, 23, tzinfo=timezone.utc), "mongodb 7.0"))
    assert only(tmp_path)["proven"] is True
    Path(path).write_text("{")
    found = only(tmp_path)
    assert (found["proven"], found["problems"]) == (False, [])
    assert path in found["notes"][0]


def test_an_encrypted_dump_is_read_as_far_as_there_are_keys(tmp_path: Path) -> None:
    pyrage = pytest.importorskip("pyrage", reason="the library pyrage is not installed in this environment")
    identity = pyrage.x25519.Identity.generate()
    small_dump.write(tmp_path, [identity.to_public()])
    found = only(tmp_path, "structure")
    assert (found["encrypted"], found["problems"]) == (True, [])
    assert found["notes"] == ["it is encrypted and no key was given, so only its checksums were verified"]
    (read,) = dumps_info(str(tmp_path), [], "structure", [identity])
    assert (read["problems"], read["notes"]) == ([], [])


def test_one_can_be_named(tmp_path: Path, dump: Dump) -> None:
    small_dump.write(tmp_path / "more")
    assert [found["name"] for found in dumps_info(str(tmp_path), [dump.name], "none")] == [dump.name]
    with pytest.raises(Failure, match="`gone` is no dump in .*; name the folders of dumps that stand there"):
        dumps_info(str(tmp_path), ["gone"], "none")
    assert dumps_info(str(tmp_path / "nowhere"), [], "none") == []
