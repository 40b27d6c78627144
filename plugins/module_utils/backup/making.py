# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make one dump: read databases and storage while the backend is held still, then put the dump together and give it its name."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

from ..contract.dumps import DATABASE_FILE, STORAGE_FILE, VERSION_FILE
from ..core.fingerprints import fingerprint
from ..core.progress import Progress
from ..dump import facts, manifest, secrets
from ..dump.directory import Dump, PartialDump, begin
from ..dump.encryption import EncryptingWriter, parse_recipients
from ..dump.storage import StorageReport, write_storage
from ..mongo import file_names
from ..mongo.dumped import DumpedCollection
from ..mongo.export import Export, ExportedCollection, export
from ..mongo.writers import ARCHIVE_NAME, writer
from .consistency import HOT, Stillness
from .request import BackupRequest, Source

TOP = "dump"


@dataclass(frozen=True)
class Maker:
    """What all dumps of a run have in common.

    :param client: of MongoDB.
    :param storage: the folder that the backend keeps its files in.
    :param held: holds the backend still in a mode.
    :param secret: with which values in the databases are encrypted; empty where nobody knows.
    :param sealed: what only an encrypted dump may hold.
    :param now: the time, aware.
    """

    request: BackupRequest
    client: Any
    storage: str
    held: Callable[[str], AbstractContextManager[Stillness]]
    instance_id: str
    versions: manifest.Versions
    secret: str
    sealed: Optional[secrets.DumpSecrets] = None
    progress: Optional[Progress] = None
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc).replace(microsecond=0)

    def make(self, source: Source) -> Dump:
        """Make one dump. :raises Failure: when anything of it cannot be read or written; nothing of it is left then."""
        begun = self.now()
        recipients = parse_recipients(self.request.recipients) if self.request.recipients else []
        partial = begin(self.request.folder)
        try:
            with _spool(self.request.spool_folder) as spool:
                reading = self._read(source, partial, recipients, spool)
                self._write(partial, VERSION_FILE, [], f"{self.versions.product}\n".encode())
                self._assemble(partial, recipients, reading.databases)
            if self.sealed and recipients:
                with partial.create(manifest.SECRETS_FILE) as file:
                    file.write(secrets.seal_secrets(self.sealed, recipients))
            return partial.finish(self._manifest(source, partial, reading, begun))
        except BaseException:
            partial.discard()
            raise

    def _read(self, source: Source, partial: PartialDump, recipients: Sequence[Any], spool: Path) -> _Reading:
        """What needs the backend to be still, and no more."""
        progress = self.progress or Progress()
        with self.held(self.request.consistency) as still:
            began = self.now()
            progress.begin(f"{source.title}, databases", sum(info.size for info in source.collections))
            databases = export(source.collections, self.client, spool, self.request.workers, progress)
            progress.begin(f"{source.title}, storage", source.storage_bytes)
            with self._file(partial, STORAGE_FILE, recipients) as out:
                storage = write_storage(out, self.storage, source.storage, self.request.workers, progress)
            ended = self.now()
        return _Reading(databases, storage, still, began, ended)

    def _assemble(self, partial: PartialDump, recipients: Sequence[Any], databases: Export) -> None:
        """``mongodump.tar.gz`` of what the spool holds."""
        with self._file(partial, DATABASE_FILE, recipients) as out:
            options = {"top": TOP} if self.request.layout.startswith("folder") else {}
            archive = writer(self.request.layout, out, time=int(self.now().timestamp()), server_version=self.versions.mongodb, **options)
            for collection in databases.collections:
                archive.metadata(collection.namespace, collection.metadata)
                archive.collection(collection.namespace, collection.segments)
            archive.close()

    def _write(self, partial: PartialDump, name: str, recipients: Sequence[Any], content: bytes) -> None:
        with self._file(partial, name, recipients) as out:
            out.write(content)

    @staticmethod
    @contextlib.contextmanager
    def _file(partial: PartialDump, name: str, recipients: Sequence[Any]) -> Iterator[Any]:
        """A file of the dump, encrypted where there are recipients."""
        with partial.create(manifest.stored_name(name, bool(recipients))) as file:
            if not recipients:
                yield file
                return
            with EncryptingWriter(file, recipients, file.path) as sealed:
                yield sealed

    def _manifest(self, source: Source, partial: PartialDump, reading: _Reading, begun: datetime) -> manifest.Manifest:
        return manifest.Manifest(
            kind=source.kind,
            dump=partial.name,
            instance_id=self.instance_id,
            apps=source.apps,
            versions=self.versions,
            consistency=self._consistency(reading),
            times=manifest.Times(begun, reading.began, reading.ended, self.now()),
            encryption_secret=fingerprint(self.secret) if self.secret else None,
            encryption=manifest.Encryption(self.request.recipients) if self.request.recipients else None,
            mongodump=manifest.Mongodump(self.request.layout, _top(self.request.layout)),
            files=partial.facts(),
            collections=tuple(facts.collection_facts(_as_dumped(collection)) for collection in reading.databases.collections),
            storage=manifest.StorageFacts(**vars(reading.storage)),
        )

    def _consistency(self, reading: _Reading) -> manifest.Consistency:
        still, asked = reading.still, self.request.consistency
        notes = [*reading.databases.remarks, *(remark for item in reading.databases.collections for remark in item.remarks)]
        reached = still.reached
        if still.early:
            notes.append(f"the backend was held still for {still.seconds:.0f} s, the limit, which was too short to read all")
        if asked != HOT and self.request.other_backends:
            reached = HOT
            notes.append(f"the backends on {', '.join(self.request.other_backends)} were not held still")
        return manifest.Consistency(asked, reached, round(still.seconds, 3), tuple(notes))


@dataclass(frozen=True)
class _Reading:
    databases: Export
    storage: StorageReport
    still: Stillness
    began: datetime
    ended: datetime


def _top(layout: str) -> str:
    """What stands at the top of the tar: a folder, or the archive."""
    if layout.startswith("folder"):
        return TOP
    return ARCHIVE_NAME + (file_names.PACKED if layout.endswith("_gzip") else "")


def _as_dumped(collection: ExportedCollection) -> DumpedCollection:
    """What was read, as whoever reads the dump will find it."""
    return DumpedCollection(
        collection.namespace,
        replace(collection.metadata, uuid=None),
        count=collection.count,
        bytes=collection.bytes,
        digest=collection.digest,
        sequence=collection.sequence or "",
    )


@contextlib.contextmanager
def _spool(folder: str) -> Iterator[Path]:
    """A folder of its own for packed documents, gone afterwards."""
    Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    path = tempfile.mkdtemp(prefix=".toucan-spool-", dir=folder)
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
