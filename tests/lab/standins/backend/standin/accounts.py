# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users of an instance."""

from __future__ import annotations

from typing import Any

from . import secrets
from .config import Config
from .database import InstanceDatabases
from .identity import Dialect

# product-facts 2.1 [S:PUBAPI, FE57]
ROLES = ("USER", "ADMIN", "SUPER_ADMIN")
# product-facts 1.7 [S:RTD, SAAGIE]
SUPERADMIN = "toucantoco"

# product-facts 2.2 [S:PUBAPI]
_PUBLIC_FIELDS = ("username", "roles", "groups", "privileges", "auth_type")


class UserError(ValueError):
    """A user cannot be created as asked."""


def ensure_superadmin(databases: InstanceDatabases, config: Config, dialect: Dialect) -> None:
    """Create the built-in super admin, or give it the password of the environment."""
    users = databases.instance["users"]
    given = config.text("TOUCAN_USER_SUPERADMIN_PASSWORD")
    stored = users.find_one({"_id": SUPERADMIN})
    if stored is None:
        # product-facts 1.7 [S:RTD, SAAGIE]: two defaults are documented, so it is the dialect's
        password = given or dialect.superadmin_password
        users.insert_one(_document(SUPERADMIN, password, ["SUPER_ADMIN"]))
    elif given and not secrets.password_matches(given, stored["password"]):
        # product-facts 1.7 [S:W6D]: the variable sets it; at every boot is [INF]
        update = {"$set": {"password": secrets.hash_password(given)}}
        users.update_one({"_id": SUPERADMIN}, update)


def find(databases: InstanceDatabases, username: str) -> dict[str, Any] | None:
    """The public fields of a user, or None."""
    stored = databases.instance["users"].find_one({"_id": username})
    return None if stored is None else _public(stored)


def list_users(databases: InstanceDatabases) -> list[dict[str, Any]]:
    """The public fields of all users, by name."""
    return [_public(stored) for stored in databases.instance["users"].find().sort("_id")]


def checked_fields(body: dict[str, Any]) -> dict[str, Any]:
    """``username``, ``password``, ``roles``, ``groups``, ``privileges`` and ``auth_type`` of a new user; raise UserError."""
    # product-facts 2.2 [S:PUBAPI]
    defaults = {"roles": ["USER"], "groups": [], "privileges": {}, "auth_type": "local_set_by_admin"}
    fields = defaults | {name: body[name] for name in ("username", "password", *defaults) if name in body}
    for name, expected in {"username": str, "password": str, "auth_type": str, "groups": list, "privileges": dict}.items():
        if not isinstance(fields.get(name), expected):
            raise UserError(f"{name} of the user is missing or no {expected.__name__}")
    roles = fields["roles"]
    if not fields["username"] or not isinstance(roles, list) or any(role not in ROLES for role in roles):
        raise UserError(f"the username is empty, or roles is {roles!r}, not a list of {', '.join(ROLES)}")
    return fields


def create(databases: InstanceDatabases, fields: dict[str, Any]) -> dict[str, Any]:
    """Create a user of ``checked_fields``; raise UserError when it exists."""
    if find(databases, fields["username"]):
        raise UserError(f"user {fields['username']!r} exists")
    document = _document(fields["username"], fields["password"], fields["roles"])
    document |= {name: fields[name] for name in ("groups", "privileges", "auth_type")}
    databases.instance["users"].insert_one(document)
    return _public(document)


def password_is(databases: InstanceDatabases, username: str, password: str) -> bool:
    """True when ``password`` is the one of the existing user ``username``."""
    stored = databases.instance["users"].find_one({"_id": username})
    return stored is not None and secrets.password_matches(password, stored["password"])


def _document(username: str, password: str, roles: list[str]) -> dict[str, Any]:
    return {
        "_id": username,
        "username": username,
        "password": secrets.hash_password(password),
        "roles": roles,
        "groups": [],
        "privileges": {},
    }


def _public(stored: dict[str, Any]) -> dict[str, Any]:
    return {name: stored[name] for name in _PUBLIC_FIELDS if name in stored}
