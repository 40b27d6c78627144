# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happened to a dump is found by checksums or structure, as sentences."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import tarfile
from pathlib import Path
from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.entries import EntriesDigest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.progress import Progress
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import directory, encryption, verify
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import manifest as model

from . import samples, small_dump
from .corruption import corrupted, flip, truncate


@pytest.fixture
def dump(tmp_path: Path) -> directory.Dump:
    return small_dump.write(tmp_path)


@pytest.fixture
def identity() -> Any:
    pyrage = pytest.importorskip("pyrage", reason="the library pyrage is not installed in this environment")
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def encrypted(tmp_path: Path, identity: Any) -> directory.Dump:
    return small_dump.write(tmp_path, [identity.to_public()])


def problem(report: verify.Report) -> str:
    """The one thing that is wrong."""
    assert not report.sound
    (sentence,) = report.problems
    assert sentence.endswith(".") and sentence.isprintable()
    return sentence


# -- what is sound --------------------------------------------------------------------------------------------------------


def test_a_sound_dump_is_sound(dump: directory.Dump) -> None:
    assert verify.checksums(dump) == verify.Report(dump.path)
    report = verify.structure(dump)
    assert (report.problems, report.notes, report.product) == ([], [], "v101.1.0")
    assert {each.namespace.collection: each.count for each in report.collections} == {"slides": 200, "log": 20, "empty": 0, "seen": 0}


def test_a_sound_encrypted_dump_is_sound(encrypted: directory.Dump, identity: Any) -> None:
    assert sorted(os.listdir(encrypted.path)) == ["laputa_version", "manifest.json", "mongodump.tar.gz.age", "secrets.age", "storage.tar.gz.age"]
    assert verify.checksums(encrypted).sound
    report = verify.structure(encrypted, [identity])
    assert (report.problems, report.product, len(report.collections)) == ([], "v101.1.0", 4)


def test_a_vendors_dump_is_read_and_its_missing_manifest_told(dump: directory.Dump) -> None:
    os.unlink(Path(dump.path, "manifest.json"))
    Path(dump.path, "README").touch()
    vendors = directory.find(dump.path)
    report = verify.structure(vendors)
    assert report.sound and len(report.collections) == 4 and report.product == "v101.1.0"
    assert [note.split(dump.path)[1] for note in report.notes] == [
        " has no manifest, as dumps of the vendor's toolbox: there is nothing to compare with.",
        " holds README, which a dump does not have.",
    ]
    assert "has no manifest, so that there are no checksums; verify its `structure`" in problem(verify.checksums(vendors))


@pytest.mark.parametrize("packed", [False, True])
def test_a_vendors_archive_is_read(dump: directory.Dump, official: Path, packed: bool) -> None:
    os.unlink(Path(dump.path, "manifest.json"))
    content = (official / "dumps" / "test.bar.archive").read_bytes()
    Path(dump.path, "mongodump.tar.gz").write_bytes(gzip.compress(content) if packed else content)
    report = verify.structure(directory.find(dump.path))
    assert report.sound
    assert [str(each.namespace) for each in report.collections] == ["admin.system.version", "test.bar"]


def test_a_vendors_dump_with_other_things_in_it_says_so(dump: directory.Dump) -> None:
    os.unlink(Path(dump.path, "manifest.json"))
    Path(dump.path, "mongodump.tar.gz").write_bytes(small_dump.tar_of_databases(more={"dump/oplog.bson": b"", "dump/a\nb": b""}))
    report = verify.structure(directory.find(dump.path))
    assert report.sound
    assert any("mongodump.tar.gz also holds" in note and "a\\nb" in note and note.isprintable() for note in report.notes)


def test_a_vendors_dump_that_is_damaged_is_told_in_full(dump: directory.Dump) -> None:
    os.unlink(Path(dump.path, "manifest.json"))
    os.unlink(Path(dump.path, "laputa_version"))
    for name in ("mongodump.tar.gz", "storage.tar.gz"):
        os.truncate(Path(dump.path, name), 300)
    version, databases, storage = verify.structure(directory.find(dump.path)).problems
    assert "There is no" in version and "laputa_version" in version
    assert "mongodump.tar.gz is no whole gzip file: it is cut off" in databases
    assert "storage.tar.gz is no whole gzip file: it is cut off" in storage


