# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a stack: nothing for what is as desired, each difference by its step, in an order that works."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import COMPOSE_NAMES, KINDS
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import StackOptions, define
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.workers import Workers
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.folders import Folder
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.images import Image
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import Step
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import NAMES
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.planner import (
    Desired,
    Observed,
    deployed_images,
    keep_digests,
    plan_stack,
    refuse_version_change,
)
from hypothesis import given, settings
from hypothesis import strategies as st

IMAGES = {kind: Image(f"registry.test/{kind}", "v101.1.0", f"sha256:{number:064x}") for number, kind in enumerate(KINDS)}
SECRETS = {name: f"value-of-{name}" for name in NAMES}
OPTIONS = StackOptions(
    project="toucan",
    services=KINDS,
    frontend_url="https://app.test",
    backend_url="https://api.test",
    directory="/srv/stack",
    storage="/srv/storage",
    database="/srv/mongodb",
    network="toucan",
)


def desire(secrets: dict[str, str] = SECRETS, images: dict[str, Image] = IMAGES, **changes: Any) -> Desired:
    """What a host is to become; the hashes change with whatever compose would hash."""
    options = replace(OPTIONS, mongodb_uri="mongodb://db.test", redis_url="redis://cache.test") if "services" in changes else OPTIONS
    options = replace(options, **changes)
    wanted = {kind: images[kind] for kind in options.services}
    definition = define(options, {kind: str(image) for kind, image in wanted.items()}, secrets, Workers(5, "because"))
    folders = (Folder(options.directory, (0, 0), "0750"), Folder(options.storage, (1000, 1000), "0750"))
    hashes = {name: json.dumps(service, sort_keys=True) for name, service in definition.merged()["services"].items()}
    return Desired(definition, wanted, folders, options.network, hashes)


def container(desired: Desired, kind: str, **changes: Any) -> Container:
    name = COMPOSE_NAMES[kind]
    fresh = Container(
        id=f"id-of-{name}",
        service=name,
        image=str(desired.images[kind]),
        image_id="sha256:0",
        state="running",
        exit_code=0,
        restarts=0,
        created="2026-11-23T12:00:00Z",
        config_hash=desired.hashes[name],
        addresses={"toucan": "172.18.0.2"},
    )
    return replace(fresh, **changes)


def applied(desired: Desired) -> Observed:
    """What stands on a host right after `desired` was applied."""
    return Observed(
        public=desired.definition.public,
        secret=desired.definition.secret,
        files={item.path: True for item in desired.definition.files},
        folders={folder.path: folder for folder in desired.folders},
        containers=tuple(container(desired, kind) for kind in desired.images),
        network=True,
    )


def with_container(observed: Observed, desired: Desired, kind: str, **changes: Any) -> Observed:
    others = tuple(item for item in observed.containers if item.service != COMPOSE_NAMES[kind])
    return replace(observed, containers=(*others, container(desired, kind, **changes)))


def ids(steps: Sequence[Step]) -> list[str]:
    return [step.id for step in steps]


def test_a_bare_host_gets_everything_in_an_order_that_works() -> None:
    desired = desire()
    missing = frozenset(str(image) for image in desired.images.values())
    assert ids(plan_stack(desired, Observed(missing=missing))) == [
        "image.pull:frontend",
        "image.pull:backend",
        "image.pull:mongodb",
        "image.pull:redis",
        "network:toucan",
        "folder:/srv/stack",
        "folder:/srv/storage",
        "file:compose.yaml",
        "file:compose.override.yaml",
        "file:mongodb/password",
        "file:redis/redis.conf",
        "service.create:mongodb",
        "service.create:redis",
        "service.create:backend",
        "service.create:frontend",
    ]


def test_what_was_just_applied_needs_nothing() -> None:
    desired = desire()
    assert plan_stack(desired, applied(desired)) == []


def test_an_image_that_no_registry_was_asked_about_is_still_planned() -> None:
    desired = replace(desire(), images={**IMAGES, "backend": replace(IMAGES["backend"], digest="")})
    assert "image.pull:backend" in ids(plan_stack(desired, Observed()))


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"backend_env": {"TOUCAN_NEW": 1}}, ["file:compose.yaml", "service.recreate:backend"]),
        ({"frontend_env": {"NEW": 1}}, ["file:compose.yaml", "service.recreate:frontend"]),
        ({"backend_secret_env": {"TOUCAN_NEW": 1}}, ["file:compose.override.yaml", "service.recreate:backend"]),
        ({"mail": {"password": "new"}}, ["file:compose.override.yaml", "service.recreate:backend"]),
        (
            {"log_files": 9},
            ["file:compose.yaml", "service.recreate:mongodb", "service.recreate:redis", "service.recreate:backend", "service.recreate:frontend"],
        ),
    ],
)
def test_only_the_services_whose_configuration_changed_are_recreated(changes: dict[str, Any], expected: list[str]) -> None:
    assert ids(plan_stack(desire(**changes), applied(desire()))) == expected


