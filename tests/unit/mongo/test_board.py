# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that threads share."""

from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.board import Board, Stopped


@pytest.mark.parametrize("workers", [1, 3])
def test_jobs_put_up_by_jobs_are_done_too(workers: int) -> None:
    board, done = Board(), []

    def job(depth: int) -> None:
        done.append(depth)
        if depth:
            for dummy in range(3):
                board.put(lambda: job(depth - 1), first=True)

    board.put(lambda: job(4))
    board.work(workers)
    assert sorted(done) == sorted(depth for depth in range(5) for dummy in range(3 ** (4 - depth)))


def test_no_jobs_are_no_work() -> None:
    Board().work(2)


def test_a_job_that_is_put_first_is_done_first() -> None:
    board, done = Board(), []
    board.put(lambda: done.append("last"))
    board.put(lambda: done.append("first"), first=True)
    board.work(1)
    assert done == ["first", "last"]


def test_the_first_error_ends_the_others_and_is_raised() -> None:
    board, ended, going = Board(), [], threading.Event()

    def long_job() -> None:
        going.set()
        try:
            while True:
                board.check()
                time.sleep(0.001)
        except Stopped:
            ended.append("long")
            raise

    def failing() -> None:
        going.wait()
        raise ValueError("the reason")

    board.put(long_job)
    board.put(failing)
    board.put(lambda: ended.append("never"))
    with pytest.raises(ValueError, match="the reason"):
        board.work(2)
    assert ended == ["long"]
