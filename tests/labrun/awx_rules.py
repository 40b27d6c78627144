# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX does with job templates, surveys and credential types.

Written after AWX 24: `awx/api/views` (rules of a survey), `awx/main/models/mixins.py` (answers), `awx/main/models/credential.py` and
`awx/main/fields.py` (injectors), `awx/main/utils/safe_yaml.py` (the file of extra variables).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from toolchain.places import ROOT

DATA = ROOT / "playbooks" / "vars" / "awx.yml"
#: The types of questions, and of their answers. AWX has none for booleans.
ANSWERS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "textarea": (str,),
    "password": (str,),
    "multiplechoice": (str,),
    "multiselect": (str, list),
    "integer": (int,),
    "float": (float, int),
}


class DataLoader(yaml.SafeLoader):
    """A loader that takes `!unsafe` texts as they stand, as Ansible does."""


DataLoader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


@cache
def awx_data() -> dict[str, Any]:
    """What `awx_setup.yml` creates."""
    return yaml.load(DATA.read_text(encoding="utf-8"), Loader=DataLoader)


def job_template(playbook: str) -> dict[str, Any]:
    """The template of a playbook, by the name of its file."""
    return next(template for template in awx_data()["awx_setup_job_templates"] if template["playbook"] == playbook)


def credential_type(name: str) -> dict[str, Any]:
    """A credential type by its name."""
    return next(kind for kind in awx_data()["awx_setup_credential_types"] if kind["name"] == name)


# -- surveys ------------------------------------------------------------------------------------------------------------


def survey_problems(survey: Mapping[str, Any]) -> list[str]:
    """What AWX would refuse a survey for."""
    problems = [
        f"{name} is no {kind.__name__}" for name, kind in (("name", str), ("description", str), ("spec", list)) if not isinstance(survey.get(name), kind)
    ]
    questions = survey.get("spec") or []
    if not questions:
        problems.append("it asks nothing")
    variables = [question.get("variable") for question in questions]
    problems += [f"{name} is asked twice" for name in sorted({str(name) for name in variables if variables.count(name) > 1})]
    return problems + [f"{question.get('variable')}: {problem}" for question in questions for problem in question_problems(question)]


def question_problems(question: Mapping[str, Any]) -> list[str]:
    """What AWX would refuse a question for."""
    missing = [name for name in ("type", "question_name", "variable") if not isinstance(question.get(name), str)]
    if missing or not isinstance(question.get("required"), bool):
        return [f"lacks {' and '.join(missing or ['required'])}"]
    if question["type"] not in ANSWERS:
        return [f"{question['type']} is no type of a question"]
    wrong_limits = [limit for limit in ("min", "max") if not is_one_of(question.get(limit, 0), (int,))]
    if wrong_limits:
        return [f"{' and '.join(wrong_limits)} is no integer"]
    problems = []
    default = question.get("default", "")
    if default != "":
        problems += answer_problems(question, default)
    if question["type"] in ("multiplechoice", "multiselect") and not question.get("choices"):
        problems.append("has no choices")
    return problems


