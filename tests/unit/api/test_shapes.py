# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answer shapes, with and without the library."""

from __future__ import annotations

import sys

import jmespath
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.shapes import evaluate, is_plain
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,3}", fullmatch=True)
ANSWERS = st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3))


@given(st.lists(NAMES, min_size=1, max_size=3).map(".".join), ANSWERS)
def test_plain_shapes_mean_what_jmespath_says(shape: str, answer: object) -> None:
    assert is_plain(shape)
    assert evaluate(shape, answer, "`x`") == jmespath.search(shape, answer)


def test_plain_shape_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jmespath", None)
    assert evaluate("build.version", {"build": {"version": "v1.2.3"}}, "`x`") == "v1.2.3"


def test_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jmespath", None)
    with pytest.raises(Failure, match="needs the Python library jmespath, .*; write a plain dotted name in `version_shape`, or run role `toucan_host`"):
        evaluate("versions[0]", {}, "`version_shape`")


def test_library_evaluates_the_rest() -> None:
    assert evaluate("parts[?name=='api'].version | [0]", {"parts": [{"name": "api", "version": "v1.2.3"}]}, "`x`") == "v1.2.3"


@pytest.mark.parametrize("shape", ["a[", "", "nofunction(@)", "length(a)"])
def test_wrong_shape_names_its_option(shape: str) -> None:
    with pytest.raises(Failure, match=r"cannot be evaluated: .*; correct `version_shape`\."):
        evaluate(shape, {"a": 1}, "`version_shape`")
