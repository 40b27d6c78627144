# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's own user on a MongoDB that somebody else started, usually without any login."""

from __future__ import annotations

from ..containers.inspection import Inspected
from ..contract.environment import MONGODB_STACK_USER
from ..contract.services import MONGODB_PORT
from ..core.errors import Failure
from ..core.secrets import MONGODB
from ..mongo.connection import LoginRefused, NotReady, give_user, log_in, may_manage_users


def lacks_user(container: Inspected, password: str, login: tuple[str, str]) -> bool:
    """Whether the server does not take the collection's user yet, and one can be made.

    :param login: name and password of who may make users, both empty where the server asks for none.
    :raises Failure: when the server does not run or answer, or lets nobody known make users.
    """
    if not container.running or not container.address:
        raise Failure(
            f"Container {container.name} of MongoDB is {container.state}, so that user {MONGODB_STACK_USER} cannot be made in it",
            "start it and run again",
            subject=container.name,
        )
    try:
        try:
            log_in(container.address, MONGODB_PORT, MONGODB_STACK_USER, password)
        except LoginRefused as refused:
            if not may_manage_users(container.address, MONGODB_PORT, *login):
                raise Failure(
                    f"The MongoDB in container {container.name} refuses user {MONGODB_STACK_USER}, and lets {login[0] or 'nobody without a login'} make none",
                    f"make that user there with role root and the password that the secrets file has as `{MONGODB}`, and run again",
                    subject=container.name,
                    answer=str(refused),
                ) from refused
            return True
    except NotReady as error:
        raise Failure(
            f"The MongoDB in container {container.name} does not answer: {error}", "see its log (`docker logs`), and run again", subject=container.name
        ) from error
    return False


def make_user(container: Inspected, login: tuple[str, str], name: str, password: str) -> None:
    """Make the collection's user, and prove that the server takes it. :raises Failure: when it does not."""
    try:
        give_user(container.address, MONGODB_PORT, login, name, password)
        log_in(container.address, MONGODB_PORT, name, password)
    except (LoginRefused, NotReady) as error:
        raise Failure(
            f"The MongoDB in container {container.name} did not take its new user {name}: {error}", "see its log, and run again", subject=name
        ) from error
