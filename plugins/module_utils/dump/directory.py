# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of dumps: named, begun as partial, finished by one rename, listed, told apart and removed.

A dump is valid if and only if it has a manifest, which is written last into a folder ``NAME.partial`` that is then renamed. What has another
ending, or no manifest, is never taken for a whole dump of ours.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Optional

from ..contract.dumps import DATABASE_FILE, FOLDER_PREFIX
from ..core.errors import Failure
from ..core.files import sync_directory
from .manifest import ENCRYPTED_SUFFIX, FILE, LARGEST, FileFact, Manifest, manifest_hash, parse_manifest

OURS = "ours"
VENDORS = "vendor's"
PARTIAL = "partial"
FOREIGN = "foreign"

PARTIAL_SUFFIX = ".partial"
REMOVED_SUFFIX = ".removed"
_RANDOM_CHARACTERS = 8
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_NAME = re.compile(re.escape(FOLDER_PREFIX) + r"[A-Za-z0-9_-]{1,64}")
_REMEDY = "correct its owner and mode, or run with `become: true`"


@dataclass(frozen=True)
class Dump:
    """What was found at ``path``; ``kind`` is :data:`OURS`, :data:`VENDORS`, :data:`PARTIAL` or :data:`FOREIGN`.

    ``manifest`` and its hash are only there for a dump of ours whose manifest is sound; else ``problem`` says why it is not.
    """

    path: str
    kind: str
    manifest: Optional[Manifest] = None
    manifest_sha256: str = ""
    problem: str = ""

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def list_dumps(folder: str) -> list[Dump]:
    """Everything in ``folder``, by name; nothing where there is no such folder. :raises Failure: when it cannot be read."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Failure(f"Looking into {folder} failed: {error.strerror}", _REMEDY, subject=folder, answer=str(error)) from error
    return [inspect(os.path.join(folder, name)) for name in names]


def inspect(path: str) -> Dump:
    """What stands at ``path``; its files are not read, save for the manifest."""
    path = os.path.abspath(path)
    kind = _kind(path)
    if kind != OURS:
        return Dump(path, kind)
    try:
        manifest, digest = read_manifest(path)
    except Failure as failure:
        return Dump(path, kind, problem=str(failure))
    return Dump(path, kind, manifest, digest)


def find(path: str) -> Dump:
    """The dump at ``path``, for reading it. :raises Failure: when there is none, it is not whole, or its manifest is not sound."""
    dump = inspect(path)
    if not os.path.lexists(dump.path):
        raise Failure(f"There is no dump {dump.path}", "name the folder of a dump", subject=path)
    if dump.kind == PARTIAL:
        raise Failure(f"{dump.path} is a dump that was not finished, or half removed", "take another dump, or name a finished one", subject=path)
    if dump.kind == FOREIGN:
        remedy = f"name a folder that is called {FOLDER_PREFIX}XXXXXXXX and holds {DATABASE_FILE}"
        raise Failure(f"{dump.path} is no folder of a dump", remedy, subject=path)
    if dump.problem:
        read_manifest(dump.path)  # says it again, as the failure it was
    return dump


def read_manifest(path: str) -> tuple[Manifest, str]:
    """The manifest of the dump at ``path``, and its SHA-256. :raises Failure: when it cannot be read or is not sound."""
    file = os.path.join(path, FILE)
    with open_file(path, FILE) as stream:
        try:
            content = stream.read(LARGEST + 1)
        except OSError as error:
            raise Failure(f"Reading {file} failed: {error.strerror}", _REMEDY, subject=file, answer=str(error)) from error
    return parse_manifest(content, file, os.path.basename(path)), manifest_hash(content)


def open_file(path: str, name: str) -> BinaryIO:
    """One file of the dump at ``path``, for reading.

    :raises Failure: when it is missing, cannot be read, or is anything but a plain file: a link would lead out of the dump.
    """
    file = os.path.join(path, name)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not block
    except FileNotFoundError as error:
        raise Failure(f"There is no {file}", "take another dump, or fetch this one again from where it came", subject=file) from error
    except OSError as error:
        problem = "it is a link" if os.path.islink(file) else error.strerror
        raise Failure(f"Opening {file} failed: {problem}", _REMEDY, subject=file, answer=str(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Failure(f"{file} is no plain file", "take another dump, or fetch this one again from where it came", subject=file)
    return os.fdopen(descriptor, "rb")


def _kind(path: str) -> str:
    name = os.path.basename(path)
    for suffix in (PARTIAL_SUFFIX, REMOVED_SUFFIX):
        if name.endswith(suffix) and _NAME.fullmatch(name[: -len(suffix)]) and _is_folder(path):
            return PARTIAL
    if not _NAME.fullmatch(name) or not _is_folder(path):
        return FOREIGN
    if os.path.lexists(os.path.join(path, FILE)):
        return OURS
    if os.path.isfile(os.path.join(path, DATABASE_FILE)):
        return VENDORS
    # Encrypted files without a manifest are ours, and their manifest is gone.
    return PARTIAL if os.path.lexists(os.path.join(path, DATABASE_FILE + ENCRYPTED_SUFFIX)) else FOREIGN


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


class HashedFile:
    """A file of a partial dump, hashed as it is written; :meth:`fact` once it is closed. A binary stream for writers."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._hash = hashlib.sha256()
        self._size = 0
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failed(error) from error
        self._stream = os.fdopen(descriptor, "wb", buffering=0)

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        """What was hashed or encrypted cannot be taken back."""
        return False

    def write(self, data: Any) -> int:
        """Write all of ``data``. :raises Failure: when the disk is full or fails."""
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self._size += len(view)
        written = 0
        try:
            while written < len(view):
                written += self._stream.write(view[written:]) or 0
        except OSError as error:
            raise self._failed(error) from error
        return len(view)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Sync the file to disk and close it. :raises Failure: when the disk fails."""
        if self._stream.closed:
            return
        try:
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._stream.close()

    def __enter__(self) -> HashedFile:
        return self

    def __exit__(self, *dummy: Any) -> None:
        self.close()

    def fact(self) -> FileFact:
        return FileFact(self._hash.hexdigest(), self._size)

    def _failed(self, error: OSError) -> Failure:
        return Failure(f"Writing {self.path} failed: {error.strerror}", "free space there, or name another folder", subject=self.path, answer=str(error))


class PartialDump:
    """A dump that is being written, in ``FOLDER/NAME.partial``, readable by nobody else."""

    def __init__(self, folder: str, name: str) -> None:
        self.folder = os.path.abspath(folder)
        self.name = name
        self.path = os.path.join(self.folder, name + PARTIAL_SUFFIX)
        self.final_path = os.path.join(self.folder, name)
        self._files: dict[str, HashedFile] = {}

    def create(self, name: str) -> HashedFile:
        """A new file of the dump, to be closed by the caller."""
        file = HashedFile(os.path.join(self.path, name))
        self._files[name] = file
        return file

    def facts(self) -> dict[str, FileFact]:
        """Hash and size of each file so far, as the manifest has them."""
        return {name: file.fact() for name, file in self._files.items()}

    def finish(self, manifest: Manifest) -> Dump:
        """Close what is still open, write the manifest, sync everything and give the dump its name.

        :raises Failure: when the manifest is not that of these files, or the folder cannot be written; the dump then stays partial.
        """
        for file in self._files.values():
            file.close()
        if manifest.dump != self.name or dict(manifest.files) != self.facts():
            raise Failure(f"The manifest is not that of {self.path}", "report this as a defect of the collection", subject=self.path)
        content = manifest.content()
        parse_manifest(content, os.path.join(self.path, FILE), self.name)  # never write what nobody could read again
        with HashedFile(os.path.join(self.path, FILE)) as manifest_file:
            manifest_file.write(content)
        try:
            sync_directory(self.path)
            if os.path.lexists(self.final_path):
                raise FileExistsError(17, "something else has its name by now", self.final_path)
            os.rename(self.path, self.final_path)
            sync_directory(self.folder)
        except OSError as error:
            raise Failure(f"Finishing {self.final_path} failed: {error.strerror}", _REMEDY, subject=self.final_path, answer=str(error)) from error
        return Dump(self.final_path, OURS, manifest, manifest_hash(content))

    def discard(self) -> None:
        """Remove what was written so far, and close what is open."""
        for file in self._files.values():
            file.close()
        remove_folder(self.path)


def begin(folder: str, name: str = "") -> PartialDump:
    """Begin a dump in ``folder``, which is made where it is missing; under a new name unless one is given.

    :raises Failure: when the name is taken, or the folder cannot be written.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        partial = PartialDump(folder, name or new_name(folder))
        if os.path.lexists(partial.final_path):
            raise FileExistsError(17, "there is a dump of that name", partial.final_path)
        os.mkdir(partial.path, 0o700)
        sync_directory(folder)
    except OSError as error:
        raise Failure(
            f"Beginning a dump in {folder} failed: {error.strerror}", "name another folder, or correct its owner and mode", subject=folder, answer=str(error)
        ) from error
    return partial


