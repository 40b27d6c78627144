# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests take for AWX's rules refuses what AWX refuses."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from labrun.awx_rules import extra_vars_file, inject, injector_problems, survey_problems, survey_variables

TEXT = {"variable": "toucan_hosts", "question_name": "Hosts", "type": "text", "required": False, "default": ""}
CHOICE = {"variable": "toucan_x", "question_name": "X?", "type": "multiplechoice", "choices": ["false", "true"], "required": False, "default": "false"}
NUMBER = {"variable": "toucan_n", "question_name": "N?", "type": "integer", "required": False, "default": 2, "min": 1, "max": 9}
SEVERAL = {"variable": "toucan_s", "question_name": "S?", "type": "multiselect", "choices": ["a", "b"], "required": False, "default": "a\nb"}


def survey(*questions: dict[str, Any]) -> dict[str, Any]:
    return {"name": "Survey", "description": "", "spec": list(questions)}


def test_a_good_survey_has_no_problem() -> None:
    assert survey_problems(survey(TEXT, CHOICE, NUMBER, SEVERAL)) == []


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"name": "S", "description": "", "spec": []}, "it asks nothing"),
        ({"name": "S", "spec": [TEXT]}, "description is no str"),
        (survey(TEXT, TEXT), "toucan_hosts is asked twice"),
        (survey({**TEXT, "required": "false"}), "toucan_hosts: lacks required"),
        (survey({**TEXT, "type": "boolean"}), "toucan_hosts: boolean is no type of a question"),
        (survey({**TEXT, "default": False}), "toucan_hosts: False is no str"),
        (survey({**CHOICE, "default": "no"}), "toucan_x: 'no' is none of the choices"),
        (survey({**CHOICE, "default": False}), "toucan_x: False is no str"),
        (survey({**CHOICE, "choices": [], "default": ""}), "toucan_x: has no choices"),
        (survey({**NUMBER, "default": "2"}), "toucan_n: '2' is no int"),
        (survey({**NUMBER, "default": True}), "toucan_n: True is no int"),
        (survey({**NUMBER, "default": 10}), "toucan_n: 10 is above 9"),
        (survey({**NUMBER, "min": "1"}), "toucan_n: min is no integer"),
        (survey({**SEVERAL, "default": "a\nc"}), "toucan_s: 'c' is none of the choices"),
    ],
)
def test_each_flaw_of_a_survey_is_found(asked: dict[str, Any], problem: str) -> None:
    assert problem in survey_problems(asked)


def test_answers_win_over_defaults() -> None:
    asked = survey(TEXT, CHOICE, NUMBER, SEVERAL)
    assert survey_variables(asked, {}) == {"toucan_hosts": "", "toucan_x": "false", "toucan_n": 2, "toucan_s": ["a", "b"]}
    given = {"toucan_hosts": "here", "toucan_x": "true", "toucan_n": 9, "toucan_s": []}
    assert survey_variables(asked, given) == given


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"toucan_x": True}, "toucan_x: True is no str"),
        ({"toucan_x": ""}, "toucan_x: '' is none of the choices"),
        ({"toucan_n": "3"}, "toucan_n: '3' is no int"),
        ({"toucan_n": 0}, "toucan_n: 0 is below 1"),
        ({"toucan_y": "a"}, "toucan_y is not asked for"),
        ({"toucan_s": ["c"]}, "toucan_s: 'c' is none of the choices"),
    ],
)
def test_awx_refuses_answers_of_another_kind(answers: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        survey_variables(survey(TEXT, {**CHOICE}, NUMBER, SEVERAL), answers)


def test_a_required_answer_is_missed_whatever_the_default() -> None:
    with pytest.raises(ValueError, match="^toucan_hosts is missing$"):
        survey_variables(survey({**TEXT, "required": True}), {})


KIND: dict[str, Any] = {
    "name": "A kind",
    "inputs": {"fields": [{"id": "name"}, {"id": "ca"}]},
    "injectors": {
        "file": {"template.ca": "{{ ca }}"},
        "env": {"NAME": "{{ name }}"},
        "extra_vars": {"registry": {"name": "{{ name }}", "files": ["{{ tower.filename.ca }}"]}},
    },
}


def test_fields_are_put_into_variables_and_files() -> None:
    injected = inject(KIND, {"name": "robot", "ca": "PEM"})
    assert injected.files == {"env/A-kind-template.ca": "PEM"}
    assert injected.environment == {"NAME": "robot"}
    assert injected.extra_vars == {"registry": {"name": "robot", "files": ["/runner/env/A-kind-template.ca"]}}


def test_a_field_left_empty_is_an_empty_text() -> None:
    assert inject(KIND, {"name": ""}).extra_vars["registry"]["name"] == ""


def test_an_unknown_field_is_found() -> None:
    assert injector_problems(KIND) == []
    unknown = {**KIND, "injectors": {"extra_vars": {"x": "{{ nmae }}"}}}
    assert injector_problems(unknown) == ["'nmae' is undefined"]


def test_texts_are_marked_as_no_templates() -> None:
    text = extra_vars_file({"a": "{{ b }}", "n": 1, "d": {"k": ["v"]}, "trusted": "{{ c }}"}, trusted=["trusted"])
    marked = [token.value for token in yaml.scan(text) if isinstance(token, yaml.TagToken)]
    assert marked == [("!", "unsafe")] * 6
    assert "trusted: '{{ c }}'" in text
