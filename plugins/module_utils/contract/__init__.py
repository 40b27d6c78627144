# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every belief about the product, and nothing else; ``docs/contract.md`` is the same for people.

A constant's comment gives its source: ``[S:KEY]`` a public source, ``[FAQ]`` the vendor's FAQ, ``[INF]`` inferred, ``[GUESS]`` plausible,
``[IMAGE]`` the convention of a public image. What is a guess or unknown is an option with a default, never used without one.
``[OURS]`` marks words and choices of the collection itself: they are no belief, and other code may use them freely.
"""
