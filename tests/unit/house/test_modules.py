# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module stands in the action groups and says how it behaves, as Ansible itself reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain.places import CACHE, ROOT

MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
ATTRIBUTES = {"check_mode", "diff_mode", "idempotent", "platform"}
SUPPORT = {"full", "partial", "none", "N/A"}


def group_problems(groups: Mapping[str, Collection[str]], modules: Collection[str], api_members: Collection[str]) -> list[str]:
    """Return how the action groups differ from the modules there are, and from those that carry the API's options."""
    problems = []
    for group, wanted in (("toucan", set(modules)), ("toucan_api", set(api_members))):
        listed = set(groups.get(group, []))
        problems += [f"{group} lacks {name}" for name in sorted(wanted - listed)]
        problems += [f"{group} lists {name}, which does not belong to it" for name in sorted(listed - wanted)]
    return problems


def attribute_problems(attributes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what a module leaves unsaid about its behaviour."""
    problems = [f"{name} is not documented" for name in sorted(ATTRIBUTES - attributes.keys())]
    for name in sorted(ATTRIBUTES & attributes.keys()):
        attribute = attributes[name]
        if attribute.get("support") not in SUPPORT:
            problems.append(f"{name} has support {attribute.get('support')!r}")
        if attribute.get("support") == "partial" and not attribute.get("details"):
            problems.append(f"{name} is partial without details")
    return problems


@pytest.fixture(scope="module")
def documentation() -> dict[str, dict[str, Any]]:
    """Return what ansible-doc says of each module, by its short name."""
    if not MODULES:
        pytest.fail("plugins/modules holds no module")
    names = [f"toucan.selfhosted.{name}" for name in MODULES]
    answer = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "--json", "--type", "module", *names],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(CACHE), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    return {name.rsplit(".", 1)[1]: entry["doc"] for name, entry in json.loads(answer.stdout).items()}


def test_action_groups_list_every_module(documentation: dict[str, dict[str, Any]]) -> None:
    groups = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]
    api_members = [name for name, doc in documentation.items() if "toucan.selfhosted.toucan_api" in memberships(doc)]
    assert group_problems(groups, MODULES, api_members) == []


def test_every_module_says_that_it_is_in_the_group(documentation: dict[str, dict[str, Any]]) -> None:
    assert [name for name, doc in documentation.items() if "toucan.selfhosted.toucan" not in memberships(doc)] == []


def memberships(doc: Mapping[str, Any]) -> list[str]:
    """Return the action groups that a module's documentation names."""
    return doc.get("attributes", {}).get("action_group", {}).get("membership", [])


def test_a_module_outside_its_group_is_found() -> None:
    assert group_problems({"toucan": ["toucan_a", "toucan_z"], "toucan_api": []}, ["toucan_a", "toucan_b"], ["toucan_b"]) == [
        "toucan lacks toucan_b",
        "toucan lists toucan_z, which does not belong to it",
        "toucan_api lacks toucan_b",
    ]


@pytest.mark.parametrize("module", MODULES)
def test_module_documents_its_behaviour(documentation: dict[str, dict[str, Any]], module: str) -> None:
    assert attribute_problems(documentation[module].get("attributes", {})) == []


def test_undocumented_behaviour_is_found() -> None:
    attributes = {"check_mode": {"support": "partial"}, "diff_mode": {"support": "full"}, "platform": {}}
    assert attribute_problems(attributes) == ["idempotent is not documented", "check_mode is partial without details", "platform has support None"]


@pytest.mark.parametrize("module", MODULES)
def test_module_name_has_the_prefix(module: str) -> None:
    assert module.startswith("toucan_")
