# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention never removes the newest proven dump, never keeps fewer than asked, and is not led astray by clocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from random import Random

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import directory, retention
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.retention import Candidate, Policy, decide
from hypothesis import example, given
from hypothesis import strategies as st

from . import samples

NOW = samples.time("2026-11-23T12:00:00")

numbers = st.integers(0, 5)
policies = st.builds(Policy, numbers, numbers, numbers, numbers).filter(Policy.asks)
# Few distinct times, some of them ahead of now, so that equal ones happen.
times = st.builds(lambda days, hours: NOW - timedelta(days=days, hours=hours), st.integers(-3, 120), st.sampled_from([0, 1, 23]))
dump_lists = st.lists(
    st.builds(Candidate, st.integers(0, 99).map("dump{:02}".format), times, st.booleans(), st.sampled_from([("sales",), ("hr",)])),
    max_size=25,
    unique_by=lambda dump: dump.name,
)


def kept(dumps: Iterable[Candidate], policy: Policy, just_made: Iterable[str] = ()) -> set[str]:
    return set(decide(list(dumps), policy, NOW, set(just_made)).kept)


def newest(dumps: Iterable[Candidate]) -> Candidate | None:
    return max(dumps, key=lambda dump: (dump.time, dump.name), default=None)


@given(dump_lists, policies)
def test_every_dump_is_either_kept_or_removed(dumps: list[Candidate], policy: Policy) -> None:
    decision = decide(dumps, policy, NOW)
    assert sorted([*decision.kept, *decision.removed]) == sorted(dump.name for dump in dumps)
    assert all(decision.kept.values())


@given(dump_lists, policies)
def test_the_newest_proven_dump_stays(dumps: list[Candidate], policy: Policy) -> None:
    for series in {dump.series for dump in dumps}:
        proven = [dump for dump in dumps if dump.series == series and dump.proven]
        best = newest(proven)
        past = newest(dump for dump in proven if dump.time <= NOW)
        assert {dump.name for dump in (best, past) if dump} <= kept(dumps, policy)


@given(dump_lists, policies)
def test_never_fewer_stay_than_asked(dumps: list[Candidate], policy: Policy) -> None:
    names = kept(dumps, policy)
    for series in {dump.series for dump in dumps}:
        past = [dump for dump in dumps if dump.series == series and dump.time <= NOW]
        staying = [dump for dump in past if dump.name in names]
        assert len(staying) >= min(policy.count, len(past))
        for number, period in ((policy.daily, "%Y-%m-%d"), (policy.weekly, "%G-%V"), (policy.monthly, "%Y-%m")):
            assert len({f"{dump.time:{period}}" for dump in staying}) >= min(number, len({f"{dump.time:{period}}" for dump in past}))


@given(dump_lists, policies, policies)
def test_asking_for_more_removes_no_more(dumps: list[Candidate], policy: Policy, other: Policy) -> None:
    more = Policy(*(max(pair) for pair in zip(dataclasses.astuple(policy), dataclasses.astuple(other))))
    assert kept(dumps, policy) <= kept(dumps, more)


@given(dump_lists, policies, policies)
def test_kinds_of_keeping_add_up(dumps: list[Candidate], policy: Policy, other: Policy) -> None:
    count_alone, rest = Policy(count=policy.count), dataclasses.replace(policy, count=0)
    if count_alone.asks() and rest.asks():
        assert kept(dumps, policy) == kept(dumps, count_alone) | kept(dumps, rest)


@given(dump_lists, policies)
def test_a_second_run_removes_nothing(dumps: list[Candidate], policy: Policy) -> None:
    first = decide(dumps, policy, NOW)
    second = decide([dump for dump in dumps if dump.name in first.kept], policy, NOW)
    assert second.removed == ()
    assert second.kept == first.kept


@given(dump_lists, policies, st.randoms(use_true_random=False))
def test_the_order_of_a_listing_does_not_matter(dumps: list[Candidate], policy: Policy, random: Random) -> None:
    shuffled = list(dumps)
    random.shuffle(shuffled)
    assert decide(shuffled, policy, NOW) == decide(dumps, policy, NOW)


