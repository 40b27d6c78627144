# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine of module ``toucan_backup``."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from ..api.session import Session
from ..api.small_apps import SmallApp, list_small_apps
from ..containers.docker_engine import DockerEngine
from ..core import secrets as kept
from ..core.errors import Failure
from ..core.plan import Step
from ..core.progress import Progress
from ..core.space import require_space
from ..dump import proofs
from ..dump.directory import Dump, find, list_dumps, refuse_inside, remove
from ..dump.encryption import parse_recipients
from ..dump.fields import time_text
from ..dump.manifest import Versions
from ..dump.secrets import DumpSecrets
from ..dump.verify import Report, checksums, structure
from ..mongo.catalog import databases, server_facts
from ..mongo.clients import SILENT_SECONDS
from ..mongo.external import connected
from .consistency import LEASE, PAUSED, Quiet, left_behind
from .instance import Instance, find_instance
from .making import Maker
from .planner import plan_backup
from .proving import PREFIX, Prover, drop
from .request import ABSENT, CHECKSUMS, RESTORE, STRUCTURE, UNPROVEN, BackupRequest, Observed, Source
from .sources import find_sources


class BackupEngine:
    """Observe the instance and the dumps, plan, and make the dumps.

    :param state: the state file.
    :param connect: makes the connection to Docker.
    :param log_in: makes a session with the API of the backend at an address.
    :param collection_version: of the Ansible collection.
    """

    def __init__(
        self,
        request: BackupRequest,
        state: Mapping[str, Any],
        secrets_path: str,
        connect: Callable[[], DockerEngine],
        log_in: Callable[[str], Session],
        collection_version: str,
        progress: Optional[Progress] = None,
        lease: str = LEASE,
    ) -> None:
        self.request = request
        self.warnings: list[str] = []
        self._state = state
        self._secrets_path = secrets_path
        self._connect = connect
        self._log_in = log_in
        self._collection_version = collection_version
        self._progress = progress or Progress()
        self._lease = lease
        self._instance: Optional[Instance] = None
        self._sources: dict[str, Source] = {}
        self._made: list[Dump] = []
        self._reports: dict[str, Report] = {}
        self._verified: dict[str, str] = {}

    @functools.cached_property
    def docker(self) -> DockerEngine:
        return self._connect()

    def secret_values(self) -> list[str]:
        """What no message may show."""
        uri = self._instance.mongodb if self._instance else None
        return [value for value in (uri.password, uri.written_password) if value] if uri else []

    def observe(self) -> Observed:
        self.request.refuse_unusable()
        if self.request.recipients:
            parse_recipients(self.request.recipients)
        dumps = list_dumps(self.request.folder)
        proven, damaged = proofs.proven_names(self.request.folder, dumps)
        self.warnings.extend(damaged)
        found = Observed(self._state.get("instance_id", ""), dumps=dumps, proven=frozenset(proven), left_behind=left_behind(self._lease))
        if self.request.state == ABSENT:
            return found
        instance = self._find()
        sources, left = self._find_sources(instance)
        self._sources = {source.id: source for source in sources}
        # Nobody knows before how far it packs: no less than half of it is counted on.
        packed = sum(source.bytes for source in sources) // 2
        require_space({self.request.folder: packed, self.request.spool_folder: max((source.bytes for source in sources), default=0) // 2})
        return replace(found, sources=sources, left_databases=left)

    def _find(self) -> Instance:
        self._instance = find_instance(self.docker.inspect_containers(), self._state)
        refuse_inside(self.request.folder, [self._instance.storage, *self._database_folder()])
        refuse_inside(self.request.spool_folder, [self._instance.storage, *self._database_folder()])
        return self._instance

    def _database_folder(self) -> list[str]:
        place = (self._state.get("places") or {}).get("database", "")
        return [place] if place.startswith("/") else []

    def _find_sources(self, instance: Instance) -> tuple[Sequence[Source], Sequence[str]]:
        try:
            known: Sequence[SmallApp] = list_small_apps(self._log_in(instance.api_url), self.request.small_apps_shape)
        except Failure as failure:
            if not self.request.instance:
                raise
            # A whole instance can be saved without its backend's help; so it can when that is broken.
            self.warnings.append(f"The small apps are not named in the dump, because they could not be asked for. {failure}")
            known = ()
        naming = replace(self.request.naming, instance_name=instance.name)
        with self._client(instance) as client:
            left = [name for name in databases(client) if name.startswith(PREFIX)]
            return find_sources(self.request, naming, known, client, instance), left

    @contextlib.contextmanager
    def _client(self, instance: Instance) -> Iterator[Any]:
        with connected(instance.mongodb, instance.mongodb_ca, SILENT_SECONDS) as (client, remarks):
            self.warnings.extend(remark for remark in remarks if remark not in self.warnings)
            yield client

    def plan(self, observed: Observed) -> list[Step]:
        return plan_backup(self.request, observed, datetime.now(timezone.utc))

    def apply(self, step: Step) -> None:
        kind, dummy, name = step.id.partition(":")
        actions: dict[str, Callable[[str], None]] = {
            "dump.create": self._create,
            "dump.remove": self._remove,
            "backend.resume": self._resume,
            "proof.remove": self._remove_left,
        }
        actions[kind](name)

    def _create(self, name: str) -> None:
        instance, source = self._instance, self._sources[name]
        if instance is None:
            raise AssertionError("nothing was observed")
        with self._client(instance) as client:
            versions = Versions(self._product_version(), server_facts(client).version, self._collection_version)
            known = kept.read_secrets(self._secrets_path, needed=()) if os.path.exists(self._secrets_path) else {}
            maker = Maker(
                request=self.request,
                client=client,
                storage=instance.storage,
                held=self._held(instance),
                instance_id=str(self._state.get("instance_id", "")),
                versions=versions,
                secret=known.get(kept.ENCRYPTION, ""),
                sealed=self._sealed(instance, known) if self.request.recipients else None,
                progress=self._progress,
            )
            dump = maker.make(source)
            self._made.append(dump)
            self._prove(dump, client)

    def _held(self, instance: Instance) -> Callable[[str], AbstractContextManager[Any]]:
        containers = [instance.backend.name] if instance.backend.running else []
        return Quiet(containers, self.docker, self.request.pause_limit, self._lease).held

    def _product_version(self) -> str:
        return str(((self._state.get("images") or {}).get("backend") or {}).get("version") or "unknown")

    def _sealed(self, instance: Instance, known: Mapping[str, str]) -> DumpSecrets:
        environment = dict(instance.backend.environment)
        return DumpSecrets(str(self._state.get("instance_id", "")), known.get(kept.ENCRYPTION, ""), known.get(kept.JWT, ""), environment)

    def _prove(self, dump: Dump, client: Any) -> None:
        """:raises Failure: when what was just written cannot be read again as it should."""
        how = self.request.verify
        if how == UNPROVEN:
            return
        if self.request.recipients and how != CHECKSUMS:
            self.warnings.append(f"{dump.name} is encrypted, and this host has no key to read it, so only its checksums were verified.")
            how = CHECKSUMS
        self._verified[dump.name] = how
        written = find(dump.path)
        report = self._reports[dump.name] = checksums(written, self._progress)
        if report.sound and how == STRUCTURE:
            report = self._reports[dump.name] = structure(written, progress=self._progress)
        problems: Sequence[str] = report.problems
        if not problems and how == RESTORE:
            proof = Prover(client, self.request.spool_folder, self.request.workers, self._progress).prove(written)
            proofs.record(self.request.folder, proof)
            problems = proof.problems
        if problems:
            raise Failure(
                f"{dump.path} was made and is not sound: {problems[0]}",
                "do not count on it, see that disk and memory of this host are well, and make another",
                subject=dump.path,
                log=tuple(problems),
            )

    def _remove_left(self, name: str) -> None:
        if self._instance is None:
            raise AssertionError("nothing was observed")
        with self._client(self._instance) as client:
            drop(client, name)

    def _remove(self, name: str) -> None:
        remove(os.path.join(self.request.folder, name))
        proofs.forget(self.request.folder, name)

    def _resume(self, dummy: str) -> None:
        lease = left_behind(self._lease)
        running = {container.name: container for container in self.docker.inspect_containers()}
        for name in lease.get("containers", ()):
            container = running.get(name)
            if container is not None and container.state == "paused":
                self.docker.unpause(name)
            elif container is not None and lease.get("mode") != PAUSED and not container.running:
                self.docker.start(name)
        os.unlink(self._lease)

    def report(self, observed: Observed, applied: bool) -> dict[str, Any]:
        return {"dumps": [self._described(dump) for dump in self._made], "missing": self._missing(), "warnings": self.warnings}

    def _described(self, dump: Dump) -> dict[str, Any]:
        known = dump.manifest
        if known is None:
            raise AssertionError("a dump that was just made has a manifest")
        report = self._reports.get(dump.name)
        return {
            "name": dump.name,
            "path": dump.path,
            "kind": known.kind,
            "apps": [app.id for app in known.apps],
            "bytes": sum(fact.size for fact in known.files.values()),
            "documents": sum(collection.count for collection in known.collections),
            "files": known.storage.entries,
            "consistency": known.consistency.reached,
            "held_seconds": known.consistency.paused_seconds,
            "notes": [*known.consistency.notes, *known.storage.left_out, *known.storage.changed, *(report.notes if report else ())],
            "begun": time_text(known.times.begun),
            "ended": time_text(known.times.ended),
            "verified": self._verified.get(dump.name, ""),
        }

    def _missing(self) -> list[str]:
        """What must be kept elsewhere, for a machine that is to be made of the dumps alone."""
        if self.request.state == ABSENT:
            return []
        if self.request.recipients:
            return ["one of the private keys of age that the dumps are encrypted for"]
        return [f"{self._secrets_path}, without which nobody can read what is encrypted in the databases", "the inventory with its vault"]
