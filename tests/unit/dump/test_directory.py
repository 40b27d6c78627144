# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of dumps are begun as partial, finished by one rename, told apart and removed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import directory
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.manifest import FileFact

from . import samples


def write_dump(folder: Path, name: str = "") -> directory.Dump:
    """A finished dump whose files hold their own name."""
    partial = directory.begin(str(folder), name)
    for file_name in samples.FILES:
        with partial.create(file_name) as file:
            file.write(file_name.encode())
    return partial.finish(samples.manifest(dump=partial.name, files=partial.facts()))


def test_a_dump_has_its_name_only_once_it_is_whole(tmp_path: Path) -> None:
    partial = directory.begin(str(tmp_path / "new" / "folder"))
    assert Path(partial.path).stat().st_mode & 0o777 == 0o700
    for name in samples.FILES:
        with partial.create(name) as file:
            file.write(b"some ")
            file.write(bytearray(b"content"))
    assert [dump.kind for dump in directory.list_dumps(partial.folder)] == [directory.PARTIAL]
    assert partial.facts()["laputa_version"] == FileFact(hashlib.sha256(b"some content").hexdigest(), 12)
    dump = partial.finish(samples.manifest(dump=partial.name, files=partial.facts()))
    assert directory.list_dumps(partial.folder) == [dump]
    assert (dump.kind, dump.name, dump.problem) == (directory.OURS, partial.name, "")
    assert sorted(os.listdir(dump.path)) == sorted([*samples.FILES, "manifest.json"])
    assert {path.stat().st_mode & 0o777 for path in Path(dump.path).iterdir()} == {0o600}
    assert directory.find(dump.path + "/") == dump


def test_what_is_still_open_is_synced_and_closed_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(directory.os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}")))
    partial = directory.begin(str(tmp_path))
    files = [partial.create(name) for name in samples.FILES]
    synced.clear()
    partial.finish(samples.manifest(dump=partial.name, files=partial.facts()))
    assert all(file._stream.closed for file in files)
    assert synced == [*(f"{partial.path}/{name}" for name in (*samples.FILES, "manifest.json")), partial.path, str(tmp_path)]


def test_a_relative_path_names_a_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = write_dump(tmp_path)
    monkeypatch.chdir(dump.path)
    assert directory.find(".") == dump


def test_a_manifest_that_is_not_of_these_files_is_never_written(tmp_path: Path) -> None:
    partial = directory.begin(str(tmp_path))
    with pytest.raises(Failure, match="The manifest is not that of"):
        partial.finish(samples.manifest(dump=partial.name))
    with pytest.raises(Failure, match="The manifest is not that of"):
        partial.finish(samples.manifest(files=partial.facts()))
    with pytest.raises(Failure, match="not the files of such a dump"):
        partial.finish(samples.manifest(dump=partial.name, files={}))
    assert os.listdir(tmp_path) == [partial.name + ".partial"]
    assert os.listdir(partial.path) == []


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    write_dump(tmp_path, samples.DUMP)
    with pytest.raises(Failure, match="there is a dump of that name"):
        directory.begin(str(tmp_path), samples.DUMP)
    partial = directory.begin(str(tmp_path))
    with pytest.raises(Failure, match="File exists"):
        directory.begin(str(tmp_path), partial.name)
    with partial.create("laputa_version"), pytest.raises(Failure, match="Writing .*laputa_version failed: File exists"):
        partial.create("laputa_version")


def test_a_dump_that_appeared_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    partial = directory.begin(str(tmp_path))
    for name in samples.FILES:
        partial.create(name).close()
    Path(partial.final_path).mkdir()
    with pytest.raises(Failure, match="something else has its name by now"):
        partial.finish(samples.manifest(dump=partial.name, files=partial.facts()))
    assert os.listdir(partial.final_path) == []


def test_new_names_are_as_the_vendor_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter("aaaaaaaabbbbbbbbcccccccc")
    monkeypatch.setattr(directory.secrets, "choice", lambda alphabet: next(drawn))
    (tmp_path / "on-premise_backup-aaaaaaaa.partial").mkdir()
    (tmp_path / "on-premise_backup-bbbbbbbb").mkdir()
    assert directory.new_name(str(tmp_path)) == "on-premise_backup-cccccccc"


def test_a_discarded_dump_leaves_nothing(tmp_path: Path) -> None:
    partial = directory.begin(str(tmp_path))
    partial.create("laputa_version").write(b"v1")
    partial.discard()
    partial.discard()
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(Failure, match="No space left on device; free space there"):
        file = directory.HashedFile(str(tmp_path / "file"))
        os.dup2(full.fileno(), file._stream.fileno())
        file.write(b"x")


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="Beginning a dump in .* failed: Not a directory"):
        directory.begin(str(tmp_path / "file" / "folder"))
    with pytest.raises(Failure, match="Looking into .* failed: Not a directory"):
        directory.list_dumps(str(tmp_path / "file"))


