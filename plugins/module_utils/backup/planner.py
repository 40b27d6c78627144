# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is asked for and what is there to the steps of a backup: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ..core.errors import Failure
from ..core.plan import Step
from ..dump.directory import OURS, PARTIAL, VENDORS, Dump
from ..dump.fields import time_text
from ..dump.manifest import INSTANCE
from ..dump.retention import Candidate, candidates, decide
from .request import ABSENT, BackupRequest, Observed, Source

_NEW = "new "  # before the id of a source: no dump is named so


def plan_backup(request: BackupRequest, observed: Observed, now: datetime) -> list[Step]:
    """The steps in the order they are made. :raises Failure: when what is asked for cannot be made or may not be removed."""
    steps = []
    if observed.left_behind:
        steps.append(Step("backend.resume", "resume", "backend that a run which was killed had held still", dict(observed.left_behind), "running"))
    steps.extend(Step(f"proof.remove:{name}", "remove", f"database {name} of a test restore that was killed", "present") for name in observed.left_databases)
    if request.state == ABSENT:
        return [*steps, *_removals(_named(request, observed) if request.names else _outdated(request, observed, now), observed)]
    steps.extend(_creation(request, source) for source in observed.sources)
    return [*steps, *_removals(_outdated(request, observed, now), observed)]


def _creation(request: BackupRequest, source: Source) -> Step:
    after = {
        "databases": list(source.databases),
        "collections": len(source.collections),
        "storage": "all" if source.storage is None else list(source.storage),
        "bytes": source.bytes,
        "consistency": request.consistency,
        "encrypted": bool(request.recipients),
        "verify": request.verify,
    }
    return Step(f"dump.create:{source.id}", "create", f"dump of {source.title} in {request.folder}", None, after)


def _named(request: BackupRequest, observed: Observed) -> list[str]:
    """:raises Failure: when a name is none of a dump here."""
    known = {dump.name: dump for dump in observed.dumps}
    for name in request.names:
        found = known.get(name)
        if "/" in name or (found is not None and found.kind not in (OURS, VENDORS, PARTIAL)):
            raise Failure(f"`{name}` is no dump in {request.folder}", "name the folders of dumps that stand there, without their path", subject=name)
    return [name for name in dict.fromkeys(request.names) if name in known]


def _outdated(request: BackupRequest, observed: Observed, now: datetime) -> list[str]:
    """The dumps that the policy keeps no longer, once the new ones are there."""
    known = candidates(observed.dumps, observed.proven)
    made = [Candidate(_NEW + source.id, now, False, _series(source, observed.instance_id)) for source in observed.sources] if request.state != ABSENT else []
    return list(decide([*known, *made], request.keep, now, [item.name for item in made]).removed)


def _series(source: Source, instance_id: str) -> tuple[str, ...]:
    """What the new dump will be counted with."""
    return (instance_id, source.kind, *(app.id for app in source.apps if source.kind != INSTANCE))


def _removals(names: Iterable[str], observed: Observed) -> list[Step]:
    known = {dump.name: dump for dump in observed.dumps}
    return [Step(f"dump.remove:{name}", "remove", f"dump {name}", _described(known[name]), None) for name in names]


def _described(dump: Dump) -> Mapping[str, Any]:
    if dump.manifest is None:
        return {"kind": dump.kind}
    return {"kind": dump.manifest.kind, "apps": [app.id for app in dump.manifest.apps], "made": time_text(dump.manifest.times.begun)}
