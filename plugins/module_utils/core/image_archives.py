# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of ``docker save``: which images a folder of them holds, told without loading any.

Source of the format: the image specification of Docker (``manifest.json``), which ``podman save`` and ``skopeo`` write, too, and the OCI image
layout (``index.json``) that Docker adds from version 25 on.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

from .errors import Failure
from .images import same_name

SUFFIXES = (".tar", ".tar.gz", ".tgz")
_MANIFEST = "manifest.json"
_INDEX = "index.json"
_CONFIG = re.compile(r"(?:blobs/sha256/)?(?P<id>[0-9a-f]{64})(?:\.json)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_GZIP = b"\x1f\x8b"
# Of the two lists; those of a hundred images are a few kilobytes.
_LIST_LIMIT = 4 * 1024 * 1024
_SHOWN = 10


@dataclass(frozen=True)
class ArchivedImage:
    """An image in an archive.

    :param id: what Docker will know it by (``sha256:…``), the hash of its configuration.
    :param names: references that it was saved under, as ``docker save`` writes them.
    :param manifests: digests of the archive's manifests: an engine with containerd's image store takes one of them for the ID.
    """

    path: str
    id: str
    names: tuple[str, ...]
    manifests: tuple[str, ...] = ()


class ArchiveFolder:
    """A folder of archives; each is read at most once.

    :param option: what the user calls the folder, for the sentences.
    """

    def __init__(self, path: str, option: str = "`toucan_image_folder`") -> None:
        self.path = path
        self._option = option
        self._known: dict[str, list[ArchivedImage]] = {}

    def find(self, asked: str) -> ArchivedImage:
        """The image that was saved as ``asked`` (``NAME:TAG``), in the first archive that holds it, by name, packed ones last.

        :raises Failure: when none does, saying what they hold, or which of them is damaged.
        """
        damage: Optional[Failure] = None
        paths = self._archives()
        for path in paths:
            try:
                found = self._images(path)
            except Failure as failure:
                damage = damage or failure
                continue
            for image in found:
                if any(same_name(name, asked) for name in image.names):
                    return image
        if damage:
            raise damage
        raise Failure(
            f"Folder {self.path} holds no image {asked}: {self._contents(paths)}",
            f"put there what `docker save {asked}` writes on a machine that has it, or correct {self._option}",
            subject=asked,
        )

    def _images(self, path: str) -> list[ArchivedImage]:
        if path not in self._known:
            self._known[path] = archived_images(path)
        return self._known[path]

    def _archives(self) -> list[str]:
        """Paths of the archives, packed ones last, which take long to read. Links are left out: what they lead to may be anything."""
        try:
            with os.scandir(self.path) as entries:
                found = [entry.path for entry in entries if entry.name.endswith(SUFFIXES) and entry.is_file(follow_symlinks=False)]
        except OSError as error:
            raise Failure(
                f"Looking into the folder of image archives {self.path} on this host failed: {error.strerror}",
                f"put the archives there, or correct {self._option}",
                subject=self.path,
                answer=str(error),
            ) from error
        return sorted(found, key=lambda path: (not path.endswith(".tar"), path))

    def _contents(self, paths: list[str]) -> str:
        if not paths:
            return f"no file in it ends in {', '.join(SUFFIXES)}"
        told = [f"{os.path.basename(path)} ({', '.join(_names(self._images(path))) or 'an image without a name'})" for path in paths[:_SHOWN]]
        rest = len(paths) - _SHOWN
        return f"there are {', '.join(told)}" + (f" and {rest} more" if rest > 0 else "")


def archived_images(path: str) -> list[ArchivedImage]:
    """The images in one archive, packed by gzip or not. :raises Failure: when it is none of ``docker save``, or damaged."""
    try:
        with open(path, "rb") as stream:
            packed = stream.read(len(_GZIP)) == _GZIP
        lists = _read_lists(path, "r:gz" if packed else "r:")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise Failure(f"Reading {path} failed: {error.strerror or error}", "correct its owner and mode, and see that the disk is well", subject=path) from error
    if _MANIFEST not in lists:
        raise _damaged(path, f"it has no {_MANIFEST}")
    return list(_described(path, lists[_MANIFEST], _manifests(lists.get(_INDEX))))


def _read_lists(path: str, mode: Any) -> dict[str, Any]:
    """The lists in the archive by name. They may stand at its very end."""
    found: dict[str, Any] = {}
    with tarfile.open(path, mode) as archive:
        for member in archive:
            if member.name in (_MANIFEST, _INDEX) and member.isfile():
                if member.size > _LIST_LIMIT:
                    raise _damaged(path, f"{member.name} has {member.size} bytes")
                stream = archive.extractfile(member)
                found[member.name] = _parsed(path, member.name, stream.read() if stream else b"")
    return found


def _parsed(path: str, name: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise _damaged(path, f"{name} is no JSON") from error


def _described(path: str, manifest: Any, manifests: tuple[str, ...]) -> Iterator[ArchivedImage]:
    for item in manifest if isinstance(manifest, list) else [None]:
        config = _CONFIG.fullmatch(str(item.get("Config"))) if isinstance(item, dict) else None
        names = (item.get("RepoTags") or []) if isinstance(item, dict) else None
        if not config or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _damaged(path, f"{_MANIFEST} describes no image")
        yield ArchivedImage(path, f"sha256:{config['id']}", tuple(names), manifests)


def _manifests(index: Any) -> tuple[str, ...]:
    listed = index.get("manifests") if isinstance(index, dict) else None
    digests = (str(item.get("digest")) for item in listed if isinstance(item, dict)) if isinstance(listed, list) else ()
    return tuple(digest for digest in digests if _DIGEST.fullmatch(digest))


def _names(images: list[ArchivedImage]) -> list[str]:
    return [name for image in images for name in image.names]


def _damaged(path: str, answer: str) -> Failure:
    return Failure(
        f"{path} is no whole archive of `docker save`: {answer}",
        "make it anew with `docker save`, copy it whole, and compare the sizes",
        subject=path,
        answer=answer,
    )
