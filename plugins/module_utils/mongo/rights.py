# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user of MongoDB may do, from what the server tells of it: pure.

Names of actions: https://www.mongodb.com/docs/manual/reference/privilege-actions/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

# What readWriteAnyDatabase and dbAdminAnyDatabase allow, and a product that makes, fills and drops databases cannot do without.
ON_ANY_DATABASE = ("find", "insert", "update", "remove", "createCollection", "createIndex", "dropCollection", "dropDatabase")
ON_THE_SERVER = ("listDatabases",)
_ANY_ACTION = "anyAction"


def missing_actions(privileges: Sequence[Mapping[str, Any]]) -> Optional[tuple[str, ...]]:
    """The needed actions that privileges do not allow; None where the server tells none, as one without access control or of another make.

    :param privileges: ``authInfo.authenticatedUserPrivileges`` of command ``connectionStatus``.
    """
    if not privileges:
        return None
    everywhere = _allowed(privileges, lambda resource: resource.get("db") == "" and resource.get("collection") == "")
    server = _allowed(privileges, lambda resource: bool(resource.get("cluster")))
    return (*_lacking(ON_ANY_DATABASE, everywhere), *_lacking(ON_THE_SERVER, server))


def _allowed(privileges: Iterable[Mapping[str, Any]], fits: Any) -> set[str]:
    found = (privilege for privilege in privileges if fits(privilege["resource"]) or privilege["resource"].get("anyResource"))
    return {action for privilege in found for action in privilege["actions"]}


def _lacking(needed: Iterable[str], allowed: set[str]) -> list[str]:
    return [] if _ANY_ACTION in allowed else [action for action in needed if action not in allowed]
