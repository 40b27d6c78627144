# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: kept_secrets
short_description: What the other hosts of a stack keep of the secrets that a host needs
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Takes what M(toucan.selfhosted.toucan_secrets) with C(fetch=true) returned on each host, and leaves out what the host in question has no use for.
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
  toucan.selfhosted.toucan_secrets:
    others: "{{ (groups.toucan | toucan.selfhosted.kept_secrets(hostvars, inventory_hostname, ['mongodb'])).secrets }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: What the others keep.
  type: dict
  contains:
    secrets:
      description: Value by name by host.
      type: dict
    with_data:
      description: Hosts that hold data made with the secrets.
      type: list
      elements: str
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import needed_secrets


def kept_secrets(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], host: str, services: Sequence[str]) -> dict[str, Any]:
    """See DOCUMENTATION."""
    needed = needed_secrets(services)
    kept = {name: _kept(hostvars[name]) for name in hosts if name != host}
    return {
        "secrets": {name: {key: known["secrets"][key] for key in needed if key in known["secrets"]} for name, known in kept.items()},
        "with_data": [name for name, known in kept.items() if known["data"]],
    }


def _kept(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a host was last seen to keep in this run; nothing of one that the run leaves out."""
    for register in ("__toucan_stack_made", "__toucan_stack_fetched"):
        known = (variables.get(register) or {}).get("kept")
        if known:
            return known
    return {"secrets": {}, "data": False}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, object]:
        return {"kept_secrets": kept_secrets}
