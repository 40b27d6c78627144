# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an instance becomes which dump: its databases and folders, found through the contract."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional

from ..api.small_apps import SmallApp
from ..contract.apps import Naming, app_databases, instance_database
from ..core.errors import Failure
from ..dump.manifest import APP, INSTANCE, App
from ..dump.storage import measure_storage
from ..mongo.catalog import databases, describe
from .instance import Instance
from .proving import PREFIX
from .request import BackupRequest, Source

# Of the server itself (https://www.mongodb.com/docs/manual/reference/local-database/ and its neighbours).
_SERVERS_OWN = ("admin", "config", "local")


def find_sources(request: BackupRequest, naming: Naming, known: Sequence[SmallApp], client: Any, instance: Instance) -> tuple[Source, ...]:
    """The dumps to make.

    :param known: the small apps of the instance.
    :param client: of MongoDB.
    :raises Failure: when a small app is not known, or what is its own cannot be told.
    """
    there = [name for name in databases(client) if name not in _SERVERS_OWN and not name.startswith(PREFIX)]
    own = app_databases(naming, [app.id for app in known], there)
    apps = [App(app.id, app.name, own[app.id], _folder(naming, instance, app.id)) for app in known]
    if request.instance:
        names = there if instance.mongodb_is_own else _of_this_instance(naming, own, there, client)
        return (_source(INSTANCE, apps, names, None, client, instance),)
    return tuple(_source(APP, [app], [app.database], [app.storage] if app.storage else [], client, instance) for app in _chosen(request, apps))


def _chosen(request: BackupRequest, apps: Sequence[App]) -> Sequence[App]:
    if not request.apps:
        return apps
    by_id = {app.id: app for app in apps}
    unknown = [name for name in request.apps if name not in by_id]
    if unknown:
        raise Failure(
            f"The instance knows no small app {', '.join(unknown)}, but {', '.join(by_id) or 'none at all'}", "name small apps by their id", subject=unknown[0]
        )
    return [by_id[name] for name in dict.fromkeys(request.apps)]


def _of_this_instance(naming: Naming, own: Mapping[str, str], there: Collection[str], client: Any) -> list[str]:
    """The databases of this instance on a server that others may use, too."""
    rest = {name: [info.namespace.collection for info in describe(client, name)] for name in there if name not in own.values()}
    return sorted({instance_database(naming, rest), *(name for name in own.values() if name in there)})


def _folder(naming: Naming, instance: Instance, app: str) -> str:
    """The folder of a small app below the storage, empty where it has none yet."""
    name = naming.storage_of(app)
    return name if os.path.isdir(os.path.join(instance.storage, name)) else ""


def _source(kind: str, apps: Sequence[App], names: Sequence[str], storage: Optional[Sequence[str]], client: Any, instance: Instance) -> Source:
    collections = [info for name in names for info in describe(client, name)]
    dummy, size = measure_storage(instance.storage, storage)
    return Source(kind, tuple(apps), tuple(names), tuple(collections), storage, size)
