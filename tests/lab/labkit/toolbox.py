# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for the vendor's toolbox: images in the registry, and no container, as it runs when somebody calls it."""

from __future__ import annotations

import json

from . import registry
from .names import REGISTRY, STANDINS

WHAT = "the stand-in of the toolbox (images in the registry: it runs when somebody calls it)"
LAYERS = ("debian",)


def ensure(images: dict[str, str]) -> None:
    """Build and push what is missing, on the first of ``images``."""
    registry.push_standins(images["debian"], "toolbox")


def facts() -> dict[str, object]:
    """By dialect: name of the image without tag, its command of an export, and the variables it reads."""
    return {dialect: _told(dialect) for dialect in ("a", "b")}


def _told(dialect: str) -> dict[str, object]:
    answers = json.loads((STANDINS / "dialects" / f"{dialect}.json").read_text(encoding="utf-8"))
    return {
        "image": f"{REGISTRY}/{answers['toolbox_image']}",
        "export_command": answers["toolbox_export_command"],
        "small_apps_variable": answers["toolbox_small_apps_variable"],
        "mongodb_variables": answers["toolbox_mongodb_variables"],
    }
