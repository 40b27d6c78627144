# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions as the vendor writes them, and ranges of them."""

from __future__ import annotations

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.versions import Version, check_range, parse_version, same_major, satisfies
from hypothesis import given
from hypothesis import strategies as st

VERSIONS = st.builds(Version, *[st.integers(0, 200)] * 3)


@given(VERSIONS)
def test_text_comes_back(version: Version) -> None:
    assert parse_version(str(version)) == parse_version(str(version)[1:]) == parse_version(f" {version}\n") == version


@pytest.mark.parametrize("text", ["", "v101", "v101.1", "v101.1.0.0", "v101.1.0-rc1", "latest-monthly", "vv1.2.3", "v1.2.3 v1.2.4", "v-1.2.3"])
def test_what_is_no_version(text: str) -> None:
    assert parse_version(text) is None


def test_order_is_by_number() -> None:
    assert Version(9, 9, 9) < Version(10, 0, 0) < Version(10, 0, 10) < Version(10, 1, 2)


@given(VERSIONS, VERSIONS)
def test_major_decides(first: Version, second: Version) -> None:
    assert same_major(first, second) == (str(first).partition(".")[0] == str(second).partition(".")[0])


@given(VERSIONS, VERSIONS)
def test_full_bounds_compare_as_versions(version: Version, bound: Version) -> None:
    assert satisfies(version, f">={bound}") == (version >= bound)
    assert satisfies(version, f">{bound}") == (version > bound)
    assert satisfies(version, f"<={bound}") == (version <= bound)
    assert satisfies(version, f"<{bound}") == (version < bound)
    assert satisfies(version, f"=={bound}") == (version == bound)
    assert satisfies(version, f"!={bound}") == (version != bound)


@pytest.mark.parametrize(
    ("requirement", "inside", "outside"),
    [
        (">=100,<102", "v101.9.9", "v102.0.0"),
        ("<=101", "v101.9.9", "v102.0.0"),
        (">101", "v102.0.0", "v101.9.9"),
        ("==101.1", "v101.1.7", "v101.2.0"),
        ("!=101.1", "v101.2.0", "v101.1.7"),
        (" >= v100.1.0 , != 100.1.1 ", "v100.1.0", "v100.1.1"),
    ],
)
def test_ranges(requirement: str, inside: str, outside: str) -> None:
    first, second = parse_version(inside), parse_version(outside)
    assert first and second
    assert (satisfies(first, requirement), satisfies(second, requirement)) == (True, False)


@pytest.mark.parametrize(
    ("requirement", "part"),
    [("", ""), ("101", "101"), (">=100,", ""), (">=100 <102", ">=100 <102"), ("~=101.0", "~=101.0"), (">=1.2.3.4", ">=1.2.3.4"), (">=100,=<1", "=<1")],
)
def test_range_that_cannot_be_read(requirement: str, part: str) -> None:
    with pytest.raises(Failure) as caught:
        check_range(requirement)
    assert str(caught.value) == f"The version range `{requirement}` cannot be read at `{part}`; write clauses such as `>=100,<102`, separated by commas."


def test_readable_range_passes() -> None:
    check_range(">=100,<102")
