# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tree of files holds, as one number: equal where names, kinds, modes, owners, times, contents and links are equal, in any order.

It is the sum modulo 2**256 of the SHA-256 of each entry, so that a tree and an archive of it need not be read in the same order.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from typing import Optional

from . import tree_links
from .errors import Failure
from .tree_links import shown

_MODULUS = 1 << 256
_CHUNK = 1024 * 1024


class EntriesDigest:
    """Grows by one entry after another. ``bytes`` counts contents once for each file, whatever number of names it has.

    Paths are ``a/b``, with the top itself as ``.``; times are nanoseconds since 1970.
    """

    def __init__(self) -> None:
        self.entries = 0
        self.bytes = 0
        self._sum = 0
        self._files: dict[bytes, bytes] = {}
        self._groups: dict[bytes, list[bytes]] = {}

    def add_directory(self, path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
        self._add(path, b"directory", _facts(mode, owner, mtime_ns))

    def add_symlink(self, path: bytes, owner: tuple[int, int], mtime_ns: int, target: bytes) -> None:
        # A symlink has no mode of its own on Linux.
        self._add(path, b"symlink", _facts(0, owner, mtime_ns) + target)

    def add_file(self, path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int, size: int, sha256: bytes, named_again: bool) -> None:
        """:param named_again: whether ``add_hard_link`` may come for it, which needs some memory."""
        body = _facts(mode, owner, mtime_ns) + b"%d\0" % size + sha256
        self.bytes += size
        if named_again:
            self._files[path] = hashlib.sha256(body).digest()
        self._add(path, b"file", hashlib.sha256(body).digest())

    def add_hard_link(self, path: bytes, first: bytes) -> None:
        """Another name of the file that was added as ``first``, or of one of its other names."""
        body = self._files[first]
        self._files[path] = body
        group = self._groups.setdefault(first, [first])
        self._groups[path] = group
        group.append(path)
        self._add(path, b"file", body)

    def hexdigest(self) -> str:
        """64 hexadecimal digits. Which names are of one file counts, too."""
        groups = {id(group): group for group in self._groups.values()}.values()
        total = self._sum + sum(_number(b"\0".join([b"one file", *sorted(group)])) for group in groups)
        return f"{total % _MODULUS:064x}"

    def _add(self, path: bytes, kind: bytes, body: bytes) -> None:
        self.entries += 1
        self._sum = (self._sum + _number(path + b"\0" + kind + b"\0" + body)) % _MODULUS


def digest_of_tree(folder: str, names: Optional[Iterable[str]] = None) -> EntriesDigest:
    """The digest of what stands below ``folder``: all, or the entries of these names alone. The folder itself is not in it.

    :raises Failure: when something cannot be read, or is neither file, folder nor link.
    """
    walk = _TreeDigest(folder)
    try:
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            walk.directory(top, (), sorted(map(os.fsencode, names)) if names is not None else None)
        finally:
            os.close(top)
    except OSError as error:
        raise Failure(
            f"Reading the files in {folder} failed at {shown(walk.at)}: {error.strerror}",
            "correct its owner and mode, and see that the disk is well",
            subject=folder,
            answer=str(error),
        ) from error
    return walk.digest


def hash_content(descriptor: int) -> tuple[int, bytes]:
    """Size and SHA-256 of what is left to read of an open file."""
    sha256, size = hashlib.sha256(), 0
    while chunk := os.read(descriptor, _CHUNK):
        sha256.update(chunk)
        size += len(chunk)
    return size, sha256.digest()


class _TreeDigest:
    def __init__(self, folder: str) -> None:
        self.digest = EntriesDigest()
        self.at = b"."
        self._folder = folder
        self._first: dict[tuple[int, int], bytes] = {}

    def directory(self, descriptor: int, parts: tree_links.Parts, names: Optional[list[bytes]] = None) -> None:
        for name in sorted(map(os.fsencode, os.listdir(descriptor))) if names is None else names:
            self._entry(descriptor, name, (*parts, name))

    def _entry(self, parent: int, name: bytes, parts: tree_links.Parts) -> None:
        path = self.at = b"/".join(parts)
        status = os.lstat(name, dir_fd=parent)
        owner, mode = (status.st_uid, status.st_gid), stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            self.digest.add_symlink(path, owner, status.st_mtime_ns, os.readlink(name, dir_fd=parent))
        elif stat.S_ISDIR(status.st_mode):
            self.digest.add_directory(path, mode, owner, status.st_mtime_ns)
            self._descend(parent, name, parts)
        elif stat.S_ISREG(status.st_mode):
            self._file(parent, name, path, status)
        else:
            raise Failure(f"{shown(path)} in {self._folder} is neither file, folder nor link", "remove it", subject=self._folder)

    def _descend(self, parent: int, name: bytes, parts: tree_links.Parts) -> None:
        if len(parts) >= tree_links.DEPTH_LIMIT:
            raise Failure(f"The folders at {shown(self.at)} in {self._folder} are nested too deeply", "make them shallower", subject=self._folder)
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            self.directory(descriptor, parts)
        finally:
            os.close(descriptor)

    def _file(self, parent: int, name: bytes, path: bytes, status: os.stat_result) -> None:
        inode = (status.st_dev, status.st_ino)
        if inode in self._first:
            self.digest.add_hard_link(path, self._first[inode])
            return
        if status.st_nlink > 1:
            self._first[inode] = path
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
        try:
            size, sha256 = hash_content(descriptor)
        finally:
            os.close(descriptor)
        owner, mode = (status.st_uid, status.st_gid), stat.S_IMODE(status.st_mode)
        self.digest.add_file(path, mode, owner, status.st_mtime_ns, size, sha256, status.st_nlink > 1)


def _facts(mode: int, owner: tuple[int, int], mtime_ns: int) -> bytes:
    return b"%o\0%d\0%d\0%d\0" % (mode, *owner, mtime_ns)


def _number(entry: bytes) -> int:
    return int.from_bytes(hashlib.sha256(entry).digest(), "big")
