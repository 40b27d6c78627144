# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written is read back: by Python's own tar and the driver's BSON, and by the readers that read the official tools' dumps."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.file_names import stem
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.layouts import open_dump
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import CollectionMetadata, Namespace
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.writers import ArchiveWriter, FolderWriter, writer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LAYOUTS = ["folder", "folder_gzip", "archive", "archive_gzip"]
Spool = Callable[..., Any]
ID_INDEX = {"v": 2, "key": {"_id": 1}, "name": "_id_"}
CAPPED = CollectionMetadata(options={"capped": True, "size": bson.Int64(4096)}, indexes=[ID_INDEX], uuid=b"0123456789abcdef")
SERIES = CollectionMetadata("timeseries", {"timeseries": {"timeField": "t"}})
VIEW = CollectionMetadata("view", {"viewOn": "plain", "pipeline": [{"$match": {"a": {"$regex": "^x", "$options": ""}}}]})


def documents(*numbers: int) -> bytes:
    return b"".join(bson.encode({"_id": number, "text": "é" * number}) for number in numbers)


def write(layout: str, collections: dict[Namespace, tuple[CollectionMetadata, list[Any]]], **options: Any) -> io.BytesIO:
    out = io.BytesIO()
    target = writer(layout, out, **options)
    for namespace, (metadata, segments) in collections.items():
        target.metadata(namespace, metadata)
        target.collection(namespace, segments)
    target.close()
    out.seek(0)
    return out


