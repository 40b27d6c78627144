# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Web workers follow CPUs, and memory caps them; the reason says how."""

from __future__ import annotations

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.workers import gunicorn_workers
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "cpus, memory_mb, count, said",
    [
        (2, 16000, 5, "2*2+1 = 5 for 2 CPUs; 50% of 16000 MiB of memory at 400 MiB each allows 20"),
        (8, 4000, 5, "2*8+1 = 17 for 8 CPUs, capped to 5: 50% of 4000 MiB of memory at 400 MiB each allows 5"),
        (1, 256, 1, "2*1+1 = 3 for 1 CPUs, capped to 1: 50% of 256 MiB of memory at 400 MiB each allows 0"),
    ],
)
def test_count_and_reason(cpus: int, memory_mb: int, count: int, said: str) -> None:
    workers = gunicorn_workers(cpus, memory_mb)
    assert (workers.count, workers.reason) == (count, said)


@given(st.integers(1, 512), st.integers(0, 1 << 22), st.integers(1, 1 << 16))
def test_workers_fit_the_memory_and_never_exceed_the_rule(cpus: int, memory_mb: int, per_worker_mb: int) -> None:
    workers = gunicorn_workers(cpus, memory_mb, per_worker_mb)
    assert 1 <= workers.count <= 2 * cpus + 1
    assert workers.count == 1 or workers.count * per_worker_mb <= memory_mb / 2
    assert ("capped" in workers.reason) == (workers.count < 2 * cpus + 1)


@given(st.integers(1, 64), st.integers(0, 1 << 20))
def test_more_memory_never_means_fewer_workers(cpus: int, memory_mb: int) -> None:
    assert gunicorn_workers(cpus, memory_mb).count <= gunicorn_workers(cpus, memory_mb + 400).count


@pytest.mark.parametrize("per_worker_mb", [0, -1])
def test_a_worker_without_memory_is_refused(per_worker_mb: int) -> None:
    with pytest.raises(Failure, match="A web worker cannot do with .* MiB of memory; set `toucan_stack_worker_memory_mb`"):
        gunicorn_workers(2, 4000, per_worker_mb)
