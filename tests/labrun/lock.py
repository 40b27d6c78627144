# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock that keeps runs on one host apart, held by somebody else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from labrun.hosts import Host

LOCK = "/run/toucan/lock"
WAIT_SECONDS = 120


@contextmanager
def held_lock(host: Host) -> Iterator[None]:
    """Hold the host's lock with another program than the collection, while the block runs."""
    # With --no-fork `flock` becomes `sleep`, and the file is open in one process.
    unit = "systemd-run --quiet --unit lock-test --property Type=exec"
    host.shell(f"install -d -m 700 /run/toucan && {unit} flock --no-fork {LOCK} sleep {2 * WAIT_SECONDS}")
    try:
        host.shell(f"until ! flock --nonblock {LOCK} true; do sleep 0.1; done")
        yield
    finally:
        host.shell("systemctl stop lock-test")


def wait_for_waiting(host: Host, count: int) -> None:
    """Return when that many processes wait for the lock."""
    deadline = time.monotonic() + WAIT_SECONDS
    seen = -1
    while seen < count:
        assert time.monotonic() < deadline, f"{seen} processes wait for {LOCK}, not {count}"
        seen = int(host.shell(f"find /proc/[0-9]*/fd -lname {LOCK} 2> /dev/null | wc -l")) - 1
