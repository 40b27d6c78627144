# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that names the state file."""

from __future__ import annotations


class ModuleDocFragment:
    """Option ``state_path`` of every module that reads what is recorded about a host's stack."""

    DOCUMENTATION = r"""
options:
  state_path:
    description:
      - The file that records what is true of the stack on this host.
      - M(toucan.selfhosted.toucan_state) changes it, and M(toucan.selfhosted.toucan_service), which keeps in it what was stopped on purpose. Every
        other module reads it before its own options.
    type: path
    default: /etc/toucan/stack.json
"""