def test_another_image_recreates_its_service_alone() -> None:
    newer = Image("registry.test/redis", "v102.0.0", "sha256:" + "f" * 64)
    desired = desire(images={**IMAGES, "redis": newer})
    observed = replace(applied(desire()), missing=frozenset({str(newer)}))
    steps = plan_stack(desired, observed)
    assert ids(steps) == ["image.pull:redis", "file:compose.yaml", "service.recreate:redis"]
    assert steps[-1].after["because"] == ["image"]
    assert steps[-1].before["image"] == str(IMAGES["redis"])


def test_a_mounted_file_that_differs_is_written_and_its_service_recreated() -> None:
    desired = desire()
    observed = replace(applied(desired), files={"mongodb/password": True, "redis/redis.conf": False}, stale=frozenset({"redis"}))
    steps = plan_stack(desired, observed)
    assert ids(steps) == ["file:redis/redis.conf", "service.recreate:redis"]
    assert (steps[0].action, steps[1].after["because"]) == ("update", ["mounted files"])


def test_a_container_older_than_its_file_is_recreated_after_a_crash() -> None:
    desired = desire()
    assert ids(plan_stack(desired, replace(applied(desired), stale=frozenset({"mongodb"})))) == ["service.recreate:mongodb"]


def test_a_container_of_a_service_that_is_no_longer_here_is_removed_first() -> None:
    desired = desire(services=("backend", "mongodb"))
    observed = replace(applied(desire()), secret=desired.definition.secret)
    steps = [step for step in plan_stack(desired, observed) if step.id.startswith("service")]
    assert ids(steps)[:2] == ["service.remove:frontend", "service.remove:redis"]
    assert all(step.after is None and step.before["state"] == "running" for step in steps[:2])


def test_a_container_that_is_not_ours_is_removed_by_its_compose_name() -> None:
    desired = desire()
    stranger = replace(container(desired, "redis"), service="screenshot")
    observed = applied(desired)
    assert ids(plan_stack(desired, replace(observed, containers=(*observed.containers, stranger)))) == ["service.remove:screenshot"]


@pytest.mark.parametrize("state", ["exited", "created", "dead", "paused"])
def test_a_container_that_does_not_run_is_started(state: str) -> None:
    desired = desire()
    (step,) = plan_stack(desired, with_container(applied(desired), desired, "backend", state=state))
    assert (step.id, step.before["state"], step.after["state"]) == ("service.start:backend", state, "running")


def test_a_container_that_the_engine_restarts_is_left_to_it() -> None:
    desired = desire()
    assert plan_stack(desired, with_container(applied(desired), desired, "backend", state="restarting")) == []


def test_a_container_that_is_gone_is_created() -> None:
    desired = desire()
    observed = applied(desired)
    gone = replace(observed, containers=tuple(item for item in observed.containers if item.service != "mongo"))
    assert ids(plan_stack(desired, gone)) == ["service.create:mongodb"]


def test_a_service_that_was_stopped_on_purpose_is_brought_back_and_the_plan_says_so() -> None:
    desired = desire()
    observed = replace(applied(desired), containers=(), stopped=frozenset({"frontend"}))
    before = {step.id: step.before for step in plan_stack(desired, observed)}
    assert before["service.create:frontend"] == {"state": "stopped on purpose"}
    assert before["service.create:backend"] is None


def test_a_folder_of_another_owner_is_set_right() -> None:
    desired = desire()
    known = Folder("/srv/storage", (0, 0), "0755")
    observed = replace(applied(desired), folders={"/srv/stack": desired.folders[0], "/srv/storage": known})
    (step,) = plan_stack(desired, observed)
    assert (step.id, step.before, step.after) == ("folder:/srv/storage", {"owner": "0:0", "mode": "0755"}, {"owner": "1000:1000", "mode": "0750"})


