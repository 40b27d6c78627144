# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rotation_summary
short_description: What a run of rotate.yml came to, in lines for people
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Takes the results of the steps of M(toucan.selfhosted.toucan_rotate) and says what was rotated, where the new values are, and what the inventory
    has to be told.
options:
  _input:
    description: Result of C(step=promote).
    type: dict
    required: true
  prepared:
    description: Result of C(step=prepare).
    type: dict
    default: {}
  finished:
    description: Result of C(step=finish).
    type: dict
    default: {}
  registry:
    description: Result of C(step=registry).
    type: dict
    default: {}
  secrets_path:
    description: The secrets file of the host.
    type: str
    default: ""
  check_mode:
    description: Whether the run only looked.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what came of it
  ansible.builtin.debug:
    msg: "{{ promoted | toucan.selfhosted.rotation_summary(prepared=prepared, finished=finished, secrets_path=path) }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import DEFAULT_ADMIN
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import ADMIN

_WIDTH = 12


def rotation_summary(
    promoted: Mapping[str, Any],
    prepared: Optional[Mapping[str, Any]] = None,
    finished: Optional[Mapping[str, Any]] = None,
    registry: Optional[Mapping[str, Any]] = None,
    secrets_path: str = "",
    check_mode: bool = False,
) -> list[str]:
    """Lines of label and value."""
    sources = {_name(step): step["after"] for step in (prepared or {}).get("plan") or []}
    rotated = list(dict.fromkeys(_name(step) for result in (promoted, finished or {}) for step in result.get("plan") or []))
    told = "; ".join(f"{name}, to {sources[name]}" if name in sources else f"{name}, begun by an earlier run" for name in rotated)
    lines = []
    if promoted or finished:
        lines.append(_line("Rotated", (f"would rotate {told}" if check_mode else told) if told else "nothing"))
    if rotated and not check_mode:
        lines.append(_line("New values", f"in {secrets_path} of this host"))
    lines += _inventory_lines(rotated, (finished or {}).get("outdated") or [])
    proven = (registry or {}).get("proven") or []
    if proven:
        lines.append(_line("Registry", f"gives these credentials {', '.join(proven)}"))
        lines.append(_line("", "hosts store none: put them into `toucan_registry` of the inventory, then withdraw the former ones at the registry"))
    return lines


def _inventory_lines(rotated: list[str], outdated: list[str]) -> list[str]:
    lines = []
    if outdated:
        lines.append(_line("Inventory", f"`toucan_secrets` gives {', '.join(outdated)}: put the new value there, or leave it out, else `site.yml` stops"))
    if ADMIN in rotated:
        lines.append(_line("" if outdated else "Inventory", f"where `toucan_api_username` is {DEFAULT_ADMIN}, `toucan_api_password` is the new {ADMIN}"))
    return lines


def _name(step: Mapping[str, Any]) -> str:
    return str(step["id"]).partition(":")[2]


def _line(label: str, value: str) -> str:
    return f"{label:<{_WIDTH}} {value}"


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, object]:
        return {"rotation_summary": rotation_summary}
