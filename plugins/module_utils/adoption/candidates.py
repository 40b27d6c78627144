# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers of a host are a stack of the product: pure, from containers in detail and what they answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable

from ..containers.inspection import Inspected, neighbour
from ..contract.releases import is_vendors, product_kind
from ..contract.services import BACKEND, KINDS, MONGODB, PRODUCT_REPOSITORIES, REDIS
from ..contract.wiring import database_host, redis_host
from ..core.errors import Failure

# Asks a container of this kind which version it is; empty where it does not tell.
Ask = Callable[[str, Inspected], str]
_NAME_THEM = "name the containers in `toucan_adopt_containers`"


@dataclass(frozen=True)
class Choice:
    """What an administrator said of the stack to take: a compose project, or containers by kind; both may be empty."""

    project: str = ""
    containers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A stack that stands: its containers by kind; ``project`` is empty where compose did not make it.

    ``versions`` are those that the product's containers answered, by kind.
    """

    project: str
    containers: Mapping[str, Inspected]
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """How it is named to people."""
        names = " and ".join(container.name for container in self.containers.values())
        return f"compose project {self.project}" if self.project else f"{names}, which no compose project holds"


def find_stack(containers: Sequence[Inspected], choice: Choice, ask: Ask) -> Candidate:
    """The one stack of the product among ``containers``, with the databases that its backend names.

    :raises Failure: when there is none, several, or one that has two containers of a kind.
    """
    if choice.containers:
        stack = _named(containers, choice.containers, ask)
    else:
        stack = _only(_candidates(containers, choice.project, ask), containers, choice.project)
    versions = {kind: ask(kind, container) for kind, container in stack.containers.items() if kind in PRODUCT_REPOSITORIES and container.running}
    return Candidate(stack.project, {**_databases(stack, containers), **stack.containers}, versions)


def refuse_half(stack: Candidate, wanted: Iterable[str]) -> None:
    """:raises Failure: when a service that this host is asked to run has no container in the stack, or one that does not run or answer."""
    for kind in wanted:
        container = stack.containers.get(kind)
        if container is None:
            raise Failure(f"Only half of the stack is here: {stack.title} has no container of {kind}", _remedy_for_missing(kind, stack), subject=kind)
        if not container.running:
            raise Failure(
                f"Only half of the stack runs: container {container.name} of {kind} is {container.state}",
                "start it, see that the product works, and adopt it then",
                subject=container.name,
            )
        if kind in PRODUCT_REPOSITORIES and not stack.versions.get(kind):
            raise Failure(
                f"Container {container.name} does not answer as a {kind} of the product does, with its version",
                f"see that it is healthy (`docker logs {container.name}`), or {_NAME_THEM}",
                subject=container.name,
            )


def _remedy_for_missing(kind: str, stack: Candidate) -> str:
    outside = {MONGODB: database_host, REDIS: redis_host}.get(kind)
    backend = stack.containers.get(BACKEND)
    if outside and backend:
        host, option = outside(backend.environment), "toucan_mongodb_uri" if kind == MONGODB else "toucan_redis_url"
        return (
            f"its backend looks for one at {host}: start that container, name it in `toucan_adopt_containers`, or, where it is outside this host, "
            f"set `{option}` and take the host out of group `toucan_{kind}`"
        )
    return f"start it, {_NAME_THEM}, or correct the groups that the host is in"


def _named(containers: Sequence[Inspected], names: Mapping[str, str], ask: Ask) -> Candidate:
    """The containers that were named, whatever their images are called, and what of the product stands beside them."""
    by_name = {container.name: container for container in containers}
    unknown = sorted(set(names.values()) - by_name.keys())
    if unknown:
        raise Failure(f"This host has no container {', '.join(unknown)}", "correct `toucan_adopt_containers`; `docker ps --all` lists them", subject=unknown[0])
    chosen = {kind: by_name[names[kind]] for kind in KINDS if names.get(kind)}
    projects = {container.project for container in chosen.values()}
    if len(projects) > 1:
        raise Failure(
            f"The containers in `toucan_adopt_containers` are of different compose projects: {', '.join(sorted(project or 'none' for project in projects))}",
            "name those of one stack",
        )
    project = projects.pop()
    beside = [container for container in containers if container.project == project and product_kind(container.image) not in chosen]
    others = {kind: container for stack in _candidates(beside, project, ask) for kind, container in stack.containers.items()}
    return Candidate(project, {**others, **chosen})


def _candidates(containers: Sequence[Inspected], project: str, ask: Ask) -> list[Candidate]:
    """Stacks by compose project; what was run by hand counts as one."""
    found: dict[str, dict[str, Inspected]] = {}
    for container in containers:
        kind = product_kind(container.image)
        if not kind or (project and container.project != project) or not (is_vendors(container.image) or ask(kind, container)):
            continue
        former = found.setdefault(container.project, {}).setdefault(kind, container)
        if former is not container:
            raise Failure(
                f"Two containers could be the {kind} to adopt: {former.name} and {container.name}",
                f"{_NAME_THEM}, or remove the one that is not needed",
                subject=kind,
            )
    return [Candidate(name, known) for name, known in sorted(found.items())]


def _only(candidates: Sequence[Candidate], containers: Sequence[Inspected], project: str) -> Candidate:
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise Failure(
            f"{len(candidates)} stacks of the product are on this host: {'; '.join(candidate.title for candidate in candidates)}",
            f"name the one to adopt in `toucan_adopt_project`, or {_NAME_THEM}",
        )
    alike = [container.name for container in containers if product_kind(container.image) and (not project or container.project == project)]
    where = f"compose project {project}" if project else f"{len(containers)} containers of this host"
    seen = f" ({', '.join(alike)} are called like it and do not answer like it)" if alike else ""
    raise Failure(f"There is no stack of the product to adopt in {where}{seen}", f"start it first, correct `toucan_adopt_project`, or {_NAME_THEM}")


def _databases(stack: Candidate, containers: Sequence[Inspected]) -> dict[str, Inspected]:
    """The containers that the backend reaches by the host names it is told, or by the ones it has by itself."""
    backend = stack.containers.get(BACKEND)
    if backend is None:
        return {}
    hosts = {MONGODB: database_host(backend.environment), REDIS: redis_host(backend.environment)}
    found = {kind: neighbour(backend, host, containers) for kind, host in hosts.items() if kind not in stack.containers}
    return {kind: container for kind, container in found.items() if container}
