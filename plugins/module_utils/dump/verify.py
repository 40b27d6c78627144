# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look whether a dump is whole: by the checksums of its files, or by reading all that is in them.

What is wrong is told as sentences, all of them and not the first alone. A test restore, which tells more, is another matter.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Optional, cast

from ..contract.dumps import DATABASE_FILE, STORAGE_FILE, VERSION_FILE
from ..core import gzip_members
from ..core.archives import Limits, Stream
from ..core.errors import Failure
from ..core.extraction import digest_of_archive
from ..core.progress import Progress
from ..mongo.dumped import DumpedCollection
from ..mongo.layouts import open_dump
from .directory import Dump, open_file
from .encryption import open_decrypted
from .facts import collection_facts, differences
from .fields import one_line
from .manifest import FILE, SECRETS_FILE, FileFact, stored_name
from .secrets import unseal_secrets

_CHUNK = 1 << 20
_SMALL_FILE = 64 << 20  # of secrets, which hold an environment
_VERSION_LIMIT = 4096
_SHOWN = 5
#: Nothing is unpacked to a disk here, so that this stands against endless work only.
_LIMITS = Limits(1 << 50)


@dataclass
class Report:
    """What was found out about a dump.

    :param problems: what is wrong, each a sentence; a dump without any is whole as far as was looked.
    :param notes: what is worth knowing and not wrong.
    :param product: the version of the product that the dump is of, empty where it could not be read; only of :func:`structure`, as is
    :param collections: in the dump, by name.
    """

    dump: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    product: str = ""
    collections: list[DumpedCollection] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.problems

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """What fails within the block is a problem, and the next block goes on."""
        try:
            yield
        except Failure as failure:
            self.problems.append(one_line(str(failure)))


def checksums(dump: Dump, progress: Optional[Progress] = None) -> Report:
    """Compare size and SHA-256 of every file with the manifest, and see that there is none more and none less.

    A dump without a manifest cannot be found sound by this.
    """
    report = Report(dump.path)
    progress = progress or Progress()
    if dump.manifest is None:
        report.problems.append(dump.problem or f"{dump.path} has no manifest, so that there are no checksums; verify its `structure`.")
        return report
    files = dump.manifest.files
    progress.begin("checksums", sum(fact.size for fact in files.values()))
    _tell_extra_files(dump, report)
    for name, fact in files.items():
        with report.gathering():
            _check_file(dump, name, fact, progress)
    progress.finish()
    return report


def structure(dump: Dump, identities: Sequence[Any] = (), progress: Optional[Progress] = None) -> Report:
    """Read all that is in the dump, and compare it with the manifest where there is one.

    :param identities: from ``parse_identities``, for an encrypted dump.
    :raises Failure: when the dump is encrypted and there are no identities, so that nothing can be said.
    """
    report = Report(dump.path)
    if dump.problem:
        report.problems.append(dump.problem)
        return report
    manifest = dump.manifest
    if manifest is None:
        report.notes.append(f"{dump.path} has no manifest, as dumps of the vendor's toolbox: there is nothing to compare with.")
    if manifest and manifest.encryption and not identities:
        remedy = "give an age identity, or verify `checksums` alone"
        raise Failure(f"{dump.path} is encrypted, so that its structure cannot be looked at", remedy, subject=dump.path)
    reading = _Reading(dump, identities, progress or Progress())
    reading.begin()
    with report.gathering():
        _read_version(reading, report)
    with report.gathering():
        _read_databases(reading, report)
    with report.gathering():
        _read_storage(reading, report)
    if manifest and SECRETS_FILE in manifest.files:
        with report.gathering():
            _read_secrets(reading)
    _tell_extra_files(dump, report)
    reading.progress.finish()
    return report


# -- checksums ------------------------------------------------------------------------------------------------------------


def _tell_extra_files(dump: Dump, report: Report) -> None:
    known = {FILE, *dump.manifest.files} if dump.manifest else {VERSION_FILE, DATABASE_FILE, STORAGE_FILE}
    try:
        extra = sorted(set(os.listdir(dump.path)) - known)
    except OSError as error:
        report.problems.append(f"Looking into {dump.path} failed: {error.strerror}.")
        return
    if extra:
        sentence = f"{dump.path} holds {_listed(extra)}, which a dump does not have."
        (report.problems if dump.manifest else report.notes).append(sentence)


def _check_file(dump: Dump, name: str, fact: FileFact, progress: Progress) -> None:
    path = os.path.join(dump.path, name)
    remedy = "fetch the dump again from where it came, or take another one"
    with open_file(dump.path, name) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size != fact.size:
            raise Failure(f"{path} has {size} bytes, and by the manifest {fact.size}", remedy, subject=path)
        digest = hashlib.sha256()
        watched = _Watched(stream, path, progress, name)
        while chunk := watched.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != fact.sha256:
        raise Failure(f"{path} is not as it was written, by the SHA-256 in the manifest", remedy, subject=path)


# -- structure ------------------------------------------------------------------------------------------------------------