def is_one_of(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a value is of one of some types, where true is no integer."""
    return isinstance(value, kinds) and not isinstance(value, bool)


def answer_problems(question: Mapping[str, Any], answer: Any) -> list[str]:
    """What AWX would refuse an answer for."""
    kinds = ANSWERS[question["type"]]
    if not is_one_of(answer, kinds):
        return [f"{answer!r} is no {kinds[0].__name__}"]
    if question["type"] in ("multiplechoice", "multiselect"):
        chosen = answer.splitlines() if question["type"] == "multiselect" and isinstance(answer, str) else answer
        chosen = chosen if isinstance(chosen, list) else [chosen]
        return [f"{choice!r} is none of the choices" for choice in chosen if choice not in question.get("choices", [])]
    size = len(answer) if isinstance(answer, str) else answer
    if question.get("min") is not None and size < question["min"]:
        return [f"{answer!r} is below {question['min']}"]
    if question.get("max") is not None and size > question["max"]:
        return [f"{answer!r} is above {question['max']}"]
    return []


def survey_variables(survey: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """The extra variables that a survey makes of answers and defaults.

    :raises ValueError: for an answer that AWX would refuse, or that no question asks for.
    """
    questions = {question["variable"]: question for question in survey["spec"]}
    problems = [f"{name} is not asked for" for name in answers if name not in questions]
    for name, question in questions.items():
        if name in answers:
            problems += [f"{name}: {problem}" for problem in answer_problems(question, answers[name])]
        elif question["required"]:
            # Whatever its default is: AWX fills defaults in after it looked.
            problems.append(f"{name} is missing")
    if problems:
        raise ValueError("; ".join(problems))
    defaults = {name: _as_answer(question, question["default"]) for name, question in questions.items() if "default" in question}
    return {**defaults, **answers}


def _as_answer(question: Mapping[str, Any], default: Any) -> Any:
    """AWX's pages send a list where several things are chosen; the default of such a question is a text with a line each."""
    return default.splitlines() if question["type"] == "multiselect" and isinstance(default, str) else default


# -- credentials --------------------------------------------------------------------------------------------------------


@dataclass
class Injected:
    """What a credential gives to a job: extra variables, variables of its environment, and files by their path in the job's folder."""

    extra_vars: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


class _Namespace:
    """What AWX's templates see as `tower`."""


def inject(kind: Mapping[str, Any], inputs: Mapping[str, Any]) -> Injected:
    """Render the injectors of a credential type as AWX does: fields left out or empty are undefined, and become empty texts."""
    return _render(kind, {name: value for name, value in inputs.items() if value != ""}, ImmutableSandboxedEnvironment())


def injector_problems(kind: Mapping[str, Any]) -> list[str]:
    """Whether the injectors of a credential type use fields that it has not."""
    fields = {entry["id"]: "EXAMPLE" for entry in kind["inputs"]["fields"]}
    try:
        _render(kind, fields, ImmutableSandboxedEnvironment(undefined=StrictUndefined))
    except TemplateError as error:
        return [str(error)]
    return []


def _render(kind: Mapping[str, Any], fields: Mapping[str, Any], sandbox: ImmutableSandboxedEnvironment) -> Injected:
    injected, tower = Injected(), _Namespace()
    namespace = {"tower": tower, **fields}
    for label, template in kind["injectors"].get("file", {}).items():
        name = f"env/{kind['name'].replace(' ', '-')}-{label}"
        injected.files[name] = sandbox.from_string(template).render(namespace)
        dummy, dot, part = label.partition(".")
        tower.filename = getattr(tower, "filename", _Namespace()) if dot else f"/runner/{name}"
        if dot:
            setattr(tower.filename, part, f"/runner/{name}")

    def render(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: render(value) for key, value in node.items()}
        if isinstance(node, list):
            return [render(value) for value in node]
        return sandbox.from_string(node).render(namespace)

    injected.environment = render(kind["injectors"].get("env", {}))
    injected.extra_vars = render(kind["injectors"].get("extra_vars", {}))
    return injected


# -- the file of extra variables ----------------------------------------------------------------------------------------


class _UnsafeDumper(yaml.SafeDumper):
    """Marks every text, names included, as one that is never a template."""

    def represent_data(self, data: Any) -> yaml.Node:
        if isinstance(data, str):
            return self.represent_scalar("!unsafe", data)
        return super().represent_data(data)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def extra_vars_file(variables: Mapping[str, Any], trusted: Sequence[str] = ()) -> str:
    """The text of the file that AWX hands to `ansible-playbook`; `trusted` are those that stand in the job template itself."""
    parts = (({name: value}, yaml.SafeDumper if name in trusted else _UnsafeDumper) for name, value in variables.items())
    return "".join(yaml.dump_all([part], None, Dumper=dumper, default_flow_style=False) for part, dumper in parts)
