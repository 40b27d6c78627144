# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command to its end or to its time limit, and leave none of its children behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TIMED_OUT = 124
GRACE_SECONDS = 10.0

_running: set[subprocess.Popen[bytes]] = set()


def run(
    command: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    keep_children: bool = False,
) -> int:
    """Run `command` with closed input and its output appended to `log`; return its exit code, or `TIMED_OUT`.

    `environment` is added to this process's own. The command gets a process group of its own, which is ended with it
    unless `keep_children` says that what it started is meant to stay (the lab's engine).
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"$ {' '.join(map(str, command))}\n".encode())
        output.flush()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        code = -1
        _running.add(process)
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            output.write(f"\nStopped: it did not end within {seconds:.0f} s.\n".encode())
            code = TIMED_OUT
        finally:
            _running.discard(process)
            if code in (-1, TIMED_OUT) or not keep_children:
                end_group(process)
    return code


def end_running() -> None:
    """End what other threads run, because nobody waits for it any more."""
    for process in list(_running):
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End every process of the group that `process` leads: first by request, after the grace period by force."""
    deadline = time.monotonic() + GRACE_SECONDS
    sent = signal.SIGTERM
    while True:
        try:
            os.killpg(process.pid, sent)
        except ProcessLookupError:
            return
        process.poll()
        if time.monotonic() > deadline:
            sent = signal.SIGKILL
        time.sleep(0.1)