def test_storage_without_gzip_is_read_too(dump: directory.Dump) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("sales"))
    os.unlink(Path(dump.path, "manifest.json"))
    Path(dump.path, "storage.tar.gz").write_bytes(plain.getvalue())
    assert verify.structure(directory.find(dump.path)).sound
    Path(dump.path, "storage.tar.gz").write_bytes(plain.getvalue()[:700])
    assert "no whole tar archive" in problem(verify.structure(directory.find(dump.path)))


def test_progress_counts_every_byte_once(dump: directory.Dump) -> None:
    assert dump.manifest
    size = sum(fact.size for fact in dump.manifest.files.values())
    for level in (verify.checksums, verify.structure):
        progress = Progress()
        level(dump, progress=progress)
        state = progress.state()
        assert (state["what"], state["done"], state["total"]) == (level.__name__, size, size)


# -- checksums ------------------------------------------------------------------------------------------------------------


def test_a_missing_an_extra_and_a_linked_file_are_told(dump: directory.Dump, tmp_path: Path) -> None:
    os.rename(Path(dump.path, "laputa_version"), tmp_path / "elsewhere")
    os.unlink(Path(dump.path, "storage.tar.gz"))
    os.symlink(tmp_path / "elsewhere", Path(dump.path, "laputa_version"))
    Path(dump.path, "extra\nfile").touch()
    extra, linked, missing = verify.checksums(dump).problems
    assert extra == f"{dump.path} holds extra\\nfile, which a dump does not have."
    assert "laputa_version failed: it is a link" in linked
    assert missing.startswith(f"There is no {dump.path}/storage.tar.gz;")


def test_many_extra_files_are_counted(dump: directory.Dump) -> None:
    for number in range(8):
        Path(dump.path, f"file{number}").touch()
    assert "holds file0, file1, file2, file3, file4 and 3 more, which" in problem(verify.checksums(dump))


def test_size_and_hash_are_compared(dump: directory.Dump) -> None:
    path = Path(dump.path, "laputa_version")
    path.write_bytes(b"v101.1.0")
    assert "laputa_version has 8 bytes, and by the manifest 9;" in problem(verify.checksums(dump))
    path.write_bytes(b"v101.1.1\n")
    assert "laputa_version is not as it was written, by the SHA-256 in the manifest" in problem(verify.checksums(dump))


def test_swapped_files_are_found(dump: directory.Dump) -> None:
    names = [Path(dump.path, name) for name in ("mongodump.tar.gz", "storage.tar.gz")]
    contents = [name.read_bytes() for name in names]
    for name, content in zip(names, reversed(contents)):
        name.write_bytes(content)
    assert len(verify.checksums(dump).problems) == 2
    swapped = dump
    for name in names:
        swapped = small_dump.rewrite(swapped, name.name, name.read_bytes())
    databases, storage = verify.structure(swapped).problems
    assert "mongodump.tar.gz cannot be used" in databases
    assert "storage.tar.gz has" in storage


def test_a_bad_manifest_is_the_one_problem(dump: directory.Dump) -> None:
    os.truncate(Path(dump.path, "manifest.json"), 100)
    damaged = directory.inspect(dump.path)
    assert "is not valid JSON" in problem(verify.checksums(damaged))
    assert "is not valid JSON" in problem(verify.structure(damaged))


def test_a_folder_that_went_away_is_a_problem(dump: directory.Dump) -> None:
    shutil.rmtree(dump.path)
    assert len(verify.checksums(dump).problems) == 4
    assert len(verify.structure(dump).problems) == 4


