# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every unit test."""

from __future__ import annotations

from hypothesis import settings

# A deadline would be a timed assertion: it fails on a busy machine, not on a wrong program.
settings.register_profile("toucan", deadline=None)
settings.load_profile("toucan")
