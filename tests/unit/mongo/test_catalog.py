# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server tells of its collections, and how its errors are told."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import clients, counting
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import databases, describe, holder, server_facts
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.clients import CursorLost, open_client, told
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import Namespace
from pymongo import errors

from fakes.mongodb import FakeMongo, refused

SERIES = {"timeField": "t", "metaField": "m", "granularity": "hours", "bucketMaxSpanSeconds": 2592000}


@pytest.fixture(name="server")
def _server() -> FakeMongo:
    server = FakeMongo(setName="rs0")
    server.add("app", "sales", [{"_id": 1}, {"_id": 2}])
    server.add("app", "log", [], capped=True, size=4096)
    server.add("app", "by id", [], clusteredIndex={"key": {"_id": 1}, "unique": True}).indexes.clear()
    server.add("app", "french", [], collation={"locale": "fr"})
    server.add("app", "weather", [{"_id": 1, "control": {}}], timeseries=SERIES)
    server.add("app", "seen", [], viewOn="sales", pipeline=[])
    for own in ("system.views", "system.profile"):
        server.add("app", own, [{"_id": 1}])
    server.add("app", "system.js", [{"_id": "f"}])
    server.add("app", "system.buckets.lonely", [{"_id": 1}])
    server.add("other", "sales", [])
    return server


def test_every_collection_is_described_but_those_of_the_server(server: FakeMongo) -> None:
    found = describe(server, "app")
    assert [info.namespace.collection for info in found] == [
        "by id", "french", "log", "sales", "seen", "system.buckets.lonely", "system.js", "weather",
    ]  # fmt: skip
    by_name = {info.namespace.collection: info for info in found}
    assert [name for name, info in by_name.items() if info.capped] == ["log"]
    assert [name for name, info in by_name.items() if info.clustered] == ["by id", "weather"]
    assert [name for name, info in by_name.items() if info.collated] == ["french"]
    assert (by_name["sales"].count, by_name["sales"].size, by_name["sales"].average) == (2, 28, 14)
    assert by_name["sales"].has_id_index
    assert not by_name["by id"].has_id_index
    assert by_name["sales"].metadata.uuid == server.collections["app", "sales"].identity


def test_the_documents_of_a_time_series_are_in_its_buckets(server: FakeMongo) -> None:
    series = next(info for info in describe(server, "app") if info.type == "timeseries")
    assert series.holder == Namespace("app", "system.buckets.weather")
    assert (series.count, dict(series.metadata.options["timeseries"])) == (1, SERIES)


def test_a_view_has_no_documents_of_its_own(server: FakeMongo) -> None:
    view = next(info for info in describe(server, "app") if info.type == "view")
    assert (view.holder, view.count, view.metadata.uuid, view.metadata.indexes) == (None, 0, None, [])
    assert "listIndexes" not in [next(iter(command)) for command in server.commands if "seen" in command.values()]
    assert holder(Namespace("app", "x"), "collection") == Namespace("app", "x")


def test_a_database_that_is_not_there_is_empty(server: FakeMongo) -> None:
    assert describe(server, "nowhere") == []


@pytest.mark.parametrize(("command", "code"), [("listIndexes", 26), ("collStats", 166), ("collStats", 59)])
def test_a_collection_without_indexes_or_statistics_is_described(server: FakeMongo, command: str, code: int) -> None:
    def refuse(given: dict[str, Any]) -> None:
        if command in given:
            raise refused(code, "x")

    server.before = refuse
    assert len(describe(server, "app")) == 8


@pytest.mark.parametrize("command", ["listCollections", "listIndexes", "collStats"])
def test_a_refusal_is_told_without_the_servers_text(server: FakeMongo, command: str) -> None:
    def refuse(given: dict[str, Any]) -> None:
        if command in given:
            raise refused(13, "Unauthorized")

    server.before = refuse
    with pytest.raises(Failure, match=r"^MongoDB refused listing the collections of app: error code 13 \(Unauthorized\); see its log"):
        describe(server, "app")


