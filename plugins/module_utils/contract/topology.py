# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host of a stack runs what, and who must reach whom: pure, from the services of each host."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from ..core.errors import Failure
from . import services as kinds

# A service on the left calls those on the right.
CALLS = {kinds.PROXY: (kinds.FRONTEND, kinds.BACKEND), kinds.BACKEND: (kinds.MONGODB, kinds.REDIS)}  # [S:RTD, SAAGIE]


@dataclass(frozen=True)
class Peer:
    """A service on another host of the stack; ``address`` is empty where that host's inventory names none."""

    host: str
    address: str
    port: int

    def __str__(self) -> str:
        return endpoint(self.address, self.port)


@dataclass(frozen=True)
class Member:
    """A host of the stack: what it runs, where the others reach it, and the ports that it publishes, by kind."""

    host: str
    services: Sequence[str]
    address: str
    ports: Mapping[str, int]

    def peer(self, kind: str) -> Peer:
        """How another host reaches the service of this kind here."""
        return Peer(self.host, self.address, int(self.ports.get(kind) or kinds.PUBLISHED_PORTS[kind]))


def endpoint(address: str, port: int) -> str:
    """``address:port``, with the brackets that an IPv6 address wants."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def published(members: Sequence[Member], host: str, outside: Sequence[str] = ()) -> tuple[str, ...]:
    """The kinds that ``host`` runs and another host calls.

    :param outside: kinds that nobody calls here, because the inventory names one outside the stack.
    """
    called = {kind for member in members if member.host != host for service in member.services for kind in CALLS.get(service, ())}
    return tuple(kind for kind in kinds.KINDS if kind in called and kind not in outside and kind in _member(members, host).services)


def peers(members: Sequence[Member], host: str) -> dict[str, tuple[Peer, ...]]:
    """The services on other hosts that those of ``host`` call, by kind."""
    calls = {kind for service in _member(members, host).services for kind in CALLS.get(service, ())}
    others = [member for member in members if member.host != host]
    found = {kind: tuple(member.peer(kind) for member in others if kind in member.services) for kind in kinds.KINDS if kind in calls}
    return {kind: known for kind, known in found.items() if known}


def maker(members: Sequence[Member]) -> str:
    """The host that makes what all share: the first with a backend, else the first."""
    return next((member.host for member in members if kinds.BACKEND in member.services), members[0].host)


def refuse_unnamed(address: str, kind: str) -> None:
    """:raises Failure: when a service is called from another host, and this one has no address of its own to publish it at."""
    try:
        usable = not ipaddress.ip_address(address).is_unspecified
    except ValueError:
        usable = False
    if usable:
        return
    told = f"`toucan_stack_address` is `{address}`, which is no single IP address" if address else "`toucan_stack_address` is not set"
    raise Failure(
        f"Other hosts call {kinds.TITLES[kind]} on this one, and {told}",
        "set `toucan_stack_address` of this host to the private address that the others reach it at",
        subject=address or kind,
    )


def the_database(known: Sequence[Peer], here: bool, kind: str, option: str) -> Optional[Peer]:
    """The one database of its kind on another host; None where it is here, or outside the stack.

    :raises Failure: when several hosts run one, or its host has no address.
    """
    if len(known) + here > 1:
        told = ", ".join([*(["this one"] if here else []), *(peer.host for peer in known)])
        raise Failure(
            f"More than one host of the stack runs {kinds.TITLES[kind]}: {told}",
            f"name one in group `toucan_{kind}`; name several outside the stack in `{option}`; give each stack of an inventory a group, in `toucan_group`",
            subject=kind,
        )
    if known and not known[0].address:
        raise Failure(
            f"The backend of this host needs the {kinds.TITLES[kind]} of {known[0].host}, which has no `toucan_stack_address`",
            "set it there to the private address that others reach that host at",
            subject=known[0].host,
        )
    return known[0] if known else None


def _member(members: Sequence[Member], host: str) -> Member:
    return next(member for member in members if member.host == host)
