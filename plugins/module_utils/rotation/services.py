# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each service of the stack is told a new password, and seen to take it and no other."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from typing import Any, Callable, Optional

from ..containers.compose import read_yaml
from ..containers.docker_engine import DockerEngine
from ..contract import environment as env
from ..contract import routes
from ..contract import services as kinds
from ..contract.stack import COMPOSE_FILE
from ..core.errors import Failure
from ..core.plan import Step
from ..core.secrets import ADMIN, MONGODB, REDIS, ROTATION
from ..mongo.connection import LoginRefused, NotReady, change_password, log_in
from .engine import Proof, Stage
from .record import Kept
from .request import RotationRequest

_TIMEOUT = 10.0
_TOO_MANY = 429


class RunningStack:
    """The services of a stack that run on this host.

    :param connect: makes the connection to Docker; called only when a service is looked for.
    :param project: of compose, in ``directory``.
    """

    def __init__(self, connect: Callable[[], DockerEngine], project: str, network: str, directory: str) -> None:
        self._connect = connect
        self.project = project
        self.network = network
        self.directory = directory

    def address(self, kind: str) -> str:
        """The service's address on the stack's network. :raises Failure: when it does not run."""
        for container in self._connect().containers(self.project):
            if container.service == kinds.COMPOSE_NAMES[kind] and container.running and container.addresses.get(self.network):
                return container.addresses[self.network]
        raise Failure(f"{kinds.TITLES[kind]} of this stack does not run", "start it with `start.yml`, and run again", subject=kind)

    def backend_port(self) -> int:
        """The port that the backend answers on, by its variables in the compose file."""
        written = (read_yaml(os.path.join(self.directory, COMPOSE_FILE)) or {}).get("services") or {}
        return env.backend_port((written.get(kinds.COMPOSE_NAMES[kinds.BACKEND]) or {}).get("environment") or {})


class MongodbChange(Stage):
    """Give the stack's user in MongoDB its new password, with the one in use as login.

    :param foreseen: plan for a new value that is not written down yet, as in check mode.
    """

    def __init__(self, path: str, request: RotationRequest, stack: RunningStack, foreseen: bool) -> None:
        super().__init__(path, request)
        self.stack = stack
        self.foreseen = foreseen

    def plan(self, observed: Mapping[str, Kept]) -> list[Step]:
        """:raises Failure: when the server takes neither password: nothing can be changed then."""
        kept = observed.get(MONGODB, Kept())
        if kinds.MONGODB not in self.request.services or not self._is_due(kept):
            return []
        # A run that was killed may have changed it already.
        if kept.new and self._takes(kept.new):
            return []
        if not self._takes(kept.current):
            raise Failure(
                f"The stack's MongoDB takes neither the password of user {env.MONGODB_STACK_USER} in {self.path} nor the new one",
                f"put the one that it takes there as `{MONGODB}`, remove `{ROTATION}` there, and run again",
                subject=MONGODB,
            )
        return [Step(f"mongodb.user:{env.MONGODB_STACK_USER}", "update", f"user {env.MONGODB_STACK_USER} of MongoDB", "password in use", "new password")]

    def apply(self, step: Step) -> None:
        kept = self._kept(MONGODB)
        user = env.MONGODB_STACK_USER
        try:
            change_password(self.stack.address(kinds.MONGODB), kinds.MONGODB_PORT, user, kept.current, kept.new)
        except NotReady as error:
            raise _silent(kinds.MONGODB, error) from error
        if not self._takes(kept.new):
            raise Failure(f"MongoDB has changed the password of user {user}, and does not take the new one", "see its log, and run again", subject=user)

    def _is_due(self, kept: Kept) -> bool:
        return bool(kept.new) or (self.foreseen and MONGODB in self.request.here and not kept.former)

    def _takes(self, password: str) -> bool:
        return mongodb_takes(self.stack.address(kinds.MONGODB), password)


def mongodb_takes(address: str, password: str) -> bool:
    """Whether the server takes the stack's user with this password. :raises Failure: when it does not answer."""
    try:
        log_in(address, kinds.MONGODB_PORT, env.MONGODB_STACK_USER, password)
    except LoginRefused:
        return False
    except NotReady as error:
        raise _silent(kinds.MONGODB, error) from error
    return True


