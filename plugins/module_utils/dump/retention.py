# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which dumps may be removed: a pure decision from what there is and what was asked for.

Dumps of different apps, and of the whole instance, are counted apart. Never removed are: the newest proven one; the one that was just made; one
whose time lies in the future, since a clock was wrong then or is now; and what is no sound dump of ours, which never gets here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Callable

from ..core.errors import Failure
from .directory import Dump
from .manifest import APP

NOTHING_ASKED = "no retention is asked for"
NEWEST_PROVEN = "newest proven"
JUST_MADE = "just made"
FUTURE = "its time lies in the future"


@dataclass(frozen=True)
class Policy:
    """How many to keep: the newest ``count``, and the newest of each of the last so many days, ISO weeks and months (UTC) that have dumps.

    All at 0 keep everything.

    :raises Failure: when one is below 0.
    """

    count: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    def __post_init__(self) -> None:
        for name, number in vars(self).items():
            if number < 0:
                raise Failure(f"A retention of {number} is asked for in `{name}`", "write 0 or more", subject=name)

    def asks(self) -> bool:
        return any(vars(self).values())


@dataclass(frozen=True)
class Candidate:
    """A sound dump of ours; those with the same ``series`` are counted together. ``time`` is aware."""

    name: str
    time: datetime
    proven: bool = False
    series: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """Names of dumps: those to keep with the reasons, and those to remove, oldest first."""

    kept: Mapping[str, tuple[str, ...]]
    removed: tuple[str, ...]


_PERIODS: tuple[tuple[str, Callable[[datetime], tuple[int, ...]]], ...] = (
    ("daily", lambda time: (time.year, time.month, time.day)),
    ("weekly", lambda time: tuple(time.isocalendar())[:2]),
    ("monthly", lambda time: (time.year, time.month)),
)


def candidates(dumps: Iterable[Dump], proven: Collection[str]) -> list[Candidate]:
    """The dumps that retention may look at: those of ours with a sound manifest. ``proven`` are names.

    An app is followed by its id, through changes of its name.
    """
    return [
        Candidate(
            dump.name,
            dump.manifest.times.begun,
            dump.name in proven,
            (dump.manifest.instance_id, dump.manifest.kind, *(app.id for app in dump.manifest.apps if dump.manifest.kind == APP)),
        )
        for dump in dumps
        if dump.manifest is not None
    ]


def decide(dumps: Sequence[Candidate], policy: Policy, now: datetime, just_made: Collection[str] = ()) -> Decision:
    """What to keep and what to remove. ``just_made`` are names that this run must not remove whatever their time."""
    kept: dict[str, tuple[str, ...]] = {}
    for series in sorted({dump.series for dump in dumps}):
        kept.update(_kept_of(_newest_first(dump for dump in dumps if dump.series == series), policy, now, just_made))
    removed = tuple(dump.name for dump in reversed(_newest_first(dumps)) if dump.name not in kept)
    return Decision(kept, removed)


def _newest_first(dumps: Iterable[Candidate]) -> list[Candidate]:
    """By time, and by name where times are equal, so that the same dumps always give the same decision."""
    return sorted(dumps, key=lambda dump: (dump.time, dump.name), reverse=True)


def _kept_of(dumps: Sequence[Candidate], policy: Policy, now: datetime, just_made: Collection[str]) -> dict[str, tuple[str, ...]]:
    if not policy.asks():
        return {dump.name: (NOTHING_ASKED,) for dump in dumps}
    reasons: dict[str, list[str]] = {dump.name: [] for dump in dumps}
    # A dump from the future would hold its place for years, and push out each new one.
    past = [dump for dump in dumps if dump.time <= now]
    for dump in past[: policy.count]:
        reasons[dump.name].append("count")
    for period, period_of in _PERIODS:
        for name in _newest_of_periods(past, getattr(policy, period), period_of):
            reasons[name].append(period)
    for dump in [dump for dump in past if dump.proven][:1]:
        reasons[dump.name].append(NEWEST_PROVEN)
    for dump in dumps:
        if dump.time > now:
            reasons[dump.name].append(FUTURE)
        if dump.name in just_made:
            reasons[dump.name].append(JUST_MADE)
    return {name: tuple(why) for name, why in reasons.items() if why}


def _newest_of_periods(dumps: Sequence[Candidate], number: int, period_of: Callable[[datetime], tuple[int, ...]]) -> list[str]:
    newest: dict[tuple[int, ...], str] = {}
    for dump in dumps:
        newest.setdefault(period_of(dump.time.astimezone(timezone.utc)), dump.name)
    return list(newest.values())[:number]
