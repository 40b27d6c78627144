# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire server of the benches is a MongoDB to drivers that know nothing of it: they read what it tells it has, and it gets what they write."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pymongo
import pytest
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, OperationFailure

from labrun.pieces import lab_piece
from labrun.wire import WireServer, wire_server
from toolchain.places import ROOT

CANNED = {"attachments", "events", "mixed", "nothing", "rows", "settings", "slides"}
SIXTEEN_MEBIBYTES = 16 * 1024 * 1024
#: Reads each canned document into the driver's own types, writes it to the sink from these, and tells how many there were.
NODE_PROGRAM = """
const { MongoClient } = require('mongodb');
async function main(address, database) {
  const client = new MongoClient(`mongodb://${address}/?directConnection=true`, { promoteValues: false });
  const told = {};
  for (const { name } of await client.db(database).listCollections().toArray()) {
    const source = client.db(database).collection(name);
    const target = client.db('node').collection(name);
    await client.db('node').createCollection(name);
    await target.createIndex({ city: 1 });
    const entry = { read: 0, counted: await source.countDocuments(), first: [] };
    let batch = [];
    for await (const document of source.find({}, { batchSize: 700, sort: { _id: 1 } })) {
      entry.read += 1;
      batch.push(document);
      if (batch.length === 500) { await target.insertMany(batch, { ordered: false }); batch = []; }
    }
    if (batch.length) await target.insertMany(batch, { ordered: false });
    entry.indexes = (await target.indexes()).map((index) => String(index.name));
    const one = await source.findOne({}, { promoteValues: true });
    entry.fields = one ? Object.keys(one).length : 0;
    told[name] = entry;
  }
  await client.db('node').collection('settings').rename('kept');
  await client.db('node').collection('nothing').drop();
  await client.close();
  console.log(JSON.stringify(told));
}
main(process.argv[2], process.argv[3]).catch((error) => { console.error(error); process.exit(1); });
"""

Client: TypeAlias = "pymongo.MongoClient[dict[str, Any]]"


@pytest.fixture(scope="module", name="server")
def started() -> Iterator[WireServer]:
    with wire_server("20M", largest="200K") as server:
        yield server


@pytest.fixture(name="client")
def connected(server: WireServer) -> Iterator[Client]:
    with pymongo.MongoClient(server.address) as client:
        yield client


def digests(client: Client, database: str) -> dict[str, dict[str, Any]]:
    """What the server tells of each collection of a database."""
    told = client.admin.command("wireDigest")["collections"]
    return {name.partition(".")[2]: dict(entry) for name, entry in told.items() if name.startswith(f"{database}.")}


def digest(documents: Iterable[bytes]) -> dict[str, Any]:
    """The same, worked out here."""
    count = size = total = 0
    for document in documents:
        count, size = count + 1, size + len(document)
        total += int.from_bytes(hashlib.sha256(document).digest(), "big")
    return {"count": count, "bytes": size, "digest": f"{total % 2**256:064x}"}


def split(batches: Iterable[bytes]) -> Iterator[bytes]:
    for batch in batches:
        start = 0
        while start < len(batch):
            end = start + int.from_bytes(batch[start : start + 4], "little")
            yield batch[start:end]
            start = end


def test_pymongo_reads_what_is_told(client: Client, server: WireServer) -> None:
    told = digests(client, server.database)
    assert set(client[server.database].list_collection_names()) == set(told) == CANNED
    assert sum(entry["bytes"] for entry in told.values()) == server.bytes
    assert 0.9 < server.bytes / 20_000_000 < 1.5
    for name, entry in told.items():
        collection = client[server.database][name]
        assert digest(split(collection.find_raw_batches())) == entry
        assert digest(split(collection.find_raw_batches(batch_size=301).hint([("_id", 1)]))) == entry
        assert collection.count_documents({}) == collection.estimated_document_count() == entry["count"]
        assert client[server.database].command("collStats", name)["size"] == entry["bytes"]
        assert [document["_id"] for document in collection.find()] == [document["_id"] for document in collection.find().sort("_id", -1)][::-1]


