# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rotation is asked for, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..contract import services as kinds
from ..contract.stack import needed_secrets
from ..core.errors import Failure
from ..core.secrets import ADMIN, ENCRYPTION, JWT, MONGODB, REDIS

REGISTRY = "registry"
REGISTRY_VALUES = ("registry_username", "registry_password")
ROTATABLE = (ADMIN, JWT, MONGODB, REDIS)
# Who is started anew with a secret, in this order.
USERS = {
    ADMIN: (kinds.BACKEND,),
    JWT: (kinds.BACKEND,),
    MONGODB: (kinds.MONGODB, kinds.BACKEND),
    REDIS: (kinds.REDIS, kinds.BACKEND),
}
_DATABASES = {MONGODB: (kinds.MONGODB, "toucan_mongodb_uri"), REDIS: (kinds.REDIS, "toucan_redis_url")}


@dataclass(frozen=True)
class RotationRequest:
    """Everything a rotation was asked for.

    :param names: of ``ROTATABLE``, or ``registry``.
    :param values: new values by name; what is left out is made.
    :param services: kinds of this host.
    :param outside: kinds of the databases outside the stack.
    :param left_out: hosts of the stack that the run leaves out.
    :param stopped: kinds of this host that were stopped on purpose.
    :param deployed: whether this collection brought a stack up here.
    """

    names: Sequence[str]
    values: Mapping[str, str] = field(default_factory=dict)
    services: Sequence[str] = kinds.KINDS
    outside: Sequence[str] = ()
    left_out: Sequence[str] = ()
    stopped: Sequence[str] = ()
    deployed: bool = True

    @property
    def here(self) -> tuple[str, ...]:
        """The secrets to rotate that this host keeps."""
        return tuple(name for name in needed_secrets(self.services) if name in self.names)


def refuse_unusable(request: RotationRequest) -> None:
    """:raises Failure: when the rotation cannot be made as asked; nothing was changed then."""
    _refuse_names(request)
    _refuse_values(request)
    for name, (kind, option) in _DATABASES.items():
        if name in request.names and kind in request.outside:
            raise Failure(
                f"{name} is that of the stack's own {kinds.TITLES[kind]}, and this stack uses one outside (`{option}`), whose password is not ours to change",
                f"have it changed there, put the new one into the inventory, and run `site.yml`; leave {name} out of `toucan_rotate`",
                subject=name,
            )
    if set(request.names) <= {REGISTRY}:
        return
    if request.left_out:
        raise Failure(
            f"The run leaves out {', '.join(request.left_out)}, which may keep the same secrets",
            "rotate on all hosts of the stack at once",
            subject=", ".join(request.left_out),
        )
    # A host with a proxy alone has neither secrets nor services of the stack.
    if request.services and not request.deployed:
        raise Failure("This collection has brought up no stack on this host yet", "run `site.yml` first")
    stopped = [kind for kind in request.services if kind in request.stopped]
    if stopped:
        raise Failure(f"{', '.join(stopped)} of this host was stopped on purpose, and a rotation is seen to work", "start the stack with `start.yml` first")


def _refuse_names(request: RotationRequest) -> None:
    known = (*ROTATABLE, REGISTRY)
    if not request.names:
        raise Failure("Nothing is named to rotate", f"name some of {', '.join(known)} in `toucan_rotate`")
    if ENCRYPTION in request.names:
        raise Failure(
            f"{ENCRYPTION} cannot be rotated: values in the database were encrypted with it, and with another one the backend could not read them",
            "leave it out of `toucan_rotate`",
            subject=ENCRYPTION,
        )
    unknown = [name for name in request.names if name not in known]
    if unknown:
        raise Failure(f"`toucan_rotate` names {', '.join(unknown)}, which nobody can rotate", f"use {', '.join(known)}", subject=unknown[0])


def _refuse_values(request: RotationRequest) -> None:
    known = {*request.names, *(REGISTRY_VALUES if REGISTRY in request.names else ())} - {REGISTRY}
    unknown = sorted(set(request.values) - known)
    if unknown:
        raise Failure(
            f"`toucan_rotate_values` has {', '.join(unknown)}, which `toucan_rotate` does not ask to rotate",
            "name the secret there, too, or leave its value out",
            subject=unknown[0],
        )
    bad = sorted(name for name, value in request.values.items() if not isinstance(value, str) or not value or not value.isprintable())
    if bad:
        raise Failure(
            f"The new value of {', '.join(bad)} in `toucan_rotate_values` is no text in one line",
            "give another one, or leave it out to have one made",
            subject=bad[0],
        )
