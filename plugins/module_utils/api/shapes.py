# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answer shapes: where in a JSON answer a value stands."""

from __future__ import annotations

import re
import sys
from typing import Any

from ..core.errors import Failure

_PLAIN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


def is_plain(shape: str) -> bool:
    """Whether ``shape`` is a dotted name such as ``build.version``, which no library is needed for."""
    return bool(_PLAIN.fullmatch(shape))


def evaluate(shape: str, answer: Any, option: str) -> Any:
    """The value that the JMESPath expression ``shape`` names in ``answer``, or ``None`` where there is none.

    :param option: the option that gives the shape, for failures.
    :raises Failure: when the shape is no JMESPath, or needs the library jmespath and it is missing.
    """
    if is_plain(shape):
        return _descend(shape, answer)
    try:
        import jmespath
        import jmespath.exceptions
    except ImportError as error:
        raise Failure(
            f"The shape `{shape}` needs the Python library jmespath, which {sys.executable} does not have",
            f"write a plain dotted name in {option}, or run role `toucan_host` on this host first",
            subject=shape,
        ) from error
    try:
        return jmespath.search(shape, answer)
    except jmespath.exceptions.JMESPathError as error:
        first_line = str(error).splitlines()[0]
        raise Failure(f"The shape `{shape}` cannot be evaluated: {first_line}", f"correct {option}", subject=shape, answer=str(error)) from error


def _descend(shape: str, answer: Any) -> Any:
    value = answer
    for name in shape.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