class _Watched:
    """A file that tells how far it was read for the first time, and a disk's failure as a sentence."""

    def __init__(self, stream: BinaryIO, path: str, progress: Progress, detail: str) -> None:
        self._stream = stream
        self._path = path
        self._progress = progress
        self._detail = detail
        self._position = self._furthest = 0

    def read(self, size: int = -1) -> bytes:
        try:
            content = self._stream.read(size)
        except OSError as error:
            raise Failure(
                f"Reading {self._path} failed: {error.strerror or error}", "see that the disk is well, and try again", subject=self._path, answer=str(error)
            ) from error
        self._position += len(content)
        if self._position > self._furthest:
            self._progress.advance(self._position - self._furthest, self._detail)
            self._furthest = self._position
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = self._stream.seek(offset, whence)
        return self._position

    def close(self) -> None:
        self._stream.close()


class _Reading:
    """The files of a dump, decrypted where they are encrypted."""

    def __init__(self, dump: Dump, identities: Sequence[Any], progress: Progress) -> None:
        self.dump = dump
        self.manifest = dump.manifest
        self.identities = identities
        self.progress = progress
        self._encrypted = bool(self.manifest and self.manifest.encryption)

    def begin(self) -> None:
        sizes = [fact.size for fact in self.manifest.files.values()] if self.manifest else []
        self.progress.begin("structure", sum(sizes) or None)

    def path(self, name: str) -> str:
        return os.path.join(self.dump.path, stored_name(name, self._encrypted))

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """The content of a file; when the block ends well, it is read to its end, where a truncation of an encrypted one shows."""
        stored = stored_name(name, self._encrypted)
        watched = cast(BinaryIO, _Watched(open_file(self.dump.path, stored), self.path(name), self.progress, name))
        stream = open_decrypted(watched, self.identities, self.path(name)) if stored != name else watched
        try:
            yield stream
            while stream.read(_CHUNK):
                pass
        finally:
            stream.close()


def _read_version(reading: _Reading, report: Report) -> None:
    path = reading.path(VERSION_FILE)
    with reading.opened(VERSION_FILE) as stream:
        content = stream.read(_VERSION_LIMIT)
    remedy = "take another copy of the dump"
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError as error:
        raise Failure(f"{path} is no text", remedy, subject=path) from error
    report.product = lines[0].strip()
    if not report.product.isprintable() or not report.product or len(content) == _VERSION_LIMIT:
        report.product = ""
        raise Failure(f"{path} holds no version", remedy, subject=path)
    if reading.manifest and report.product != reading.manifest.versions.product:
        raise Failure(f"{path} says {report.product}, and the manifest {reading.manifest.versions.product}", remedy, subject=path)


def _read_databases(reading: _Reading, report: Report) -> None:
    path = reading.path(DATABASE_FILE)
    with reading.opened(DATABASE_FILE) as stream:
        reader = open_dump(stream, path)
        report.collections = reader.index(digests=True)
    others = f"{path} also holds {_listed(reader.others)}." if reader.others else ""
    if reading.manifest is None:
        report.notes += [others] if others else []
        return
    report.problems += [others] if others else []
    wanted = reading.manifest.mongodump
    if (reader.layout, reader.top) != (wanted.layout, wanted.top):
        report.problems.append(one_line(f"{path} holds {reader.layout} `{reader.top}`, and by the manifest {wanted.layout} `{wanted.top}`."))
    found = [collection_facts(collection) for collection in report.collections]
    report.problems += [f"{path}: {difference}." for difference in differences(reading.manifest.collections, found)]


def _read_storage(reading: _Reading, report: Report) -> None:
    path = reading.path(STORAGE_FILE)
    with reading.opened(STORAGE_FILE) as stream:
        packed = gzip_members.is_packed(stream.read(2))
        stream.seek(0)
        digest = digest_of_archive(gzip_members.MembersReader(stream, path) if packed else cast(Stream, stream), path, _LIMITS)
    if reading.manifest is None:
        return
    wanted = reading.manifest.storage
    remedy = "take another copy of the dump"
    for what, found, known in (
        ("entries", digest.entries, wanted.entries),
        ("bytes", digest.bytes, wanted.bytes),
        ("the digest", digest.hexdigest(), wanted.digest),
    ):
        if found != known:
            raise Failure(f"{path} has {_counted(what, found)}, and by the manifest {_counted(what, known)}", remedy, subject=path)


def _counted(what: str, value: Any) -> str:
    return f"{what} {value}" if isinstance(value, str) else f"{value} {what}"


def _read_secrets(reading: _Reading) -> None:
    path = os.path.join(reading.dump.path, SECRETS_FILE)
    with open_file(reading.dump.path, SECRETS_FILE) as stream:
        content = _Watched(stream, path, reading.progress, SECRETS_FILE).read(_SMALL_FILE)
    secrets = unseal_secrets(content, reading.identities, path)
    if reading.manifest and secrets.instance_id != reading.manifest.instance_id:
        raise Failure(f"{path} holds the secrets of another instance", "take another copy of the dump", subject=path)


def _listed(names: Sequence[str]) -> str:
    """Some names for one line; they come from the dump."""
    shown = [one_line(name) for name in names[:_SHOWN]]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(shown) + more
