# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state file: what merging keeps, and which files are refused."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import execute
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import KEYS, SCHEMA, StateEngine, merge_state, read_state
from hypothesis import given
from hypothesis import strategies as st

HERE = "5f0c6f1e-6a53-4a39-8f0b-6b8f5a1f1c9e"
ELSEWHERE = "11111111-2222-4333-8444-555555555555"
TEXTS = st.text(max_size=4)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "services": st.lists(TEXTS, max_size=3),
        "urls": st.dictionaries(TEXTS, TEXTS, max_size=3),
        "images": st.dictionaries(TEXTS, st.fixed_dictionaries({"name": TEXTS, "tag": TEXTS}), max_size=3),
        "ca_file": TEXTS,
        "places": st.dictionaries(TEXTS, TEXTS, max_size=3),
    },
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "stack.json")


@given(VALUES, VALUES)
def test_merging_again_changes_nothing(first: dict[str, Any], second: dict[str, Any]) -> None:
    merged = merge_state(merge_state(None, first, HERE), second)
    assert merge_state(merged, second) == merged


@given(VALUES, VALUES)
def test_merging_keeps_what_is_not_given(first: dict[str, Any], second: dict[str, Any]) -> None:
    before = merge_state(None, first, HERE)
    after = merge_state(before, second)
    # Images follow a rule of their own, below.
    for key in set(first) - set(second) - {"images"}:
        assert after[key] == before[key]
    for key in set(second) - {"images"}:
        value = second[key]
        assert after[key] == ({**before.get(key, {}), **value} if isinstance(value, dict) else value)
    assert after["instance_id"] == HERE


@given(VALUES, VALUES)
def test_merging_leaves_its_inputs_alone(first: dict[str, Any], second: dict[str, Any]) -> None:
    before = merge_state(None, first, HERE)
    copies = json.dumps(before), json.dumps(second)
    merge_state(before, second)
    assert (json.dumps(before), json.dumps(second)) == copies


@given(VALUES)
def test_file_comes_back(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    path = str(tmp_path_factory.mktemp("state") / "stack.json")
    result = execute(StateEngine(path, values, HERE), check_mode=False)
    assert read_state(path) == result["state"] == merge_state(None, values, HERE)


def test_new_host_gets_a_uuid_once(path: str) -> None:
    first = execute(StateEngine(path, {"ca_file": "/a"}), check_mode=False)
    second = execute(StateEngine(path, {"ca_file": "/b"}), check_mode=False)
    assert str(uuid.UUID(first["state"]["instance_id"])) == first["state"]["instance_id"] == second["state"]["instance_id"]
    assert (first["plan"][0]["action"], second["plan"][0]["action"], second["state"]["schema"]) == ("create", "update", SCHEMA)


def test_without_values_nothing_is_made(path: str) -> None:
    result = execute(StateEngine(path, {}), check_mode=False)
    assert (result["changed"], result["state"], Path(path).exists()) == (False, {}, False)


def test_without_values_the_file_is_read(path: str) -> None:
    written = execute(StateEngine(path, {"python": "/venv/bin/python"}), check_mode=False)["state"]
    result = execute(StateEngine(path, {}), check_mode=False)
    assert (result["changed"], result["state"]) == (False, written)


def test_check_mode_writes_nothing(path: str) -> None:
    result = execute(StateEngine(path, {"ca_file": "/a"}, HERE), check_mode=True)
    assert (result["changed"], result["state"]["ca_file"], Path(path).exists()) == (True, "/a", False)


def test_file_may_be_read_by_all(path: str) -> None:
    execute(StateEngine(path, {}, HERE), check_mode=False)
    assert Path(path).stat().st_mode & 0o777 == 0o644


def test_host_of_another_instance_is_refused(path: str) -> None:
    execute(StateEngine(path, {}, HERE), check_mode=False)
    with pytest.raises(Failure, match=f"This host belongs to instance {HERE}, not to {ELSEWHERE}; correct the inventory"):
        execute(StateEngine(path, {"ca_file": "/a"}, ELSEWHERE), check_mode=False)
    assert read_state(path) == {"schema": SCHEMA, "instance_id": HERE}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "has no schema or instance id; restore it from a backup, or move it away and adopt the stack again"),
        ({"schema": 1}, "has no schema or instance id"),
        ({"schema": "1", "instance_id": HERE}, "has no schema or instance id"),
        ({"schema": SCHEMA + 1, "instance_id": HERE}, f"has schema {SCHEMA + 1}, newer than {SCHEMA} which this collection knows; run the newer collection"),
        ({"schema": 1, "instance_id": HERE, "urls": [], "places": None}, "holds no mapping at urls, places; restore it"),
        ({"schema": 1, "instance_id": HERE, "images": {"backend": "x"}}, "holds no mapping at images.backend"),
    ],
)
def test_damaged_state_is_refused(path: str, content: dict[str, Any], sentence: str) -> None:
    Path(path).write_text(json.dumps(content))
    with pytest.raises(Failure, match=sentence):
        read_state(path)


def test_unknown_keys_of_the_same_schema_survive(path: str) -> None:
    Path(path).write_text(json.dumps({"schema": 1, "instance_id": HERE, "noted": "by hand"}))
    execute(StateEngine(path, {"ca_file": "/a"}), check_mode=False)
    assert json.loads(Path(path).read_text())["noted"] == "by hand"


def test_every_key_is_documented() -> None:
    from ansible_collections.toucan.selfhosted.plugins.module_utils.core import state

    assert state.__doc__ is not None
    assert [key for key in KEYS if f'"{key}"' not in state.__doc__] == []


def test_an_image_is_forgotten_when_its_service_runs_here_no_longer() -> None:
    image = {"name": "registry.test/redis", "tag": "8", "digest": "", "id": ""}
    former = merge_state(None, {"services": ["redis", "proxy"], "images": {"redis": image, "proxy": image}})
    assert set(former["images"]) == {"redis", "proxy"}
    assert set(merge_state(former, {"services": ["proxy"]})["images"]) == {"proxy"}
    assert set(merge_state(former, {"images": {"backend": image}})["images"]) == {"redis", "proxy", "backend"}
    assert set(merge_state(former, {"services": ["proxy"], "images": {"backend": image}})["images"]) == {"proxy", "backend"}
