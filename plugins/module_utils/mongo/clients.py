# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients for moving a lot of data: patient with a busy server, and not for ever with one that is gone.

What the drivers' errors mean is told here, once, for all that reads and writes databases.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..core.errors import Failure

try:
    import pymongo
    from bson.codec_options import CodecOptions, DatetimeConversion
    from bson.errors import BSONError
    from bson.raw_bson import RawBSONDocument
    from bson.son import SON
    from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError
except ImportError:
    pymongo = None

_CONNECT_SECONDS = 10.0
#: How long a server may be silent over one command before it is taken for gone.
SILENT_SECONDS = 300.0
_CURSOR_GONE = (43, 136, 175, 237)  # CursorNotFound, CappedPositionLost, QueryPlanKilled, CursorKilled


def open_client(uri: str, *, silent_seconds: float = SILENT_SECONDS, **options: Any) -> Any:
    """A client that several threads may share.

    :param options: more of `pymongo.MongoClient`, as ``username``, ``password``, ``tlsCAFile``, ``directConnection``.
    :raises Failure: where the library is missing or the options do not make sense.
    """
    if pymongo is None:
        raise Failure("The Python library pymongo is missing", "run role `toucan_host` on this host first")
    limits = {"serverSelectionTimeoutMS": _CONNECT_SECONDS * 1000, "connectTimeoutMS": _CONNECT_SECONDS * 1000, "socketTimeoutMS": silent_seconds * 1000}
    try:
        return pymongo.MongoClient(uri, **{**limits, "appname": "toucan_selfhosted", **options})
    except (PyMongoError, ValueError) as error:
        # Its text may quote the string, and that a password.
        raise Failure(
            f"The connection string of MongoDB cannot be used: {type(error).__name__}", "see that it is of the form mongodb://HOST:PORT/?OPTIONS"
        ) from None


def exact() -> Any:
    """How documents are decoded where each value must be written back as it was: order of keys, moments out of Python's range, subtypes."""
    return CodecOptions(document_class=SON, datetime_conversion=DatetimeConversion.DATETIME_MS)


def raw() -> Any:
    """How answers are decoded whose documents stay bytes."""
    return CodecOptions(document_class=RawBSONDocument)


class CursorLost(Exception):
    """The server gave up a cursor: what it was reading has to be read again."""


@contextlib.contextmanager
def told(doing: str, subject: str) -> Iterator[None]:
    """Tell the driver's errors as foreseen ones.

    :param doing: what is attempted, as ``"reading sales.slides"``.
    :raises CursorLost: when the server gave up the cursor.
    :raises Failure: for every other error of the driver or the server.
    """
    try:
        yield
    except ConnectionFailure as error:
        answer = _plain(error)
        raise Failure(f"MongoDB was lost while {doing}: {answer}", "see that it runs, then start again", subject=subject, answer=answer) from error
    except OperationFailure as error:
        if error.code in _CURSOR_GONE:
            raise CursorLost(_plain(error)) from error
        answer = refusal(error)
        raise Failure(f"MongoDB refused {doing}: {answer}", "see its log, and that the user may do this", subject=subject, answer=answer) from error
    except (PyMongoError, BSONError) as error:
        answer = _plain(error)
        raise Failure(f"MongoDB's driver failed {doing}: {answer}", "see MongoDB's log", subject=subject, answer=answer) from error


def refusal(error: Any) -> str:
    """A refused command in words without its text, which may quote documents."""
    name = (error.details or {}).get("codeName", "")
    return f"error code {error.code}" + (f" ({name})" if name else "")


def patient(seconds: float) -> Any:
    """A context in which one command may take that long, whatever the client's own limit."""
    return pymongo.timeout(seconds)


def _plain(error: Exception) -> str:
    """The first clause of the driver's long texts."""
    return str(error).split(" (configured timeouts", 1)[0].split(", Timeout:", 1)[0].split(", full error", 1)[0]