def test_a_change_of_secrets_shows_names_only() -> None:
    former = desire(backend_secret_env={"OLD": "value-of-old", "KEPT": "value-of-kept", "CHANGED": "value-of-before"})
    latter = desire(backend_secret_env={"KEPT": "value-of-kept", "CHANGED": "value-of-after", "NEW": "value-of-new"})
    step = next(step for step in plan_stack(latter, applied(former)) if step.id == "file:compose.override.yaml")
    assert step.before["OLD"] == "present"
    assert {name: step.after[name] for name in ("OLD", "KEPT", "CHANGED", "NEW")} == {
        "OLD": "removed",
        "KEPT": "unchanged",
        "CHANGED": "new value",
        "NEW": "added",
    }


def test_data_that_would_be_left_behind_stops_the_plan() -> None:
    observed = replace(applied(desire()), populated=frozenset({"/srv/storage"}))
    with pytest.raises(Failure, match="Service backend would start on /srv/elsewhere, which is empty, while its data is in /srv/storage; move the data first"):
        plan_stack(desire(storage="/srv/elsewhere"), observed)


@pytest.mark.parametrize("populated", [{"/srv/storage", "/srv/elsewhere"}, set(), {"/srv/elsewhere"}])
def test_data_that_was_moved_or_never_was_stops_nothing(populated: set[str]) -> None:
    desired = desire(storage="/srv/elsewhere")
    assert "service.recreate:backend" in ids(plan_stack(desired, replace(applied(desire()), populated=frozenset(populated))))


def test_deployed_images_are_known_from_the_compose_file_the_containers_or_the_state() -> None:
    public = desire().definition.public
    other = {kind: replace(image, tag="v1.0.0") for kind, image in IMAGES.items()}
    assert deployed_images(public, (), {}) == IMAGES
    assert deployed_images(public, (), other) == IMAGES
    assert deployed_images(None, applied(desire()).containers, other) == IMAGES
    assert deployed_images(None, (), IMAGES) == IMAGES
    assert deployed_images({"services": None}, (), {}) == {}


def test_a_deployed_digest_is_kept_where_the_same_tag_is_asked_for() -> None:
    wanted = {"backend": Image("registry.test/backend", "v101.1.0"), "redis": Image("registry.test/redis", "8"), "frontend": Image("f", "1")}
    kept = keep_digests(wanted, {"backend": IMAGES["backend"], "redis": IMAGES["redis"]})
    assert kept == {"backend": IMAGES["backend"], "redis": wanted["redis"], "frontend": wanted["frontend"]}


@pytest.mark.parametrize("kind", ["backend", "frontend"])
def test_another_release_over_data_is_refused(kind: str) -> None:
    wanted = {**IMAGES, kind: replace(IMAGES[kind], tag="v102.0.0")}
    sentence = f"has data and runs {kind} v101.1.0, but v102.0.0 is asked for; take a backup, then set"
    with pytest.raises(Failure, match=sentence):
        refuse_version_change(wanted, IMAGES, has_data=True)


def test_another_release_without_data_or_of_a_database_passes() -> None:
    refuse_version_change({**IMAGES, "backend": replace(IMAGES["backend"], tag="v102.0.0")}, IMAGES, has_data=False)
    refuse_version_change({**IMAGES, "redis": replace(IMAGES["redis"], tag="v102.0.0")}, IMAGES, has_data=True)
    refuse_version_change(IMAGES, {}, has_data=False)


def test_another_registry_with_the_same_tag_is_no_other_release() -> None:
    refuse_version_change({**IMAGES, "backend": replace(IMAGES["backend"], name="mirror.test/backend")}, IMAGES, has_data=True)


def test_data_of_an_unknown_release_is_refused() -> None:
    with pytest.raises(Failure, match="no compose file, container or state file tells which release made it; take a backup, then set"):
        refuse_version_change(IMAGES, {}, has_data=True)
    refuse_version_change({"redis": IMAGES["redis"]}, {}, has_data=True)


def test_a_service_with_data_is_not_removed_unless_told() -> None:
    whole = applied(desire())
    fewer = desire(services=("frontend", "redis"))
    observed = replace(whole, populated=frozenset({"/srv/mongodb"}))
    with pytest.raises(Failure, match="Service mongodb runs here and has data, .*`toucan_stack_allow_service_removal: true`"):
        plan_stack(fewer, observed)
    assert "service.remove:mongo" in ids(plan_stack(replace(fewer, allow_service_removal=True), observed))
    assert "service.remove:mongo" in ids(plan_stack(fewer, whole))


