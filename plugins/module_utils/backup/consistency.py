# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold the backend still while its data is read, never for longer than was allowed, whatever becomes of this process.

A lease on disk says what is held still, for how long and by whom. A timer of systemd ends it where this process cannot; after a reboot the
engine starts the containers by itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Optional, Protocol

from ..core.errors import Failure
from ..core.files import json_bytes, read_json, write_atomic

HOT = "hot"
PAUSED = "paused"
STOPPED = "stopped"
MODES = (HOT, PAUSED, STOPPED)

LEASE = "/var/lib/toucan/journal/pause.json"
UNIT = "toucan-backup-resume"
_MARGIN_SECONDS = 5.0  # by which systemd leaves the end to the process that lives


class Containers(Protocol):
    """What is needed of the engine."""

    def pause(self, container: str) -> None:
        """Freeze its processes."""

    def unpause(self, container: str) -> None:
        """Let a paused one go on."""

    def stop(self, container: str, grace: int = 60) -> None:
        """End its processes."""

    def start(self, container: str) -> None:
        """Start it as it is."""


@dataclass
class Stillness:
    """What was really reached: in which ``mode``, for how many ``seconds``, and whether it ended ``early``, before the data was read."""

    mode: str = HOT
    seconds: float = 0.0
    early: bool = False

    @property
    def reached(self) -> str:
        """The consistency of all that was read meanwhile."""
        return HOT if self.early else self.mode


@dataclass(frozen=True)
class Quiet:
    """How to hold ``containers`` (names) still.

    :param limit: seconds that it may last.
    :param guard: has a command run in so many seconds by somebody else than this process (systemd, unless given); an empty one takes that back.
    """

    containers: Sequence[str]
    engine: Containers
    limit: float
    lease: str = LEASE
    guard: Optional[Callable[[Sequence[str], float], None]] = None
    clock: Callable[[], float] = time.monotonic

    @contextlib.contextmanager
    def held(self, mode: str) -> Iterator[Stillness]:
        """Hold them still while the block runs.

        :raises Failure: when they cannot be held or let go. In the latter case lease and timer stay, and the timer lets them go.
        """
        if mode == HOT or not self.containers:
            yield Stillness()
            return
        still, letting_go, guard = Stillness(mode), threading.Lock(), self.guard or systemd_timer
        halted: list[str] = []

        def let_go() -> None:
            with letting_go:
                while halted:
                    (self.engine.unpause if mode == PAUSED else self.engine.start)(halted[-1])
                    halted.pop()

        def expire() -> None:
            still.early, still.seconds = True, self.limit
            # What fails here is tried again at the end, where somebody is there to be told.
            with contextlib.suppress(Failure):
                let_go()

        watch = threading.Timer(self.limit, expire)
        watch.daemon = True
        self._write_lease(mode)
        began = self.clock()
        try:
            guard(["docker", "unpause" if mode == PAUSED else "start", *self.containers], self.limit + _MARGIN_SECONDS)
            for name in self.containers:
                (self.engine.pause if mode == PAUSED else self.engine.stop)(name)
                halted.append(name)
            watch.start()
            yield still
        finally:
            watch.cancel()
            let_go()
            still.seconds = still.seconds or self.clock() - began
            guard((), 0)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.lease)

    def _write_lease(self, mode: str) -> None:
        until = datetime.now(timezone.utc) + timedelta(seconds=self.limit)
        told = {"mode": mode, "containers": list(self.containers), "owner": os.getpid(), "purpose": "toucan_backup", "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
        write_atomic(self.lease, json_bytes(told), mode=0o600)


def left_behind(lease: str = LEASE) -> Mapping[str, Any]:
    """The lease of a process that has ended without letting go; empty where there is none. :raises Failure: when it cannot be read."""
    found = read_json(lease) or {}
    return {} if not found or os.path.exists(f"/proc/{found.get('owner')}") else found


def systemd_timer(argv: Sequence[str], seconds: float) -> None:
    """Have systemd run ``argv`` in so many seconds; take that back for an empty one. :raises Failure: when it does not take it."""
    # One that a killed run set is in the way of the next. The library runs without Ansible too, so there is no run_command.
    subprocess.run(["systemctl", "stop", f"{UNIT}.timer"], capture_output=True, check=False)  # pylint: disable=ansible-bad-function
    if not argv:
        return
    command = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", f"--on-active={seconds:.0f}", "--timer-property=AccuracySec=1s", *argv]
    subprocess.run(["systemctl", "reset-failed", f"{UNIT}.service"], capture_output=True, check=False)  # pylint: disable=ansible-bad-function
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # pylint: disable=ansible-bad-function
    if done.returncode:
        raise Failure(
            f"systemd does not take the timer that would end the pause of the backend after a crash: {done.stderr.strip()}",
            "correct what it says, or make the backup with consistency `hot`",
            subject=UNIT,
            answer=done.stderr.strip(),
        )
