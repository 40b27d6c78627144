# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump is made of a real server and a real folder, proven by a test restore, and found out where it cannot be restored as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup import proving
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.consistency import Stillness
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.making import Maker
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.proving import PREFIX, Prover
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.request import BackupRequest, Source
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.directory import Dump
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.manifest import App, Versions
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import databases, describe
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.load import Loader
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.reading import read_back

from labrun.mongodb import SOURCE, insert, numbered

INSTANCE = "5f0c6f1e-6a53-4a39-8f0b-6b8f5a1f1c9e"


@contextmanager
def not_held(mode: str) -> Iterator[Stillness]:
    yield Stillness()


@pytest.fixture(name="storage")
def _storage(tmp_path: Path) -> Path:
    folder = tmp_path / "storage"
    (folder / "sales" / "data é").mkdir(parents=True)
    (folder / "sales" / "data é" / "shops.csv").write_bytes(os.urandom(100_000))
    (folder / "sales" / "latest").symlink_to("data é/shops.csv")
    return folder


@pytest.fixture(name="dump", params=["folder", "archive_gzip"])
def _dump(request: pytest.FixtureRequest, client: Any, storage: Path, tmp_path: Path) -> Dump:
    """A dump of a small app with mixed keys, an empty collection and indexes."""
    insert(client, "slides", [*numbered(2000), {"_id": "text"}, {"_id": {"a": 1}}])
    client.get_database(SOURCE).command({"create": "empty"})
    client.get_database(SOURCE).command({"createIndexes": "empty", "indexes": [{"key": {"a": 1, "b": -1}, "name": "ab", "unique": True}]})
    asked = BackupRequest("present", str(tmp_path / "dumps"), str(tmp_path / "spool"), layout=request.param, workers=2)
    maker = Maker(asked, client, str(storage), not_held, INSTANCE, Versions("v101.1.0", "7.0", "0.1.0"), "secret")
    return maker.make(Source("app", (App("sales", "Sales", SOURCE, "sales"),), (SOURCE,), tuple(describe(client, SOURCE)), ("sales",), 100_000))


def left(client: Any) -> list[str]:
    return [name for name in databases(client) if name.startswith(PREFIX)]


def test_a_dump_is_proven_and_nothing_of_the_proof_stays(client: Any, dump: Dump, tmp_path: Path) -> None:
    before = {info.namespace: (info.metadata, read_back(client, info).digest.hexdigest()) for info in describe(client, SOURCE)}
    proof = Prover(client, str(tmp_path / "spool")).prove(dump)
    assert proof.problems == ()
    assert proof.holds_for(dump)
    assert left(client) == []
    assert {info.namespace: (info.metadata, read_back(client, info).digest.hexdigest()) for info in describe(client, SOURCE)} == before
    assert list((tmp_path / "spool").iterdir()) == []
    assert [path.name for path in (tmp_path / "dumps").iterdir()] == [dump.name]


def test_what_a_server_does_not_take_as_it_was_is_no_proof(client: Any, dump: Dump, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Loader.finish

    def spoilt(loader: Loader) -> Any:
        done = load(loader)
        target = next(item.target for item in done if item.namespace.collection == "slides")
        client.get_database(target.database).command({"update": target.collection, "updates": [{"q": {"_id": 7}, "u": {"$set": {"text": "other"}}}]})
        client.get_database(target.database).command({"dropIndexes": "empty", "index": "ab"})
        return done

    monkeypatch.setattr(Loader, "finish", spoilt)
    proof = Prover(client, str(tmp_path / "spool")).prove(dump)
    assert proof.problems == (
        f"collection empty of {SOURCE}, restored: index ab is missing",
        f"collection slides of {SOURCE}, restored: its documents differ",
    )
    assert not proof.proven
    assert left(client) == []


def test_a_dump_that_is_damaged_touches_no_server(client: Any, dump: Dump, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(dump.path, "mongodump.tar.gz")
    path.write_bytes(path.read_bytes()[:-200])
    monkeypatch.setattr(proving, "Loader", None)
    proof = Prover(client, str(tmp_path / "spool")).prove(dump)
    assert "mongodump.tar.gz" in proof.problems[0]


def test_only_databases_of_a_proof_are_dropped(client: Any) -> None:
    insert(client, "mine", [{"_id": 1}])
    with pytest.raises(Failure, match=f"{SOURCE} is no database of a test restore"):
        proving.drop(client, SOURCE)
    assert client.get_database(SOURCE).get_collection("mine").count_documents({}) == 1
