# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connect to one MongoDB server of the stack, log in, and see to its users."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..core.errors import Failure

try:
    from pymongo import MongoClient
    from pymongo.errors import OperationFailure, PyMongoError
except ImportError:
    MongoClient = None

_TIMEOUT_MS = 5000
_AUTHENTICATION_FAILED = 18
_EVERYTHING = "root"


class NotReady(Exception):
    """The server does not answer, or not yet."""


class LoginRefused(Exception):
    """The server answers and does not take this user with this password."""


def may_manage_users(address: str, port: int, username: str, password: str) -> bool:
    """Whether the server answers and lets this user, or everybody where the name is empty, see and make users.

    :raises NotReady: when it does not answer.
    :raises Failure: where the library is missing.
    """
    with _connected(address, port, username, password) as client:
        try:
            client.admin.command("usersInfo", 1)
        except OperationFailure:
            return False
    return True


def give_user(address: str, port: int, by: tuple[str, str], username: str, password: str) -> None:
    """Make a user who may do everything, as the official image's first one; one that is there already keeps its roles and gets the password.

    :param by: name and password of who may do so, both empty where the server asks for none.
    :raises NotReady: when the server does not answer.
    :raises Failure: when it refuses.
    """
    with _connected(address, port, *by) as client:
        try:
            # Not by the code of a refused createUser, which is not the same on all servers.
            if client.admin.command("usersInfo", username).get("users"):
                client.admin.command("updateUser", username, pwd=password)
            else:
                client.admin.command("createUser", username, pwd=password, roles=[{"role": _EVERYTHING, "db": "admin"}])
        except OperationFailure as error:
            # Its text may quote the command.
            raise Failure(
                f"MongoDB at {address} refuses to make user {username}: error code {error.code}",
                "see its log, and that whom it was adopted with may make users",
                subject=address,
                answer=f"error code {error.code}",
            ) from None


def change_password(address: str, port: int, username: str, former: str, password: str) -> None:
    """Give a user, who logs in with the former password, another one.

    :raises NotReady: when the server does not answer.
    :raises Failure: when it refuses.
    """
    with _connected(address, port, username, former) as client:
        try:
            client.admin.command("updateUser", username, pwd=password)
        except OperationFailure as error:
            # Its text may quote the command.
            raise Failure(
                f"MongoDB at {address} refuses to change the password of user {username}: error code {error.code}",
                "see its log, and that the user may change its own password",
                subject=address,
                answer=f"error code {error.code}",
            ) from None


@contextlib.contextmanager
def _connected(address: str, port: int, username: str, password: str) -> Iterator[MongoClient]:
    """A client of one server. :raises NotReady: when it does not answer; what it refuses is the caller's."""
    if MongoClient is None:
        raise Failure("The Python library pymongo is missing", "run role `toucan_host` on this host first")
    client = MongoClient(
        address,
        port,
        username=username or None,
        password=password if username else None,
        directConnection=True,
        serverSelectionTimeoutMS=_TIMEOUT_MS,
        connectTimeoutMS=_TIMEOUT_MS,
        socketTimeoutMS=_TIMEOUT_MS,
    )
    try:
        yield client
    except OperationFailure:
        raise
    except PyMongoError as error:
        raise NotReady(str(error)) from error
    finally:
        client.close()


def log_in(address: str, port: int, username: str, password: str) -> None:
    """Prove that the server answers and takes this user.

    :raises NotReady: while it does not answer.
    :raises LoginRefused: when it answers and refuses the user.
    :raises Failure: where the library is missing.
    """
    with _connected(address, port, username, password) as client:
        try:
            client.admin.command("ping")
        except OperationFailure as error:
            if error.code != _AUTHENTICATION_FAILED:
                raise NotReady(str(error)) from error
            raise LoginRefused(f"error code {error.code}") from error
