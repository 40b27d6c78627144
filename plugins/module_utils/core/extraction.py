# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks a distrusted archive into a new folder, which appears under its name only when it is whole.

Everything is made through open folders, never through a path, so that no link of the archive is ever followed.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
from dataclasses import dataclass
from typing import Optional

from .archives import Limits, SafeMember, Stream, members
from .entries import EntriesDigest
from .errors import Failure
from .files import sync_directory
from .progress import Progress
from .tree_links import Parts, shown

PARTIAL = ".partial"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def digest_of_archive(stream: Stream, source: str, limits: Limits) -> EntriesDigest:
    """The digest of what an archive holds, read to its end and not unpacked. :raises Failure: as ``members`` does."""
    digest = EntriesDigest()
    for member in members(stream, source, limits):
        sha256 = hashlib.sha256()
        for chunk in member.chunks:
            sha256.update(chunk)
        add_member(digest, member, sha256.digest())
    return digest


def add_member(digest: EntriesDigest, member: SafeMember, sha256: bytes) -> None:
    """Add a member of an archive, with the hash of its content; the top itself does not count."""
    owner = (member.uid, member.gid)
    if not member.parts:
        return
    if member.kind == "directory":
        digest.add_directory(member.path, member.mode, owner, member.mtime_ns)
    elif member.kind == "symlink":
        digest.add_symlink(member.path, owner, member.mtime_ns, member.target)
    elif member.kind == "hard link":
        digest.add_hard_link(member.path, b"/".join(member.link))
    else:
        digest.add_file(member.path, member.mode, owner, member.mtime_ns, member.size, sha256, named_again=True)


def extract(
    stream: Stream, source: str, folder: str, limits: Limits, owner: Optional[tuple[int, int]] = None, progress: Optional[Progress] = None
) -> EntriesDigest:
    """Unpack into ``folder``, which must not exist, with modes, times and links; returns the digest of what the archive says.

    The work is done in ``FOLDER.partial``: what a killed run left there is removed first, and after a failure it is removed, too.

    :param owner: user and group of all, instead of those in the archive.
    :raises Failure: when the archive is damaged or refused, or the folder cannot be written.
    """
    partial = folder.rstrip("/") + PARTIAL
    if os.path.lexists(folder):
        raise Failure(f"{folder} is there already", "move it away, or name another folder", subject=folder)
    work: Optional[_Extraction] = None
    try:
        _remove(partial)
        os.mkdir(partial, 0o700)
        work = _Extraction(partial, owner, progress or Progress())
        for member in members(stream, source, limits):
            work.make(member)
        work.finish()
        os.rename(partial, folder)
        sync_directory(os.path.dirname(os.path.abspath(folder)))
        return work.digest
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise Failure(
            f"Unpacking {source} into {folder} failed at {shown(work.at) if work else 'its beginning'}: {error.strerror}",
            "make room there, correct the owner and mode of its parent, or run with `become: true`",
            subject=folder,
            answer=str(error),
        ) from error
    except Failure:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        if work:
            work.close()


def _remove(partial: str) -> None:
    if os.path.islink(partial) or os.path.isfile(partial):
        os.unlink(partial)
    elif os.path.isdir(partial):
        shutil.rmtree(partial)


@dataclass(frozen=True)
class _Attributes:
    """What a folder gets in the end, when nothing is made in it any more; ``None`` stays as it is."""

    mode: int
    owner: Optional[tuple[int, int]]
    mtime_ns: Optional[int]


