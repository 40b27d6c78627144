# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: stack_services
short_description: The services that a host runs, from the groups it is in
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Groups C(toucan_frontend), C(toucan_backend), C(toucan_mongodb), C(toucan_redis) and C(toucan_proxy) say which services a host runs.
  - A host in none of them runs all.
options:
  _input:
    description: Names of the groups that the host is in.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show what this host runs
  ansible.builtin.debug:
    msg: "{{ group_names | toucan.selfhosted.stack_services }}"
"""

RETURN = r"""
_value:
  description: Services in the order they are listed in the documentation.
  type: list
  elements: str
  sample: [frontend, backend, mongodb, redis, proxy]
"""

from collections.abc import Iterable

from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import ALL_KINDS


def stack_services(group_names: Iterable[str]) -> list[str]:
    """The services that groups ask for; all of them where no group names one."""
    groups = set(group_names)
    named = [kind for kind in ALL_KINDS if f"toucan_{kind}" in groups]
    return named or list(ALL_KINDS)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, object]:
        return {"stack_services": stack_services}
