# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar archives that are distrusted: each member is checked before it is told, and nothing that is odd is let pass.

Read are ustar, pax and GNU archives without their sparse files. Refused are members that could do harm where they are unpacked, and archives that
are not whole: an archive ends with its mark and nothing but zeros behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Optional, Protocol

from . import tar_headers, tree_links
from .errors import Failure
from .tar_headers import BLOCK, DIRECTORY, FILE, HARD_LINK, SYMLINK, BrokenTar, Header
from .tree_links import Parts, UnfitName, shown

CHUNK = 1024 * 1024
_EXTENDED_LIMIT = 1024 * 1024  # bytes of a pax header, which holds names and attributes
_HONOURED = {b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"}
_ID_LIMIT = (1 << 32) - 1  # the number below it is the last; chown takes this one for "leave as it is"
_TIME_LIMIT = 1 << 63  # nanoseconds that file systems and Python hold
_SETUID, _SETGID, _STICKY = 0o4000, 0o2000, 0o1000
_KINDS = {FILE: "file", HARD_LINK: "hard link", SYMLINK: "symlink", DIRECTORY: "directory"}
_ODD = {b"3": "a character device", b"4": "a block device", b"6": "a fifo", b"S": "a sparse file", b"M": "a part of another volume"}
_IMPLIED = "implied directory"


class Stream(Protocol):
    """What an archive is read from: a file, or ``MembersReader`` where it is packed."""

    def read(self, size: int) -> bytes:
        """Some bytes, ``size`` at most; none at the end."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold.

    :param expanded: bytes of the archive without compression, for example what is free where it is unpacked.
    :param members: some 200 bytes of memory are used for each.
    """

    expanded: int
    members: int = 1_000_000


@dataclass(frozen=True)
class SafeMember:
    """A member that may be made below any folder, if no link is followed.

    :param parts: the names in its path, empty for the top itself.
    :param kind: ``file``, ``directory``, ``symlink`` or ``hard link``.
    :param target: of a symlink, as it is written.
    :param link: of a hard link, the path of the file that it is another name of, which came before it.
    :param chunks: the content of a file, at most 1 MiB at a time; it can be read once, before the next member is asked for.
    """

    parts: Parts
    kind: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    target: bytes
    link: Parts
    chunks: Iterator[bytes]

    @property
    def path(self) -> bytes:
        """``a/b``; ``.`` for the top itself."""
        return b"/".join(self.parts) or b"."


def members(stream: Stream, source: str, limits: Limits) -> Iterator[SafeMember]:
    """Each member in order; what of its content was not read is passed over.

    An archive is whole and harmless only when this has come to its end: the last checks need all members.

    :param source: what to call the archive in a sentence.
    :raises Failure: when the archive is damaged, holds more than ``limits``, or a member that is refused.
    """
    return _Reader(stream, source, limits).members()


def odd_mode(kind: bytes, mode: int) -> int:
    """The bits of a mode that no member may have: what runs as another user, and what means nothing. A folder may hand down its group."""
    return mode & (_SETUID if kind == DIRECTORY else _SETUID | _SETGID | _STICKY)


class _Reader:
    def __init__(self, stream: Stream, source: str, limits: Limits) -> None:
        self._stream = stream
        self._source = source
        self._limits = limits
        self._taken = 0
        self._parent: Parts = ()
        self._kinds: dict[bytes, str] = {}
        self._links: dict[Parts, bytes] = {}
        self._late: list[Parts] = []

    def members(self) -> Iterator[SafeMember]:
        name = b""
        try:
            while (header := self._header()) is not None:
                name = header.path
                yield from self._member(header)
            self._end()
            for place in self._late:
                name = b"/".join(place)
                if tree_links.leaves(place, self._links[place], self._links.get):
                    raise UnfitName("is a link that leaves the folder, through another link")
        except BrokenTar as error:
            raise self._damaged(str(error)) from error
        except UnfitName as error:
            raise Failure(
                f"{self._source} is refused: its member {shown(name)} {error}",
                "take nothing from it, and make it anew from a source that you trust",
                subject=self._source,
                answer=str(error),
            ) from error

    def _member(self, header: Header) -> Iterator[SafeMember]:
        if len(self._kinds) >= self._limits.members:
            raise self._too_large(f"has more than {self._limits.members} members")
        parts = tree_links.parts_of(header.path)
        header = self._as_symlink(header)
        self._check(header, parts)
        content = self._content(header.size)
        yield SafeMember(
            parts,
            _KINDS[header.kind],
            header.mode & 0o7777,
            header.uid,
            header.gid,
            header.mtime_ns,
            header.size,
            header.target if header.kind == SYMLINK else b"",
            tree_links.parts_of(header.target) if header.kind == HARD_LINK else (),
            content,
        )
        for dummy in content:
            pass

    def _as_symlink(self, header: Header) -> Header:
        """Another name of a symlink as a symlink of its own: in another folder, the same target may lead elsewhere."""
        if header.kind != HARD_LINK:
            return header
        target = self._links.get(_hard_link_parts(header.target))
        return header if target is None else replace(header, kind=SYMLINK, target=target)

    # -- what is fit ------------------------------------------------------------------------------------------------------

    def _check(self, header: Header, parts: Parts) -> None:
        if header.kind not in _KINDS:
            raise UnfitName(f"is {_ODD.get(header.kind, 'of an unknown kind')}")
        if odd_mode(header.kind, header.mode):
            raise UnfitName(f"has the mode {header.mode & 0o7777:04o}, with a bit that lets it run as another user or means nothing")
        if not (0 <= header.uid < _ID_LIMIT and 0 <= header.gid < _ID_LIMIT):
            raise UnfitName("has an owner that there is none of")
        if abs(header.mtime_ns) >= _TIME_LIMIT:
            raise UnfitName("has a time that no file can have")
        if header.kind != FILE and header.size:
            raise UnfitName("has content and is no file")
        if header.kind != DIRECTORY and (not parts or header.path.endswith(b"/")):
            raise UnfitName("has the name of a folder and is none")
        self._check_place(parts, _KINDS[header.kind])
        if header.kind == SYMLINK:
            if tree_links.check_symlink(parts, header.target):
                self._late.append(parts)
            self._links[parts] = header.target
        elif header.kind == HARD_LINK:
            self._check_hard_link(header.target)

    def _check_place(self, parts: Parts, kind: str) -> None:
        if parts[:-1] != self._parent:
            self._check_parents(parts[:-1])
            self._parent = parts[:-1]
        known_here = self._kinds.get(_key(parts))
        if known_here and not (known_here == _IMPLIED and kind == "directory"):
            raise UnfitName("comes twice")
        self._kinds[_key(parts)] = kind

    def _check_parents(self, folder: Parts) -> None:
        for length in range(len(folder), 0, -1):
            known = self._kinds.setdefault(_key(folder[:length]), _IMPLIED)
            if known not in ("directory", _IMPLIED):
                raise UnfitName(f"stands below a {known}")

    def _check_hard_link(self, target: bytes) -> None:
        known = self._kinds.get(_key(_hard_link_parts(target)))
        if known not in ("file", "hard link"):
            raise UnfitName("is a hard link to what is no file before it in the archive")

    # -- headers ----------------------------------------------------------------------------------------------------------

    def _header(self) -> Optional[Header]:
        """The next member with its extended headers taken in, ``None`` at the end mark."""
        records: dict[bytes, bytes] = {}
        name = target = b""
        extended = False
        while True:
            block = self._read(BLOCK)
            if block == tar_headers.ZEROS and not extended:
                return None
            header = tar_headers.parse_block(block)
            if header.kind == tar_headers.PAX_GLOBAL:
                self._pass_global(self._extension(header))
                continue
            if header.kind == tar_headers.PAX:
                if records:
                    raise BrokenTar("a member has two extended headers")
                records = tar_headers.parse_pax(self._extension(header))
            elif header.kind == tar_headers.LONG_NAME and not name:
                name = _long(self._extension(header))
            elif header.kind == tar_headers.LONG_LINK and not target:
                target = _long(self._extension(header))
            else:
                return _with_records(replace(header, path=name or header.path, target=target or header.target), records)
            extended = True

    def _pass_global(self, content: bytes) -> None:
        if _HONOURED & tar_headers.parse_pax(content).keys():
            raise BrokenTar("a header for all members gives them a name, size, owner or time")

    def _extension(self, header: Header) -> bytes:
        if header.size > _EXTENDED_LIMIT:
            raise BrokenTar(f"an extended header has {header.size} bytes")
        content = self._read(header.size)
        self._read(tar_headers.padding(header.size))
        return content

    # -- bytes ------------------------------------------------------------------------------------------------------------

    def _content(self, size: int) -> Iterator[bytes]:
        if size + self._taken > self._limits.expanded:
            raise self._too_large(f"holds more than the {self._limits.expanded} bytes that there is room for")
        return self._pieces(size)

    def _pieces(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            chunk = self._read(min(left, CHUNK))
            left -= len(chunk)
            yield chunk
        self._read(tar_headers.padding(size))

    def _end(self) -> None:
        if self._read(BLOCK) != tar_headers.ZEROS:
            raise BrokenTar("its end is marked by one block alone")
        while rest := self._stream.read(CHUNK):
            self._count_in(len(rest))
            if rest.strip(b"\0"):
                raise BrokenTar("other bytes follow its end")

    def _read(self, size: int) -> bytes:
        self._count_in(size)
        content = self._stream.read(size)
        if len(content) != size:
            # A Failure at once: the content of a member is read outside of `members`.
            raise self._damaged("it is cut off")
        return content

    def _count_in(self, size: int) -> None:
        self._taken += size
        if self._taken > self._limits.expanded:
            raise self._too_large(f"holds more than the {self._limits.expanded} bytes that there is room for")

    # -- sentences --------------------------------------------------------------------------------------------------------

    def _damaged(self, answer: str) -> Failure:
        problem = f"{self._source} is no whole tar archive: {answer} (near byte {self._taken})"
        return Failure(problem, "take another copy of it", subject=self._source, answer=answer)

    def _too_large(self, answer: str) -> Failure:
        remedy = "see that it is what you expect, and make room for it"
        return Failure(f"{self._source} is refused: it {answer}", remedy, subject=self._source, answer=answer)


def _key(parts: Parts) -> bytes:
    return hashlib.blake2b(b"/".join(parts), digest_size=16).digest()


def _hard_link_parts(target: bytes) -> Parts:
    try:
        return tree_links.parts_of(target)
    except UnfitName as error:
        raise UnfitName(f"is a hard link to a path that {error}") from error


def _long(content: bytes) -> bytes:
    return content[:-1] if content.endswith(b"\0") else content


def _with_records(header: Header, records: dict[bytes, bytes]) -> Header:
    if any(key.startswith(b"GNU.sparse.") for key in records):
        return replace(header, kind=b"S")
    return replace(
        header,
        path=records.get(b"path") or header.path,
        target=records.get(b"linkpath") or header.target,
        size=tar_headers.pax_number(records, b"size", header.size),
        uid=tar_headers.pax_number(records, b"uid", header.uid),
        gid=tar_headers.pax_number(records, b"gid", header.gid),
        mtime_ns=tar_headers.pax_time(records, header.mtime_ns),
    )
