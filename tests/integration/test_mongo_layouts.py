# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way: out of a real server into a dump of each layout and back, and dumps of the official tools into a server."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import reading
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import describe
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.layouts import open_dump
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.load import Loader
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import CollectionMetadata, Namespace
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.reading import read_back
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.writers import writer

from labrun.mongodb import SOURCE, TARGET, differences, insert, numbered, taken
from toolchain.places import ROOT

DATA = Path(os.environ.get("TOUCAN_TEST_DATA") or ROOT.parent / "shared" / "data") / "mongodump" / "dumps"
OFFICIAL = [
    "coll_with_index", "coll_with_ttl_index", "coll_without_index", "indextestdump", "specialcharacter", "prelude_test/prelude_gzip",
    "prelude_test/prelude_top_level", "test.bar.archive", "dump-w-oplog.archive",
]  # fmt: skip


@pytest.mark.parametrize("layout", ["folder", "folder_gzip", "archive", "archive_gzip"])
def test_a_database_goes_through_a_dump(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    monkeypatch.setattr(reading, "parts_wanted", lambda info, workers: 5)
    insert(client, "large", [*numbered(5000), {"_id": "text"}, {"_id": None}])
    insert(client, "é–中文😀 (quoted)/.'\"%41", [{"_id": 1}])
    insert(client, "n" * 120, [{"_id": {"a": 1}}])
    client.get_database(SOURCE).command({"create": "empty"})
    indexes = [{"key": {"a": 1, "b": -1}, "name": "ab", "unique": True, "sparse": True}, {"key": {"place": "2dsphere"}, "name": "place"}]
    client.get_database(SOURCE).command({"createIndexes": "empty", "indexes": indexes})
    exported = taken(client, tmp_path / "spools", still=True)
    assert max(len(collection.segments) for collection in exported.collections) == 6
    path = tmp_path / "mongodump.tar.gz"
    with path.open("wb") as file:
        out = writer(layout, file)
        for collection in exported.collections:
            out.metadata(collection.namespace, collection.metadata)
            out.collection(collection.namespace, collection.segments)
        out.close()
    with path.open("rb") as file:
        dump = open_dump(file, path.name)
        listed = dump.index(digests=True)
        assert dump.layout == layout
        wanted = {(one.namespace, one.count, one.bytes, one.digest) for one in exported.collections}
        assert {(one.namespace, one.count, one.bytes, one.digest) for one in listed} == wanted
        collections = {one.namespace: one.metadata or CollectionMetadata() for one in listed}
        with Loader(client, collections, lambda namespace: Namespace(TARGET, namespace.collection)) as loader:
            dump.scan(loader)
            loader.finish()
    assert differences(client, exported) == {}


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_dump_of_the_official_tools_is_loaded(client: Any, tmp_path: Path, name: str) -> None:
    if not DATA.is_dir():
        pytest.skip(f"needs test data of the official MongoDB tools in {DATA}; set TOUCAN_TEST_DATA")
    path = tmp_path / "mongodump.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(DATA / name, "dump" if (DATA / name).is_dir() else name)
    with path.open("rb") as file:
        dump = open_dump(file, path.name)
        index = dump.index(digests=True)
        listed = [one for one in index if one.namespace.database != "admin"]
        assert listed
        collections = {one.namespace: one.metadata or CollectionMetadata() for one in index}
        with Loader(client, collections, lambda namespace: Namespace(TARGET, str(namespace)) if namespace.database != "admin" else None) as loader:
            dump.scan(loader)
            loader.finish()
    found = {info.namespace.collection: info for info in describe(client, TARGET)}
    for one in listed:
        info = found[str(one.namespace)]
        digest = read_back(client, info).digest
        assert (digest.count, digest.size, digest.hexdigest()) == (one.count, one.bytes, one.digest)
        indexes = one.metadata.indexes if one.metadata else []
        assert {index["name"] for index in indexes} <= {index["name"] for index in info.metadata.indexes}
