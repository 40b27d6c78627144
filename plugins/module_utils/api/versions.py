# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions a frontend and a backend say they are, asked over HTTP without login."""

from __future__ import annotations

import json
from typing import NamedTuple

from ..contract import routes
from ..core.errors import Failure
from ..core.versions import Version, parse_version
from .shapes import evaluate
from .transport import Response, Transport, check_url, follow, shown

_EXCERPT = 60


class Told(NamedTuple):
    """What one part answered.

    ``url`` is the one that was asked; ``status`` is ``OK`` for a part that is well (the frontend's file tells nothing else).
    """

    version: Version
    url: str
    status: str


def frontend_version(transport: Transport, frontend_url: str) -> Told:
    """Read the file that a frontend build carries.

    :raises Failure: when it does not answer, or not with a version.
    """
    url = check_url(frontend_url, "`frontend_url`") + routes.FRONTEND_VERSION
    text = _get(transport, url, "`frontend_url`").body.decode("utf-8", "replace").strip()
    version = parse_version(text)
    if version is None:
        raise Failure(f"{shown(url)} answered {_excerpt(text)} where a version was expected", "correct `frontend_url`", subject=url, answer=text[:_EXCERPT])
    return Told(version, url, routes.BACKEND_STATUS_OK)


def backend_version(
    transport: Transport,
    backend_url: str,
    version_shape: str = routes.BACKEND_VERSION_SHAPE,
    status_shape: str = routes.BACKEND_STATUS_SHAPE,
) -> Told:
    """Ask a backend's root for its version and status.

    :param version_shape: where the version stands in the JSON answer, a JMESPath expression; ``status_shape`` likewise.
    :raises Failure: when it does not answer, or not in these shapes.
    """
    url = check_url(backend_url, "`backend_url`") + routes.BACKEND_ROOT
    answer = _json(_get(transport, url, "`backend_url`"), url)
    text = str(evaluate(version_shape, answer, "`version_shape`"))
    version = parse_version(text)
    if version is None:
        raise Failure(
            f"{shown(url)} answered {_excerpt(text)} at `{version_shape}` where a version was expected",
            "correct `backend_url`, or `version_shape` where this release tells it elsewhere",
            subject=url,
            answer=text[:_EXCERPT],
        )
    status = evaluate(status_shape, answer, "`status_shape`")
    if not isinstance(status, str):
        raise Failure(
            f"{shown(url)} answered no status at `{status_shape}`",
            "correct `status_shape` where this release tells it elsewhere",
            subject=url,
            answer=str(status),
        )
    return Told(version, url, status)


def _get(transport: Transport, url: str, option: str) -> Response:
    response, answered_by = follow(transport, "GET", url, {"Accept": "*/*"})
    if response.status != 200:
        remedy = f"correct {option}" if response.status < 500 else "look at the logs of the service and of the proxy before it"
        raise Failure(f"{shown(answered_by)} answered HTTP {response.status}", remedy, subject=url, answer=f"HTTP {response.status}")
    return response


def _json(response: Response, url: str) -> object:
    try:
        return json.loads(response.body)
    except ValueError as error:
        text = response.body.decode("utf-8", "replace").strip()
        raise Failure(
            f"{shown(url)} answered {_excerpt(text)}, which is no JSON", "correct `backend_url`: it is where the API answers, not the frontend", subject=url
        ) from error


def _excerpt(text: str) -> str:
    """The beginning of an answer, on one line, in backquotes."""
    line = " ".join(text.split())
    return f"`{line[:_EXCERPT]}…`" if len(line) > _EXCERPT else f"`{line}`"
