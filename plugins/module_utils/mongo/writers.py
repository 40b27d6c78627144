# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write `mongodump.tar.gz` in each layout, out of collections that workers have packed already.

What is packed is not packed again: gzip members follow each other in the file. So a collection costs no more than a copy of its file, but in an
archive, whose checksum of all documents needs one more look at them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, BinaryIO, Protocol

from ..core import gzip_members
from ..core.errors import Failure
from . import file_names
from .archive import TERMINATOR, Header, Listed, Prelude, header_bytes, need_library, prelude_bytes
from .crc64 import Crc64
from .metadata import BUCKETS, COLLECTION, TIME_SERIES, VIEW, CollectionMetadata, Namespace, to_json
from .packed_tar import PackedTar, Segment, opened, sizes

ARCHIVE_NAME = "dump.archive"

#: For an archive of an unknown server: mongorestore stops at a version that is none, and looks for buckets where it is below 8.3.
_NO_VERSION = "0.0.0"


class DumpWriter(Protocol):
    """Writes a dump of any layout."""

    def metadata(self, namespace: Namespace, metadata: CollectionMetadata) -> None:
        """What a collection is; comes before its documents. ``namespace`` is the name by which people know it, also of a time series."""

    def collection(self, namespace: Namespace, segments: Sequence[Segment]) -> None:
        """The documents of a collection, none for a view. Their files must stay until ``close`` has returned."""

    def close(self) -> None:
        """Write what is left. The file stays open, and is not synced."""


class FolderWriter:
    """Layouts ``folder`` and, with ``packed``, ``folder_gzip``.

    :param top: the folder above the databases'.
    :param time: of all files, in seconds since 1970.
    :param server_version: of MongoDB; empty where nobody knows.
    """

    def __init__(self, out: BinaryIO, packed: bool, *, top: str = "dump", time: int = 0, server_version: str = "") -> None:
        self._tar = PackedTar(out, time)
        self._packed = packed
        self._top = top
        self._types: dict[Namespace, str] = {}
        self._tar.folder(top)
        if server_version:
            prelude = {"ServerVersion": server_version, "ToolVersion": ""}
            self._file(f"{top}/{file_names.PRELUDE}", json.dumps(prelude, separators=(",", ":")).encode())

    def metadata(self, namespace: Namespace, metadata: CollectionMetadata) -> None:
        self._types[namespace] = metadata.type
        self._file(self._path(namespace.database, namespace.collection, file_names.METADATA), to_json(metadata, namespace.collection))

    def collection(self, namespace: Namespace, segments: Sequence[Segment]) -> None:
        kind = self._types.get(namespace, COLLECTION)
        if kind == VIEW:
            _no_documents(namespace, segments)
            return
        path = self._path(namespace.database, holder(namespace, kind), file_names.DOCUMENTS)
        size, packed = sizes(segments)
        if not segments:
            self._file(path, b"")
        elif self._packed:
            self._tar.begin(path + file_names.PACKED, packed)
            for segment in segments:
                self._tar.put_packed(segment)
            self._tar.end()
        else:
            self._tar.begin(path, size)
            for segment in segments:
                self._tar.put_unpacked(segment)
            self._tar.end()

    def close(self) -> None:
        self._tar.close()

    def _path(self, database: str, collection: str, ending: str) -> str:
        if database in ("", ".", "..") or "/" in database:
            raise Failure(f"There can be no folder for a database named {database!r}", "rename it", subject=database)
        return f"{self._top}/{database}/{file_names.stem(collection)}{ending}"

    def _file(self, path: str, content: bytes) -> None:
        if self._packed:
            path, content = path + file_names.PACKED, gzip_members.pack(content)
        self._tar.begin(path, len(content))
        self._tar.put(content)
        self._tar.end()


class ArchiveWriter:
    """Layouts ``archive`` and, with ``packed``, ``archive_gzip``: one file in the tar, which is written by ``close`` alone.

    :param time: of the file, in seconds since 1970.
    :param server_version: of MongoDB; empty where nobody knows.
    """

    def __init__(self, out: BinaryIO, packed: bool, *, time: int = 0, server_version: str = "") -> None:
        need_library()
        self._tar = PackedTar(out, time)
        self._packed = packed
        self._server_version = server_version or _NO_VERSION
        self._listed: dict[Namespace, Listed] = {}
        self._segments: dict[Namespace, Sequence[Segment]] = {}

    def metadata(self, namespace: Namespace, metadata: CollectionMetadata) -> None:
        content = to_json(metadata, namespace.collection).decode()
        self._listed[namespace] = Listed(namespace.database, namespace.collection, content, metadata.type)

    def collection(self, namespace: Namespace, segments: Sequence[Segment]) -> None:
        listed = self._listed.setdefault(namespace, Listed(namespace.database, namespace.collection, "", COLLECTION))
        if listed.type == VIEW:
            _no_documents(namespace, segments)
        self._segments[namespace] = segments

    def close(self) -> None:
        parts = self._parts()
        small = [gzip_members.pack(part) if self._packed else part for part, dummy in parts]
        large = [sizes(segments)[1 if self._packed else 0] for dummy, segments in parts]
        self._tar.begin(ARCHIVE_NAME + (file_names.PACKED if self._packed else ""), sum(map(len, small)) + sum(large))
        for content, (dummy, segments) in zip(small, parts):
            self._tar.put(content)
            for segment in segments:
                if self._packed:
                    self._tar.put_packed(segment)
                else:
                    self._tar.put_unpacked(segment)
        self._tar.end()
        self._tar.close()

    def _parts(self) -> list[tuple[bytes, Sequence[Segment]]]:
        """The archive: bytes of its format, and the documents behind them."""
        parts: list[tuple[bytes, Sequence[Segment]]] = []
        between = prelude_bytes(Prelude(self._server_version, "", tuple(self._listed.values())))
        for namespace, listed in self._listed.items():
            segments = self._segments.get(namespace, ())
            name = holder(namespace, listed.type)
            parts.append((between + header_bytes(Header(namespace.database, name)), segments))
            between = TERMINATOR + header_bytes(Header(namespace.database, name, True, checksum(segments))) + TERMINATOR
        return [*parts, (between, ())]


def holder(namespace: Namespace, kind: str) -> str:
    """The name of the collection that holds the documents."""
    return BUCKETS + namespace.collection if kind == TIME_SERIES else namespace.collection


def checksum(segments: Sequence[Segment]) -> int:
    """The CRC-64 of all documents of a collection. :raises Failure: when a segment cannot be read."""
    crc = Crc64()
    for segment in segments:
        with opened(segment) as file:
            for block in gzip_members.unpacked(file, str(segment.path)):
                crc.update(block)
    return crc.value


def writer(layout: str, out: BinaryIO, **options: Any) -> DumpWriter:
    """The writer of ``folder``, ``folder_gzip``, ``archive`` or ``archive_gzip``."""
    kind, packed = (FolderWriter if layout.startswith("folder") else ArchiveWriter), layout.endswith("_gzip")
    return kind(out, packed, **options)


def _no_documents(namespace: Namespace, segments: Sequence[Segment]) -> None:
    if any(segment.size for segment in segments):
        raise AssertionError(f"{namespace} is a view and has documents")
