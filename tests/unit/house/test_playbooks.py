# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks can be called by their full name and take their hosts from one variable."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from toolchain.places import ROOT

PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))


def play_problems(plays: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return which plays name hosts that `toucan_hosts` cannot narrow."""
    problems = []
    for play in plays:
        if "ansible.builtin.import_playbook" in play or play.get("hosts") == "localhost":
            continue
        if "toucan_hosts" not in str(play.get("hosts", "")):
            problems.append(f"{play.get('name', 'a play without name')} runs on {play.get('hosts')!r} whatever toucan_hosts says")
    return problems


def test_there_are_playbooks() -> None:
    assert PLAYBOOKS


@pytest.mark.parametrize("name", [path.name for path in PLAYBOOKS])
def test_name_can_be_called_by_fqcn(name: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*\.yml", name)


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_plays_take_toucan_hosts(path: Any) -> None:
    assert play_problems(yaml.safe_load(path.read_text(encoding="utf-8"))) == []


def test_a_play_with_fixed_hosts_is_found() -> None:
    plays = [
        {"name": "Good", "hosts": "{{ toucan_hosts | default('toucan') }}"},
        {"name": "Controller", "hosts": "localhost"},
        {"name": "Bad", "hosts": "all"},
    ]
    assert play_problems(plays) == ["Bad runs on 'all' whatever toucan_hosts says"]
