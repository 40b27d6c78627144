# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of ``toucan_backup`` is asked for, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..contract.apps import Naming
from ..core.errors import Failure
from ..dump.directory import Dump
from ..dump.manifest import APP, INSTANCE, App
from ..dump.retention import Policy
from ..mongo.catalog import CollectionInfo
from .consistency import HOT

PRESENT = "present"
ABSENT = "absent"
STATES = (PRESENT, ABSENT)
UNPROVEN = "none"
CHECKSUMS = "checksums"
STRUCTURE = "structure"
RESTORE = "restore"
READINGS = (UNPROVEN, CHECKSUMS, STRUCTURE)
PROOFS = (*READINGS, RESTORE)


@dataclass(frozen=True)
class BackupRequest:
    """Everything a run was asked for.

    :param instance: the whole instance as one dump; else each of ``apps`` (ids), or of all where none is named.
    :param names: dumps to remove.
    :param pause_limit: seconds.
    :param other_backends: hosts whose backends this run cannot hold still.
    :param recipients: public keys of age.
    :param workers: 0 for one per CPU.
    :param app_database: pattern of a small app's database, ``app_storage`` that of its folder.
    """

    state: str
    folder: str
    spool_folder: str
    instance: bool = True
    apps: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    consistency: str = HOT
    pause_limit: float = 300.0
    other_backends: tuple[str, ...] = ()
    layout: str = "folder"
    workers: int = 0
    recipients: tuple[str, ...] = ()
    verify: str = STRUCTURE
    keep: Policy = field(default_factory=Policy)
    naming: Naming = field(default_factory=lambda: Naming(""))
    small_apps_shape: str = ""

    def refuse_unusable(self) -> None:
        """:raises Failure: when the options contradict each other."""
        self.naming.refuse_unusable()
        if self.instance and self.apps:
            raise Failure("`apps` names small apps, and `instance` asks for the whole instance", "set `instance: false`", subject=", ".join(self.apps))
        if self.names and self.state == PRESENT:
            raise Failure("`names` names dumps, and `state: present` makes new ones", "set `state: absent` to remove them", subject=", ".join(self.names))
        if self.pause_limit <= 0:
            raise Failure(f"`pause_limit` is {self.pause_limit:g}", "write the seconds that the backend may be still, 1 or more", subject="pause_limit")
        if self.workers < 0:
            raise Failure(f"`workers` is {self.workers}", "write 1 or more, or leave it out", subject="workers")


@dataclass(frozen=True)
class Source:
    """What becomes one dump.

    :param apps: the small apps in it.
    :param collections: of all its databases, with the bytes that the server tells of each.
    :param storage: names of folders below the storage folder; ``None`` for all that is there.
    :param storage_bytes: of files.
    """

    kind: str
    apps: tuple[App, ...]
    databases: tuple[str, ...]
    collections: tuple[CollectionInfo, ...]
    storage: Any
    storage_bytes: int

    @property
    def id(self) -> str:
        """``app:sales`` or ``instance``."""
        return f"{APP}:{self.apps[0].id}" if self.kind == APP else INSTANCE

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"small app {self.apps[0].id}" if self.kind == APP else "the whole instance"

    @property
    def bytes(self) -> int:
        """Of documents and files, before they are packed."""
        return sum(info.size for info in self.collections) + self.storage_bytes


@dataclass(frozen=True)
class Observed:
    """What a run finds.

    :param dumps: all that stands in the folder.
    :param proven: names of those that were proven.
    :param left_databases: of test restores that were killed.
    :param left_behind: the lease of a run that was killed while it held the backend still.
    """

    instance_id: str = ""
    sources: Sequence[Source] = ()
    dumps: Sequence[Dump] = ()
    proven: frozenset[str] = frozenset()
    left_databases: Sequence[str] = ()
    left_behind: Mapping[str, Any] = field(default_factory=dict)