def test_what_stands_in_a_folder_is_told_apart(tmp_path: Path) -> None:
    ours = write_dump(tmp_path)
    vendors = tmp_path / "on-premise_backup-VEND_0R-"
    vendors.mkdir()
    (vendors / "mongodump.tar.gz").touch()
    encrypted = tmp_path / "on-premise_backup-nomanifest"
    encrypted.mkdir()
    (encrypted / "mongodump.tar.gz.age").touch()
    (tmp_path / "on-premise_backup-a.partial").mkdir()
    (tmp_path / "on-premise_backup-a.removed").mkdir()
    (tmp_path / "on-premise_backup-empty").mkdir()
    (tmp_path / "on-premise_backup-link").symlink_to(ours.path)
    (tmp_path / "on-premise_backup-file").touch()
    (tmp_path / "on-premise_backup-").mkdir()
    (tmp_path / "proofs").mkdir()
    found = {dump.name: dump.kind for dump in directory.list_dumps(str(tmp_path))}
    assert found == {
        ours.name: directory.OURS,
        vendors.name: directory.VENDORS,
        "on-premise_backup-nomanifest": directory.PARTIAL,
        "on-premise_backup-a.partial": directory.PARTIAL,
        "on-premise_backup-a.removed": directory.PARTIAL,
        "on-premise_backup-empty": directory.FOREIGN,
        "on-premise_backup-link": directory.FOREIGN,
        "on-premise_backup-file": directory.FOREIGN,
        "on-premise_backup-": directory.FOREIGN,
        "proofs": directory.FOREIGN,
    }
    assert directory.list_dumps(str(tmp_path / "missing")) == []


def test_only_whole_dumps_are_found(tmp_path: Path) -> None:
    partial = directory.begin(str(tmp_path))
    with pytest.raises(Failure, match="was not finished"):
        directory.find(partial.path)
    with pytest.raises(Failure, match="There is no dump"):
        directory.find(str(tmp_path / samples.DUMP))
    with pytest.raises(Failure, match="is no folder of a dump; name a folder that is called on-premise_backup-XXXXXXXX"):
        directory.find(str(tmp_path))
    vendors = tmp_path / samples.DUMP
    vendors.mkdir()
    (vendors / "mongodump.tar.gz").touch()
    assert directory.find(str(vendors)) == directory.Dump(str(vendors), directory.VENDORS)


def test_a_dump_with_a_bad_manifest_is_ours_and_says_what_is_wrong(tmp_path: Path) -> None:
    dump = write_dump(tmp_path)
    manifest = Path(dump.path, "manifest.json")
    manifest.write_bytes(manifest.read_bytes()[:-9])
    found = directory.inspect(dump.path)
    assert (found.kind, found.manifest, found.manifest_sha256) == (directory.OURS, None, "")
    assert "is not valid JSON" in found.problem
    with pytest.raises(Failure, match="is not valid JSON"):
        directory.find(dump.path)


def test_a_dump_that_was_renamed_is_not_what_its_manifest_says(tmp_path: Path) -> None:
    dump = write_dump(tmp_path)
    os.rename(dump.path, tmp_path / "on-premise_backup-another1")
    assert f"is the manifest of {dump.name}, not of on-premise_backup-another1" in directory.inspect(str(tmp_path / "on-premise_backup-another1")).problem


def test_files_of_a_dump_are_plain_files(tmp_path: Path) -> None:
    dump = write_dump(tmp_path)
    assert directory.open_file(dump.path, "laputa_version").read() == b"laputa_version"
    (tmp_path / "outside").touch()
    for name, make, problem in (
        ("link", lambda path: os.symlink(tmp_path / "outside", path), "failed: it is a link"),
        ("pipe", os.mkfifo, "is no plain file"),
        ("folder", os.mkdir, "is no plain file"),
        ("missing", lambda path: None, "There is no"),
    ):
        make(os.path.join(dump.path, name))
        with pytest.raises(Failure, match=problem):
            directory.open_file(dump.path, name)


def test_a_linked_manifest_is_refused(tmp_path: Path) -> None:
    dump = write_dump(tmp_path)
    os.rename(os.path.join(dump.path, "manifest.json"), tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", os.path.join(dump.path, "manifest.json"))
    assert "it is a link" in directory.inspect(dump.path).problem


def test_removal_ends_the_dump_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = write_dump(tmp_path)
    with monkeypatch.context() as killed:
        killed.setattr(directory.shutil, "rmtree", lambda path: os.unlink(os.path.join(path, "manifest.json")))
        directory.remove(dump.path)
    (left,) = directory.list_dumps(str(tmp_path))
    assert left.kind == directory.PARTIAL
    write_dump(tmp_path, dump.name)
    directory.remove(dump.path)
    directory.remove(dump.path)
    assert os.listdir(tmp_path) == []


def test_removal_that_fails_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, *dummy: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    dump = write_dump(tmp_path)
    monkeypatch.setattr(directory.shutil, "rmtree", refuse)
    with pytest.raises(Failure, match="Removing .* failed: Permission denied"):
        directory.remove(dump.path)
    monkeypatch.setattr(directory.os, "rename", refuse)
    with pytest.raises(Failure, match="Removing .* failed: Permission denied"):
        directory.remove(dump.path + ".removed")


def test_removal_does_not_follow_links(tmp_path: Path) -> None:
    dump = write_dump(tmp_path / "dumps")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    os.symlink(tmp_path / "kept", os.path.join(dump.path, "link"))
    directory.remove(dump.path)
    assert (tmp_path / "kept" / "file").exists()


@pytest.mark.parametrize("destination", ["data", "data/dumps", "data/x/../dumps", "link/dumps", "link"])
def test_dumps_do_not_land_in_the_data(tmp_path: Path, destination: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(Failure, match="which the dump is taken of; name a folder outside"):
        directory.refuse_inside(str(tmp_path / destination), [str(tmp_path / "other"), str(tmp_path / "data")])


def test_dumps_may_land_beside_the_data(tmp_path: Path) -> None:
    directory.refuse_inside(str(tmp_path / "data-dumps"), [str(tmp_path / "data")])
    directory.refuse_inside(str(tmp_path), [str(tmp_path / "data")])
