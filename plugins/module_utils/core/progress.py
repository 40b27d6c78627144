# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of long work: a small file that the controller reads while the work goes on, and the line that it shows."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Optional

_INTERVAL = 0.5  # seconds between two writes
_FILE_LIMIT = 64 * 1024
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class Progress:
    """Writes at most twice a second, from any thread; without a path it only counts.

    The file is one JSON object: ``what`` and ``detail`` are texts, ``done`` and ``total`` bytes, ``rate`` bytes a second, ``left_seconds`` and
    ``time`` (since 1970) seconds; ``total``, ``rate`` and ``left_seconds`` are ``null`` where they are not known.

    A file that cannot be written is not worth the work: progress goes on without it.
    """

    def __init__(self, path: Optional[str] = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._what = self._detail = ""
        self._done = 0
        self._total: Optional[int] = None
        self._begun = self._written = float("-inf")

    def begin(self, what: str, total_bytes: Optional[int] = None) -> None:
        """A new piece of work; its count begins at nothing."""
        with self._lock:
            self._what, self._detail, self._done, self._total = what, "", 0, total_bytes
            self._begun = self._clock()
            self._write(self._begun)

    def advance(self, count: int, detail: Optional[str] = None) -> None:
        """``count`` more bytes are done; ``detail`` stays as it was where none is given."""
        with self._lock:
            self._done += count
            if detail is not None:
                self._detail = detail
            now = self._clock()
            if now - self._written >= _INTERVAL:
                self._write(now)

    def finish(self) -> None:
        """Have the last state in the file."""
        with self._lock:
            self._write(self._clock())

    def state(self) -> dict[str, Any]:
        """What the file holds, as of now."""
        with self._lock:
            return self._state(self._clock())

    def _state(self, now: float) -> dict[str, Any]:
        elapsed = now - self._begun
        rate = self._done / elapsed if self._done and 0 < elapsed < float("inf") else None
        left = max(self._total - self._done, 0) / rate if rate and self._total is not None else None
        return {
            "what": self._what,
            "detail": self._detail,
            "done": self._done,
            "total": self._total,
            "rate": None if rate is None else round(rate),
            "left_seconds": None if left is None else round(left, 1),
            "time": round(time.time(), 3),
        }

    def _write(self, now: float) -> None:
        self._written = now
        if self._path is None:
            return
        try:
            # Without the sync of `write_atomic`: a busy disk would hold up the work, and after a crash nobody reads this.
            with open(f"{self._path}.new", "wb") as stream:
                stream.write(json.dumps(self._state(now)).encode())
            os.replace(f"{self._path}.new", self._path)
        except OSError:
            self._path = None


def progress_line(state: Mapping[str, Any]) -> str:
    """One line for people: ``sales: 3 of 12 collections, 120 MB of 1.1 GB, 85 MB/s, 12 s left``.

    Keys that are missing or odd are left out of it: the file may be of another version.
    """
    done, total, rate, left = (_amount(state.get(key)) for key in ("done", "total", "rate", "left_seconds"))
    parts = [str(state.get("detail") or "")]
    if done is not None:
        parts.append(f"{human_size(done)} of {human_size(max(total, done))}" if total is not None else human_size(done))
    if rate:
        parts.append(f"{human_size(rate)}/s")
    if left is not None:
        parts.append(f"{human_time(left)} left")
    return " ".join(f"{state.get('what') or 'work'}: {', '.join(part for part in parts if part)}".split())


def human_size(count: float) -> str:
    """``999 B``, ``1.1 GB``, ``120 MB``: decimal units, three digits at most."""
    size, unit = float(count), 0
    while unit < len(_UNITS) - 1 and round(size) >= 1000:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit and round(size, 1) < 10 else f"{round(size)} {_UNITS[unit]}"


def human_time(seconds: float) -> str:
    """``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def read_progress(path: str) -> Optional[dict[str, Any]]:
    """The state in a file of progress, ``None`` where there is none that can be read."""
    try:
        with open(path, "rb") as stream:
            state = json.loads(stream.read(_FILE_LIMIT))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None


def _amount(value: Any) -> Optional[float]:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
    return value if known else None