def test_a_folder_that_the_state_has_recorded_is_not_left_behind_full() -> None:
    desired = replace(desire(), places={"toucan_stack_database_directory": ("/srv/former", "/srv/mongodb")})
    with pytest.raises(Failure, match="start on /srv/mongodb, which is empty, while its data is in /srv/former; .*`toucan_stack_database_directory`"):
        plan_stack(desired, Observed(populated=frozenset({"/srv/former"})))
    plan_stack(desired, Observed(populated=frozenset({"/srv/former", "/srv/mongodb"})))
    plan_stack(desired, Observed())


def test_a_digest_that_is_asked_for_wins_over_the_deployed_one() -> None:
    pinned = replace(IMAGES["redis"], digest="sha256:" + "9" * 64)
    assert keep_digests({"redis": pinned}, IMAGES) == {"redis": pinned}


# -- what holds for every plan ------------------------------------------------------------------------------------------------

SERVICES = st.lists(st.sampled_from(KINDS), min_size=1, unique=True).map(tuple)
CHANGES = st.fixed_dictionaries(
    {"services": SERVICES},
    optional={
        "storage": st.sampled_from(["/srv/storage", "/srv/other"]),
        "redis_memory_mb": st.integers(1, 3),
        "backend_env": st.dictionaries(st.sampled_from(["A", "B"]), st.text(max_size=3), max_size=2),
        "backend_secret_env": st.dictionaries(st.sampled_from(["S", "T"]), st.sampled_from(["value-of-s", "value-of-t"]), max_size=2),
        "mail": st.sampled_from([{}, {"host": "mail.test", "password": "value-of-mail"}]),
    },
)


@st.composite
def hosts(draw: Any) -> Observed:
    """A host in any state that a run may find it in, by taking away from or spoiling what once was applied."""
    desired = desire(**draw(CHANGES))
    whole = applied(desired)
    kept = []
    for item in whole.containers:
        fate = draw(st.sampled_from(["kept", "gone", "exited", "other image", "other hash"]))
        if fate == "other image":
            kept.append(replace(item, image="registry.test/other:1"))
        elif fate == "other hash":
            kept.append(replace(item, config_hash="other"))
        elif fate != "gone":
            kept.append(replace(item, state="exited") if fate == "exited" else item)
    files: dict[str, bool] = {path: draw(st.booleans()) for path in whole.files if draw(st.booleans())}
    public: Optional[Any] = draw(st.sampled_from([whole.public, None]))
    return replace(
        whole,
        public=public,
        secret=draw(st.sampled_from([whole.secret, None])),
        files=files,
        folders=draw(st.sampled_from([whole.folders, {}])),
        containers=tuple(kept),
        missing=frozenset(draw(st.sets(st.sampled_from([str(image) for image in desired.images.values()])))),
        stale=frozenset(draw(st.sets(st.sampled_from(list(desired.images))))),
        network=draw(st.booleans()),
    )


@given(CHANGES)
def test_a_plan_of_what_was_applied_is_always_empty(changes: dict[str, Any]) -> None:
    desired = desire(**changes)
    assert plan_stack(desired, applied(desired)) == []


@settings(max_examples=200)
@given(CHANGES, hosts())
def test_every_plan_is_ordered_names_each_step_once_and_hides_secrets(changes: dict[str, Any], observed: Observed) -> None:
    desired = desire(**changes)
    steps = plan_stack(desired, observed)
    named = ids(steps)
    assert len(set(named)) == len(named)
    kinds_of_steps = [name.split(":")[0].split(".")[0] for name in named]
    assert kinds_of_steps == sorted(kinds_of_steps, key=["image", "network", "folder", "file", "service"].index)
    started = [name.split(":")[1] for name in named if name.startswith("service.") and not name.startswith("service.remove")]
    assert started == sorted(started, key=["mongodb", "redis", "backend", "frontend"].index)
    assert "value-of" not in json.dumps([(step.before, step.after) for step in steps])
    assert all(step.before != step.after for step in steps)


@given(CHANGES, hosts())
def test_every_plan_leaves_each_wanted_service_running_as_desired(changes: dict[str, Any], observed: Observed) -> None:
    desired = desire(**changes)
    touched = {step.id.partition(":")[2] for step in plan_stack(desired, observed) if step.id.startswith("service.")}
    by_name = {item.service: item for item in observed.containers}
    for kind in desired.images:
        if kind not in touched:
            assert by_name[COMPOSE_NAMES[kind]] == container(desired, kind)
            assert kind not in observed.stale
    assert {name for name in by_name if name not in desired.definition.public["services"]} <= touched
