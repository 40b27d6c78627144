# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: collection_installed
short_description: Whether a collection is installed on the controller
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Ansible refuses a file of tasks as a whole where it does not know one of their modules. A playbook that needs another collection asks here first, and
    includes such a file afterwards.
options:
  _input:
    description: Full name of the collection.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Stop where awx.awx is missing
  ansible.builtin.assert:
    that: "'awx.awx' | toucan.selfhosted.collection_installed"
"""

RETURN = r"""
_value:
  description: Whether it is.
  type: bool
"""

import importlib.util
from collections.abc import Callable


def collection_installed(name: str) -> bool:
    """Whether Ansible's importer, which knows the collections path, finds the collection ``NAMESPACE.NAME``."""
    try:
        return importlib.util.find_spec(f"ansible_collections.{name}") is not None
    except ModuleNotFoundError:  # not even the namespace is there
        return False


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[[str], bool]]:
        return {"collection_installed": collection_installed}
