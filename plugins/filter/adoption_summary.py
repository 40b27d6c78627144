# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: adoption_summary
short_description: What was adopted, and what site.yml would make of it, in lines for people
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Takes the results of M(toucan.selfhosted.toucan_adopt) and of M(toucan.selfhosted.toucan_stack) in check mode. No line holds a secret.
options:
  _input:
    description: Result of M(toucan.selfhosted.toucan_adopt).
    type: dict
    required: true
  stack:
    description: Result of M(toucan.selfhosted.toucan_stack).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Say what would come of it
  ansible.builtin.debug:
    msg: "{{ adopted | toucan.selfhosted.adoption_summary(stack=plan) }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.environment import ADMIN_PASSWORD, INSTANCE_NAME, JWT_SECRET, MONGODB_STACK_USER
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import BACKEND, DEFAULT_ADMIN
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import ADMIN

# Secrets that were made for the stack: by this run, or by an earlier one that recorded it.
_MADE = ("made", "kept")


def adoption_summary(adopted: Mapping[str, Any], stack: Mapping[str, Any] | None = None) -> list[str]:
    """What stands, what becomes of it, and what follows for people."""
    if "taken_over" not in adopted:
        return ["Nothing could be looked at: this host has no Python environment of the collection yet."]
    if adopted["taken_over"]:
        return ["The collection runs this stack already; there is nothing to adopt."]
    steps = (stack or {}).get("plan") or []
    return [*_found(adopted), *_changes(steps), *_consequences(adopted, steps)]


def _found(adopted: Mapping[str, Any]) -> list[str]:
    versions, places = adopted["versions"], adopted["state"].get("places") or {}
    by = f"compose project {adopted['project']}" if adopted["project"] else "containers that no compose project holds"
    services = ", ".join(f"{kind} in {name}{f' ({versions[kind]})' if versions.get(kind) else ''}" for kind, name in adopted["containers"].items())
    lines = [f"Found: {by}: {services}."]
    if places:
        lines.append(f"Data stays where it is: {', '.join(f'{name} in {_place(place)}' for name, place in sorted(places.items()))}.")
    if adopted["secrets"]:
        lines.append(f"Secrets: {', '.join(f'{name} {source}' for name, source in adopted['secrets'].items())}.")
    lines += [f"The compose file {path}, which the containers name, is gone." for path in adopted["missing_files"]]
    return lines


def _place(place: str) -> str:
    return place if place.startswith("/") else f"volume {place}"


def _changes(steps: list[Mapping[str, Any]]) -> list[str]:
    if not steps:
        return ["site.yml would change nothing."]
    return [f"site.yml would {step['action']} {step['object']}{_details(step)}." for step in steps]


def _details(step: Mapping[str, Any]) -> str:
    changes = step["after"].get("changes") if isinstance(step["after"], Mapping) else None
    if changes is None:
        return ""
    variables = changes.get("variables") or {}
    told = [f"{kind} variables {', '.join(names)}" for kind, names in variables.items()]
    told += [f"port {port} closes" for port in changes.get("ports_closed") or []]
    told += [f"network {network} is left" for network in changes.get("networks_left") or []]
    told += [f"the mount at {mount} goes" for mount in changes.get("mounts_left") or []]
    told += [f"restart policy {changes['restart']}"] if changes.get("restart") else []
    told += [f"its own {', '.join(changes['settings_left'])} {'go' if len(changes['settings_left']) > 1 else 'goes'}"] if changes.get("settings_left") else []
    told += [f"image {changes['image']}" if changes.get("image") else "same image"]
    return f": {'; '.join(told)}"


def _consequences(adopted: Mapping[str, Any], steps: list[Mapping[str, Any]]) -> list[str]:
    new = {name for step in steps for kind in ("added", "changed") for name in _variables(step).get(kind, ())}
    lines = []
    if JWT_SECRET in new:
        lines.append("Every user logs in again once, because the secret that signs their tokens is new.")
    if ADMIN_PASSWORD in new and adopted["secrets"].get(ADMIN) in _MADE:
        lines.append(
            f"User {DEFAULT_ADMIN} gets a new password, `{ADMIN}` of the secrets file; to keep the one it has, give it in `toucan_secrets` and run this again."
        )
    if any(step["id"] == f"mongodb.user:{MONGODB_STACK_USER}" for step in steps):
        lines.append(f"MongoDB asks for a login from then on, of user {MONGODB_STACK_USER} with `mongodb_password` of the secrets file.")
    if INSTANCE_NAME in new:
        lines.append(
            f"The backend's {INSTANCE_NAME} changes, by which it may call its databases: leave `toucan_stack_instance_name` empty unless you know better."
        )
    files = (adopted["state"].get("adopted") or {}).get("compose_files") or []
    if files and BACKEND in adopted["containers"]:
        lines.append(f"Move {' and '.join(files)} away after site.yml: `docker compose up` there would undo it.")
    return lines


def _variables(step: Mapping[str, Any]) -> Mapping[str, list[str]]:
    after = step["after"] if isinstance(step["after"], Mapping) else {}
    return (after.get("changes") or {}).get("variables") or {}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, object]:
        return {"adoption_summary": adoption_summary}