def test_a_disk_that_fails_is_a_problem(dump: directory.Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(verify, "open_file", lambda path, name: Failing(os.path.join(path, name)))
    for level in (verify.checksums, verify.structure):
        problems = level(dump).problems
        assert len(problems) == 3
        assert all("failed: Input/output error; see that the disk is well" in sentence for sentence in problems)


# -- structure against the manifest ---------------------------------------------------------------------------------------

SLIDES = small_dump.DOCUMENTS["slides"]
LOG = small_dump.DOCUMENTS["log"]


@pytest.mark.parametrize(
    ("documents", "sentence"),
    [
        ({"slides": SLIDES[:-1]}, "collection slides of toucan-sales has 199 documents, and by the manifest 200"),
        ({"slides": [*SLIDES, SLIDES[0]]}, "collection slides of toucan-sales has 201 documents, and by the manifest 200"),
        ({"slides": [*SLIDES[1:], SLIDES[1]]}, "collection slides of toucan-sales has other documents than by the manifest"),
        ({"log": LOG[::-1]}, "collection log of toucan-sales is capped and has its documents in another order"),
        ({"empty": [bson.encode({})]}, "collection empty of toucan-sales has 1 documents, and by the manifest 0"),
    ],
)
def test_other_documents_are_told(dump: directory.Dump, documents: dict[str, list[bytes]], sentence: str) -> None:
    changed = small_dump.rewrite(dump, "mongodump.tar.gz", small_dump.tar_of_databases({**small_dump.DOCUMENTS, **documents}))
    assert verify.checksums(changed).sound
    assert sentence in problem(verify.structure(changed))


def test_documents_in_another_order_are_the_same(dump: directory.Dump) -> None:
    documents = {**small_dump.DOCUMENTS, "slides": SLIDES[::-1]}
    assert verify.structure(small_dump.rewrite(dump, "mongodump.tar.gz", small_dump.tar_of_databases(documents))).sound


TURNED = {"key": dict(reversed(small_dump.TWO_KEYS["key"].items()))}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "other"}, "has the type"),
        ({"type": "view"}, "has the type \"collection\", and by the manifest \"view\""),
        ({"options": {"validator": {}}}, "has the options {}, and by the manifest {\"validator\": {}}"),
        ({"indexes": (small_dump.ID_INDEX,)}, "has the indexes"),
        ({"indexes": (small_dump.ID_INDEX, {**small_dump.TWO_KEYS, **TURNED})}, "has the indexes"),
        ({"count": 7}, "has 200 documents, and by the manifest 7"),
        ({"bytes": 7}, "has other documents"),
    ],
)  # fmt: skip
def test_each_fact_of_a_collection_is_compared(dump: directory.Dump, change: dict[str, Any], sentence: str) -> None:
    assert dump.manifest
    collections = [model.CollectionFacts(**{**vars(each), **(change if each.name == "slides" else {})}) for each in dump.manifest.collections]
    report = verify.structure(small_dump.describe(dump, collections=tuple(collections)))
    if "name" in change:
        missing, unknown = report.problems
        assert "collection other of toucan-sales is missing." in missing
        assert "collection slides of toucan-sales is not in the manifest." in unknown
    else:
        assert sentence in problem(report)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mongodump": model.Mongodump("folder_gzip", "dump")}, "holds folder `dump`, and by the manifest folder_gzip `dump`"),
        ({"mongodump": model.Mongodump("folder", "")}, "holds folder `dump`, and by the manifest folder ``"),
        ({"versions": model.Versions("v101.2.0", "", "")}, "laputa_version says v101.1.0, and the manifest v101.2.0"),
        ({"storage": model.StorageFacts(4, 3000, samples.HASH)}, "storage.tar.gz has 5 entries, and by the manifest 4 entries"),
        ({"storage": model.StorageFacts(5, 2999, samples.HASH)}, "storage.tar.gz has 3000 bytes, and by the manifest 2999 bytes"),
        ({"storage": model.StorageFacts(5, 3000, samples.HASH)}, f"and by the manifest the digest {samples.HASH}"),
    ],
)
def test_each_other_fact_is_compared(dump: directory.Dump, change: dict[str, Any], sentence: str) -> None:
    assert sentence in problem(verify.structure(small_dump.describe(dump, **change)))


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff", b"v1\0", b"v" * 5000])
def test_what_is_no_version_is_told(dump: directory.Dump, content: bytes) -> None:
    report = verify.structure(small_dump.rewrite(dump, "laputa_version", content))
    assert "laputa_version" in problem(report) and report.product == ""


