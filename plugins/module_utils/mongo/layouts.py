# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open a dump of MongoDB whatever its layout: a folder or an archive, packed within or not, in a tar or bare, with or without a top folder.

What a vendor's tool puts into `mongodump.tar.gz` is not known beforehand; it is found out from the bytes, not from names.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Optional

from ..core import gzip_members
from ..core.archives import Limits, SafeMember, Stream, members
from . import file_names
from .archive import MAGIC
from .archive_reader import ArchiveReader
from .dumped import ChunkReader, DumpReader, Source
from .folder_reader import FolderReader

#: Enough to unpack a file's first bytes.
_START = 64 * 1024
#: Nothing is unpacked to a disk here, so that this stands against endless work only.
_EXPANDED_LIMIT = 1 << 50


def open_dump(stream: BinaryIO, name: str, limits: Optional[Limits] = None) -> DumpReader:
    """Find out how a dump is laid out.

    :param stream: a file that can be read from its start several times; nothing else may move in it meanwhile.
    :param name: what to call it in a sentence.
    :param limits: how much it may hold at most.
    :raises Failure: when it is no dump, or so damaged that it cannot be told.
    """
    source = Source(stream, name, limits or Limits(_EXPANDED_LIMIT))
    if source.open().read(len(MAGIC)) == MAGIC:
        return ArchiveReader(source, source.bare, "archive_gzip" if source.packed else "archive", "", [])
    found = _archive_in_tar(source)
    if found is None:
        return FolderReader(source)
    path, packed = found
    return ArchiveReader(source, lambda: _member_stream(source, path, packed), "archive_gzip" if packed else "archive", path, _others(source, path))


def _archive_in_tar(source: Source) -> Optional[tuple[str, bool]]:
    """The path of the archive in a tar, and whether it is packed on its own; ``None`` where the tar has a folder's files."""
    for member in _files(source):
        if file_names.split(_file_name(member)):
            return None
        start = next(member.chunks, b"")[:_START]
        if start.startswith(MAGIC):
            return _path(member), False
        if gzip_members.is_packed(start) and _unpacked_start(start) == MAGIC:
            return _path(member), True
    return None


def _member_stream(source: Source, path: str, packed: bool) -> Stream:
    chunks = _member_chunks(source, path)
    return ChunkReader(source.unpacked(chunks, f"{path} in {source.name}") if packed else chunks)


def _member_chunks(source: Source, path: str) -> Iterator[bytes]:
    """The content of the one archive; what comes behind it in the tar is read, too, for it may be damaged."""
    for member in _files(source):
        if _path(member) == path:
            yield from member.chunks


def _others(source: Source, path: str) -> list[str]:
    """What else is in the tar. :raises Failure: when that is a dump, too."""
    others = []
    for member in members(source.open(), source.name, source.limits):
        if member.kind == "directory" or _path(member) == path:
            continue
        start = next(member.chunks, b"")[:_START]
        if file_names.split(_file_name(member)) or start.startswith(MAGIC) or _unpacked_start(start) == MAGIC:
            raise source.refused(f"it holds {path} and {_path(member)}, which are two dumps")
        others.append(_path(member))
    return others


def _files(source: Source) -> Iterator[SafeMember]:
    return (member for member in members(source.open(), source.name, source.limits) if member.kind == "file")


def _path(member: SafeMember) -> str:
    return member.path.decode(errors="backslashreplace")


def _file_name(member: SafeMember) -> str:
    return _path(member).rpartition("/")[2]


def _unpacked_start(start: bytes) -> bytes:
    if not gzip_members.is_packed(start):
        return b""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(start, len(MAGIC))
    except zlib.error:
        return b""
