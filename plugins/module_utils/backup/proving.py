# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a dump by a test restore: into databases and a folder of its own, compared with the manifest, and removed again."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, BinaryIO, Optional, cast

from ..contract.dumps import DATABASE_FILE, STORAGE_FILE
from ..core import gzip_members
from ..core.archives import Limits
from ..core.entries import digest_of_tree
from ..core.errors import Failure
from ..core.extraction import extract
from ..core.progress import Progress
from ..core.space import free_bytes, require_space
from ..dump.directory import Dump, open_file
from ..dump.manifest import Manifest
from ..dump.proofs import Proof
from ..dump.verify import structure
from ..mongo.catalog import CollectionInfo, describe, server_facts
from ..mongo.clients import told
from ..mongo.comparison import Content, compare
from ..mongo.dumped import DumpedCollection
from ..mongo.layouts import open_dump
from ..mongo.load import Loader
from ..mongo.metadata import CollectionMetadata, Namespace
from ..mongo.reading import read_back

#: How the databases of a test restore are called; a run that was killed leaves them, and the next one removes them.
PREFIX = "toucan-proof-"
_FOLDER = ".toucan-proof-"


@dataclass(frozen=True)
class Prover:
    """Where dumps are proven.

    :param client: of a MongoDB that may be written to.
    :param folder: for the files of the storage, meanwhile.
    """

    client: Any
    folder: str
    workers: int = 2
    progress: Optional[Progress] = None

    def prove(self, dump: Dump) -> Proof:
        """Restore a dump that is not encrypted, compare, and remove what was restored.

        :raises Failure: when nothing can be said, because the server or the disk fails.
        """
        manifest = dump.manifest
        if manifest is None or manifest.encryption:
            raise AssertionError("only a readable dump of ours can be proven")
        report = structure(dump, progress=self.progress)
        problems = list(report.problems)
        if not problems:
            problems = [*self._databases(dump, report.collections), *self._storage(dump, manifest)]
        facts = server_facts(self.client)
        now = datetime.now(timezone.utc).replace(microsecond=0)
        return Proof(dump.name, dump.manifest_sha256, now, f"{facts.make} {facts.version}", tuple(problems))

    def _databases(self, dump: Dump, listed: Iterable[DumpedCollection]) -> list[str]:
        collections = {one.namespace: one for one in listed}
        names = _names_for(sorted({namespace.database for namespace in collections}))
        progress = self.progress or Progress()
        progress.begin(f"test restore of {dump.name}", 2 * sum(one.bytes for one in collections.values()))
        try:
            with open_file(dump.path, DATABASE_FILE) as stream:
                self._load(stream, os.path.join(dump.path, DATABASE_FILE), collections, names, progress)
            return list(self._differences(collections, names, progress))
        finally:
            for name in names.values():
                drop(self.client, name)

    def _load(
        self, stream: BinaryIO, path: str, collections: Mapping[Namespace, DumpedCollection], names: Mapping[str, str], progress: Progress
    ) -> None:
        metadata = {namespace: one.metadata or CollectionMetadata() for namespace, one in collections.items()}
        with Loader(self.client, metadata, lambda name: Namespace(names[name.database], name.collection), self.workers, progress) as loader:
            open_dump(stream, path).scan(loader)
            loader.finish()

    def _differences(self, collections: Mapping[Namespace, DumpedCollection], names: Mapping[str, str], progress: Progress) -> Iterator[str]:
        for database, name in names.items():
            there = {info.namespace.collection: info for info in describe(self.client, name)}
            for namespace, wanted in collections.items():
                if namespace.database != database:
                    continue
                info = there.get(namespace.collection)
                if info is None:
                    yield f"collection {namespace.collection} of {database} is not there after a restore"
                    continue
                found = self._content(info, progress)
                known = Content(wanted.metadata or CollectionMetadata(), wanted.count, wanted.digest or None, wanted.sequence or None)
                for difference in compare(known, found):
                    yield f"collection {namespace.collection} of {database}, restored: {difference}"

    def _content(self, info: CollectionInfo, progress: Progress) -> Content:
        tally = read_back(self.client, info, progress.advance)
        return Content(info.metadata, tally.digest.count, tally.digest.hexdigest(), tally.sequence.hexdigest() if tally.sequence else None)

    def _storage(self, dump: Dump, manifest: Manifest) -> list[str]:
        require_space({self.folder: manifest.storage.bytes})
        path = os.path.join(dump.path, STORAGE_FILE)
        target = os.path.join(self.folder, f"{_FOLDER}{secrets.token_hex(4)}")
        try:
            with open_file(dump.path, STORAGE_FILE) as stream:
                packed = gzip_members.is_packed(stream.read(2))
                stream.seek(0)
                source = gzip_members.MembersReader(stream, path) if packed else cast(Any, stream)
                extract(source, path, target, Limits(free_bytes(self.folder)), progress=self.progress)
            found = digest_of_tree(target).hexdigest()
        finally:
            shutil.rmtree(target, ignore_errors=True)
        return [] if found == manifest.storage.digest else ["the files of the storage, restored, are other ones than by the manifest"]


def _names_for(databases: Iterable[str]) -> dict[str, str]:
    """A database of the test restore for each in the dump: short, since a name may have 63 bytes only."""
    mark = secrets.token_hex(4)
    return {name: f"{PREFIX}{mark}-{number}" for number, name in enumerate(databases)}


def drop(client: Any, database: str) -> None:
    """Remove a database of a test restore. :raises Failure: when the server refuses."""
    if not database.startswith(PREFIX):
        raise Failure(f"{database} is no database of a test restore", "report this as a defect of the collection", subject=database)
    with told(f"removing {database}", database):
        client.drop_database(database)
