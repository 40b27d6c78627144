# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs, and the one error the lab raises for what can be foreseen."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable, Optional


class LabError(Exception):
    """Something the lab needs did not work; the text says what, on what, and what to do."""


def say(text: str) -> None:
    """Show one line of progress. Goes to stderr: stdout is for answers."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    stdin: Optional[str] = None,
    env: Optional[Mapping[str, str]] = None,
    cwd: Optional[Path] = None,
    timeout: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` and return its result with text output.

    :raises LabError: with the end of its output, if it fails (and ``check``) or takes more than ``timeout`` seconds.
    """
    try:
        done = subprocess.run(
            argv, input=stdin, env=env, cwd=cwd, timeout=timeout, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL if stdin is None else None,
        )
    except FileNotFoundError as error:
        raise LabError(f"Cannot run {argv[0]}: it is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{brief(argv)}` did not end within {timeout:g} s.") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"`{brief(argv)}` ended with {done.returncode}: {said}")
    return done


def output(argv: Sequence[str], **options: object) -> str:
    """Standard output of ``argv`` without surrounding white space; errors as :func:`run`."""
    return run(argv, **options).stdout.strip()  # type: ignore[arg-type]


def run_logged(argv: Sequence[str], log: Path, *, env: Optional[Mapping[str, str]] = None, timeout: float = 1800) -> None:
    """Run a long ``argv`` with all it says in the file ``log``.

    :raises LabError: with the end of the log, if it fails or takes more than ``timeout`` seconds.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        try:
            code = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env=env, timeout=timeout, check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise LabError(f"`{brief(argv)}` did not end within {timeout:g} s; its log is {log}.") from error
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise LabError(f"`{brief(argv)}` ended with {code}; the end of {log}:\n{tail}")


def brief(argv: Sequence[str]) -> str:
    """``argv`` as one line short enough for an error message."""
    line = " ".join(argv)
    return line if len(line) <= 160 else line[:157] + "..."


def wait_for(what: str, ready: Callable[[], bool], *, seconds: float, every: float = 0.2) -> None:
    """Poll ``ready`` until it is true.

    :raises LabError: naming ``what``, after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise LabError(f"{what} was not ready within {seconds:g} s.")
        time.sleep(every)
