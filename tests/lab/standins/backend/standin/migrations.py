# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrations: run at boot, remembered in collection ``migrations``, refused when unknown."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .identity import Release

_log = logging.getLogger(__name__)

SLOW_BOOT_SECONDS = 25


class MigrationError(Exception):
    """A migration failed, or the data was written by a newer release."""


@dataclass(frozen=True)
class Migration:
    """One step of the data, in releases of major ``since`` and newer."""

    name: str
    since: int
    apply: Callable[[Any], None]


def _create_settings(instance: Any) -> None:
    # product-facts 4 [S:FE57, DOCACC, FAQ]: array `auth_providers`; a local one to begin with [INF]
    local = {"id": "local", "name": "Toucan Toco", "type": "local", "icon": "user", "discrete": False}
    instance["settings"].update_one(
        {"_id": "instance"},
        {"$setOnInsert": {"settings": {"auth_providers": [local]}}},
        upsert=True,
    )


def _name_auth_type(instance: Any) -> None:
    # product-facts 2.2 [S:PUBAPI]: `auth_type` of a user; that v101 brought it is [GUESS]
    instance["users"].update_many({"auth_type": {"$exists": False}}, {"$set": {"auth_type": "local_set_by_admin"}})


def _always_fail(instance: Any) -> None:
    # product-facts 7 [S:DOC04, LAPDOC]: a bad migration leaves the backend in a restart loop
    raise MigrationError(f"database {instance.name} holds a document this migration cannot read")


MIGRATIONS = (
    Migration("20220127_create_settings", 100, _create_settings),
    Migration("20260924_name_auth_type", 101, _name_auth_type),
)
_BROKEN = Migration("20261103_unreadable_document", 101, _always_fail)


def migrations_of(release: Release) -> tuple[Migration, ...]:
    """The migrations that ``release`` carries, in order."""
    carried = tuple(step for step in MIGRATIONS if step.since <= release.major)
    return carried + ((_BROKEN,) if release.behaviour == "migration_fails" else ())


def unknown_migrations(applied: Collection[str], carried: Sequence[Migration]) -> list[str]:
    """Names the data remembers and the release does not have: the data is newer."""
    return sorted(set(applied) - {step.name for step in carried})


def applied_migrations(instance: Any) -> set[str]:
    """Names in collection ``migrations``."""
    # product-facts 3.1 [S:LAPDOC]
    return {document["_id"] for document in instance["migrations"].find()}


def migrate(instance: Any, release: Release) -> None:
    """Apply what is missing; raise MigrationError."""
    # product-facts 7 [S:DOC04, LAPDOC]: all migrations run by themselves when the backend boots
    carried = migrations_of(release)
    applied = applied_migrations(instance)
    unknown = unknown_migrations(applied, carried)
    if unknown:
        # product-facts 7 [S:DOC04]: going back needs the backup, not just the old tag [INF]
        raise MigrationError(f"the data was migrated by a newer release than {release.version}: {', '.join(unknown)}")
    if release.behaviour == "slow":
        _log.info("a long migration runs")
        time.sleep(SLOW_BOOT_SECONDS)
    for step in carried:
        if step.name not in applied:
            _apply(instance, step, release)


def _apply(instance: Any, step: Migration, release: Release) -> None:
    try:
        step.apply(instance)
    except MigrationError as error:
        raise MigrationError(f"migration {step.name} of {release.version} failed: {error}") from error
    instance["migrations"].update_one(
        {"_id": step.name},
        {"$set": {"version": release.version, "applied_at": datetime.now(timezone.utc)}},
        upsert=True,
    )
    _log.info("migration %s applied", step.name)
