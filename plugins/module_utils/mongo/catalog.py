# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a database: its collections with their options, indexes and rough sizes; and what the server is.

Sources: https://www.mongodb.com/docs/manual/reference/command/listCollections/, .../collStats/, .../hello/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ..core.errors import Failure
from .clients import exact, told
from .metadata import BUCKETS, COLLECTION, TIME_SERIES, VIEW, CollectionMetadata, Namespace

try:
    from pymongo.errors import OperationFailure
except ImportError:
    OperationFailure = Exception

FERRETDB = "FerretDB"
_SYSTEM = "system."
#: Functions that somebody stored; all else below `system.` but buckets is the server's, which makes it anew.
_STORED_FUNCTIONS = "system.js"
_ID_INDEX = "_id_"
_NAMESPACE_NOT_FOUND = 26
#: As FerretDB's code tells of a thing that it does not do, and MongoDB's of a view's statistics.
_NO_STATISTICS = (59, 115, 166, 238)


@dataclass(frozen=True)
class CollectionInfo:
    """A collection as a server tells of it.

    :param namespace: the name by which people know it; of a time series not its buckets'.
    :param metadata: type, options, indexes and identity, as a dump holds them.
    :param size: rough bytes of BSON, and
    :param count: rough number of documents; of a time series of its buckets; both 0 for a view.
    """

    namespace: Namespace
    metadata: CollectionMetadata
    size: int = 0
    count: int = 0

    @property
    def type(self) -> str:
        return self.metadata.type or COLLECTION

    @property
    def holder(self) -> Optional[Namespace]:
        """The collection that holds the documents; None for a view."""
        return holder(self.namespace, self.type)

    @property
    def average(self) -> int:
        """Rough bytes of one document, 0 where nobody knows."""
        return self.size // self.count if self.count else 0

    @property
    def capped(self) -> bool:
        return bool(self.metadata.options.get("capped"))

    @property
    def clustered(self) -> bool:
        return "clusteredIndex" in self.metadata.options or self.type == TIME_SERIES

    @property
    def collated(self) -> bool:
        """Whether it compares text by rules of a language."""
        return "collation" in self.metadata.options

    @property
    def has_id_index(self) -> bool:
        return any(index.get("name") == _ID_INDEX for index in self.metadata.indexes)


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself.

    :param replica_set: its name, empty where there is none.
    """

    version: str
    make: str
    replica_set: str
    largest_document: int
    largest_message: int
    most_writes: int

    @property
    def renames_dots(self) -> bool:
        """Whether it renames collections with a dot in their name, which FerretDB 2.7 refuses."""
        return self.make != FERRETDB


def holder(namespace: Namespace, kind: str) -> Optional[Namespace]:
    """The collection that holds the documents of one of that kind; None for a view."""
    if kind == VIEW:
        return None
    return Namespace(namespace.database, BUCKETS + namespace.collection) if kind == TIME_SERIES else namespace


def server_facts(client: Any) -> ServerFacts:
    """Ask a server what it is. :raises Failure: when it does not answer."""
    with told("asking what it is", _subject(client)):
        hello, build = client.admin.command("hello"), client.admin.command("buildInfo")
    if "msg" in hello and hello["msg"] == "isdbgrid":
        remedy = "give the address of a server or a replica set"
        raise Failure("MongoDB is a sharded cluster, whose parts cannot be read as one", remedy, subject=_subject(client))
    return ServerFacts(
        version=build["version"],
        make=FERRETDB if "ferretdb" in build else "MongoDB",
        replica_set=hello.get("setName", ""),
        largest_document=hello["maxBsonObjectSize"],
        largest_message=hello["maxMessageSizeBytes"],
        most_writes=hello["maxWriteBatchSize"],
    )


def databases(client: Any) -> list[str]:
    """The names of all databases that the user may see. :raises Failure: when the server refuses."""
    with told("listing databases", _subject(client)):
        return sorted(entry["name"] for entry in client.admin.command({"listDatabases": 1, "nameOnly": True})["databases"])


def describe(client: Any, database: str) -> list[CollectionInfo]:
    """Every collection of a database, by name; empty for a database that is not there.

    :raises Failure: when the server refuses or is lost.
    """
    with told(f"listing the collections of {database}", database):
        return [_information(client, database, entry) for entry in sorted(listed(client, database), key=lambda entry: entry["name"])]


def identities(client: Any, database: str) -> dict[str, Optional[bytes]]:
    """The identity of each collection by its name, also of buckets; None where the server gives none, as for a view.

    A collection that was dropped and made again, or that another was renamed to, has another one.
    """
    with told(f"listing the collections of {database}", database):
        found = client.get_database(database).cursor_command({"listCollections": 1}, codec_options=exact())
        return {entry["name"]: _identity(entry) for entry in found}


def listed(client: Any, database: str) -> Iterable[Mapping[str, Any]]:
    """What `listCollections` tells of collections that are not the server's own."""
    answers = client.get_database(database).cursor_command({"listCollections": 1}, codec_options=exact())
    entries = [entry for entry in answers if not entry["name"].startswith(_SYSTEM) or entry["name"].startswith((BUCKETS, _STORED_FUNCTIONS))]
    series = {entry["name"] for entry in entries if entry.get("type") == TIME_SERIES}
    return [entry for entry in entries if not (entry["name"].startswith(BUCKETS) and entry["name"][len(BUCKETS) :] in series)]


def _information(client: Any, database: str, entry: Mapping[str, Any]) -> CollectionInfo:
    namespace, kind = Namespace(database, entry["name"]), entry.get("type") or COLLECTION
    indexes = [] if kind == VIEW else indexes_of(client, namespace)
    metadata = CollectionMetadata(type=kind, options=entry.get("options") or {}, indexes=indexes, uuid=_identity(entry))
    size, count = (0, 0) if kind == VIEW else _statistics(client, holder(namespace, kind) or namespace)
    return CollectionInfo(namespace, metadata, size, count)


def indexes_of(client: Any, namespace: Namespace) -> list[Any]:
    """The definitions of a collection's indexes, in the order in which they were made; empty where the collection is gone."""
    try:
        return list(client.get_database(namespace.database).cursor_command({"listIndexes": namespace.collection}, codec_options=exact()))
    except OperationFailure as error:
        if error.code == _NAMESPACE_NOT_FOUND:
            return []
        raise


def _statistics(client: Any, namespace: Namespace) -> tuple[int, int]:
    """Rough bytes and documents of a collection; nothing where the server does not tell."""
    try:
        answer = client.get_database(namespace.database).command({"collStats": namespace.collection})
    except OperationFailure as error:
        if error.code in _NO_STATISTICS:
            return 0, 0
        raise
    return int(answer.get("size") or 0), int(answer.get("count") or 0)


def _identity(entry: Mapping[str, Any]) -> Optional[bytes]:
    uuid = (entry.get("info") or {}).get("uuid")
    return bytes(uuid) if uuid is not None else None


def _subject(client: Any) -> str:
    return ", ".join(f"{host}:{port}" for host, port in client.nodes) or "MongoDB"