@given(dump_lists, policies)
def test_series_do_not_touch_each_other(dumps: list[Candidate], policy: Policy) -> None:
    parts = [[dump for dump in dumps if dump.series == series] for series in (("sales",), ("hr",))]
    assert kept(dumps, policy) == kept(parts[0], policy) | kept(parts[1], policy)


@given(dump_lists, policies, st.integers(0, 400))
def test_a_clock_that_stepped_back_removes_nothing_it_would_not_have_removed_before(dumps: list[Candidate], policy: Policy, days: int) -> None:
    stepped = decide(dumps, policy, NOW - timedelta(days=days))
    ahead = {dump.name for dump in dumps if dump.time > NOW - timedelta(days=days)}
    assert ahead <= set(stepped.kept)
    made = Candidate("made with the wrong clock", NOW - timedelta(days=days + 300), series=("sales",))
    assert made.name in decide([*dumps, made], policy, NOW, {made.name}).kept


@given(dump_lists, st.integers(1, 5))
@example([Candidate(f"future{day}", NOW + timedelta(days=day)) for day in range(1, 9)], 3)
def test_dumps_from_the_future_take_nobodys_place(dumps: list[Candidate], count: int) -> None:
    past = {dump.name for dump in dumps if dump.time <= NOW}
    assert past & kept(dumps, Policy(count=count)) == kept([dump for dump in dumps if dump.name in past], Policy(count=count))


def test_dumps_of_one_time_are_told_apart_by_name() -> None:
    dumps = [Candidate(name, NOW) for name in ("b", "c", "a")]
    assert decide(dumps, Policy(count=1), NOW) == retention.Decision({"c": ("count",)}, ("a", "b"))
    assert decide(dumps, Policy(daily=7), NOW).kept == {"c": ("daily",)}


def test_reasons_are_told_and_the_oldest_go_first() -> None:
    dumps = [Candidate(f"day{day:02}", NOW - timedelta(days=day), proven=day == 9) for day in range(12)]
    decision = decide([*dumps, Candidate("future", NOW + timedelta(days=1))], Policy(2, 3, 2, 1), NOW, {"day11"})
    assert decision.kept == {
        "day00": ("count", "daily", "weekly", "monthly"),
        "day01": ("count", "daily", "weekly"),
        "day02": ("daily",),
        "day09": (retention.NEWEST_PROVEN,),
        "day11": (retention.JUST_MADE,),
        "future": (retention.FUTURE,),
    }
    assert decision.removed == ("day10", *(f"day{day:02}" for day in range(8, 2, -1)))


def test_days_are_those_of_utc() -> None:
    east = timezone(timedelta(hours=9))
    dumps = [Candidate("a", datetime(2026, 11, 23, 1, tzinfo=east)), Candidate("b", datetime(2026, 11, 22, 10, tzinfo=east))]
    assert decide(dumps, Policy(daily=5), NOW).removed == ("b",)


@given(dump_lists)
def test_without_a_policy_all_stay(dumps: list[Candidate]) -> None:
    assert decide(dumps, Policy(), NOW).removed == ()


@pytest.mark.parametrize("name", ["count", "daily", "weekly", "monthly"])
def test_less_than_nothing_is_refused(name: str) -> None:
    with pytest.raises(Failure, match=f"A retention of -1 is asked for in `{name}`"):
        Policy(**{name: -1})


def test_only_sound_dumps_of_ours_are_candidates() -> None:
    instance = samples.manifest(kind="instance")
    dumps = [
        directory.Dump("/dumps/a", directory.OURS, samples.manifest(), samples.HASH),
        directory.Dump("/dumps/b", directory.OURS, instance, samples.HASH),
        directory.Dump("/dumps/c", directory.OURS, problem="damaged"),
        directory.Dump("/dumps/d", directory.VENDORS),
        directory.Dump("/dumps/e", directory.PARTIAL),
        directory.Dump("/dumps/f", directory.FOREIGN),
    ]
    assert retention.candidates(dumps, {"b"}) == [
        Candidate("a", samples.time(), False, (samples.INSTANCE, "app", "sales")),
        Candidate("b", samples.time(), True, (samples.INSTANCE, "instance")),
    ]
