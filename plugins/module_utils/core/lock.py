# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock between processes of one host: ``flock``, which the kernel lifts when its process ends, however it ends.

The file that is locked says who holds it, as ``{"pid": 4711, "since": "2026-11-23 08:00:12 UTC", "purpose": "toucan_stack"}``, and is empty
while nobody does. It is never removed: whoever waited for a removed file would hold a lock that the next one does not see.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from datetime import datetime, timezone
from typing import IO, Any, Optional

from .errors import Failure

# Not /run/lock, where on Debian every user may write, and so hold what root waits for; not /var/lib, because no lock outlives a boot.
HOST_LOCK = "/run/toucan/lock"
DEFAULT_TIMEOUT = 300  # seconds; a usual run ends sooner, save for a backend that migrates its data
_POLL_SECONDS = 0.2


class Lock:
    """A lock on the file at ``path``, held within a ``with`` block, or from :meth:`acquire` on for as long as this object lives.

    :param purpose: who wants it, for the one who has to wait.
    :param timeout: seconds to wait for another process; 0 waits for none.
    :param shared: only keep writers out, and leave the host as it is: without the file there is nobody to wait for.
    """

    def __init__(self, path: str, purpose: str, timeout: float = 0.0, shared: bool = False) -> None:
        self.path = path
        self.purpose = purpose
        self.timeout = timeout
        self.shared = shared
        self.waited = 0.0
        self.waited_for = ""
        self._file: Optional[IO[bytes]] = None

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, *dummy: Any) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock. ``waited`` then tells the seconds it took, and ``waited_for`` whom.

        :raises Failure: when another process keeps it beyond the timeout, or the file cannot be opened.
        """
        self._file = self._opened()
        if self._file is None:
            return
        began = time.monotonic()
        while not self._taken(self._file):
            self.waited_for = holder(self.path) or self.waited_for
            self.waited = time.monotonic() - began
            if self.waited >= self.timeout:
                self._close()
                raise self._refusal()
            time.sleep(_POLL_SECONDS)
        if not self.shared:
            _write(self._file, {"pid": os.getpid(), "since": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC", "purpose": self.purpose})

    def release(self) -> None:
        """Let the next one have it; nothing happens where it is not held."""
        if self._file is not None and not self.shared:
            _write(self._file, None)
        self._close()

    def _opened(self) -> Optional[IO[bytes]]:
        try:
            if self.shared:
                return os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") if os.path.lexists(self.path) else None
            os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
            # Whoever may open a file may lock it, so root alone may.
            return os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "wb", buffering=0)
        except OSError as error:
            raise Failure(
                f"Opening the lock file {self.path} failed: {error.strerror}",
                "correct its owner and mode, or run with `become: true`",
                subject=self.path,
                answer=str(error),
            ) from error

    def _taken(self, file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _refusal(self) -> Failure:
        patience = f", which did not end within {self.timeout:g} s" if self.timeout else ""
        longer = ", or wait longer with `lock_timeout`" if self.timeout else ""
        return Failure(
            f"{self.purpose} cannot run beside {self.waited_for or 'another run on this host'}{patience}",
            f"wait until it has ended and run again, or end it if it hangs{longer}",
            subject=self.path,
            answer=self.waited_for,
        )


def _write(file: IO[bytes], content: Optional[dict[str, Any]]) -> None:
    file.seek(0)
    file.truncate()
    if content:
        file.write(json.dumps(content).encode())


def holder(path: str) -> str:
    """Who holds the lock at ``path``, in words; empty where the file does not tell, or tells of a process that was killed."""
    try:
        with open(path, encoding="utf-8") as stream:
            told = json.load(stream)
        return f"{told['purpose']} of process {told['pid']} (since {told['since']})" if os.path.exists(f"/proc/{told['pid']}") else ""
    except (OSError, ValueError, KeyError, TypeError):
        # Empty or half written at this moment: the lock itself is what counts.
        return ""
