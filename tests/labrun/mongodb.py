# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MongoDB of a test's own, and the way of collections out of it and back: what tests of dumps share."""

from __future__ import annotations

import os
import subprocess
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bson
import pymongo
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.batches import Documents
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import CollectionInfo, describe
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.comparison import Content, compare
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.export import Export, ExportedCollection, export
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.frames import split_whole
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.load import Loader
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import Namespace
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.reading import read_back
from pymongo.errors import PyMongoError

IMAGE, NETWORK = "toucan-lab/mongodb", "toucan-lab"
#: A server that whoever runs the tests gives, in place of the lab's.
GIVEN = os.environ.get("TOUCAN_TEST_MONGODB_URI")
SOURCE, TARGET = "dump-source", "dump-target"
READY_SECONDS = 90.0


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {arguments[0]}: {done.stderr}"
    return done.stdout.strip()


class Server:
    """A MongoDB in a container of its own."""

    def __init__(self) -> None:
        self.name = docker("run", "--detach", "--rm", "--label", "toucan-lab=dump", "--network", NETWORK, IMAGE)
        address = docker("inspect", "--format", f'{{{{(index .NetworkSettings.Networks "{NETWORK}").IPAddress}}}}', self.name)
        self.uri = f"mongodb://{address}/?directConnection=true"

    def wait(self) -> Server:
        deadline = time.monotonic() + READY_SECONDS
        with pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=500) as client:
            while True:
                try:
                    client.admin.command("ping")
                    return self
                except PyMongoError:
                    assert time.monotonic() < deadline, f"MongoDB does not start: {docker('logs', self.name)}"

    def sql(self, statement: str) -> str:
        return docker("exec", self.name, "psql", "--no-psqlrc", "--host=/tmp", "--username=postgres", "--command", statement, "postgres")

    def remove(self) -> None:
        docker("rm", "--force", "--volumes", self.name)


@contextmanager
def own_server() -> Iterator[Server]:
    server = Server()
    try:
        yield server.wait()
    finally:
        server.remove()


def insert(client: Any, collection: str, documents: Sequence[Any], database: str = SOURCE) -> None:
    """Put documents in by a command, which takes names that the driver's collections refuse."""
    for start in range(0, len(documents), 1000):
        part = documents[start : start + 1000]
        answer = client.get_database(database).command({"insert": collection, "documents": [Documents(b"".join(map(bson.encode, part)))]})
        assert answer["n"] == len(part), answer


def numbered(number: int, size: int = 900) -> list[dict[str, Any]]:
    return [{"_id": index, "text": f"{index:x}" * (size // len(f"{index:x}"))} for index in range(number)]


def taken(client: Any, folder: Path, *, workers: int = 2, still: bool = False, progress: Any = None) -> Export:
    """Export all of the source."""
    folder.mkdir(exist_ok=True)
    return export(describe(client, SOURCE), client, folder, workers, progress, still=still)


def documents_of(collection: ExportedCollection) -> bytes:
    return b"".join(zlib.decompress(segment.path.read_bytes(), 31) for segment in collection.segments)


def put_back(client: Any, exported: Export, workers: int = 2) -> Loader:
    """Load all into the target, as a reader of a dump does it."""
    collections = {collection.namespace: collection.metadata for collection in exported.collections}
    with Loader(client, collections, lambda namespace: Namespace(TARGET, namespace.collection), workers) as loader:
        for collection in exported.collections:
            if collection.metadata.type != "view":
                push(loader, collection.namespace, documents_of(collection))
        loader.finish()
    return loader


def push(loader: Loader, namespace: Namespace, documents: bytes) -> None:
    loader.begin(namespace)
    rest = memoryview(documents)
    while rest:
        whole, dummy = split_whole(rest[: 17 * 1024 * 1024])
        loader.documents(namespace, whole)
        rest = rest[len(whole) :]
    loader.end(namespace)


def differences(client: Any, exported: Export) -> dict[str, list[str]]:
    """How what is in the target differs from what was exported."""
    found = {info.namespace.collection: info for info in describe(client, TARGET)}
    assert found.keys() == {collection.namespace.collection for collection in exported.collections}
    result = {}
    for wanted in exported.collections:
        info = found[wanted.namespace.collection]
        tally = read_back(client, info)
        sequence = tally.sequence.hexdigest() if tally.sequence else None
        content = Content(info.metadata, tally.digest.count, tally.digest.hexdigest(), sequence)
        result[wanted.namespace.collection] = compare(Content(wanted.metadata, wanted.count, wanted.digest, wanted.sequence), content)
    return {name: found_differences for name, found_differences in result.items() if found_differences}


def round_trip(client: Any, folder: Path) -> Export:
    """Export all of the source, still, and load it into the target; fail where anything differs."""
    exported = taken(client, folder, still=True)
    assert exported.untouched
    put_back(client, exported)
    assert differences(client, exported) == {}
    return exported


def info_of(client: Any, name: str, database: str = SOURCE) -> CollectionInfo:
    return next(info for info in describe(client, database) if info.namespace.collection == name)
