# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A canary is seen in every notation that it may show up in, and nothing else is taken for one."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable
from urllib.parse import quote

import pytest
import yaml

from labrun.canaries import canary, marker, shown

NOTATIONS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text}, ensure_ascii=False)),
    "YAML": yaml.safe_dump,
    "Python": repr,
    "URL": lambda text: quote(text, safe=""),
    "shell": shlex.quote,
    "compose": lambda text: text.replace("$", "$$"),
}


@pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS.keys())
def test_a_canary_is_seen_in_any_notation(notation: Callable[[str], str]) -> None:
    text = f"before {notation(canary('jwt_secret'))} behind"
    assert shown(text, [marker("jwt_secret"), marker("admin_password")]) == [marker("jwt_secret")]


@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("behind", range(7))
@pytest.mark.parametrize("name", ["a", "ab", "abc"])
def test_a_canary_is_seen_inside_what_base64_encodes(name: str, before: int, behind: int) -> None:
    encoded = base64.b64encode(b"\xfb" * before + marker(name).encode() + b"\xfb" * behind).decode()
    assert shown(encoded, [marker(name)]) == [marker(name)]


def test_nothing_else_is_taken_for_one() -> None:
    markers = [marker(name) for name in ("jwt_secret", "admin_password")]
    assert shown("jwt_secret Canary0 " + base64.b64encode(b"Canary0jwt").decode(), markers) == []
