# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: kept_rotations
short_description: What the other hosts of a stack keep of a rotation of the secrets that a host needs
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Takes what M(toucan.selfhosted.toucan_rotate) with C(step=fetch) returned on each host, and leaves out what the host in question has no use for.
options:
  _input:
    description: Names of the hosts of the stack.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts, among them the registered results of role C(toucan_stack).
    type: dict
    required: true
  host:
    description: The host in question.
    type: str
    required: true
  services:
    description: Services of that host.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Take what the other hosts keep
  toucan.selfhosted.toucan_rotate:
    step: prepare
    names: [mongodb_password]
    others: "{{ groups.toucan | toucan.selfhosted.kept_rotations(hostvars, inventory_hostname, ['mongodb']) }}"
"""

RETURN = r"""
_value:
  description: What the others keep, C(current), C(new) and C(former) by name by host.
  type: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import needed_secrets


def kept_rotations(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], host: str, services: Sequence[str]) -> dict[str, Any]:
    """See DOCUMENTATION."""
    needed = needed_secrets(services)
    known = {name: (hostvars[name].get("__toucan_stack_rotation") or {}).get("kept") or {} for name in hosts if name != host}
    return {name: {key: kept[key] for key in needed if key in kept} for name, kept in known.items()}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, object]:
        return {"kept_rotations": kept_rotations}
