# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Product versions as the vendor writes them (``vMAJOR.MINOR.PATCH``) and ranges of them."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import Callable, Optional

from .errors import Failure

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_CLAUSE = re.compile(r"(==|!=|>=|<=|>|<)\s*v?(\d+)(?:\.(\d+))?(?:\.(\d+))?")
_COMPARE: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, order=True)
class Version:
    """A release; orders by number."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


def parse_version(text: str) -> Optional[Version]:
    """The version that ``text`` names in full (surrounding white space aside), or ``None`` (a moving tag, say)."""
    match = _VERSION.fullmatch(text.strip())
    return Version(*(int(part) for part in match.groups())) if match else None


def same_major(first: Version, second: Version) -> bool:
    """Whether a frontend and a backend of these versions work together."""
    return first.major == second.major


def satisfies(version: Version, requirement: str) -> bool:
    """Whether ``version`` is in a range such as ``>=100,<102`` or ``==101.1``.

    A clause with fewer than three numbers compares just those: ``<=101`` holds for v101.9.9.

    :raises Failure: when the range cannot be read.
    """
    numbers = (version.major, version.minor, version.patch)
    return all(_COMPARE[sign](numbers[: len(bound)], bound) for sign, bound in _clauses(requirement))


def check_range(requirement: str) -> None:
    """:raises Failure: when the range cannot be read."""
    _clauses(requirement)


def _clauses(requirement: str) -> list[tuple[str, tuple[int, ...]]]:
    clauses = []
    for text in requirement.split(","):
        match = _CLAUSE.fullmatch(text.strip())
        if not match:
            raise Failure(
                f"The version range `{requirement}` cannot be read at `{text.strip()}`",
                "write clauses such as `>=100,<102`, separated by commas",
                subject=requirement,
            )
        clauses.append((match[1], tuple(int(part) for part in match.groups()[1:] if part is not None)))
    return clauses
