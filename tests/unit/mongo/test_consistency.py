# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When what was read of a collection counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import CollectionInfo
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.consistency import ATTEMPTS, Reading, Verdict, changes, judge
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import CollectionMetadata, Namespace
from hypothesis import given
from hypothesis import strategies as st

ONE, OTHER = b"1" * 16, b"2" * 16
WHOLE = Reading("app.sales", 5, 5, 5, ONE, ONE)
NUMBERS = st.integers(0, 4)


def test_equal_counts_of_the_same_collection_count() -> None:
    assert judge(WHOLE, True, 1) == judge(replace(WHOLE, writes=0), False, 1) == judge(replace(WHOLE, known=None, found=None), True, 1) == Verdict()


@pytest.mark.parametrize("still", [True, False])
@pytest.mark.parametrize("attempt", [1, ATTEMPTS])
def test_a_collection_that_is_gone_is_an_error_at_once(still: bool, attempt: int) -> None:
    with pytest.raises(Failure, match="Collection app.sales was dropped or renamed while it was read; start again"):
        judge(replace(WHOLE, after=0, found=None, gone=True), still, attempt)


@pytest.mark.parametrize("still", [True, False])
def test_another_collection_of_the_name_is_read_even_where_the_counts_agree(still: bool) -> None:
    assert judge(replace(WHOLE, found=OTHER), still, 1).again
    with pytest.raises(Failure, match="Collection app.sales was replaced by another 3 times while it was read"):
        judge(replace(WHOLE, found=OTHER), still, ATTEMPTS)


@pytest.mark.parametrize(
    ("reading", "still"),
    [
        (replace(WHOLE, read=4), False),
        (replace(WHOLE, read=4, after=7), False),
        (replace(WHOLE, read=4), True),
        (replace(WHOLE, read=6, after=6), True),
        (replace(WHOLE, read=6), True),
    ],
)
def test_a_cursor_that_ended_early_is_read_again_then_an_error(reading: Reading, still: bool) -> None:
    assert judge(reading, still, 1) == judge(reading, still, ATTEMPTS - 1) == Verdict(again=True)
    with pytest.raises(Failure, match=f"could not be read whole: 5 documents before, {reading.read} read, {reading.after} after, 3 times; stop"):
        judge(reading, still, ATTEMPTS)


@pytest.mark.parametrize("reading", [replace(WHOLE, read=6, after=7), replace(WHOLE, read=6), replace(WHOLE, read=5, after=3)])
def test_writes_to_a_running_app_are_a_remark(reading: Reading) -> None:
    counts = f"5 documents before, {reading.read} read, {reading.after} after"
    assert judge(reading, False, 1) == Verdict(remark=f"app.sales was written to while it was read: {counts}")


def test_writes_that_the_server_counted_are_told_where_no_count_changed() -> None:
    written = replace(WHOLE, writes=3)
    assert judge(written, False, 1).remark == "app.sales was written to while it was read: 3 writes, 5 documents before, 5 read, 5 after"
    assert judge(written, True, 1).again
    with pytest.raises(Failure, match="Collection app.sales is written to, which nothing should do: 3 writes while it was read"):
        judge(written, True, ATTEMPTS)


@given(
    before=NUMBERS, read=NUMBERS, after=NUMBERS, known=st.sampled_from([None, ONE, OTHER]), found=st.sampled_from([None, ONE, OTHER]), gone=st.booleans(),
    writes=st.sampled_from([None, 0, 2]), still=st.booleans(), attempt=st.integers(1, ATTEMPTS),
)  # fmt: skip
def test_nothing_that_lacks_documents_ever_counts(still: bool, attempt: int, **reading: Any) -> None:
    one = Reading("app.sales", **reading)
    try:
        verdict = judge(one, still, attempt)
    except Failure:
        return
    if verdict.again:
        assert attempt < ATTEMPTS
        assert not verdict.remark
        return
    assert not one.gone
    assert one.known == one.found
    assert one.read >= min(one.before, one.after)
    assert bool(verdict.remark) == (not one.untouched)
    assert one.untouched or not still


def info(name: str, kind: str = "collection", indexes: Any = (), **options: Any) -> CollectionInfo:
    return CollectionInfo(Namespace("app", name), CollectionMetadata(kind, options, indexes, name.encode()))


INDEX = {"key": {"a": 1}, "name": "a"}


def test_what_happened_to_collections_is_told_of_those_that_were_read() -> None:
    before = [info("a"), info("b"), info("c", capped=True), info("d"), info("left")]
    after = [info("a", indexes=[INDEX]), info("b", "view"), info("c", size=5), info("left", capped=True), info("new")]
    assert changes(before, after, {"a", "b", "c", "d"}) == [
        "app.new was made",
        "the indexes of app.a changed",
        "the type of app.b changed",
        "the options of app.c changed",
        "app.d was dropped or renamed",
    ]
    assert changes(before, before, {"a", "b", "c", "d", "left"}) == []
