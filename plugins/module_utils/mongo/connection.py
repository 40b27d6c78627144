# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connect to one MongoDB server and log in; the one file that imports pymongo."""

from __future__ import annotations

from ..core.errors import Failure

try:
    from pymongo import MongoClient
    from pymongo.errors import OperationFailure, PyMongoError
except ImportError:
    MongoClient = None

_TIMEOUT_MS = 5000
_AUTHENTICATION_FAILED = 18


class NotReady(Exception):
    """The server does not answer, or not yet."""


class LoginRefused(Exception):
    """The server answers and does not take this user with this password."""


def log_in(address: str, port: int, username: str, password: str) -> None:
    """Prove that the server answers and takes this user.

    :raises NotReady: while it does not answer.
    :raises LoginRefused: when it answers and refuses the user.
    :raises Failure: where the library is missing.
    """
    if MongoClient is None:
        raise Failure("The Python library pymongo is missing", "run role `toucan_host` on this host first")
    client = MongoClient(
        address,
        port,
        username=username,
        password=password,
        directConnection=True,
        serverSelectionTimeoutMS=_TIMEOUT_MS,
        connectTimeoutMS=_TIMEOUT_MS,
        socketTimeoutMS=_TIMEOUT_MS,
    )
    try:
        client.admin.command("ping")
    except OperationFailure as error:
        if error.code != _AUTHENTICATION_FAILED:
            raise NotReady(str(error)) from error
        raise LoginRefused(f"error code {error.code}") from error
    except PyMongoError as error:
        raise NotReady(str(error)) from error
    finally:
        client.close()
