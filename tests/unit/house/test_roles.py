# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role's argument specs equal its defaults, and its README names each option."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain.places import ROOT

ROLES = sorted(path.name for path in (ROOT / "roles").glob("*") if path.is_dir())
#: What an inventory shares between roles: in argument specs without default, read only in the defaults of roles.
SHARED = {
    "toucan_adopt_containers",
    "toucan_adopt_ignore_files",
    "toucan_adopt_project",
    "toucan_api_password",
    "toucan_api_username",
    "toucan_backend_url",
    "toucan_ca_file",
    "toucan_frontend_url",
    "toucan_group",
    "toucan_image_folder",
    "toucan_image_mirror",
    "toucan_mongodb_ca_file",
    "toucan_mongodb_password",
    "toucan_mongodb_uri",
    "toucan_mongodb_username",
    "toucan_redis_password",
    "toucan_redis_url",
    "toucan_registry",
    "toucan_release",
    "toucan_remove_confirm",
    "toucan_remove_data",
    "toucan_rotate",
    "toucan_rotate_values",
    "toucan_secrets",
    "toucan_services",
}
UNSET = object()


def load(path: Path) -> Any:
    """Return what a YAML file holds; an empty or missing file is an empty mapping."""
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def is_template(value: Any) -> bool:
    """Say whether a default is computed, anywhere in it."""
    return "{{" in str(value)


