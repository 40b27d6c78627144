# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of starting, stopping, restarting and removing: pure, from (request, observed) to steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Optional

from ..containers.docker_engine import Container
from ..contract.services import BACKEND, COMPOSE_NAMES, MONGODB, REDIS
from ..contract.stack import COMPOSE_FILE
from ..core.errors import Failure
from ..core.plan import Step
from ..core.state import STOPPED_ON_PURPOSE
from .request import ABSENT, RESTARTED, START_ORDER, STARTED, STOP_ORDER, STOPPED, Network, Observed, ServiceRequest

_KINDS = {name: kind for kind, name in COMPOSE_NAMES.items()}


def plan_services(request: ServiceRequest, observed: Observed) -> list[Step]:
    """:raises Failure: when what is asked cannot be done on this host, or would lose more than was asked for."""
    refuse_unknown(request, observed)
    plans = {STARTED: _plan_start, STOPPED: _plan_stop, RESTARTED: _plan_restart, ABSENT: _plan_removal}
    return plans[request.state](request, observed)


def refuse_unknown(request: ServiceRequest, observed: Observed) -> None:
    """:raises Failure: when the host has no stack of this collection, or not the services that are named."""
    _refuse_not_ours(observed)
    if request.state == ABSENT:
        if request.services:
            raise Failure("`absent` removes all that the stack has on this host, and services are named", "leave `services` out, or use `stopped`")
        return
    if observed.recorded is None:
        raise Failure(
            f"No stack is known on this host: there is no state file {request.state_path}",
            "run site.yml, or adopt.yml for a stack that was not made by this collection",
            subject=request.state_path,
        )
    unknown = [kind for kind in request.services if kind not in observed.known]
    if unknown:
        raise Failure(
            f"This host does not run {', '.join(unknown)}: site.yml deployed {', '.join(observed.known) or 'nothing'} here",
            "correct `toucan_services`, or run site.yml with the group of the service first",
            subject=unknown[0],
        )
    if not observed.known and request.state != STOPPED:
        raise Failure("site.yml has deployed nothing on this host", "run site.yml first", subject=request.state_path)


def _refuse_not_ours(observed: Observed) -> None:
    """:raises Failure: where the containers come from another compose file than this collection's, which could not bring them back."""
    recorded = observed.recorded or {}
    if recorded.get("adopted") and not observed.definitions and set(observed.known) - observed.stopped:
        files = ", ".join(recorded["adopted"].get("compose_files") or ()) or "the commands that made its containers"
        raise Failure(
            "This stack was adopted, and site.yml has not taken it over yet",
            f"run site.yml first, or go on with {files}",
            subject=str(recorded.get("instance_id", "")),
        )


def selected(request: ServiceRequest, observed: Observed) -> tuple[str, ...]:
    """The kinds that a run is about. A restart of all leaves alone what was stopped on purpose."""
    if request.services:
        return request.services
    return tuple(kind for kind in observed.known if request.state != RESTARTED or kind not in observed.stopped)


