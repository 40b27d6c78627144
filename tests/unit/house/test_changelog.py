# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every changelog fragment has known sections and says something (the lint stage runs antsibull-changelog on them too)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from toolchain.places import ROOT

CONFIG = yaml.safe_load((ROOT / "changelogs" / "config.yaml").read_text(encoding="utf-8"))
FRAGMENTS = sorted((ROOT / "changelogs" / "fragments").glob("*"))
PRELUDE = CONFIG["prelude_section_name"]
SECTIONS = {name for name, title in CONFIG["sections"]} | {CONFIG["trivial_section_name"]}


def fragment_problems(fragment: Any) -> list[str]:
    """Return what is wrong with the content of a fragment."""
    if not isinstance(fragment, dict) or not fragment:
        return ["is no mapping of sections"]
    problems = []
    for section, content in fragment.items():
        if section == PRELUDE:
            good = isinstance(content, str) and bool(content.strip())
        elif section in SECTIONS:
            good = isinstance(content, list) and bool(content) and all(isinstance(line, str) and line.strip() for line in content)
        else:
            problems.append(f"{section} is no section")
            continue
        if not good:
            problems.append(f"{section} has no text of the right shape")
    return problems


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_fragment_is_well_formed(path: Any) -> None:
    assert path.suffix in {".yml", ".yaml"}
    assert fragment_problems(yaml.safe_load(path.read_text(encoding="utf-8"))) == []


def test_bad_fragments_are_found() -> None:
    assert fragment_problems(["text"]) == ["is no mapping of sections"]
    assert fragment_problems({"news": ["text"], "bugfixes": "text", PRELUDE: "text", "minor_changes": [""]}) == [
        "news is no section",
        "bugfixes has no text of the right shape",
        "minor_changes has no text of the right shape",
    ]
