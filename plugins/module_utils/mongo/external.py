# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a MongoDB that somebody else runs, as the backend will: whether it answers, by which certificate, whom it lets in and to do what.

Nothing is written there.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

from ..contract.databases import MONGODB_ROLES, MongodbUri
from ..core.errors import Failure
from .rights import missing_actions

try:
    from pymongo import MongoClient
    from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError
except ImportError:
    MongoClient = None

_TIMEOUT_S = 5.0
_LOGIN_REFUSED = (18, 8000)  # of MongoDB, and of Atlas
_NOT_AUTHORISED = 13
_SECRET_OPTIONS = ("authMechanismProperties", "proxyPassword", "tlsCertificateKeyFilePassword")
_ASIDE = re.compile(r" \(configured timeouts:[^)]*\)| \(_ssl\.c:\d+\)|, Timeout: .*", re.DOTALL)
# A server without TLS takes the first bytes for nonsense: it answers in the open, or hangs up.
_NO_TLS = re.compile("wrong_version_number|eof occurred|unexpected_eof|record.layer.failure|reset by peer|connection (?:has been )?closed", re.IGNORECASE)
_BAD_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"


@dataclass(frozen=True)
class MongodbFacts:
    """What a server told.

    :param rights_told: whether it says what its user may do, or showed it.
    :param remarks: sentences on what is no error, but should be known.
    """

    version: str
    rights_told: bool
    remarks: tuple[str, ...]


def examine(uri: MongodbUri, ca_pem: str = "") -> MongodbFacts:
    """Connect as ``uri`` says, log in, and see what the user may do.

    :param ca_pem: certificates that sign the server's, where ``uri`` names a file with them; empty for those that this host trusts.
    :raises Failure: when the server does not answer, its certificate does not hold, or the user may not do what the product needs.
    """
    with connected(uri, ca_pem, _TIMEOUT_S) as (client, remarks):
        return _look(client, uri, remarks)


@contextlib.contextmanager
def connected(uri: MongodbUri, ca_pem: str, timeout: float) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """A client of the server, and what the driver remarks on the URI, for as long as the block runs.

    :param ca_pem: as of :func:`examine`.
    :param timeout: seconds that a server may be silent over one answer.
    :raises Failure: when the server does not answer or refuses, then and within the block.
    """
    if MongoClient is None:
        raise Failure("The Python library pymongo is missing", "run role `toucan_host` on this host first")
    with _readable(ca_pem) as path, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            client = _client(uri.with_ca_file(path) if path else uri, timeout)
        except (PyMongoError, OSError, ValueError) as error:
            raise _unusable(uri, error) from None
        with contextlib.closing(client):
            try:
                yield client, tuple(f"`toucan_mongodb_uri`: {without_secrets(str(item.message), uri)}" for item in caught)
            except OperationFailure as error:
                raise _refused(uri, error) from None
            except ConfigurationError as error:
                raise _unusable(uri, error) from None
            except PyMongoError as error:
                raise _unanswered(client, uri, bool(ca_pem), error) from None


def without_secrets(text: str, uri: MongodbUri) -> str:
    """A text of a driver's or a server's without what of ``uri`` is secret."""
    secrets = [uri.password, uri.written_password, *(uri.option(name) for name in _SECRET_OPTIONS)]
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "********")
    return text


def _client(uri: MongodbUri, timeout: float) -> Any:
    patience = int(_TIMEOUT_S * 1000)
    return MongoClient(
        str(uri), serverSelectionTimeoutMS=patience, connectTimeoutMS=patience, socketTimeoutMS=int(timeout * 1000), appname="toucan.selfhosted"
    )


@contextlib.contextmanager
def _readable(ca_pem: str) -> Iterator[str]:
    """Path of a file with the certificates, for as long as they are needed; empty where there are none."""
    with tempfile.NamedTemporaryFile("w", suffix=".crt", encoding="utf-8") as file:
        try:
            file.write(ca_pem)
            file.flush()
            yield file.name if ca_pem else ""
        finally:
            file.close()


def _look(client: Any, uri: MongodbUri, remarks: tuple[str, ...]) -> MongodbFacts:
    version = client.admin.command("buildInfo")["version"]
    # A server that wants a login answers the above to everybody.
    client.admin.command("listDatabases", nameOnly=True)
    if not uri.user:
        return MongodbFacts(version, False, (*remarks, f"MongoDB at {uri.shown} lets everybody in without a login."))
    lacking = _lacking(client)
    if lacking:
        raise Failure(
            f"User {uri.user} of MongoDB at {uri.shown} may not do {', '.join(lacking)} on every database, and each small app has a database of its own",
            f"grant it the roles {' and '.join(MONGODB_ROLES)} of database admin",
            subject=uri.shown,
            answer=", ".join(lacking),
        )
    return MongodbFacts(version, lacking is not None, remarks)


def _lacking(client: Any) -> Optional[tuple[str, ...]]:
    """The rights that the user lacks; None where that cannot be seen."""
    status = client.admin.command("connectionStatus", showPrivileges=True)
    told = missing_actions(status.get("authInfo", {}).get("authenticatedUserPrivileges") or [])
    return _lacking_by_trial(client) if told is None else told


