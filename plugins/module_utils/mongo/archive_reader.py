# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive of `mongodump --archive`, in a tar or bare, packed on its own or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Optional

from ..core.archives import Stream
from .archive import Blocks, Listed, need_library
from .dumped import Census, DumpedCollection, Source, Visitor
from .frames import BrokenBson
from .metadata import BUCKETS, COLLECTION, TIME_SERIES, VIEW, CollectionMetadata, Namespace, from_json

_NO_DATABASE = ""


@dataclass
class _Content:
    """A collection of the prelude, and how far its blocks were read."""

    namespace: Namespace
    metadata: Optional[CollectionMetadata]
    census: Census
    seen: bool = False
    ended: bool = False

    @property
    def aside(self) -> bool:
        """Whether it is no collection but an oplog."""
        return self.namespace.database == _NO_DATABASE

    @property
    def source_of_view(self) -> bool:
        return self.metadata is not None and self.metadata.type == VIEW and "viewOn" in self.metadata.options


class ArchiveReader:
    """A `DumpReader` of an archive; an oplog is among ``others``.

    :param open_archive: gives the archive's bytes from their start, unpacked; each stream is read to its end, which finds damage behind the archive.
    """

    def __init__(self, source: Source, open_archive: Callable[[], Stream], layout: str, top: str, others: list[str]) -> None:
        need_library()
        self._source = source
        self._open = open_archive
        self._known_others = others
        self._indexed = False
        self.layout = layout
        self.top = top
        self.server_version = self.tool_version = ""
        self.others: list[str] = []

    def index(self, digests: bool = False, deep: bool = False) -> list[DumpedCollection]:
        self.others = list(self._known_others)
        contents: dict[tuple[str, str], _Content] = {}
        for content, piece, count in self._documents(contents, lambda: Census(digests, deep, crc=True)):
            if piece:
                self._count(content, piece, count)
        known = list({id(content): content for content in contents.values()}.values())
        self.others += [content.namespace.collection for content in known if content.aside]
        self._indexed = True
        told = [content.census.told(content.namespace, content.metadata) for content in known if not content.aside]
        return sorted(told, key=lambda each: each.namespace)

    def scan(self, visitor: Visitor) -> None:
        if not self._indexed:
            self.index()
        contents: dict[tuple[str, str], _Content] = {}
        for content, piece, dummy in self._documents(contents, None):
            if content.aside or content.source_of_view:
                continue
            if piece:
                visitor.documents(content.namespace, piece)
            elif content.ended:
                visitor.end(content.namespace)
            else:
                visitor.begin(content.namespace)

    def _count(self, content: _Content, piece: bytes, count: int) -> None:
        try:
            content.census.take(piece, count)
        except BrokenBson as error:
            raise self._source.damaged(f"holds no BSON {error}", f"{content.namespace} in it") from error

    # -- the archive ------------------------------------------------------------------------------------------------------

    def _documents(self, contents: dict[tuple[str, str], _Content], census: Optional[Callable[[], Census]]) -> Iterator[tuple[_Content, bytes, int]]:
        """Pieces of documents; an empty one where a collection begins, and one where it has ended.

        :param census: makes what the caller counts with, so that checksums are compared at the end of each collection; ``None`` for a second pass.
        """
        stream = self._open()
        blocks = Blocks(stream)
        try:
            prelude = blocks.prelude()
            self.server_version, self.tool_version = prelude.server_version, prelude.tool_version
            for listed in prelude.listed:
                self._expect(listed, contents, census)
            while (header := blocks.header()) is not None:
                content = contents.get((header.database, header.collection))
                name = f"{header.database}.{header.collection}"
                if content is None or content.ended:
                    raise self._source.damaged(f"has documents of {name}, which it {'had ended' if content else 'does not list'}")
                if not content.seen:
                    content.seen = True
                    yield content, b"", 0
                for piece, count in blocks.body():
                    if header.end:
                        raise self._source.damaged(f"has documents of {name} behind their end")
                    yield content, piece, count
                if header.end:
                    self._end(content, header.crc, census is not None)
                    yield content, b"", 0
        except BrokenBson as error:
            raise self._source.damaged(f"is broken {error}", self.top and f"{self.top} in it") from error
        self._finish(contents)

    def _expect(self, listed: Listed, contents: dict[tuple[str, str], _Content], census: Optional[Callable[[], Census]]) -> None:
        namespace = Namespace(listed.database, listed.collection)
        metadata = self._metadata(listed, namespace) if listed.metadata else None
        if metadata and metadata.type == VIEW and "viewOn" not in metadata.options:
            metadata = replace(metadata, type=COLLECTION)  # dumped with --viewsAsCollections
        content = _Content(namespace, metadata, census() if census else Census(False))
        keys = [(listed.database, listed.collection)]
        if metadata and metadata.type == TIME_SERIES:
            keys.append((listed.database, BUCKETS + listed.collection))
        for key in keys:
            if key in contents:
                raise self._source.damaged(f"lists {key[0]}.{key[1]} twice")
            contents[key] = content

    def _metadata(self, listed: Listed, namespace: Namespace) -> CollectionMetadata:
        read = from_json(listed.metadata.encode(), f"What {self._source.name} says of {namespace}")
        if read.collection not in ("", listed.collection):
            raise self._source.damaged(f"says of {namespace} what is of {read.collection!r}")
        self.others += [f"{namespace}: {key}" for key in read.unknown if not self._indexed]
        return read.metadata

    def _end(self, content: _Content, crc: int, checked: bool) -> None:
        content.ended = True
        if checked and content.census.crc != crc:
            answer = f"has documents whose checksum is {content.census.crc:016x}, where {crc:016x} is written"
            raise self._source.damaged(answer, f"{content.namespace} in it")

    def _finish(self, contents: dict[tuple[str, str], _Content]) -> None:
        missing = sorted({str(each.namespace) for each in contents.values() if not each.ended and not (each.source_of_view and not each.seen)})
        if missing:
            raise self._source.damaged(f"ends before the documents of {', '.join(missing[:5])} do")
