# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and links in a tree that may be hostile: which are fit to be made below a folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

PATH_LIMIT = 4095  # bytes of a path on Linux, without its final NUL
NAME_LIMIT = 255
DEPTH_LIMIT = 200  # folders in one another; each is an open file while it is read
_HOPS = 40  # as the kernel has it
_SHOWN = 160

Parts = tuple[bytes, ...]


class UnfitName(ValueError):
    """A path or link that is refused, with the reason as a clause that goes behind its name."""


def shown(path: bytes) -> str:
    """A path for a sentence: control characters and broken UTF-8 as escapes, its middle cut out where it is long."""
    text = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in path.decode("utf-8", "backslashreplace")
    )
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"


def parts_of(path: bytes) -> Parts:
    """The names in a path below the tree's top; empty for the top itself.

    :raises UnfitName: when it is absolute, leaves the tree, or no file system could hold it.
    """
    if path.startswith(b"/"):
        raise UnfitName("is absolute")
    parts = tuple(part for part in path.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise UnfitName("goes through `..`")
    if b"\0" in path:
        raise UnfitName("has a zero byte in its name")
    if not path or len(path) > PATH_LIMIT or len(parts) > DEPTH_LIMIT or any(len(part) > NAME_LIMIT for part in parts):
        raise UnfitName("has a name that no file can have here")
    return parts


def check_symlink(place: Parts, target: bytes) -> bool:
    """Whether a link at ``place`` needs ``leaves`` once all links are known, because it steps up behind a name, which may be a link.

    :raises UnfitName: when its target leaves the tree whatever the names in it are.
    """
    if not target or b"\0" in target or len(target) > PATH_LIMIT:
        raise UnfitName("is a link to a name that no file can have")
    if target.startswith(b"/"):
        raise UnfitName("is a link that leaves the folder, to an absolute path")
    depth, named, late = len(place) - 1, False, False
    for part in target.split(b"/"):
        if part == b"..":
            depth -= 1
            late = late or named
        elif part not in (b"", b"."):
            depth += 1
            named = True
        if depth < 0:
            raise UnfitName("is a link that leaves the folder")
    return late


def leaves(place: Parts, target: bytes, link_at: Callable[[Parts], Optional[bytes]]) -> bool:
    """Whether a link at ``place`` leads out of the tree, followed as the kernel does it; one that goes round does not.

    :param link_at: the target of the link at a path, ``None`` where there is none.
    """
    at: list[bytes] = list(place[:-1])
    ahead = target.split(b"/")[::-1]
    hops = 0
    while ahead:
        part = ahead.pop()
        if part == b"..":
            if not at:
                return True
            at.pop()
        elif part not in (b"", b"."):
            at.append(part)
            onward = link_at(tuple(at))
            if onward is not None:
                hops += 1
                if onward.startswith(b"/"):
                    return True
                if hops > _HOPS:
                    return False
                at.pop()
                ahead.extend(onward.split(b"/")[::-1])
    return False
