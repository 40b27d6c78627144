# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The product's storage as a packed tar archive, copied while it may be written to.

A file that changes under the copy is read again; one that does not stop changing is stored as it was read last, and told. Sockets, fifos, devices,
links that leave the storage, and bits of a mode that a restore would refuse are left out, and told. A sparse file is stored in full.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import BinaryIO, Optional

from ..core import tar_headers, tree_links
from ..core.entries import EntriesDigest
from ..core.errors import Failure
from ..core.gzip_members import ENGINE, Engine, MembersWriter
from ..core.progress import Progress
from ..core.tree_links import Parts, UnfitName, shown
from .file_copy import FileCopier, header_of, kept_mode

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
#: What comes back when an entry went away, or became something else, after it was listed.
_GONE = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO}
_KINDS = ((stat.S_ISSOCK, "a socket"), (stat.S_ISFIFO, "a fifo"), (stat.S_ISBLK, "a block device"), (stat.S_ISCHR, "a character device"))


@dataclass(frozen=True)
class StorageReport:
    """What is in the archive and what is not.

    :param bytes: of the contents of files. ``digest`` is that of ``EntriesDigest``.
    :param left_out: path and reason of each entry, or bit of a mode, that is not in the archive.
    :param changed: path and what happened, for what did not hold still.
    """

    entries: int
    bytes: int
    digest: str
    left_out: tuple[str, ...]
    changed: tuple[str, ...]


def measure_storage(folder: str, names: Optional[Iterable[str]] = None) -> tuple[int, int]:
    """Number of entries and bytes of files below ``folder``, for a plan; what goes away meanwhile is not counted.

    :raises Failure: when a folder cannot be read.
    """
    entries = size = 0
    counted: set[tuple[int, int]] = set()
    path = folder
    try:
        pending = [os.path.join(folder, name) for name in (os.listdir(folder) if names is None else names)]
        while pending:
            path = pending.pop()
            try:
                status = os.lstat(path)
                if stat.S_ISDIR(status.st_mode):
                    pending.extend(entry.path for entry in os.scandir(path))
            except FileNotFoundError:
                continue
            entries += 1
            inode = (status.st_dev, status.st_ino)
            if stat.S_ISREG(status.st_mode) and inode not in counted:
                size += status.st_size
                if status.st_nlink > 1:
                    counted.add(inode)
    except OSError as error:
        raise _unreadable(folder, os.fsencode(path), error) from error
    return entries, size


def write_storage(
    out: BinaryIO,
    folder: str,
    names: Optional[Iterable[str]] = None,
    workers: int = 0,
    progress: Optional[Progress] = None,
    engine: Engine = ENGINE,
) -> StorageReport:
    """Write ``folder``'s entries of these names (all where none are given) to ``out``, each with the folders above it; ``out`` stays open.

    Where ``out`` can go back, a large file that changed is read again, too.

    :raises Failure: when a name is missing or leads elsewhere, or something cannot be read or written.
    """
    copy: Optional[_Copy] = None
    try:
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with MembersWriter(out, workers, engine) as archive:
                copy = _Copy(top, folder, archive, out.seekable(), progress or Progress())
                copy.tops(names)
                archive.write(tar_headers.end_mark())
        finally:
            os.close(top)
    except OSError as error:
        raise _unreadable(folder, copy.at if copy else b".", error) from error
    digest = copy.digest
    return StorageReport(digest.entries, digest.bytes, digest.hexdigest(), tuple(copy.left_out), tuple(copy.changed))


