# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lock-out of accounts whose logins fail too often."""

from __future__ import annotations

import typing


class Counter(typing.Protocol):
    """The commands of Redis that the throttle uses."""

    def get(self, name: str) -> bytes | None:
        """The value, None where there is none."""

    def incr(self, name: str) -> int:
        """Add one, and return what it is then."""

    def expire(self, name: str, time: int) -> object:
        """Let the value go after so many seconds."""


class LoginThrottle:
    """Counts failed logins of each user in Redis, so that all workers and backends agree."""

    def __init__(self, redis: Counter, rate: tuple[int, int] | None) -> None:
        self._redis = redis
        self._rate = rate

    def locked(self, username: str) -> bool:
        """True when no login of ``username`` is accepted now, not even a valid one."""
        # product-facts 2.1 [S:PUBAPI]
        if self._rate is None:
            return False
        limit, _seconds = self._rate
        return int(self._redis.get(self._key(username)) or 0) >= limit

    def failed(self, username: str) -> None:
        """Count one failed login of ``username``."""
        if self._rate is None:
            return
        _limit, seconds = self._rate
        if self._redis.incr(self._key(username)) == 1:
            self._redis.expire(self._key(username), seconds)

    @staticmethod
    def _key(username: str) -> str:
        return f"failed-logins:{username}"