def test_the_server_says_what_it_is(server: FakeMongo) -> None:
    facts = server_facts(server)
    assert (facts.version, facts.make, facts.replica_set, facts.most_writes) == ("7.0.5", "MongoDB", "rs0", 100000)
    assert facts.renames_dots
    assert (server_facts(FakeMongo(ferretdb={})).make, server_facts(FakeMongo(ferretdb={})).renames_dots) == ("FerretDB", False)
    assert server_facts(FakeMongo()).replica_set == ""


def test_a_sharded_cluster_is_refused() -> None:
    with pytest.raises(Failure, match="MongoDB is a sharded cluster, whose parts cannot be read as one; give the address of"):
        server_facts(FakeMongo(msg="isdbgrid"))


def test_databases_are_listed(server: FakeMongo, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {"databases": [{"name": "b"}, {"name": "a"}]}
    monkeypatch.setattr("fakes.mongodb.FakeDatabase._listDatabases", lambda self, command: listed, raising=False)
    assert databases(server) == ["a", "b"]


def test_writes_are_counted_where_the_server_does(server: FakeMongo) -> None:
    sales = Namespace("app", "sales")
    assert counting.write_counter(server, sales) is None
    server.writes = {("app", "sales"): 7}
    assert counting.write_counter(server, sales) == 7
    assert counting.identity(server, sales) == (True, server.collections["app", "sales"].identity)
    assert counting.identity(server, Namespace("app", "seen")) == (True, None)
    assert counting.identity(server, Namespace("app", "gone")) == (False, None)
    assert counting.exact_count(server, sales, True) == 2
    assert server.commands[-1]["hint"] == {"_id": 1}
    assert counting.exact_count(server, Namespace("app", "log"), False) == 0
    assert "hint" not in server.commands[-1]
    assert counting.sampled_ids(server, sales, 5) == [1, 2]


# -- errors -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errors.AutoReconnect("1.2.3.4: connection closed (configured timeouts: x)"), "MongoDB was lost while reading x: 1.2.3.4: connection closed; see"),
        (errors.ServerSelectionTimeoutError("refused, Timeout: 30s, Topology"), "MongoDB was lost while reading x: refused; see"),
        (errors.NetworkTimeout("timed out"), "MongoDB was lost while reading x: timed out; see"),
        (errors.OperationFailure("canary", 2, {}), "MongoDB refused reading x: error code 2; see its log"),
        (errors.InvalidOperation("closed"), "MongoDB's driver failed reading x: closed; see"),
        (bson.errors.InvalidBSON("bad eoo"), "MongoDB's driver failed reading x: bad eoo; see"),
    ],
)
def test_an_error_of_the_driver_is_a_sentence(error: Exception, sentence: str) -> None:
    with pytest.raises(Failure) as caught, told("reading x", "x"):
        raise error
    assert str(caught.value).startswith(sentence)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("code", [43, 136, 175, 237])
def test_a_lost_cursor_is_told_apart(code: int) -> None:
    with pytest.raises(CursorLost), told("reading x", "x"):
        raise refused(code, "CursorNotFound")


def test_a_bad_connection_string_is_a_sentence_without_it() -> None:
    for uri in ("mongodb://user:canary@", "mongodb://user:canary@host:port/", "http://canary"):
        with pytest.raises(Failure, match="The connection string of MongoDB cannot be used: ") as caught:
            open_client(uri)
        assert "canary" not in str(caught.value)


def test_a_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "pymongo", None)
    with pytest.raises(Failure, match="The Python library pymongo is missing; run role `toucan_host`"):
        open_client("mongodb://host")


def test_nobody_listening_is_lost() -> None:
    client = open_client("mongodb://127.0.0.1:9/?directConnection=true", serverSelectionTimeoutMS=200)
    with client, pytest.raises(Failure, match="^MongoDB was lost while asking what it is: "):
        server_facts(client)
