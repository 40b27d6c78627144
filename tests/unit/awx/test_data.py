# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook has a job template and a wrapper, whose survey AWX would take and whose answers the collection knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import yaml
from ansible_collections.toucan.selfhosted.plugins.action.toucan_preflight import PLAYBOOK_VARIABLES, option_names

from labrun.awx_rules import awx_data, injector_problems, survey_problems
from toolchain.places import ROOT

#: What is called by people to set AWX up, not by AWX.
BY_HAND = {"awx_setup.yml"}
PLAYBOOKS = {path.name for path in (ROOT / "playbooks").glob("*.yml")} - BY_HAND
WRAPPER = ROOT / "docs" / "awx"
#: Files of the wrapper project's folder that are no playbooks.
NO_PLAYBOOKS = {"execution-environment.yml"}
TEMPLATES = awx_data()["awx_setup_job_templates"]
CREDENTIAL_TYPES = awx_data()["awx_setup_credential_types"]
SCHEDULES = awx_data()["awx_setup_schedules"]
#: Modules that wait for somebody.
PROMPTS = {"ansible.builtin.pause", "pause"}


@cache
def options() -> dict[str, dict[str, Any]]:
    """Every option of every role."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            found.update(entry.get("options", {}))
    return found


def fit_problems(question: Mapping[str, Any], known: frozenset[str], option: Mapping[str, Any]) -> list[str]:
    """What is wrong between a question and the option that it answers."""
    problems = []
    if question["variable"] not in known:
        problems.append("is no option")
    kind = option.get("type", "str")
    if kind == "bool" and (question["type"], question.get("choices")) != ("multiplechoice", ["false", "true"]):
        problems.append("is a boolean, and must be chosen from false and true")
    if (kind == "int") != (question["type"] == "integer"):
        problems.append("is an integer on one side alone")
    if question["required"] == ("default" in question):
        problems.append("is not either required or with a default")
    if question["type"] == "password":
        problems.append("is a secret, which belongs into a credential")
    return problems


def mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping inside a YAML value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from mappings(item)


def test_every_playbook_has_one_job_template() -> None:
    assert sorted(template["playbook"] for template in TEMPLATES) == sorted(PLAYBOOKS)
    assert len({template["name"] for template in TEMPLATES}) == len(TEMPLATES)


def test_every_playbook_has_a_wrapper() -> None:
    wrappers = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in WRAPPER.glob("*.yml") if path.name not in NO_PLAYBOOKS}
    imported = {name: [play.get("ansible.builtin.import_playbook") for play in plays] for name, plays in wrappers.items()}
    assert imported == {name: [f"toucan.selfhosted.{name.removesuffix('.yml')}"] for name in PLAYBOOKS}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["playbook"])
def test_awx_takes_the_survey(template: dict[str, Any]) -> None:
    assert set(template) == {"name", "description", "playbook", "survey_spec"}
    assert survey_problems(template["survey_spec"]) == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["playbook"])
def test_the_collection_takes_the_answers(template: dict[str, Any]) -> None:
    known = PLAYBOOK_VARIABLES | option_names(ROOT / "roles")
    questions = template["survey_spec"]["spec"]
    problems = {question["variable"]: fit_problems(question, known, options().get(question["variable"], {})) for question in questions}
    assert {name: found for name, found in problems.items() if found} == {}


@pytest.mark.parametrize("kind", CREDENTIAL_TYPES, ids=lambda kind: kind["name"])
def test_credentials_give_what_the_collection_knows(kind: dict[str, Any]) -> None:
    assert injector_problems(kind) == []
    assert set(kind["injectors"]["extra_vars"]) <= option_names(ROOT / "roles")
    fields = [field["id"] for field in kind["inputs"]["fields"]]
    assert len(set(fields)) == len(fields)
    assert set(kind["inputs"].get("required", [])) <= set(fields)
    assert str(kind["injectors"]).count("{{ ") == len(fields) + len(kind["injectors"].get("file", {})), "a field is used never or twice"


def test_secrets_are_hidden_in_credentials() -> None:
    shown = [field["id"] for kind in CREDENTIAL_TYPES for field in kind["inputs"]["fields"] if not field.get("secret")]
    assert [name for name in shown if name.endswith(("password", "secret", "key", "token"))] == []


def test_schedules_run_templates_without_an_answer_of_their_own() -> None:
    templates = {template["name"]: template for template in TEMPLATES}
    for schedule in SCHEDULES:
        questions = templates[schedule["unified_job_template"]]["survey_spec"]["spec"]
        assert [question for question in questions if question["required"]] == []


@pytest.mark.parametrize("name", sorted(PLAYBOOKS))
def test_no_playbook_asks_anybody(name: str) -> None:
    plays = yaml.safe_load((ROOT / "playbooks" / name).read_text(encoding="utf-8"))
    assert [mapping for mapping in mappings(plays) if "vars_prompt" in mapping or PROMPTS & set(mapping)] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/tasks/*.yml")), ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_no_role_asks_anybody(path: Any) -> None:
    assert [mapping for mapping in mappings(yaml.safe_load(path.read_text(encoding="utf-8"))) if PROMPTS & set(mapping)] == []


@pytest.mark.parametrize(
    ("question", "option", "problem"),
    [
        ({"variable": "a", "type": "text", "default": ""}, {}, None),
        ({"variable": "b", "type": "text", "default": ""}, {}, "is no option"),
        ({"variable": "a", "type": "text", "default": ""}, {"type": "bool"}, "is a boolean, and must be chosen from false and true"),
        ({"variable": "a", "type": "multiplechoice", "choices": ["no", "yes"], "default": "no"}, {"type": "bool"}, "is a boolean, and must"),
        ({"variable": "a", "type": "multiplechoice", "choices": ["false", "true"], "default": "false"}, {"type": "bool"}, None),
        ({"variable": "a", "type": "text", "default": ""}, {"type": "int"}, "is an integer on one side alone"),
        ({"variable": "a", "type": "integer", "default": 1}, {}, "is an integer on one side alone"),
        ({"variable": "a", "type": "integer"}, {"type": "int"}, "is not either required or with a default"),
        ({"variable": "a", "type": "integer", "required": True}, {"type": "int"}, None),
        ({"variable": "a", "type": "integer", "required": True, "default": 1}, {"type": "int"}, "is not either required or with a default"),
        ({"variable": "a", "type": "integer", "default": 1}, {"type": "int"}, None),
        ({"variable": "a", "type": "password", "default": ""}, {}, "is a secret"),
    ],
)
def test_each_misfit_is_found(question: dict[str, Any], option: dict[str, Any], problem: str | None) -> None:
    found = fit_problems({"required": False, **question}, frozenset({"a"}), option)
    assert [text for text in found if not text.startswith(problem or " ")] == []
    assert bool(found) == bool(problem)
