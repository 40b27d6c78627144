# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of ``toucan_backup``, which may work for hours."""

from __future__ import annotations

from ansible_collections.toucan.selfhosted.plugins.plugin_utils.long_work import LongWork as ActionModule

__all__ = ["ActionModule"]
