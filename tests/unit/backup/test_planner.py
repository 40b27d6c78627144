# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.planner import plan_backup
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.request import BackupRequest, Observed, Source
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import manifest
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.directory import FOREIGN, OURS, PARTIAL, VENDORS, Dump
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.retention import Policy

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
INSTANCE_ID = "5f0c6f1e-6a53-4a39-8f0b-6b8f5a1f1c9e"


def app(name: str) -> manifest.App:
    return manifest.App(name, name.title(), f"toucan-{name}", name)


def dump(name: str, days: int, *apps: str) -> Dump:
    """A sound dump of ours, of one small app or of the instance."""
    time = NOW - timedelta(days=days)
    known = manifest.Manifest(
        kind="app" if apps else "instance",
        dump=name,
        instance_id=INSTANCE_ID,
        apps=tuple(app(item) for item in apps),
        versions=manifest.Versions("v101.1.0", "7.0", "0.1.0"),
        consistency=manifest.Consistency("hot", "hot", 0.0),
        times=manifest.Times(time, time, time, time),
        encryption_secret=None,
        encryption=None,
        mongodump=manifest.Mongodump("folder", "dump"),
        files={},
        collections=(),
        storage=manifest.StorageFacts(0, 0, "0" * 64),
    )
    return Dump(f"/dumps/{name}", OURS, known, "0" * 64)


SALES = Source("app", (app("sales"),), ("toucan-sales",), (), ("sales",), 10)
WHOLE = Source("instance", (app("sales"),), ("toucan", "toucan-sales"), (), None, 10)


def plan(observed: Observed, **options: Any) -> list[str]:
    request = BackupRequest(**{"state": "present", "folder": "/dumps", "spool_folder": "/dumps", **options})
    request.refuse_unusable()
    return [step.id for step in plan_backup(request, replace(observed, instance_id=INSTANCE_ID), NOW)]


def test_each_source_becomes_a_dump_and_all_are_kept_where_nothing_else_is_asked() -> None:
    observed = Observed(sources=[SALES, WHOLE], dumps=[dump("old", 900, "sales")])
    assert plan(observed) == ["dump.create:app:sales", "dump.create:instance"]


def test_the_new_dump_counts_among_those_of_its_kind() -> None:
    dumps = [dump("older", 2, "sales"), dump("newer", 1, "sales"), dump("other", 5, "finance"), dump("whole", 9)]
    assert plan(Observed(sources=[SALES], dumps=dumps), keep=Policy(count=2), instance=False) == ["dump.create:app:sales", "dump.remove:older"]


def test_the_newest_proven_one_stays() -> None:
    dumps = [dump("proven", 3, "sales"), dump("newer", 1, "sales")]
    observed = Observed(sources=[SALES], dumps=dumps, proven=frozenset({"proven"}))
    assert plan(observed, keep=Policy(count=1), instance=False) == ["dump.create:app:sales", "dump.remove:newer"]


def test_a_backend_that_a_killed_run_left_still_goes_on_first() -> None:
    observed = Observed(sources=[WHOLE], left_behind={"mode": "paused", "containers": ["a"]})
    assert plan(observed) == ["backend.resume", "dump.create:instance"]


def test_databases_of_a_test_restore_that_was_killed_go_first() -> None:
    assert plan(Observed(sources=[WHOLE], left_databases=["toucan-proof-1-0"])) == ["proof.remove:toucan-proof-1-0", "dump.create:instance"]


def test_a_removal_makes_nothing_and_takes_what_is_named() -> None:
    dumps = [dump("a", 1), Dump("/dumps/b", VENDORS), Dump("/dumps/c.partial", PARTIAL), dump("d", 2)]
    names = ("a", "b", "c.partial", "a", "gone")
    assert plan(Observed(dumps=dumps), state="absent", names=names) == ["dump.remove:a", "dump.remove:b", "dump.remove:c.partial"]
    assert plan(Observed(dumps=dumps), state="absent", keep=Policy(count=1)) == ["dump.remove:d"]
    assert plan(Observed(dumps=dumps), state="absent") == []


@pytest.mark.parametrize("name", ["notes.txt", "../dumps/a", "/dumps/a"])
def test_what_is_no_dump_is_not_removed(name: str) -> None:
    observed = Observed(dumps=[Dump("/dumps/notes.txt", FOREIGN)])
    with pytest.raises(Failure, match=f"`{name}` is no dump in /dumps; name the folders of dumps"):
        plan(observed, state="absent", names=(name,))


def test_the_step_says_what_will_be_read() -> None:
    request = BackupRequest("present", "/dumps", "/spool", consistency="paused", recipients=("age1",))
    (step,) = plan_backup(request, Observed(sources=[WHOLE]), NOW)
    assert (step.action, step.object, step.before) == ("create", "dump of the whole instance in /dumps", None)
    assert step.after == {
        "databases": ["toucan", "toucan-sales"],
        "collections": 0,
        "storage": "all",
        "bytes": 10,
        "consistency": "paused",
        "encrypted": True,
        "verify": "structure",
    }
