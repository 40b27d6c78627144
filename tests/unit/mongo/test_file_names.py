# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names of collections."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.file_names import collection_of, is_shortened, names, split, stem
from hypothesis import given
from hypothesis import strategies as st

LONG = "aVery" + "Very" * 43 + "LongCollectionNameConsistingOfExactlyTwoHundredAndFortySevenCharacters"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("collection", "expected"),
    [("cafés", "caf%C3%A9s"), ("a b/c+d", "a+b%2Fc%2Bd"), ("system.buckets.x", "system.buckets.x"), ("a~b_c-d", "a~b_c-d"), ('$"*', "%24%22%2A")],
)
def test_special_characters_are_escaped_as_in_urls(collection: str, expected: str) -> None:
    assert stem(collection) == expected
    assert collection_of(expected) == collection


@given(TEXTS)
def test_a_name_comes_back_unless_it_was_shortened(collection: str) -> None:
    file_stem = stem(collection)
    assert len(file_stem.encode()) + len(".metadata.json.gz") <= 255
    assert "/" not in file_stem
    assert names(file_stem, collection) and not names(file_stem, collection + "x")
    if not is_shortened(file_stem):
        assert collection_of(file_stem) == collection


@given(TEXTS, TEXTS)
def test_two_collections_have_two_files(first: str, second: str) -> None:
    assert (stem(first) == stem(second)) == (first == second)


def test_the_official_names(official: Path) -> None:
    (path,) = (official / "dumps/longcollectionname/db1").glob("*.bson")
    assert stem(LONG) == path.name[: -len(".bson")]
    assert is_shortened(stem(LONG))
    assert (official / "dumps/specialcharacter/db1" / (stem("cafés") + ".bson")).exists()


@pytest.mark.parametrize(
    ("file_name", "expected"),
    [
        ("a.bson", ("a", ".bson", False)),
        ("a.b.bson.gz", ("a.b", ".bson", True)),
        ("a.metadata.json", ("a", ".metadata.json", False)),
        ("a.metadata.json.gz", ("a", ".metadata.json", True)),
        ("prelude.json", None),
        (".bson", None),
        ("a.bson.zst", None),
    ],
)
def test_endings(file_name: str, expected: tuple[str, str, bool] | None) -> None:
    assert split(file_name) == expected


def test_a_stem_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="decode"):
        collection_of("a%FF")