def needed_by(kinds: Collection[str], definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Services of the same project that compose starts along with ``kinds``, each with the one that needs it."""
    needs = [(_KINDS.get(name, ""), kind) for kind in kinds for name in definitions.get(kind, {}).get("depends_on") or ()]
    return {needed: kind for needed, kind in needs if needed and needed not in kinds}


def _plan_stop(request: ServiceRequest, observed: Observed) -> list[Step]:
    kinds = selected(request, observed)
    if request.keep_containers:
        return _halts(kinds, observed)
    return [*_removals(kinds, observed), *_record(request, observed, observed.stopped | set(kinds))]


def _plan_start(request: ServiceRequest, observed: Observed) -> list[Step]:
    kinds = selected(request, observed)
    steps = _starts(kinds, observed, halted=())
    return [*steps, *_record(request, observed, observed.stopped - set(kinds) - set(needed_by(kinds, observed.definitions)))]


def _plan_restart(request: ServiceRequest, observed: Observed) -> list[Step]:
    kinds = selected(request, observed)
    steps = [*_halts(kinds, observed), *_starts(kinds, observed, halted=kinds)]
    return [*steps, *_record(request, observed, observed.stopped - set(kinds) - set(needed_by(kinds, observed.definitions)))]


def _halts(kinds: Collection[str], observed: Observed) -> list[Step]:
    live = [kind for kind in STOP_ORDER if kind in kinds and is_up(observed.containers.get(kind))]
    return [Step(f"service.stop:{kind}", "stop", f"service {kind}", _shown(observed.containers[kind]), {"state": "exited"}) for kind in live]


def _removals(kinds: Collection[str], observed: Observed) -> list[Step]:
    there = [kind for kind in STOP_ORDER if kind in kinds and kind in observed.containers]
    return [Step(f"service.remove:{kind}", "remove", f"service {kind}", _shown(observed.containers[kind]), None) for kind in there]


def _starts(kinds: Collection[str], observed: Observed, halted: Collection[str]) -> list[Step]:
    """:param halted: kinds that the same plan has stopped before."""
    needed = needed_by(kinds, observed.definitions)
    steps = []
    for kind in START_ORDER:
        if kind in kinds or kind in needed:
            because = f"{needed[kind]} needs it" if kind in needed else ""
            steps.extend(_start(kind, observed, kind in halted, because))
    return steps


def _start(kind: str, observed: Observed, halted: bool, because: str) -> list[Step]:
    container = observed.containers.get(kind)
    _refuse_unstartable(kind, observed)
    after = {"state": "running", **({"because": because} if because else {})}
    if container is None:
        before = {"state": STOPPED_ON_PURPOSE} if kind in observed.stopped else None
        return [Step(f"service.create:{kind}", "create", f"service {kind}", before, {"image": observed.definitions[kind]["image"], **after})]
    if halted or not (container.running or container.state == "restarting"):
        return [Step(f"service.start:{kind}", "start", f"service {kind}", _shown(container), after)]
    return []


def _refuse_unstartable(kind: str, observed: Observed) -> None:
    if kind not in observed.definitions:
        raise Failure(f"No {COMPOSE_FILE} on this host says how to run {kind}", "run site.yml, which writes it", subject=kind)
    if kind in observed.missing and kind not in observed.containers:
        image = observed.definitions[kind]["image"]
        raise Failure(f"Service {kind} cannot be started: its image {image} is not on this host", "run site.yml, which fetches it", subject=image)


def _record(request: ServiceRequest, observed: Observed, stopped: Collection[str]) -> list[Step]:
    """The step that keeps in the state file what is stopped on purpose."""
    before, after = sorted(observed.stopped), sorted(kind for kind in stopped if kind in observed.known)
    return [Step(f"state:{request.state_path}", "update", request.state_path, {"stopped": before}, {"stopped": after})] if before != after else []


def _shown(container: Container) -> dict[str, Any]:
    return {"image": container.image, "state": container.state}


def is_up(container: Optional[Container]) -> bool:
    """Whether there is a container with processes in it."""
    return container is not None and container.state in ("running", "restarting", "paused")


# -- removal --------------------------------------------------------------------------------------------------------------


def _plan_removal(request: ServiceRequest, observed: Observed) -> list[Step]:
    if observed.recorded is None:
        return []
    if request.remove_data:
        _refuse_unconfirmed(request, observed)
        _refuse_unsafe(observed)
    # Another stack may have a project of the usual name on a host that this collection has only prepared.
    steps = _removals({*observed.known, *observed.definitions}, observed)
    network = observed.leavings.network
    if network and removable(network):
        steps.append(Step(f"network.remove:{network.name}", "remove", f"network {network.name}", {"driver": "bridge"}, None))
    steps.extend(
        Step(f"config.remove:{item.folder}", "remove", f"configuration in {item.folder}", list(item.files), None)
        for item in observed.leavings.configurations
        if item.files
    )
    return [*steps, *(_data_steps(request, observed) if request.remove_data else _record(request, observed, observed.known))]


def removable(network: Network) -> bool:
    """Whether a network was made by this collection and nobody else is on it."""
    return network.ours and not network.others


def _data_steps(request: ServiceRequest, observed: Observed) -> list[Step]:
    """Data first and the state last, so that a run that died in the middle can be confirmed and finished by the next."""
    steps = [
        Step(f"data.remove:{place.where}", "remove", f"{place.what} in {place.where}", "content not shown", None)
        for place in observed.leavings.places
        if place.populated
    ]
    if observed.leavings.secrets and not secrets_stay(observed):
        steps.append(Step(f"secrets.remove:{request.secrets_path}", "remove", request.secrets_path, "content not shown", None))
    return [*steps, Step(f"state.remove:{request.state_path}", "remove", request.state_path, dict(observed.recorded or {}), None)]


def secrets_stay(observed: Observed) -> bool:
    """Whether a database that is not on this host may hold what the secrets encrypted."""
    return BACKEND in observed.known and MONGODB not in observed.known


def _refuse_unconfirmed(request: ServiceRequest, observed: Observed) -> None:
    instance = (observed.recorded or {})["instance_id"]
    if request.confirm != instance:
        given = f"confirmed for {request.confirm}" if request.confirm else "not confirmed"
        raise Failure(
            f"Removing the data of instance {instance} is {given}",
            f"set `toucan_remove_confirm: {instance}` if that is the one to lose, or leave out `toucan_remove_data`",
            subject=instance,
        )


def _refuse_unsafe(observed: Observed) -> None:
    for place in observed.leavings.places:
        if place.fault:
            raise Failure(
                f"The {place.what} in {place.where} cannot be removed: {place.fault}",
                "run without `toucan_remove_data`, and remove by hand what may go",
                subject=place.where,
            )


def kept(request: ServiceRequest, observed: Observed) -> list[dict[str, str]]:
    """What a removal leaves on the host, each with ``what`` and ``where``."""
    if observed.recorded is None:
        return []
    leavings = observed.leavings
    lines = []
    if not request.remove_data:
        lines += [(place.what, place.where) for place in leavings.places if place.populated]
    if leavings.secrets and not request.remove_data:
        lines.append(("secrets", request.secrets_path))
    elif leavings.secrets and secrets_stay(observed):
        lines.append(("secrets, because the database is not on this host", request.secrets_path))
    if not request.remove_data:
        lines.append(("state with the instance id", request.state_path))
    lines += [("files that others wrote", path) for item in leavings.configurations for path in item.others]
    if leavings.network and not removable(leavings.network):
        lines.append((_why_it_stays(leavings.network), leavings.network.name))
    lines += [("image", image) for image in leavings.images]
    return [{"what": what, "where": where} for what, where in lines]


def _why_it_stays(network: Network) -> str:
    return f"network, because {', '.join(network.others)} use it" if network.others else "network, because it was not made by this collection"


def warnings(request: ServiceRequest, observed: Observed) -> list[str]:
    """What is no error, but should be known."""
    if request.state != STOPPED or not is_up(observed.containers.get(BACKEND)) or BACKEND in selected(request, observed):
        return []
    gone = [kind for kind in (MONGODB, REDIS) if kind in selected(request, observed)]
    return [f"The backend goes on running without {' and '.join(gone)}, and will answer with errors."] if gone else []