def test_what_else_is_in_the_databases_is_told(dump: directory.Dump) -> None:
    content = small_dump.tar_of_databases(more={"dump/readme.txt": b"hello"})
    assert "mongodump.tar.gz also holds dump/readme.txt." in problem(verify.structure(small_dump.rewrite(dump, "mongodump.tar.gz", content)))


# -- encrypted ------------------------------------------------------------------------------------------------------------


def test_without_an_identity_only_checksums_are_looked_at(encrypted: directory.Dump) -> None:
    with pytest.raises(Failure, match="is encrypted, so that its structure cannot be looked at; give an age identity, or verify `checksums` alone"):
        verify.structure(encrypted)


def test_a_wrong_identity_is_told_for_each_file(encrypted: directory.Dump) -> None:
    problems = verify.structure(encrypted, [encryption.pyrage.x25519.Identity.generate()]).problems
    assert len(problems) == 3
    assert all("none of the age identities given fits it" in sentence for sentence in problems)


def test_a_truncation_behind_the_last_byte_that_is_needed_is_found(encrypted: directory.Dump, identity: Any) -> None:
    for name in ("mongodump.tar.gz.age", "storage.tar.gz.age", "secrets.age"):
        content = Path(encrypted.path, name).read_bytes()
        report = verify.structure(small_dump.rewrite(encrypted, name, content[:-1]), [identity])
        assert f"{name} cannot be decrypted: it is truncated, damaged or no age file" in problem(report)
        small_dump.rewrite(encrypted, name, content)


def test_a_file_is_read_to_its_end_whatever_its_reader_needs(encrypted: directory.Dump, identity: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "digest_of_archive", lambda stream, source, limits: EntriesDigest())
    name = "storage.tar.gz.age"
    # Larger than what is decrypted at once, so that its first bytes tell nothing of its last.
    large = small_dump.rewrite(encrypted, name, os.urandom(1 << 20), [identity.to_public()])
    assert f"{name} has 0 entries" in problem(verify.structure(large, [identity]))
    os.truncate(Path(large.path, name), Path(large.path, name).stat().st_size - 1)
    assert f"{name} cannot be decrypted: it is truncated" in problem(verify.structure(large, [identity]))


def test_secrets_of_another_instance_are_told(encrypted: directory.Dump, identity: Any) -> None:
    secrets = small_dump.DumpSecrets("another", "", "", {}).content()
    changed = small_dump.rewrite(encrypted, "secrets.age", secrets, [identity.to_public()])
    assert "secrets.age holds the secrets of another instance" in problem(verify.structure(changed, [identity]))


# -- corruption -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_every_corruption_is_found(dump: directory.Dump, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    for number in range(25):
        damaged, what = corrupted(dump, tmp_path / str(number), dice)
        reports = [verify.checksums(damaged), verify.structure(damaged)]
        assert all(sentence.isprintable() for report in reports for sentence in report.problems), what
        assert not all(report.sound for report in reports), what


def test_every_corruption_of_an_encrypted_dump_is_found(encrypted: directory.Dump, identity: Any, tmp_path: Path) -> None:
    dice = random.Random(1)
    for number in range(25):
        damaged, what = corrupted(encrypted, tmp_path / str(number), dice)
        assert not (verify.checksums(damaged).sound and verify.structure(damaged, [identity]).sound), what
        assert damaged.kind == (directory.PARTIAL if what == "delete of manifest.json" else directory.OURS)


def test_a_corruption_that_the_hashes_agree_with_is_found_or_changes_nothing(dump: directory.Dump, tmp_path: Path) -> None:
    dice = random.Random(2)
    known = verify.structure(dump).collections
    found = 0
    for number in range(60):
        name = dice.choice(["mongodump.tar.gz", "storage.tar.gz"])
        copy = tmp_path / str(number) / dump.name
        shutil.copytree(dump.path, copy)
        dice.choice([flip, truncate])(copy / name, dice, [])
        report = verify.structure(small_dump.rewrite(directory.inspect(str(copy)), name, (copy / name).read_bytes()))
        assert all(sentence.isprintable() for sentence in report.problems)
        # A bit of gzip's own time or name changes no content.
        assert report.problems or report.collections == known
        found += bool(report.problems)
    assert found > 50
