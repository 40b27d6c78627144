# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dump holds, whatever its layout, and where its bytes come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Optional, Protocol, cast

from ..core import gzip_members
from ..core.archives import Limits, Stream
from ..core.errors import Failure
from .crc64 import Crc64
from .digest import DocumentsDigest, SequenceDigest
from .frames import LENGTH, BrokenBson, measure
from .metadata import CollectionMetadata, Namespace
from .soundness import check

#: Documents are handed on in pieces of about this size, unless one alone is larger.
PIECE = 4 * 1024 * 1024

_READ = 64 * 1024

REMEDY = "take another copy of the dump, or an older dump"


@dataclass(frozen=True)
class DumpedCollection:
    """A collection as a dump holds it.

    :param namespace: the name by which people know it; of a time series not its buckets'.
    :param metadata: ``None`` where the dump has none of it.
    :param count: documents; of a time series its buckets; 0 for a view.
    :param bytes: of BSON.
    :param digest: of the documents in any order (``DocumentsDigest``), and
    :param sequence: of a capped collection's in theirs (``SequenceDigest``); both empty where nobody asked.
    """

    namespace: Namespace
    metadata: Optional[CollectionMetadata]
    count: int = 0
    bytes: int = 0
    digest: str = ""
    sequence: str = ""


class Visitor(Protocol):
    """Who is handed the documents of a dump. Several collections may be open at once: archives interleave them."""

    def begin(self, namespace: Namespace) -> None:
        """Documents of this collection follow, if it has any."""

    def documents(self, namespace: Namespace, whole_documents: bytes) -> None:
        """The next documents, some MiB of whole ones."""

    def end(self, namespace: Namespace) -> None:
        """That was all of this collection."""


class DumpReader(Protocol):
    """A dump of any layout."""

    #: ``folder``, ``folder_gzip``, ``archive`` or ``archive_gzip``.
    layout: str
    #: The path of the folder that holds the databases' folders, or of the archive, in the tar; empty where there is none.
    top: str
    #: What is in the dump besides collections, each as a path or name; known after ``index``.
    others: list[str]
    #: The version of MongoDB that was dumped, and of the tool that did it; empty where the dump does not say.
    server_version: str
    tool_version: str

    def index(self, digests: bool = False, deep: bool = False) -> list[DumpedCollection]:
        """Read all of it once, check its structure and say what it holds, by name.

        :param deep: look into each document, too, not only where it ends.
        :raises Failure: when it is damaged, or does not fit together.
        """

    def scan(self, visitor: Visitor) -> None:
        """Read all of it and hand on the documents of each collection that is no view.

        :raises Failure: when it is damaged, or does not fit together.
        """


