# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small apps that an instance knows."""

from __future__ import annotations

from typing import NamedTuple

from ..contract import routes
from ..core.errors import Failure
from .session import Session
from .shapes import evaluate


class SmallApp(NamedTuple):
    """Its id, which names its database and folder, and the name that users see."""

    id: str
    name: str


def list_small_apps(session: Session, shape: str = routes.SMALL_APPS_SHAPE) -> tuple[SmallApp, ...]:
    """All small apps, by id.

    :param shape: a JMESPath expression over the answer that gives a list of objects with ``id`` and ``name``.
    :raises Failure: when the backend does not tell them in this shape.
    """
    listed = evaluate(shape, session.get(routes.SMALL_APPS), "`small_apps_shape`")
    if not isinstance(listed, list) or not all(isinstance(item, dict) and isinstance(item.get("id"), str) and item["id"] for item in listed):
        raise Failure(
            f"The backend answered {routes.SMALL_APPS} with no list of small apps at `{shape}`",
            "set `small_apps_shape` to where this release tells them",
            subject=shape,
        )
    return tuple(sorted(SmallApp(item["id"], item["name"] if isinstance(item.get("name"), str) else item["id"]) for item in listed))


def create_small_app(session: Session, app: SmallApp) -> None:
    """Make a small app known to the instance. :raises Failure: when the backend refuses, or makes one with another id."""
    answer = session.post(routes.SMALL_APPS, routes.new_small_app(app.id, app.name))
    made = answer.get("id") if isinstance(answer, dict) else None
    if made != app.id:
        raise Failure(
            f"The backend made a small app {made!r} where {app.id!r} was asked for",
            f"remove {made!r}, and make {app.id!r} in the product first",
            subject=app.id,
        )
