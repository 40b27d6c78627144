# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of modules that only one run at a time may use on a host."""

from __future__ import annotations


class ModuleDocFragment:
    """Option ``lock_timeout`` of every module that keeps runs on one host apart."""

    DOCUMENTATION = r"""
options:
  lock_timeout:
    description:
      - Seconds to wait for another run that works on this host, before giving up and saying which. V(0) gives up at once.
      - The lock is C(/run/toucan/lock). It ends with the process that holds it, so it never has to be removed.
      - In check mode a run waits, too, because a plan made in the middle of a change would not be true. It leaves no lock behind.
    type: int
    default: 300
"""
