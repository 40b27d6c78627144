# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The libraries of the collection's Python environment, each pinned exactly, per version of Python."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from .errors import Failure

OLDEST_PYTHON = (3, 9)

# For each library its pins, newest first, each with the oldest Python it supports. Libraries of libraries stand here too, so that
# pip resolves nothing and an installation of today equals one of next year.
PINS: dict[str, tuple[tuple[str, tuple[int, int]], ...]] = {
    "certifi": (("2026.10.18", (3, 9)),),
    "cffi": (("2.1.1", (3, 10)), ("2.0.0", (3, 9))),
    "charset-normalizer": (("3.5.2", (3, 9)),),
    "cryptography": (("50.0.2", (3, 9)),),
    "dnspython": (("2.9.2", (3, 11)), ("2.8.0", (3, 10)), ("2.7.0", (3, 9))),
    "docker": (("7.2.0", (3, 9)),),
    "idna": (("3.20", (3, 9)),),
    "isal": (("1.9.1", (3, 9)),),
    "jmespath": (("1.1.0", (3, 9)),),
    "pycparser": (("3.12", (3, 11)), ("3.11", (3, 10)), ("2.23", (3, 9))),
    "pymongo": (("4.16.0", (3, 9)),),  # the newest that speaks to MongoDB 4.2
    "pyrage": (("1.4.0", (3, 10)), ("1.3.0", (3, 9))),
    "pyyaml": (("6.0.3", (3, 9)),),
    "requests": (("2.34.2", (3, 10)), ("2.32.5", (3, 9))),
    "typing-extensions": (("4.16.0", (3, 9)),),  # cryptography needs it below Python 3.11
    "urllib3": (("2.8.0", (3, 10)), ("2.6.3", (3, 9))),
}


def requirements_for(python: tuple[int, int]) -> dict[str, str]:
    """Library name to exact version, for a Python of this major and minor number.

    :raises Failure: when the collection does not support that Python.
    """
    if python < OLDEST_PYTHON:
        raise Failure(
            f"Python {python[0]}.{python[1]} is older than {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]}, the oldest this collection supports",
            "install a newer one beside it and name it in `toucan_host_python`",
            subject="toucan_host_python",
        )
    return {name: next(version for version, oldest in pins if python >= oldest) for name, pins in PINS.items()}


def requirements_hash(python: tuple[int, int], requirements: Mapping[str, str]) -> str:
    """A name for one set of libraries on one Python: 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps([list(python), sorted(requirements.items())]).encode()).hexdigest()


def canonical_name(name: str) -> str:
    """A library's name as indexes compare it [PEP 503]."""
    return re.sub(r"[-_.]+", "-", name).lower()
