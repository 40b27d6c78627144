# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes in between while collections are read out of a real server or put into it: it is noticed, told, and nothing half is taken for whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import batches
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import describe
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.clients import open_client
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.export import export
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.load import Loader
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import Namespace

from labrun.mongodb import SOURCE, TARGET, Server, docker, documents_of, info_of, insert, numbered, push, taken

#: So small that a few hundred documents are many batches.
SMALL_BATCH = 16 * 1024


class Meddling:
    """Does something once that many bytes were read."""

    def __init__(self, deed: Callable[[], Any], after: int = SMALL_BATCH * 2) -> None:
        self._deed, self._after, self._lock = deed, after, threading.Lock()
        self.done = 0

    def advance(self, done: int, detail: str) -> None:
        with self._lock:
            self._after -= done
            due = self._after <= 0 and not self.done
            self.done += due
        if due:
            self._deed()


@pytest.fixture(name="small_batches")
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", SMALL_BATCH)


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("still", [True, False])
@pytest.mark.parametrize("deed", ["drop", "rename"])
def test_a_collection_that_goes_away_is_noticed(client: Any, tmp_path: Path, deed: str, still: bool) -> None:
    insert(client, "going", numbered(500))

    def go() -> None:
        if deed == "drop":
            client.get_database(SOURCE).command({"drop": "going"})
        else:
            client.admin.command({"renameCollection": f"{SOURCE}.going", "to": f"{SOURCE}.elsewhere"})

    meddling = Meddling(go)
    with pytest.raises(Failure, match="Collection dump-source.going (was dropped or renamed while it was read|is gone)"):
        taken(client, tmp_path, progress=meddling, still=still)
    assert meddling.done == 1
    assert left_in(tmp_path) == []


@pytest.mark.usefixtures("small_batches")
def test_a_collection_that_is_replaced_is_read_again(client: Any, tmp_path: Path) -> None:
    insert(client, "changing", numbered(500))
    insert(client, "next", numbered(700))

    def replace() -> None:
        client.admin.command({"renameCollection": f"{SOURCE}.next", "to": f"{SOURCE}.changing", "dropTarget": True})

    exported = export([info_of(client, "changing")], client, tmp_path, 2, Meddling(replace))
    collection = exported.collections[0]
    assert (collection.count, len(bson.decode_all(documents_of(collection)))) == (700, 700)
    assert left_in(tmp_path) == [segment.path.name for segment in collection.segments]


@pytest.mark.usefixtures("small_batches")
def test_writes_meanwhile_are_told_or_refused(client: Any, tmp_path: Path) -> None:
    insert(client, "busy", numbered(500))
    written = iter(range(1000, 2000))

    def write() -> None:
        insert(client, "busy", [{"_id": next(written)}])

    hot = taken(client, tmp_path / "hot", progress=Meddling(write))
    assert not hot.untouched
    assert [remark.split(":")[0] for remark in hot.collections[0].remarks] == ["dump-source.busy was written to while it was read"]

    class Writing:
        def advance(self, done: int, detail: str) -> None:
            write()

    with pytest.raises(Failure, match="Collection dump-source.busy could not be read whole: "):
        taken(client, tmp_path / "still", progress=Writing(), still=True)
    assert left_in(tmp_path / "still") == []


@pytest.mark.usefixtures("small_batches")
def test_a_short_write_is_over_at_the_next_read(client: Any, tmp_path: Path) -> None:
    insert(client, "busy", numbered(500))
    exported = taken(client, tmp_path, progress=Meddling(lambda: insert(client, "busy", [{"_id": 1000}])), still=True)
    assert (exported.untouched, exported.collections[0].count) == (True, 501)


@pytest.mark.usefixtures("small_batches")
def test_a_collection_that_comes_is_told_or_refused(client: Any, tmp_path: Path) -> None:
    insert(client, "there", numbered(500))
    exported = taken(client, tmp_path / "hot", progress=Meddling(lambda: insert(client, "new", [{"_id": 1}])))
    assert exported.remarks == ("dump-source.new was made",)
    with pytest.raises(Failure, match="changed while it was read: dump-source.newer was made"):
        taken(client, tmp_path / "still", progress=Meddling(lambda: insert(client, "newer", [{"_id": 1}])), still=True)
    assert left_in(tmp_path / "still") == []


@pytest.mark.usefixtures("small_batches")
def test_an_index_that_comes_is_told(client: Any, tmp_path: Path) -> None:
    insert(client, "there", numbered(500))
    index = {"createIndexes": "there", "indexes": [{"key": {"a": 1}, "name": "a"}]}
    exported = taken(client, tmp_path, progress=Meddling(lambda: client.get_database(SOURCE).command(index)))
    assert exported.remarks == ("the indexes of dump-source.there changed",)


# -- a server that goes away --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_batches")
def test_a_server_that_is_killed_while_it_is_read(mortal: Server, tmp_path: Path) -> None:
    with open_client(mortal.uri, silent_seconds=5) as client:
        insert(client, "some", numbered(500))
        with pytest.raises(Failure, match="^MongoDB was lost while reading dump-source.some: ") as caught:
            taken(client, tmp_path, progress=Meddling(lambda: docker("kill", mortal.name)))
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == []


@pytest.mark.usefixtures("small_batches")
def test_a_server_that_hangs_while_it_is_read_and_written(mortal: Server, tmp_path: Path) -> None:
    with open_client(mortal.uri, silent_seconds=3) as client:
        insert(client, "some", numbered(500))
        exported = taken(client, tmp_path / "whole")
        try:
            with pytest.raises(Failure, match="^MongoDB was lost while reading dump-source.some: "):
                taken(client, tmp_path / "cut", progress=Meddling(lambda: docker("pause", mortal.name)))
        finally:
            docker("unpause", mortal.name)
        assert left_in(tmp_path / "cut") == []
        mortal.wait()
        collection = exported.collections[0]
        with Loader(client, {collection.namespace: collection.metadata}, lambda namespace: Namespace(TARGET, "half")) as loader:
            loader.begin(collection.namespace)
            try:
                docker("pause", mortal.name)
                with pytest.raises(Failure, match="^MongoDB was lost while writing dump-target.half: "):
                    push(loader, collection.namespace, documents_of(collection))
                    loader.finish()
            finally:
                docker("unpause", mortal.name)
        mortal.wait()
        loader.discard()
        assert describe(client, TARGET) == []
