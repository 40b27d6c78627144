# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the data of a small app and of the whole instance stand."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..core.errors import Failure

INSTANCE = "{instance_name}"  # in a pattern: the instance's name [OURS]
APP = "{app}"  # in a pattern: the id of a small app [OURS]
APP_DATABASE = "{instance_name}-{app}"  # each small app has a database of its own, by a prefix and its id [S:LAPDOC; GUESS]
APP_STORAGE = "{app}"  # its folder below the storage folder [GUESS]
MIGRATIONS = "migrations"  # a collection that only the instance's own database has [S:LAPDOC]

_PATTERN_OPTION = "`app_database`"  # [OURS]
_STORAGE_OPTION = "`app_storage`"  # [OURS]
_INSTANCE_OPTION = "`instance_database`"  # [OURS]


@dataclass(frozen=True)
class Naming:
    """How an instance names what belongs to its small apps.

    :param database: pattern of a small app's database, ``storage`` that of its folder below the storage folder.
    :param instance_name: what ``{instance_name}`` stands for.
    :param instance_database: the instance's own database; empty where it is to be found.
    """

    instance_name: str
    database: str = APP_DATABASE
    storage: str = APP_STORAGE
    instance_database: str = ""

    def refuse_unusable(self) -> None:
        """:raises Failure: when a pattern does not tell one small app from another."""
        for pattern, option in ((self.database, _PATTERN_OPTION), (self.storage, _STORAGE_OPTION)):
            unknown = [name for name in re.findall(r"\{[^{}]*\}", pattern) if name not in (INSTANCE, APP)]
            if unknown or pattern.count(APP) != 1:
                remedy = f"use {APP}, and {INSTANCE} where it is part of the name"
                raise Failure(f"{option} is `{pattern}`, which does not hold {APP} once", remedy, subject=pattern)
        if any(part in ("", ".", "..") for part in self.storage.split("/")):
            problem = f"{_STORAGE_OPTION} is `{self.storage}`, which is no folder below the storage folder"
            raise Failure(problem, f"write it as `folder/{APP}`", subject=self.storage)

    def database_of(self, app: str) -> str:
        """The database of a small app."""
        return self._filled(self.database, app)

    def storage_of(self, app: str) -> str:
        """The folder of a small app, relative to the storage folder."""
        return self._filled(self.storage, app)

    def _filled(self, pattern: str, app: str) -> str:
        return pattern.replace(INSTANCE, self.instance_name).replace(APP, app)


def app_databases(naming: Naming, apps: Collection[str], databases: Collection[str]) -> dict[str, str]:
    """The database of each small app by its id: as the pattern says where any is named so, else behind the one prefix that fits all.

    A small app that nothing was written to yet has no database, which is as good as an empty one: it is then named by the pattern.

    :param apps: all that the instance knows, so that a prefix is told from the beginning of an id.
    :param databases: all that the server lists, but for its own.
    :raises Failure: when several prefixes would fit.
    """
    wanted = {app: naming.database_of(app) for app in apps}
    if any(name in databases for name in wanted.values()):
        return wanted
    found = {app: prefixes for app in apps if (prefixes := _prefixes(app, databases))}
    if not found:
        return wanted
    common = set.intersection(*found.values())
    if len(common) != 1:
        app = min(found)
        raise Failure(
            f"Small app {app} has no database {wanted[app]}, and {' and '.join(sorted(prefix + app for prefix in found[app]))} might be its own",
            f"set {_PATTERN_OPTION} to how this instance names them",
            subject=app,
        )
    prefix = common.pop()
    return {app: prefix + app for app in apps}


def _prefixes(app: str, databases: Iterable[str]) -> set[str]:
    """What stands, ending in a sign, before the id in the names of databases that end in it."""
    behind = re.compile(rf"(.*[^0-9A-Za-z]){re.escape(app)}", re.DOTALL)
    return {match[1] for name in databases if (match := behind.fullmatch(name))}


def instance_database(naming: Naming, collections: Mapping[str, Collection[str]]) -> str:
    """The instance's own database: the one that the option names, else the only one that keeps the state of migrations.

    :param collections: names by database, without the server's own and those of small apps.
    :raises Failure: when none is found, or several are.
    """
    if naming.instance_database:
        if naming.instance_database not in collections:
            raise Failure(f"The server has no database {naming.instance_database}", f"correct {_INSTANCE_OPTION}", subject=naming.instance_database)
        return naming.instance_database
    found = sorted(name for name, names in collections.items() if MIGRATIONS in names)
    if len(found) == 1:
        return found[0]
    told = f"{' and '.join(found)} each have" if found else "no database of this server has"
    raise Failure(f"The instance's own database is not known: {told} a collection {MIGRATIONS}", f"name it in {_INSTANCE_OPTION}", subject=MIGRATIONS)
