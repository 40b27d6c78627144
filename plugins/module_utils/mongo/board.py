# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that threads share, where a piece of work may put up more of it, and the first error ends all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Optional

Job = Callable[[], None]


class Stopped(Exception):
    """Another thread failed: this one is to end too."""


class Board:
    """Jobs and the threads that do them."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._open = 0
        self._error: Optional[BaseException] = None

    def put(self, job: Job, *, first: bool = False) -> None:
        """Put up a job, behind all others or before them."""
        with self._changed:
            self._open += 1
            (self._jobs.appendleft if first else self._jobs.append)(job)
            self._changed.notify()

    def check(self) -> None:
        """Look whether to go on; a long job asks now and then. :raises Stopped: when another job failed."""
        if self._error is not None:
            raise Stopped

    def work(self, workers: int) -> None:
        """Do all jobs, those put up meanwhile too. :raises BaseException: the first that a job raised, once all threads have ended."""
        threads = [threading.Thread(target=self._worker, name=f"worker-{number}", daemon=True) for number in range(1, workers + 1)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException as error:
            # A signal ends the wait: the threads are to end before what they use is taken away.
            self._fail(error)
            for thread in threads:
                thread.join()
            raise
        if self._error is not None:
            raise self._error

    def _worker(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or not self._open or self._error is not None)
                if self._error is not None or not self._jobs:
                    return
                job = self._jobs.popleft()
            try:
                job()
            except Stopped:
                return
            except BaseException as error:  # noqa: BLE001 - it is raised again where the work was asked for
                self._fail(error)
                return
            with self._changed:
                self._open -= 1
                if not self._open:
                    self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._error is None:
                self._error = error
            self._changed.notify_all()