def spec_problems(role: str, defaults: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return where a role's defaults and the argument specs of its entry points disagree.

    A computed default has no literal value: the spec then gives none and describes it. An option without default is
    required, or one of the inventory's shared variables.
    """
    problems = []
    specified: set[str] = set()
    for entry_point, spec in specs.items():
        for name, option in (spec.get("options") or {}).items():
            specified.add(name)
            problem = option_problem(role, name, option, defaults.get(name, UNSET))
            if problem:
                problems.append(f"{entry_point}: {problem}")
    return problems + [f"defaults: {name} stands in no argument spec" for name in sorted(defaults.keys() - specified)]


def option_problem(role: str, name: str, option: Mapping[str, Any], default: Any) -> str | None:
    """Return what is wrong between one option and the role's default of it, or None."""
    given = option.get("default", UNSET)
    if not name.startswith(f"{role}_"):
        if name not in SHARED:
            return f"{name} has neither the role's prefix nor is it shared"
        return f"{name} is shared and must have no default" if given is not UNSET or default is not UNSET else None
    if option.get("required"):
        return f"{name} is required and must have no default" if given is not UNSET or default is not UNSET else None
    if default is UNSET:
        return f"{name} is optional and has no value in the defaults"
    if is_template(default):
        return f"{name} is computed in the defaults and must have no literal default" if given is not UNSET else None
    # YAML's 1 and true are equal in Python.
    if given is UNSET or type(given) is not type(default) or given != default:
        return f"{name} is {'unset' if given is UNSET else repr(given)} in the spec and {default!r} in the defaults"
    return None


def called_entry_points(role: str, documents: Iterable[Any]) -> set[str]:
    """Return the entry points of `role` that plays and tasks call by `tasks_from`, beside main."""
    found = {"main"}
    for document in documents:
        for mapping in mappings(document):
            for word in ("include_role", "import_role"):
                call = mapping.get(f"ansible.builtin.{word}") or mapping.get(word)
                if isinstance(call, dict) and str(call.get("name", "")).rsplit(".", 1)[-1] == role and call.get("tasks_from"):
                    found.add(call["tasks_from"].removesuffix(".yml"))
    return found


def mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping inside a YAML value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from mappings(item)


class TaskLoader(yaml.SafeLoader):
    """A loader that reads Ansible's own tags (`!unsafe`, `!vault`) as nothing special."""


TaskLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def task_documents() -> Iterator[Any]:
    """Yield what each playbook, and each file of tasks or handlers of a role, holds."""
    for pattern in ("playbooks/*.yml", "roles/*/tasks/*.yml", "roles/*/handlers/*.yml"):
        for path in sorted(ROOT.glob(pattern)):
            yield yaml.load(path.read_text(encoding="utf-8"), Loader=TaskLoader)


def specs_of(role: str) -> dict[str, Any]:
    """Return the argument specs of a role by entry point."""
    return load(ROOT / "roles" / role / "meta" / "argument_specs.yml").get("argument_specs", {})


def unnamed_options(readme: str, options: Iterable[str]) -> list[str]:
    """Return the options that a README does not name as code."""
    named = set(re.findall(r"`([A-Za-z0-9_]+)[^`]*`", readme))
    return sorted(set(options) - named)


def test_there_are_roles() -> None:
    assert ROLES


@pytest.mark.parametrize("role", ROLES)
def test_argument_specs_equal_defaults(role: str) -> None:
    assert spec_problems(role, load(ROOT / "roles" / role / "defaults" / "main.yml"), specs_of(role)) == []


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_has_a_spec_and_a_file(role: str) -> None:
    specified = set(specs_of(role))
    assert called_entry_points(role, task_documents()) - specified == set()
    assert {name for name in specified if not (ROOT / "roles" / role / "tasks" / f"{name}.yml").exists()} == set()


@pytest.mark.parametrize("role", ROLES)
def test_readme_names_every_option(role: str) -> None:
    readme = ROOT / "roles" / role / "README.md"
    assert readme.exists(), f"{readme.relative_to(ROOT)} is missing"
    options = {name for spec in specs_of(role).values() for name in spec.get("options") or {}}
    assert unnamed_options(readme.read_text(encoding="utf-8"), options) == []


@pytest.mark.parametrize(
    ("name", "option", "default", "problem"),
    [
        ("toucan_x_port", {"default": 1}, 1, None),
        ("toucan_x_port", {"default": 1}, 2, "toucan_x_port is 1 in the spec and 2 in the defaults"),
        ("toucan_x_port", {"default": 1}, True, "toucan_x_port is 1 in the spec and True in the defaults"),
        ("toucan_x_port", {}, 2, "toucan_x_port is unset in the spec and 2 in the defaults"),
        ("toucan_x_port", {}, UNSET, "toucan_x_port is optional and has no value in the defaults"),
        ("toucan_x_port", {}, "{{ toucan_release }}", None),
        ("toucan_x_port", {"default": "a"}, "{{ b }}", "toucan_x_port is computed in the defaults and must have no literal default"),
        ("toucan_x_port", {"required": True}, UNSET, None),
        ("toucan_x_port", {"required": True}, 1, "toucan_x_port is required and must have no default"),
        ("toucan_release", {}, UNSET, None),
        ("toucan_release", {"default": "v1"}, UNSET, "toucan_release is shared and must have no default"),
        ("toucan_release", {}, "v1", "toucan_release is shared and must have no default"),
        ("toucan_y_port", {}, UNSET, "toucan_y_port has neither the role's prefix nor is it shared"),
    ],
)
def test_each_disagreement_is_found(name: str, option: dict[str, Any], default: Any, problem: str | None) -> None:
    assert option_problem("toucan_x", name, option, default) == problem


def test_a_default_without_spec_is_found() -> None:
    assert spec_problems("toucan_x", {"toucan_x_a": 1}, {"main": {}}) == ["defaults: toucan_x_a stands in no argument spec"]


def test_called_entry_points_are_found_in_blocks() -> None:
    task = {"block": [{"ansible.builtin.include_role": {"name": "toucan.selfhosted.toucan_x", "tasks_from": "preflight.yml"}}]}
    assert called_entry_points("toucan_x", [[{"hosts": "all", "tasks": [task]}]]) == {"main", "preflight"}
    assert called_entry_points("toucan_y", [[task]]) == {"main"}


def test_an_unnamed_option_is_found() -> None:
    assert unnamed_options("`toucan_x_a` and `toucan_x_b: 1`, but toucan_x_c", ["toucan_x_a", "toucan_x_b", "toucan_x_c"]) == ["toucan_x_c"]