class Source:
    """A file that is read from its start as often as asked, unpacked where it is packed."""

    def __init__(self, stream: BinaryIO, name: str, limits: Limits) -> None:
        self._stream = stream
        self.name = name
        self.limits = limits
        self.packed = gzip_members.is_packed(self._from_start().read(2))

    def open(self) -> Stream:
        """The content from its first byte; one at a time."""
        plain = self._from_start()
        return gzip_members.MembersReader(self._stream, self.name) if self.packed else plain

    def bare(self) -> Stream:
        """The content where it is no tar, whose reader keeps the limits; it may give fewer bytes than asked for."""
        plain = self._from_start()
        if not self.packed:
            return plain
        return ChunkReader(self.unpacked(iter(lambda: plain.read(_READ), b""), self.name))

    def unpacked(self, chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
        """What packed bytes hold that come in chunks. :raises Failure: when they are damaged, or hold more than the limit."""
        size = 0
        for block in gzip_members.unpacked(cast(BinaryIO, ChunkReader(chunks)), what):  # of a file it only reads
            size += len(block)
            if size > self.limits.expanded:
                raise self.refused(f"{what} holds more than the {self.limits.expanded} bytes that there is room for")
            yield block

    def damaged(self, answer: str, what: str = "") -> Failure:
        """The sentence on a damage."""
        return Failure(f"{self.name} is damaged: {what or 'it'} {answer}", REMEDY, subject=self.name, answer=answer)

    def refused(self, answer: str) -> Failure:
        """The sentence on a dump that is whole and cannot be used."""
        return Failure(f"{self.name} cannot be used: {answer}", REMEDY, subject=self.name, answer=answer)

    def _from_start(self) -> Stream:
        try:
            self._stream.seek(0)
        except OSError as error:
            raise Failure(f"Reading {self.name} failed: {error.strerror or error}", "see that the disk is well, and try again", subject=self.name) from error
        return _PlainReader(self._stream, self.name)


class _PlainReader:
    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise Failure(f"Reading {self._name} failed: {error.strerror or error}", "see that the disk is well, and try again", subject=self._name) from error


class ChunkReader:
    """A stream of chunks that come one by one."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._chunk = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Some bytes, at most ``size``; none at the end."""
        while not len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._chunk = memoryview(chunk)
        taken, self._chunk = self._chunk[:size], self._chunk[size:]
        return bytes(taken)


class Census:
    """Counts the documents of one collection, digests them and looks into them where asked."""

    def __init__(self, digests: bool, deep: bool = False, crc: bool = False) -> None:
        self._deep = deep
        self.count = 0
        self.bytes = 0
        self._digest = DocumentsDigest() if digests else None
        self._sequence = SequenceDigest() if digests else None
        self._crc = Crc64() if crc else None

    @property
    def crc(self) -> int:
        """Of all documents, without sign; 0 where nobody asked."""
        return self._crc.value if self._crc else 0

    def take(self, documents: bytes, count: int) -> None:
        """The next whole documents. :raises BrokenBson: when one is broken within, with its place in the collection."""
        if self._deep:
            try:
                check(documents)
            except BrokenBson as error:
                raise error.later(self.bytes) from error
        self.count += count
        self.bytes += len(documents)
        for digest in (self._digest, self._sequence):
            if digest is not None:
                digest.add_batch(documents)
        if self._crc:
            self._crc.update(documents)

    def told(self, namespace: Namespace, metadata: Optional[CollectionMetadata]) -> DumpedCollection:
        """The entry of the index."""
        capped = metadata is not None and bool(metadata.options.get("capped"))
        return DumpedCollection(
            namespace,
            metadata,
            self.count,
            self.bytes,
            self._digest.hexdigest() if self._digest else "",
            self._sequence.hexdigest() if self._sequence and capped else "",
        )


def pieces_of_whole_documents(chunks: Iterable[bytes], broken: Callable[[BrokenBson], Failure]) -> Iterator[tuple[bytes, int]]:
    """A stream of BSON cut anywhere, as pieces of whole documents of some MiB, each with how many there are.

    :param broken: makes the failure; it is told the place counted from the start of the stream.
    """
    pending: list[bytes] = []
    gathered, wanted, before = 0, PIECE, 0
    for chunk in chunks:
        pending.append(chunk)
        gathered += len(chunk)
        if gathered < wanted:
            continue
        piece, count, rest = _cut(b"".join(pending), before, broken)
        if count:
            yield piece, count
        before += len(piece)
        pending, gathered = [rest], len(rest)
        wanted = max(PIECE, LENGTH.unpack_from(rest)[0] if len(rest) >= LENGTH.size else 0)
    piece, count, rest = _cut(b"".join(pending), before, broken)
    if count:
        yield piece, count
    if rest:
        left = f"a document of {LENGTH.unpack_from(rest)[0]} bytes is cut off after {len(rest)}" if len(rest) >= LENGTH.size else "a document is cut off"
        raise broken(BrokenBson(before + len(piece), left))


def _cut(data: bytes, before: int, broken: Callable[[BrokenBson], Failure]) -> tuple[bytes, int, bytes]:
    try:
        count, end = measure(memoryview(data))
    except BrokenBson as error:
        raise broken(error.later(before)) from error
    return data[:end], count, data[end:]
