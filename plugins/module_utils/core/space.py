# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free space, asked before anything is written."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .errors import Failure
from .progress import human_size

#: What is left free on a file system, for those who share it.
RESERVE = 64 * 1024 * 1024


def free_bytes(path: str) -> int:
    """Bytes that this process may still write where ``path`` is, or will be: its nearest parent that exists is asked.

    :raises Failure: when the file system does not answer.
    """
    place = _nearest(path)
    try:
        status = os.statvfs(place)
    except OSError as error:
        raise Failure(f"Asking for the free space at {place} failed: {error.strerror}", "see that its file system is mounted and well", subject=path) from error
    # Not `f_bfree`, even for root: under a quota it tells what the whole disk has.
    return status.f_frsize * status.f_bavail


def require_space(needs: Mapping[str, int], reserve: int = RESERVE) -> None:
    """See that there is room for so many bytes at each path; paths on one file system share its room.

    :raises Failure: naming the file system that is too small, what is missing, and for which paths.
    """
    devices: dict[int, list[str]] = {}
    for path in needs:
        devices.setdefault(os.stat(_nearest(path)).st_dev, []).append(path)
    for paths in devices.values():
        needed, free = sum(needs[path] for path in paths), free_bytes(paths[0])
        if needed + reserve > free:
            raise Failure(
                f"{' and '.join(paths)} need {human_size(needed)}, and {human_size(reserve)} are to stay free, but only {human_size(free)} are free there",
                "free space there, or name a place on a larger file system",
                subject=paths[0],
            )


def _nearest(path: str) -> str:
    place = os.path.abspath(path)
    while not os.path.exists(place):
        place = os.path.dirname(place)
    return place
