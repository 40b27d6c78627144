# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What privileges allow, in the shape that MongoDB's documentation of `connectionStatus` gives them."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.rights import missing_actions

EVERYWHERE = {"db": "", "collection": ""}
# https://www.mongodb.com/docs/manual/reference/built-in-roles/
READ_WRITE = [
    {"resource": EVERYWHERE, "actions": ["collStats", "createCollection", "createIndex", "dropCollection", "dropIndex", "find", "insert", "remove", "update"]},
    {"resource": {"cluster": True}, "actions": ["listDatabases"]},
]
ADMINISTRATION = [{"resource": EVERYWHERE, "actions": ["collMod", "createCollection", "createIndex", "dropCollection", "dropDatabase", "listCollections"]}]


@pytest.mark.parametrize(
    ("privileges", "missing"),
    [
        ([*READ_WRITE, *ADMINISTRATION], ()),
        ([{"resource": {"anyResource": True}, "actions": ["anyAction"]}], ()),
        (READ_WRITE, ("dropDatabase",)),
        ([*READ_WRITE[:1], *ADMINISTRATION], ("listDatabases",)),
        (ADMINISTRATION, ("find", "insert", "update", "remove", "listDatabases")),
        ([], None),
    ],
    ids=["both roles", "everything", "no administration", "no list", "no reading", "not told"],
)
def test_what_is_missing_is_named(privileges: list[dict[str, Any]], missing: Optional[tuple[str, ...]]) -> None:
    assert missing_actions(privileges) == missing


@pytest.mark.parametrize("resource", [{"db": "toucan", "collection": ""}, {"db": "", "collection": "users"}, {"cluster": True}])
def test_rights_on_some_databases_are_none_on_every_one(resource: dict[str, Any]) -> None:
    narrow = [{**privilege, "resource": resource} for privilege in [*READ_WRITE, *ADMINISTRATION]]
    assert "insert" in (missing_actions(narrow) or ())