class _Copy:
    """``at`` is the path of the last entry, for a sentence."""

    def __init__(self, top: int, folder: str, archive: MembersWriter, can_go_back: bool, progress: Progress) -> None:
        self.digest = EntriesDigest()
        self.left_out: list[str] = []
        self.changed: list[str] = []
        self.at = b"."
        self._top = top
        self._folder = folder
        self._archive = archive
        self._files = FileCopier(archive, can_go_back, progress)
        self._first: dict[tuple[int, int], bytes] = {}
        self._above: set[Parts] = set()
        self._links: dict[Parts, bytes] = {}
        self._late: list[Parts] = []

    def tops(self, names: Optional[Iterable[str]]) -> None:
        if names is None:
            self._children(self._top, ())
        else:
            named = {self._named(name) for name in names}
            for parts in sorted(named):
                if not any(parts[:length] in named for length in range(1, len(parts))):
                    self._descend(self._top, (), parts)
        for place in self._late:
            if tree_links.leaves(place, self._links[place], self._links.get):
                raise Failure(f"Links in {self._folder} changed during the copy", "run the backup again", subject=self._folder)

    # -- the walk ---------------------------------------------------------------------------------------------------------

    def _named(self, name: str) -> Parts:
        try:
            parts = tree_links.parts_of(os.fsencode(name))
            if not parts:
                raise UnfitName("is empty")
        except UnfitName as error:
            raise Failure(f"The name `{shown(os.fsencode(name))}` of a folder in {self._folder} {error}", "correct it", subject=name) from error
        return parts

    def _descend(self, parent: int, above: Parts, below: Parts) -> None:
        """An entry that is asked for, behind the folders above it."""
        place = (*above, below[0])
        self.at = b"/".join(place)
        if stat.S_ISLNK(os.lstat(below[0], dir_fd=parent).st_mode):
            raise Failure(
                f"{shown(self.at)} in {self._folder} is a link, and what it leads to would not be in the backup",
                "put the folder itself there, by a bind mount where it is on another disk",
                subject=self._folder,
            )
        if len(below) == 1:
            self._entry(parent, place)
            return
        descriptor = os.open(below[0], _DIRECTORY, dir_fd=parent)
        try:
            if place not in self._above:
                self._above.add(place)
                self._add_directory(self.at, os.fstat(descriptor))
            self._descend(descriptor, place, below[1:])
        finally:
            os.close(descriptor)

    def _children(self, descriptor: int, parts: Parts) -> None:
        before = os.fstat(descriptor)
        for name in sorted(map(os.fsencode, os.listdir(descriptor))):
            self._entry(descriptor, (*parts, name))
        after = os.fstat(descriptor)
        if (before.st_mtime_ns, before.st_ctime_ns) != (after.st_mtime_ns, after.st_ctime_ns):
            self.changed.append(f"{shown(b'/'.join(parts) or b'.')}: entries came or went during the copy")

    def _entry(self, parent: int, parts: Parts) -> None:
        path = self.at = b"/".join(parts)
        try:
            tree_links.parts_of(path)
            status = os.lstat(parts[-1], dir_fd=parent)
            if stat.S_ISREG(status.st_mode):
                self._file(parent, path, status)
            elif stat.S_ISDIR(status.st_mode):
                self._directory(parent, parts)
            elif stat.S_ISLNK(status.st_mode):
                self._symlink(parent, parts, status)
            else:
                self._leave_out(path, next((kind for test, kind in _KINDS if test(status.st_mode)), "of an unknown kind"))
        except UnfitName as error:
            raise Failure(f"{shown(path)} in {self._folder} {error}, or is nested too deeply", "shorten it", subject=self._folder) from error
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self.changed.append(f"{shown(path)}: went away during the copy")

    # -- entries ----------------------------------------------------------------------------------------------------------

    def _directory(self, parent: int, parts: Parts) -> None:
        descriptor = os.open(parts[-1], _DIRECTORY, dir_fd=parent)
        try:
            self._add_directory(self.at, os.fstat(descriptor))
            self._children(descriptor, parts)
        finally:
            os.close(descriptor)

    def _add_directory(self, path: bytes, status: os.stat_result) -> None:
        header = header_of(path, tar_headers.DIRECTORY, status)
        self._archive.write(tar_headers.encode(replace(header, path=path + b"/")))
        self.digest.add_directory(path, header.mode, _owner(status), status.st_mtime_ns)
        self._tell_mode(path, tar_headers.DIRECTORY, status)

    def _file(self, parent: int, path: bytes, status: os.stat_result) -> None:
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and inode in self._first:
            first = self._first[inode]
            self._archive.write(tar_headers.encode(header_of(path, tar_headers.HARD_LINK, status, target=first)))
            self.digest.add_hard_link(path, first)
            return
        copied = self._files.copy(parent, path)
        status, shared = copied.status, copied.status.st_nlink > 1
        if shared:
            self._first[status.st_dev, status.st_ino] = path
        mode = kept_mode(tar_headers.FILE, status)
        self.digest.add_file(path, mode, _owner(status), status.st_mtime_ns, copied.size, copied.sha256, shared)
        self._tell_mode(path, tar_headers.FILE, status)
        if copied.note:
            self.changed.append(f"{shown(path)}: {copied.note}")

    def _symlink(self, parent: int, parts: Parts, status: os.stat_result) -> None:
        path, target = self.at, os.readlink(parts[-1], dir_fd=parent)
        try:
            late = tree_links.check_symlink(parts, target)
            if late and tree_links.leaves(parts, target, self._link_on_disk):
                raise UnfitName("is a link that leaves the folder, through another link")
        except UnfitName as error:
            self._leave_out(path, str(error).removeprefix("is "))
            return
        self._links[parts] = target
        self._late += [parts] if late else []
        self._archive.write(tar_headers.encode(header_of(path, tar_headers.SYMLINK, status, target=target)))
        self.digest.add_symlink(path, _owner(status), status.st_mtime_ns, target)

    def _link_on_disk(self, parts: Parts) -> Optional[bytes]:
        try:
            return os.readlink(b"/".join(parts), dir_fd=self._top)
        except OSError:
            return None  # no link, or not there

    def _tell_mode(self, path: bytes, kind: bytes, status: os.stat_result) -> None:
        lost = stat.S_IMODE(status.st_mode) & ~kept_mode(kind, status)
        if lost:
            self._leave_out(path, f"the bits {lost:04o} of its mode")

    def _leave_out(self, path: bytes, what: str) -> None:
        self.left_out.append(f"{shown(path)}: {what}")


def _owner(status: os.stat_result) -> tuple[int, int]:
    return status.st_uid, status.st_gid


def _unreadable(folder: str, path: bytes, error: OSError) -> Failure:
    return Failure(
        f"Copying the storage {folder} failed at {shown(path)}: {error.strerror}",
        "see that it is there and may be read (`become: true`), that the disk is well, and that there is room for the copy",
        subject=folder,
        answer=str(error),
    )