def new_name(folder: str) -> str:
    """A name for a dump that nothing in ``folder`` has yet."""
    while True:
        name = FOLDER_PREFIX + "".join(secrets.choice(_ALPHABET) for dummy in range(_RANDOM_CHARACTERS))
        if not any(os.path.lexists(os.path.join(folder, name + suffix)) for suffix in ("", PARTIAL_SUFFIX, REMOVED_SUFFIX)):
            return name


def remove(path: str) -> None:
    """Remove the dump at ``path``; from the first moment on it is no whole dump any more. :raises Failure: when it cannot be removed."""
    removed = path + REMOVED_SUFFIX
    try:
        if os.path.lexists(removed):  # left by a run that was killed
            shutil.rmtree(removed)
        os.rename(path, removed)
        sync_directory(os.path.dirname(path) or ".")
    except FileNotFoundError:
        return
    except OSError as error:
        raise Failure(f"Removing {path} failed: {error.strerror}", _REMEDY, subject=path, answer=str(error)) from error
    remove_folder(removed)


def remove_folder(path: str) -> None:
    """Remove a folder with all in it; links in it are not followed. :raises Failure: when that fails."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Failure(f"Removing {path} failed: {error.strerror}", _REMEDY, subject=path, answer=str(error)) from error


def refuse_inside(destination: str, data_folders: Sequence[str]) -> None:
    """See that dumps do not land in the data that they are taken of.

    :param destination: need not exist yet; links on the way to it are followed.
    :raises Failure: when it is one of the folders, or below one.
    """
    real = os.path.realpath(destination)
    for folder in data_folders:
        data = os.path.realpath(folder)
        if os.path.commonpath((real, data)) == data:
            raise Failure(
                f"{destination} lies inside {folder}, which the dump is taken of", "name a folder outside the data for dumps", subject=destination
            )