def redis_takes(address: str, password: str) -> bool:
    """Whether the server takes this password. :raises Failure: when it does not answer."""
    given = password.encode()
    try:
        with socket.create_connection((address, kinds.REDIS_PORT), timeout=_TIMEOUT) as connection:
            connection.sendall(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n" % (len(given), given))
            answer = connection.recv(256)
    except OSError as error:
        raise _silent(kinds.REDIS, error) from error
    return answer.startswith(b"+OK")


def _silent(kind: str, error: Exception) -> Failure:
    return Failure(f"The stack's {kinds.TITLES[kind]} does not answer: {error}", "see its log, and run again", subject=kind, answer=str(error))


def admin_may_log_in(address: str, port: int, password: str) -> bool:
    """Whether the backend gives the built-in super admin a token for this password.

    :raises Failure: when it does not answer, or takes no logins for a while after too many that failed.
    """
    body = json.dumps({routes.LOGIN_USERNAME: kinds.DEFAULT_ADMIN, routes.LOGIN_PASSWORD: password})
    connection = http.client.HTTPConnection(address, port, timeout=_TIMEOUT)
    try:
        connection.request("POST", routes.LOGIN, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        status, text = answer.status, answer.read(1 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"The backend does not answer a login: {error}", "see its log, and run again", subject=address) from error
    finally:
        connection.close()
    if status == _TOO_MANY or status >= 500:
        raise Failure(f"The backend answered the login of {kinds.DEFAULT_ADMIN} with status {status}", "wait a minute, and run again", subject=str(status))
    return bool(_token(text)) if status == 200 else False


def _token(text: bytes) -> Optional[Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer.get(routes.LOGIN_TOKEN) if isinstance(answer, dict) else None


def proofs(stack: RunningStack, path: str, request: RotationRequest, logs_in: bool) -> dict[str, Proof]:
    """What can be seen from this host.

    :param logs_in: whether this host logs in to the backend: of several, one does, because failed logins are counted over all of them.
    """
    found: dict[str, Proof] = {}
    if kinds.MONGODB in request.services:
        found[MONGODB] = lambda kept: _prove(kept, lambda password: mongodb_takes(stack.address(kinds.MONGODB), password), kinds.TITLES[kinds.MONGODB])
    if kinds.REDIS in request.services:
        found[REDIS] = lambda kept: _prove(kept, lambda password: redis_takes(stack.address(kinds.REDIS), password), kinds.TITLES[kinds.REDIS])
    if kinds.BACKEND in request.services and logs_in:
        found[ADMIN] = lambda kept: _prove_admin(kept, lambda password: admin_may_log_in(stack.address(kinds.BACKEND), stack.backend_port(), password), path)
    return found


def _prove(kept: Kept, takes: Callable[[str], bool], title: str) -> None:
    if not takes(kept.current):
        raise Failure(f"{title} runs and does not take the new password", "see its log, and run again", subject=title)
    if takes(kept.former):
        raise Failure(f"{title} still takes the former password", "see its log, and run again", subject=title)


def _prove_admin(kept: Kept, takes: Callable[[str], bool], path: str) -> None:
    """At most one login fails, or two where neither password works: the backend allows five a minute."""
    admin = kinds.DEFAULT_ADMIN
    if not takes(kept.current):
        if takes(kept.former):
            raise Failure(
                f"The backend was started with a new password of {admin} and still takes the former one alone: this release keeps that of an existing user",
                f"log in as {admin} with the former password, `{ROTATION}.former.{ADMIN}` in {path}, change it there to `{ADMIN}` of that file, and run again",
                subject=ADMIN,
            )
        raise Failure(
            f"The backend takes neither the new nor the former password of {admin}",
            f"set it in the product to `{ADMIN}` of {path}, and run again",
            subject=ADMIN,
        )
    if takes(kept.former):
        raise Failure(f"The backend takes the new password of {admin}, and the former one still", "see its log, and run again", subject=ADMIN)
