# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a host, and at the names of variables, before anything is changed: pure judgements and plain observations."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .errors import Failure
from .requirements import OLDEST_PYTHON

_MIB = 1024 * 1024
_GIB = 1024 * _MIB


@dataclass(frozen=True)
class Check:
    """One finding: ``name`` is stable; ``message`` says what was found and, on failure, what to do."""

    name: str
    ok: bool
    message: str

    def facts(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FileSystem:
    """Where ``paths`` are or will be, with its free bytes."""

    mount: str
    paths: tuple[str, ...]
    free: int


def check_variables(used: Iterable[str], known: Iterable[str], allowed: Iterable[str]) -> Check:
    """Whether every used name that begins with ``toucan_`` is an option."""
    options = set(known)
    unknown = sorted(name for name in used if name.startswith("toucan_") and name not in options and name not in set(allowed))
    if not unknown:
        return Check("variables", True, "Every variable that begins with `toucan_` is an option of this collection.")
    return Check("variables", False, " ".join(_unknown_sentence(name, options) for name in unknown))


def check_clock(before: float, host: float, after: float, limit: float) -> Check:
    """Whether the host's clock is near the controller's.

    ``before`` and ``after`` are the controller's times around the look at the host (seconds since the epoch): a host time between
    them is no skew at all, so that a slow connection does not look like a wrong clock.
    """
    skew = max(before - host, host - after, 0.0)
    if skew <= limit:
        return Check("clock", True, f"The clock differs from the controller's by {skew:.1f} s; {limit:g} s are allowed.")
    return Check(
        "clock",
        False,
        f"The clock differs from the controller's by {skew:.0f} s, more than {limit:g} s; start time synchronisation on this host "
        "(tokens and certificates fail otherwise), or raise `toucan_host_maximum_clock_skew_s`.",
    )


def check_disk(system: FileSystem, minimum_gb: float) -> Check:
    """Whether a file system has enough room."""
    free = system.free / _GIB
    places = ", ".join(system.paths)
    if free >= minimum_gb:
        return Check(f"disk:{system.mount}", True, f"{free:.1f} GiB are free on {system.mount} for {places}.")
    return Check(
        f"disk:{system.mount}",
        False,
        f"Only {free:.1f} GiB are free on {system.mount} for {places}, less than {minimum_gb:.12g}; free or add space there, move the places, "
        "or lower `toucan_host_minimum_disk_gb`.",
    )


def check_memory(total_mb: int, minimum_mb: int) -> Check:
    """Whether the host has enough memory, in MiB."""
    if total_mb >= minimum_mb:
        return Check("memory", True, f"{total_mb} MiB of memory are there.")
    return Check(
        "memory", False, f"Only {total_mb} MiB of memory are there, less than {minimum_mb}; add memory or lower `toucan_host_minimum_memory_mb`."
    )


def check_python(version: tuple[int, int], executable: str) -> Check:
    """Whether the Python from which the environment is made is new enough."""
    number = ".".join(map(str, version))
    if version >= OLDEST_PYTHON:
        return Check("python", True, f"{executable} is Python {number}.")
    return Check(
        "python",
        False,
        f"{executable} is Python {number}, older than {'.'.join(map(str, OLDEST_PYTHON))}; install a newer one beside it and name it in "
        "`toucan_host_python`.",
    )


def check_systemd(running: bool) -> Check:
    """Whether systemd runs the host."""
    if running:
        return Check("systemd", True, "systemd runs this host.")
    return Check(
        "systemd",
        False,
        "systemd does not run this host; use a host that systemd booted, or set `toucan_host_docker_source` to `none` and "
        "`toucan_host_systemd_required` to false if the engine is kept running by other means.",
    )


def failure_of(host: str, checks: Sequence[Check]) -> Failure:
    """All failed checks as one failure."""
    failed = [check for check in checks if not check.ok]
    return Failure(
        f"Preflight of {host} found {len(failed)} problem{'s' if len(failed) > 1 else ''}",
        " ".join(f"({number}) {check.message}" for number, check in enumerate(failed, 1)).rstrip("."),
        subject=host,
    )


def file_systems(paths: Iterable[str]) -> list[FileSystem]:
    """The file systems that hold ``paths``; a path that is not there yet counts where its nearest parent is."""
    found: dict[int, list[str]] = {}
    for path in paths:
        found.setdefault(os.stat(nearest_existing(path)).st_dev, []).append(path)
    return [_file_system(tuple(group)) for group in found.values()]


def nearest_existing(path: str) -> str:
    """``path`` or the first of its parents that exists."""
    current = os.path.abspath(path)
    while not os.path.exists(current):
        current = os.path.dirname(current)
    return current


def total_memory_mb(meminfo: str) -> int:
    """Total memory in MiB from the text of ``/proc/meminfo``. :raises Failure: when the text does not tell it."""
    for line in meminfo.splitlines():
        name, dummy, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) // 1024
    raise Failure("/proc/meminfo does not say how much memory there is", "mount /proc on this host", subject="/proc/meminfo")


def _file_system(paths: tuple[str, ...]) -> FileSystem:
    place = nearest_existing(paths[0])
    numbers = os.statvfs(place)
    while not os.path.ismount(place):
        place = os.path.dirname(place)
    return FileSystem(place, paths, numbers.f_bavail * numbers.f_frsize)


def _unknown_sentence(name: str, options: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, sorted(options), n=1, cutoff=0.75)
    advice = f"write `{nearest[0]}`" if nearest else "remove it"
    return f"`{name}` is no option of this collection; {advice}, or list it in `toucan_host_allowed_variables`."
