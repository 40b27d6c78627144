# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: service_summary
short_description: What a run of start.yml, stop.yml, restart.yml or remove.yml came to, in lines for people
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Takes the result of M(toucan.selfhosted.toucan_service) and says what changed, what is stopped on purpose, and what a removal left where.
options:
  _input:
    description: Result of M(toucan.selfhosted.toucan_service), or of the task that was skipped on a host that runs none of the services.
    type: dict
    required: true
  check_mode:
    description: Whether the run only looked.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what came of it
  ansible.builtin.debug:
    msg: "{{ result | toucan.selfhosted.service_summary(check_mode=ansible_check_mode) }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

_WIDTH = 12


def service_summary(result: Mapping[str, Any], check_mode: bool = False) -> list[str]:
    """Lines of label and value."""
    if result.get("skipped"):
        return [_line("Services", "none of those named runs on this host")]
    told = "; ".join(f"{step['action']} {step['object']}" for step in result["plan"] if not step["id"].startswith("state:"))
    lines = [_line("Services", f"{'would change' if check_mode else 'changed'}: {told}" if told else "unchanged")]
    kept = result["kept"]
    if result["stopped"] and not kept:
        lines.append(_line("Stopped", f"{', '.join(result['stopped'])}; no reboot starts them, but start.yml and site.yml do"))
    lines += [_line("Stays" if number == 0 else "", f"{item['what']}: {item['where']}") for number, item in enumerate(kept)]
    return lines + ([_line("Instance", result["instance_id"])] if kept else [])


def _line(label: str, value: str) -> str:
    return f"{label:<{_WIDTH}} {value}"


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, object]:
        return {"service_summary": service_summary}