def example(spool: Spool) -> dict[Namespace, tuple[CollectionMetadata, list[Any]]]:
    return {
        Namespace("sales", "plain"): (CollectionMetadata(indexes=[ID_INDEX]), [spool(documents(1, 2), members=3), spool(documents(3))]),
        Namespace("sales", "empty"): (CollectionMetadata(indexes=[ID_INDEX]), []),
        Namespace("sales", "capped"): (CAPPED, [spool(documents(9, 8))]),
        Namespace("sales", "readings"): (SERIES, [spool(documents(4))]),
        Namespace("sales", "view"): (VIEW, []),
        Namespace("verkäufe", 'a/b "c" $d.e ' + "é" * 60): (CollectionMetadata(), [spool(documents(5))]),
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kind_of_collection_comes_back(layout: str, spool: Spool, visitor: Any) -> None:
    collections = example(spool)
    reader = open_dump(write(layout, collections, server_version="7.0.1"), "dump.tar.gz")
    found = {each.namespace: each for each in reader.index(digests=True)}
    assert reader.layout == layout
    assert (reader.server_version, reader.others) == ("7.0.1", [])
    assert found.keys() == collections.keys()
    for namespace, (metadata, dummy) in collections.items():
        told = found[namespace].metadata
        assert told is not None and told.type == metadata.type and told.uuid == metadata.uuid
        assert bson.encode({"o": told.options, "i": told.indexes}) == bson.encode({"o": metadata.options, "i": list(metadata.indexes)})
    assert found[Namespace("sales", "capped")].sequence == hashlib.sha256(documents(9, 8)).hexdigest()
    reader.scan(visitor)
    assert not visitor.open
    expected = {
        str(namespace): b"".join(gzip.decompress(segment.path.read_bytes()) for segment in segments) for namespace, (dummy, segments) in collections.items()
    }
    assert visitor.found == {name: content for name, content in expected.items() if name != "sales.view"}


@pytest.mark.parametrize("layout", ["folder", "folder_gzip"])
def test_a_folder_is_what_stock_tools_expect(layout: str, spool: Spool, tmp_path: Path) -> None:
    content = write(layout, example(spool), top="dump", time=1_700_000_000, server_version="7.0.1")
    ending, unpack = (".gz", gzip.decompress) if layout == "folder_gzip" else ("", bytes)
    with tarfile.open(fileobj=content) as archive:
        members = {member.name: member for member in archive}
        assert {member.mtime for member in members.values()} == {1_700_000_000}
        assert [name for name, member in members.items() if member.isdir()] == ["dump", "dump/sales", "dump/verkäufe"]
        files = {name: unpack(archive.extractfile(member).read()) for name, member in members.items() if member.isfile()}  # type: ignore[union-attr]
    assert {member.mode for member in members.values() if member.isfile()} == {0o644}
    by_name = {name: [document["_id"] for document in bson.decode_all(data)] for name, data in files.items() if ".bson" in name}
    long = stem('a/b "c" $d.e ' + "é" * 60)
    assert len(long) == 238
    assert by_name == {
        f"dump/sales/plain.bson{ending}": [1, 2, 3],
        f"dump/sales/empty.bson{ending}": [],
        f"dump/sales/capped.bson{ending}": [9, 8],
        f"dump/sales/system.buckets.readings.bson{ending}": [4],
        f"dump/verkäufe/{long}.bson{ending}": [5],
    }
    assert files[f"dump/prelude.json{ending}"] == b'{"ServerVersion":"7.0.1","ToolVersion":""}'
    assert f"dump/sales/view.metadata.json{ending}" in files and f"dump/sales/readings.metadata.json{ending}" in files
    path = tmp_path / "mongodump.tar.gz"
    path.write_bytes(content.getvalue())
    listed = subprocess.run(["tar", "--extract", "--gzip", "--file", path, "--to-stdout", f"dump/sales/plain.bson{ending}"], capture_output=True, check=True)
    assert unpack(listed.stdout) == documents(1, 2, 3)


@pytest.mark.parametrize("layout", ["archive", "archive_gzip"])
def test_an_archive_is_one_file_in_the_tar(layout: str, spool: Spool) -> None:
    content = write(layout, example(spool))
    with tarfile.open(fileobj=content) as archive:
        (member,) = archive
        data = archive.extractfile(member).read()  # type: ignore[union-attr]
    assert member.name == ("dump.archive.gz" if layout == "archive_gzip" else "dump.archive")
    bare = gzip.decompress(data) if layout == "archive_gzip" else data
    assert bare[:4] == b"\x6d\xe2\x99\x81" and bare.endswith(b"\xff\xff\xff\xff")
    header = bson.decode(bare[4 : 4 + int.from_bytes(bare[4:8], "little")])
    assert header == {"concurrent_collections": 1, "version": "0.1", "server_version": "0.0.0", "tool_version": ""}
    assert [each.count for each in open_dump(io.BytesIO(bare), "dump").index()] == [2, 0, 3, 1, 0, 1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_database_without_collections_is_a_dump(layout: str) -> None:
    reader = open_dump(write(layout, {}), "dump.tar.gz")
    assert (reader.index(), reader.others) == ([], [])


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=120)
DATABASES = st.text(st.characters(exclude_characters='\0/\\. "$', exclude_categories=["Cs"]), min_size=1, max_size=60)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(LAYOUTS),
    st.dictionaries(st.builds(Namespace, DATABASES, NAMES), st.lists(st.lists(st.integers(0, 400), max_size=9), max_size=3), max_size=4),
)
def test_any_names_and_any_cut_into_segments(spool: Spool, layout: str, content: dict[Namespace, list[list[int]]]) -> None:
    collections = {
        namespace: (CollectionMetadata(), [spool(documents(*numbers), members=1 + len(numbers) % 3) for numbers in segments])
        for namespace, segments in content.items()
    }
    reader = open_dump(write(layout, collections), "dump.tar.gz")
    found = {each.namespace: (each.count, each.digest) for each in reader.index(digests=True)}
    expected = {}
    for namespace, segments in content.items():
        single = [documents(number) for numbers in segments for number in numbers]
        expected[namespace] = (len(single), format(sum(int(hashlib.sha256(each).hexdigest(), 16) for each in single) % 2**256, "064x"))
    assert found == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_segment_that_changed_is_refused(layout: str, spool: Spool) -> None:
    for damage, answer in ((lambda path: path.unlink(), "No such file"), (lambda path: path.write_bytes(path.read_bytes()[:-2]), "bytes, not|cut off")):
        segment = spool(documents(1))
        damage(segment.path)
        with pytest.raises(Failure, match=answer):
            write(layout, {Namespace("a", "x"): (CollectionMetadata(), [segment])})


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_a_database_that_can_have_no_folder_is_refused(name: str) -> None:
    with pytest.raises(Failure, match="There can be no folder for a database named"):
        FolderWriter(io.BytesIO(), False).metadata(Namespace(name, "x"), CollectionMetadata())


@pytest.mark.parametrize("kind", [FolderWriter, ArchiveWriter])
def test_a_view_with_documents_is_a_mistake_of_the_caller(kind: type[FolderWriter | ArchiveWriter], spool: Spool) -> None:
    target = kind(io.BytesIO(), False)
    target.metadata(Namespace("a", "v"), VIEW)
    with pytest.raises(AssertionError, match="a.v is a view"):
        target.collection(Namespace("a", "v"), [spool(documents(1))])