class _Extraction:
    """The folder being filled; ``at`` is the path of the last member, for a sentence."""

    def __init__(self, folder: str, owner: Optional[tuple[int, int]], progress: Progress) -> None:
        self.digest = EntriesDigest()
        self.at = b"."
        self._owner = owner
        self._progress = progress
        self._own = (os.geteuid(), os.getegid())
        self._directories: dict[Parts, _Attributes] = {(): _Attributes(0o755, owner, None)}
        # The folder last worked in, and those above it, open.
        self._names: Parts = ()
        self._open = [os.open(folder, _DIRECTORY)]

    def make(self, member: SafeMember) -> None:
        self.at = member.path
        sha256 = b""
        if member.kind == "directory":
            self._directory(member)
        elif member.kind == "symlink":
            self._symlink(member)
        elif member.kind == "hard link":
            self._hard_link(member)
        else:
            sha256 = self._file(member)
        add_member(self.digest, member, sha256)

    def finish(self) -> None:
        """Give folders their attributes, the inner ones first, and have all on the disk."""
        for parts in sorted(self._directories, reverse=True):
            attributes = self._directories[parts]
            descriptor = self._enter(parts)
            if attributes.owner is not None:
                self._change_owner(descriptor, attributes.owner)
            os.fchmod(descriptor, attributes.mode)
            if attributes.mtime_ns is not None:
                os.utime(descriptor, ns=(attributes.mtime_ns, attributes.mtime_ns))
        _sync_file_system(self._open[0])

    def close(self) -> None:
        while self._open:
            os.close(self._open.pop())

    def _directory(self, member: SafeMember) -> None:
        self._enter(member.parts)
        self._directories[member.parts] = _Attributes(member.mode, self._owner_of(member), member.mtime_ns)

    def _file(self, member: SafeMember) -> bytes:
        sha256 = hashlib.sha256()
        descriptor = os.open(member.parts[-1], _NEW, 0o600, dir_fd=self._enter(member.parts[:-1]))
        try:
            for chunk in member.chunks:
                _write_all(descriptor, chunk)
                sha256.update(chunk)
                self._progress.advance(len(chunk))
            self._change_owner(descriptor, self._owner_of(member))
            os.fchmod(descriptor, member.mode)
            os.utime(descriptor, ns=(member.mtime_ns, member.mtime_ns))
        finally:
            os.close(descriptor)
        return sha256.digest()

    def _symlink(self, member: SafeMember) -> None:
        parent, name = self._enter(member.parts[:-1]), member.parts[-1]
        os.symlink(member.target, name, dir_fd=parent)
        owner = self._owner_of(member)
        if owner != self._own:
            os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(member.mtime_ns, member.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _hard_link(self, member: SafeMember) -> None:
        first = os.dup(self._enter(member.link[:-1]))
        try:
            parent = self._enter(member.parts[:-1])
            os.link(member.link[-1], member.parts[-1], src_dir_fd=first, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(first)

    def _enter(self, parts: Parts) -> int:
        """The folder open; it and those above it are made where the archive has not named them."""
        if parts != self._names:
            common = next((place for place, (one, other) in enumerate(zip(self._names, parts)) if one != other), min(len(self._names), len(parts)))
            while len(self._open) > common + 1:
                os.close(self._open.pop())
            self._names = parts[:common]
            for name in parts[common:]:
                self._open.append(self._open_or_make(name))
                self._names = (*self._names, name)
        return self._open[-1]

    def _open_or_make(self, name: bytes) -> int:
        place = (*self._names, name)
        if place not in self._directories:
            os.mkdir(name, 0o700, dir_fd=self._open[-1])
            self._directories[place] = _Attributes(0o755, self._owner, None)
        return os.open(name, _DIRECTORY, dir_fd=self._open[-1])

    def _owner_of(self, member: SafeMember) -> tuple[int, int]:
        return self._owner or (member.uid, member.gid)

    def _change_owner(self, descriptor: int, owner: tuple[int, int]) -> None:
        # A folder may hand down its group, so the group of what was made in it is not always this process's.
        if owner != self._own or os.fstat(descriptor).st_gid != owner[1]:
            os.fchown(descriptor, *owner)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_file_system(descriptor: int) -> None:
    """Have everything on the disk that the open folder is on: one call, where a sync of each small file would take minutes."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
