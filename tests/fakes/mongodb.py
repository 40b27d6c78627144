# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MongoDB in memory, by its commands, for what the lab's server does not have: its answers have the shapes of MongoDB's manual.

https://www.mongodb.com/docs/manual/reference/command/ (listCollections, listIndexes, find, getMore, insert, create, collStats)
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Optional

import bson
from bson import Binary, Int64
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

BUCKETS = "system.buckets."


@dataclass
class Stored:
    """A collection of the fake server."""

    options: dict[str, Any] = field(default_factory=dict)
    kind: str = "collection"
    documents: list[bytes] = field(default_factory=list)
    indexes: list[dict[str, Any]] = field(default_factory=lambda: [{"v": 2, "key": {"_id": 1}, "name": "_id_"}])
    identity: bytes = field(default_factory=lambda: uuid.uuid4().bytes)


class FakeMongo:
    """What stands for `pymongo.MongoClient`.

    :ivar commands: every command that came, in order.
    :ivar before: is called with each command before it is done, and may change or raise what it likes.
    """

    nodes = frozenset({("fake", 1)})

    def __init__(self, **facts: Any) -> None:
        self.collections: dict[tuple[str, str], Stored] = {}
        self.commands: list[dict[str, Any]] = []
        self.before: Callable[[dict[str, Any]], None] = lambda command: None
        self.facts = {"maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000, "version": "7.0.5", **facts}
        self.writes: Optional[dict[tuple[str, str], int]] = None
        self.cursors: dict[int, tuple[tuple[str, str], list[bytes]]] = {}
        self._numbers = itertools.count(1)

    def add(self, database: str, name: str, documents: list[Any], **options: Any) -> Stored:
        """Put a collection in; of a time series the documents are its buckets."""
        kind = "view" if "viewOn" in options else "timeseries" if "timeseries" in options else "collection"
        stored = Stored(options, kind, list(map(bson.encode, documents)))
        if kind == "timeseries":
            self.collections[database, BUCKETS + name] = Stored({"clusteredIndex": True}, "collection", stored.documents, [])
            stored = Stored(options, kind, [], [])
        self.collections[database, name] = stored
        return stored

    def get_database(self, name: str) -> FakeDatabase:
        return FakeDatabase(self, name)

    @property
    def admin(self) -> FakeDatabase:
        return FakeDatabase(self, "admin")

    @contextmanager
    def start_session(self) -> Iterator[None]:
        yield None

    def number(self) -> int:
        return next(self._numbers)


class FakeDatabase:
    """What stands for `pymongo.database.Database`."""

    def __init__(self, server: FakeMongo, name: str) -> None:
        self._server, self._name = server, name

    def command(self, command: Any, codec_options: Any = None, session: Any = None) -> Any:
        given = {command: 1} if isinstance(command, str) else dict(command)
        self._server.commands.append(given)
        self._server.before(given)
        answer = getattr(self, "_" + next(iter(given)))(given)
        return RawBSONDocument(bson.encode(answer)) if codec_options is not None else answer

    def cursor_command(self, command: Any, codec_options: Any = None) -> list[Any]:
        return self.command(command)["cursor"]["firstBatch"]

    def _stored(self, name: str) -> Stored:
        try:
            return self._server.collections[self._name, name]
        except KeyError:
            raise refused(26, "NamespaceNotFound") from None

    def _hello(self, command: Mapping[str, Any]) -> dict[str, Any]:
        return self._server.facts

    _buildInfo = _hello

    def _listCollections(self, command: Mapping[str, Any]) -> Any:
        wanted = command.get("filter", {}).get("name")
        found = [(name, stored) for (database, name), stored in self._server.collections.items() if database == self._name and wanted in (None, name)]
        return batch([_entry(name, stored) for name, stored in found])

    def _listIndexes(self, command: Mapping[str, Any]) -> Any:
        return batch(self._stored(command["listIndexes"]).indexes)

    def _collStats(self, command: Mapping[str, Any]) -> Any:
        stored = self._server.collections.get((self._name, command["collStats"]), Stored())
        return {"size": sum(map(len, stored.documents)), "count": len(stored.documents)}

    def _aggregate(self, command: Mapping[str, Any]) -> Any:
        stage, *rest = command["pipeline"]
        name = (self._name, command["aggregate"])
        if "$collStats" in stage:
            if self._server.writes is None:
                raise refused(115, "CommandNotSupported")
            return batch([{"latencyStats": {"writes": {"latency": Int64(5), "ops": Int64(self._server.writes.get(name, 0))}}}])
        documents = self._server.collections[name].documents if name in self._server.collections else []
        if "$sample" in stage:
            return batch([{"_id": bson.decode(document)["_id"]} for document in documents[: stage["$sample"]["size"]]])
        return batch([{"_id": None, "n": len(documents)}] if documents else [])

    def _find(self, command: Mapping[str, Any]) -> Any:
        if command.get("filter") not in (None, {}):
            raise AssertionError("the fake server reads collections whole")
        name = (self._name, command["find"])
        left = list(self._server.collections[name].documents) if name in self._server.collections else []
        identity = self._server.number()
        self._server.cursors[identity] = (name, left)
        return self._more(identity, command["batchSize"], "firstBatch")

    def _getMore(self, command: Mapping[str, Any]) -> Any:
        return self._more(command["getMore"], command["batchSize"], "nextBatch")

    def _more(self, identity: int, number: int, batch_name: str) -> Any:
        if identity not in self._server.cursors:
            raise refused(43, "CursorNotFound")
        name, left = self._server.cursors[identity]
        if name not in self._server.collections:
            left.clear()  # as servers do: it just ends
        taken = [_Raw(document) for document in left[:number]]
        del left[:number]
        if not left:
            del self._server.cursors[identity]
        return {"cursor": {batch_name: taken, "id": Int64(identity if left else 0), "ns": ".".join(name)}, "ok": 1.0}

    def _killCursors(self, command: Mapping[str, Any]) -> Any:
        for identity in command["cursors"]:
            self._server.cursors.pop(int(identity), None)
        return {"ok": 1.0}

    def _create(self, command: Mapping[str, Any]) -> Any:
        options = {key: value for key, value in command.items() if key not in ("create", "writeConcern")}
        self._server.add(self._name, command["create"], [], **options)
        return {"ok": 1.0}

    def _insert(self, command: Mapping[str, Any]) -> Any:
        documents = split(command)
        self._stored(command["insert"]).documents.extend(documents)
        return {"n": len(documents), "ok": 1.0}

    def _createIndexes(self, command: Mapping[str, Any]) -> Any:
        self._stored(command["createIndexes"]).indexes.extend({"v": 2, **index} for index in command["indexes"])
        return {"ok": 1.0}

    def _drop(self, command: Mapping[str, Any]) -> Any:
        self._stored(command["drop"])
        for name in (command["drop"], BUCKETS + command["drop"]):
            self._server.collections.pop((self._name, name), None)
        return {"ok": 1.0}

    def _renameCollection(self, command: Mapping[str, Any]) -> Any:
        source, target = (tuple(command[key].split(".", 1)) for key in ("renameCollection", "to"))
        if source not in self._server.collections:
            raise refused(26, "NamespaceNotFound")
        if target in self._server.collections and not command.get("dropTarget"):
            raise refused(48, "NamespaceExists")
        self._server.collections[target] = self._server.collections.pop(source)
        return {"ok": 1.0}


class _Raw:
    """A document as it is, whole or broken."""

    _type_marker = 101  # by which the driver's encoder knows a `RawBSONDocument`

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


def _entry(name: str, stored: Stored) -> dict[str, Any]:
    info = {} if stored.kind != "collection" else {"uuid": Binary(stored.identity, 4)}
    return {"name": name, "type": stored.kind, "options": stored.options, "info": {"readOnly": stored.kind == "view", **info}}


def split(command: Mapping[str, Any]) -> list[bytes]:
    """The documents of an insert."""
    found, data = [], b"".join(document.raw for document in command["documents"])
    while data:
        size = int.from_bytes(data[:4], "little")
        found.append(data[:size])
        data = data[size:]
    return found


def batch(entries: list[Any]) -> Any:
    """An answer with a cursor that has all at once."""
    return {"cursor": {"firstBatch": entries, "id": 0, "ns": "x"}, "ok": 1.0}


def refused(code: int, name: str) -> OperationFailure:
    """How the driver tells of a refused command."""
    return OperationFailure("a text that may quote documents", code, {"codeName": name})