def test_ranges_of_the_identity_cut_a_collection_into_parts(client: Client, server: WireServer) -> None:
    for name in CANNED - {"nothing"}:
        collection = client[server.database][name]
        everything = [document["_id"] for document in collection.find()]
        low, high = everything[len(everything) // 4], everything[len(everything) // 4 + 3]
        span = everything[len(everything) // 4 : len(everything) // 4 + 3]
        assert [document["_id"] for document in collection.find({"_id": {"$gte": low, "$lt": high}})] == span
        assert [document["_id"] for document in collection.find({"_id": {"$gt": low, "$lte": high}})] == [*span[1:], high]
        assert [document["_id"] for document in collection.find().min([("_id", low)]).max([("_id", high)]).hint("_id_")] == span
        assert collection.count_documents({"_id": {"$gte": MinKey(), "$lte": MaxKey()}}) == len(everything)


def test_an_identity_is_compared_with_its_own_type_alone(client: Client, server: WireServer) -> None:
    mixed = client[server.database]["mixed"]
    kinds = {kind: mixed.count_documents({"_id": {"$type": kind}}) for kind in ("long", "string", "objectId")}
    assert all(kinds.values())
    assert sum(kinds.values()) == mixed.count_documents({})
    assert mixed.count_documents({"_id": {"$gte": Int64(0)}}) == mixed.count_documents({"_id": {"$gte": 0.5}}) == kinds["long"]
    assert mixed.count_documents({"_id": {"$gte": ""}}) == kinds["string"]
    assert mixed.count_documents({"_id": {"$not": {"$type": "string"}}}) == kinds["long"] + kinds["objectId"]


def test_batches_are_as_long_as_asked_and_no_longer_than_mongodb_sends(client: Client, server: WireServer) -> None:
    command: dict[str, Any] = {"find": "slides", "batchSize": 0}
    first = client[server.database].command(command)["cursor"]
    assert first["firstBatch"] == [] and first["id"]
    after = client[server.database].command({"getMore": Int64(first["id"]), "collection": "slides", "batchSize": 7})["cursor"]
    assert len(after["nextBatch"]) == 7
    with wire_server("400M", largest="16M") as large, pymongo.MongoClient(large.address) as other:
        sizes = [len(batch) for batch in other[large.database]["attachments"].find_raw_batches()]
    assert sum(sizes) > SIXTEEN_MEBIBYTES
    assert max(sizes) <= SIXTEEN_MEBIBYTES


def test_a_killed_cursor_is_gone(client: Client, server: WireServer) -> None:
    first = client[server.database].command({"find": "rows", "batchSize": 2})["cursor"]
    assert client[server.database].command({"killCursors": "rows", "cursors": [first["id"]]})["cursorsKilled"] == [first["id"]]
    with pytest.raises(OperationFailure, match="cursor id .* not found"):
        client[server.database].command({"getMore": Int64(first["id"]), "collection": "rows"})


def test_what_the_server_does_not_do_is_refused(client: Client, server: WireServer) -> None:
    with pytest.raises(OperationFailure, match="filters by _id alone"):
        client[server.database]["rows"].find_one({"city": "Paris"})
    with pytest.raises(OperationFailure, match="is canned"):
        client[server.database]["rows"].insert_one({})
    with pytest.raises(OperationFailure, match="no such command"):
        client.admin.command("serverStatus")
    with pytest.raises(OperationFailure, match="no pipeline"):
        client[server.database]["rows"].aggregate([{"$unwind": "$tags"}])
    client["refused"]["one"].insert_one({})
    with pytest.raises(OperationFailure, match="number and the digest of documents alone"):
        client["refused"]["one"].find_one()


def test_the_sink_gets_what_pymongo_writes(client: Client, server: WireServer) -> None:
    raw: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
    for name in CANNED - {"nothing"}:
        documents = list(client[server.database].get_collection(name, codec_options=raw).find())
        client["pymongo"][name].insert_many(documents, ordered=False)
    expected = digests(client, server.database)
    expected.pop("nothing")
    assert digests(client, "pymongo") == expected


def test_the_sink_keeps_names_options_and_indexes(client: Client) -> None:
    database = client["kept"]
    database.create_collection("one", capped=True, size=4096)
    database["one"].create_index([("a", 1), ("b", -1)], unique=True)
    database["one"].insert_one({"content": b"x" * (SIXTEEN_MEBIBYTES - 64)})
    with pytest.raises(OperationFailure, match="already exists"):
        database.create_collection("one", check_exists=False)
    database["one"].rename("two")
    database["three"].insert_one({})
    with pytest.raises(OperationFailure, match="target namespace exists"):
        database["three"].rename("two")
    assert [dict(entry["options"]) for entry in database.list_collections(filter={"name": "two"})] == [{"capped": True, "size": 4096}]
    assert [index["name"] for index in database["two"].list_indexes()] == ["_id_", "a_1_b_-1"]
    assert database["two"].estimated_document_count() == 1
    database["three"].rename("two", dropTarget=True)
    database.drop_collection("two")
    assert database.list_collection_names() == []


def test_a_document_that_is_too_long_is_refused(client: Client) -> None:
    # Just above the limit, the driver leaves it to the server.
    with pytest.raises((OperationFailure, BulkWriteError), match="too large"):
        client["refused"]["long"].insert_one({"content": b"x" * (SIXTEEN_MEBIBYTES + 1024)})


def test_what_was_written_is_told_at_the_end() -> None:
    with wire_server("1M") as server, pymongo.MongoClient(server.address) as client:
        client["other"]["one"].insert_many({"number": number} for number in range(1000))
        told = digests(client, "other")
        assert server.sunk == {}
        assert server.cpu_seconds() > 0
    assert server.sunk == {"other.one": told["one"]}
    assert told["one"]["count"] == 1000


def test_the_bench_runs_with_little_data() -> None:
    command = [sys.executable, str(ROOT / "tests" / "bench" / "backup.py"), "--bytes", "2M", "--largest", "100K", "--large", "0", "--rounds", "1"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*command, "--json", f"{folder}/backup.json"], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(Path(folder, "backup.json").read_text(encoding="utf-8"))["usual"]
    assert {"pymongo", "ours", "mongo-tools"} == set(told["backup"]["median"]) | set(told["left_out"])
    for what in ("backup", "restore"):
        assert all(one["cpu_seconds_per_gb"] > 0 and one["peak_bytes"] > 1_000_000 for one in told[what]["median"].values())
        assert told[what]["median"]["pymongo"]["times_faster"] == 1


@pytest.mark.skipif(not (ROOT / "tests" / "lab" / "labkit" / "toolbox.py").exists(), reason="this lab has no image with Node.js")
def test_the_nodejs_driver_reads_and_writes_each_document(client: Client, server: WireServer) -> None:
    image = f"{lab_piece('toolbox')['a']['image']}:v101.1.0"
    command = ["docker", "run", "--rm", "--interactive", "--network", "host", "--workdir", "/app", "--entrypoint", "node", image, "-"]
    done = subprocess.run([*command, server.address, server.database], input=NODE_PROGRAM, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told, expected = json.loads(done.stdout), digests(client, server.database)
    assert set(told) == CANNED
    for name, entry in told.items():
        assert entry["read"] == entry["counted"] == expected[name]["count"]
        assert entry["indexes"] == ["_id_", "city_1"]
        assert entry["fields"] > 5 or name == "nothing"
    expected["kept"] = expected.pop("settings")
    expected.pop("nothing")
    assert digests(client, "node") == expected