def _lacking_by_trial(client: Any) -> Optional[tuple[str, ...]]:
    """As above, of a server that does not tell: by commands on a database that nobody has, which change nothing where they are allowed.

    Rights are judged before it is seen that there is nothing.
    """
    database = client[f"toucan-selfhosted-{uuid.uuid4().hex}"]
    trials: dict[str, dict[str, Any]] = {
        "remove": {"delete": "nothing", "deletes": [{"q": {"_id": 0}, "limit": 1}]},
        "update": {"update": "nothing", "updates": [{"q": {"_id": 0}, "u": {"$set": {"x": 0}}, "upsert": False}]},
        "dropDatabase": {"dropDatabase": 1},
    }
    found = {action: _is_allowed(database, command) for action, command in trials.items()}
    lacking = tuple(action for action, allowed in found.items() if allowed is False)
    return None if None in found.values() and not lacking else lacking


def _is_allowed(database: Any, command: dict[str, Any]) -> Optional[bool]:
    """Whether a user may give a command; None where the server does not know it."""
    try:
        database.command(command)
    except OperationFailure as error:
        return False if error.code == _NOT_AUTHORISED else None
    return True


def _unusable(uri: MongodbUri, error: Exception) -> Failure:
    told = without_secrets(str(error), uri)
    if uri.is_record and _is_of_the_resolver(error):
        return Failure(
            f"There is no SRV record of {uri.shown} to be found from this host: {told}",
            "correct the host in `toucan_mongodb_uri`, or have the record made",
            subject=uri.shown,
            answer=told,
        )
    return Failure(f"The driver of MongoDB cannot use `toucan_mongodb_uri`: {told}", "correct its options", answer=told)


def _is_of_the_resolver(error: Exception) -> bool:
    """Whether it comes from looking up a record: the driver hands on the words of dnspython."""
    return type(error.__cause__).__module__.partition(".")[0] == "dns"


def _refused(uri: MongodbUri, error: OperationFailure) -> Failure:
    """A sentence on what the server answered; its text may quote a command, its code does not."""
    answer = f"error code {error.code}"
    if error.code in _LOGIN_REFUSED:
        return Failure(
            f"MongoDB at {uri.shown} refuses user {uri.user} with this password",
            "correct `toucan_mongodb_username` and `toucan_mongodb_password`; a user of another database than admin wants `authSource=DATABASE` in the URI",
            subject=uri.shown,
            answer=answer,
        )
    if not uri.user:
        return Failure(
            f"MongoDB at {uri.shown} wants a login, and `toucan_mongodb_uri` has none ({answer})",
            "set `toucan_mongodb_username` and `toucan_mongodb_password`",
            subject=uri.shown,
            answer=answer,
        )
    return Failure(
        f"MongoDB at {uri.shown} does not let user {uri.user} list its databases ({answer})",
        f"grant it the roles {' and '.join(MONGODB_ROLES)} of database admin",
        subject=uri.shown,
        answer=answer,
    )


def _unanswered(client: Any, uri: MongodbUri, has_ca: bool, error: PyMongoError) -> Failure:
    """A sentence on why no server could be used, by what the driver noted of each."""
    noted = [(server.address, str(server.error)) for server in client.topology_description.server_descriptions().values() if server.error]
    address, cause = noted[0] if noted else (("", 0), str(error))
    answer = without_secrets(_ASIDE.sub("", cause), uri)
    where = f"{address[0]}:{address[1]}" if noted else uri.shown
    problem, remedy = _sentence(where, address, uri, has_ca, answer)
    return Failure(problem, remedy, subject=where, answer=answer)


def _sentence(where: str, address: tuple[str, Any], uri: MongodbUri, has_ca: bool, answer: str) -> tuple[str, str]:
    if _BAD_CERTIFICATE in answer:
        return _certificate_sentence(where, has_ca, answer)
    if uri.uses_tls and _NO_TLS.search(answer):
        return (
            f"MongoDB at {where} breaks off where TLS is asked for: {answer}",
            "have TLS switched on there; for a server without it take `tls=true` and `toucan_mongodb_ca_file` out",
        )
    if not uri.uses_tls and address[0] and _speaks_tls(*address):
        return (
            f"MongoDB at {where} wants TLS, and `toucan_mongodb_uri` asks for none: {answer}",
            "give the CA of its certificate as `toucan_mongodb_ca_file`, or add `tls=true` where a public authority signed it",
        )
    return (
        f"MongoDB at {where} does not answer this host: {answer}",
        "see that it runs, that this host can resolve its name, and that no firewall closes its port",
    )


def _certificate_sentence(where: str, has_ca: bool, answer: str) -> tuple[str, str]:
    told = answer.rpartition("certificate verify failed: ")[2]
    if "ostname mismatch" in told or "IP address mismatch" in told:
        return f"The certificate of MongoDB at {where} is of another name: {told}", "write that name into `toucan_mongodb_uri`, or have it certified anew"
    if "expired" in told or "not yet valid" in told:
        return f"The certificate of MongoDB at {where} is not valid now: {told}", "have it renewed, and see that this host's clock is right"
    if has_ca:
        return f"The certificate of MongoDB at {where} is not signed by the CA in `toucan_mongodb_ca_file`: {told}", "give the CA that signed it"
    return f"The certificate of MongoDB at {where} is signed by nobody whom this host trusts: {told}", "give the CA as `toucan_mongodb_ca_file`"


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as plain, context.wrap_socket(plain, server_hostname=host):
            return True
    except OSError:
        return False
