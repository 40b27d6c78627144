# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many gunicorn workers a backend gets."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import Failure

MEMORY_PER_WORKER_MB = 400  # no public figure, so an option [GUESS]
# Celery, nginx and the databases live beside the workers.
MEMORY_SHARE = 0.5  # [OURS]


@dataclass(frozen=True)
class Workers:
    """A count, and the reasoning a person can check."""

    count: int
    reason: str


def gunicorn_workers(cpus: int, memory_mb: int, per_worker_mb: int = MEMORY_PER_WORKER_MB, share: float = MEMORY_SHARE) -> Workers:
    """``2*CPU+1`` [FAQ], capped by what the memory allows, at least one.

    :param memory_mb: total memory of the host in MiB; ``share`` of it is for the workers, ``per_worker_mb`` for each.
    :raises Failure: when a worker is said to need no memory.
    """
    if per_worker_mb <= 0:
        raise Failure(f"A web worker cannot do with {per_worker_mb} MiB of memory", "set `toucan_stack_worker_memory_mb` to what one needs")
    wanted = 2 * cpus + 1
    affordable = int(memory_mb * share) // per_worker_mb
    budget = f"{share:.0%} of {memory_mb} MiB of memory at {per_worker_mb} MiB each allows {affordable}"
    if affordable < wanted:
        count = max(1, affordable)
        return Workers(count, f"2*{cpus}+1 = {wanted} for {cpus} CPUs, capped to {count}: {budget}")
    return Workers(wanted, f"2*{cpus}+1 = {wanted} for {cpus} CPUs; {budget}")
