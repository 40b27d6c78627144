# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that the modules of the collection share."""

from __future__ import annotations


class ModuleDocFragment:
    """``attributes`` describes the four attributes (each module sets its own support); ``attributes.toucan`` is the action group."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what a run would change, without changing it.
  diff_mode:
    description: Returns the difference between what was and what is (or would be), when in diff mode.
  idempotent:
    description: When run twice in a row, the second run changes nothing and says so.
  platform:
    description: Target operating systems.
    platforms: posix
"""

    TOUCAN = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/toucan.selfhosted.toucan) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - toucan.selfhosted.toucan
"""
