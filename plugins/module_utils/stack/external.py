# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that somebody else runs: looked at from this host before anything is restarted, and from inside the backend afterwards."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Optional

from ..containers.docker_engine import Container, DockerEngine
from ..contract import services as kinds
from ..contract.databases import RedisServer
from ..contract.stack import StackOptions, mongodb_outside, redis_outside
from ..core.errors import Failure
from ..core.redis import RedisRefusal, log_in
from ..mongo.external import examine, without_secrets

# The backend's own driver, if it has one, in its own container: what it can do, the backend can. The string comes from the environment.
_PROGRAM = """
import json, os, sys
try:
    import pymongo
except ImportError:
    sys.exit(3)
try:
    client = pymongo.MongoClient(os.environ[sys.argv[1]], serverSelectionTimeoutMS=10000)
    client.admin.command("listDatabases", nameOnly=True)
    told = {"version": client.server_info()["version"]}
except Exception as error:
    told = {"error": str(error).split(", Timeout: ")[0]}
print(json.dumps(told))
"""
_PYTHONS = ("python3", "python")


@dataclass
class ExternalDatabases:
    """What was seen of the databases outside the stack that a backend here uses.

    :param mongodb: ``hosts`` and ``version``, empty where it is the stack's own; never a secret.
    :param remarks: sentences on what is no error, but should be known.
    """

    mongodb: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def external_secrets(options: StackOptions) -> list[str]:
    """What must not be seen in anything that a container, a server or a driver says."""
    found = [options.mongodb_password, options.redis_password, options.mongodb_uri, options.redis_url]
    uri = mongodb_outside(options)
    server = redis_outside(options)
    if uri:
        found.extend([str(uri), uri.password, uri.written_password])
    if server:
        found.append(server.password)
    return [secret for secret in found if secret]


def examine_databases(options: StackOptions, host_ca_file: str) -> ExternalDatabases:
    """Look at the databases outside the stack from this host.

    :param host_ca_file: CA certificates that this host trusts beside the system's usual ones; empty for none.
    :raises Failure: when the backend could not work with one of them.
    """
    seen = ExternalDatabases()
    if kinds.BACKEND not in options.services:
        return seen
    uri, server = mongodb_outside(options), redis_outside(options)
    if uri:
        facts = examine(uri, options.mongodb_ca)
        seen.mongodb = {"hosts": list(uri.hosts), "version": facts.version}
        seen.remarks.extend(facts.remarks)
        if uri.user and not facts.rights_told:
            seen.remarks.append(f"MongoDB at {uri.shown} does not tell what user {uri.user} may do, so that was not looked at.")
    if server:
        _examine_redis(server, host_ca_file)
    return seen


def _examine_redis(server: RedisServer, host_ca_file: str) -> None:
    context = _context(host_ca_file) if server.tls else None
    try:
        log_in(server.host, server.port, server.password, context)
    except RedisRefusal as error:
        answer = str(error)
        problem, remedy = _refusal(server, answer)
        raise Failure(problem, remedy, subject=server.shown, answer=answer) from None
    except ssl.SSLCertVerificationError as error:
        raise Failure(
            f"The certificate of Redis at {server.shown} does not hold on this host: {error.verify_message}",
            "give the CA that signed it in `toucan_ca_file`, or write the name it is for into `toucan_redis_url`",
            subject=server.shown,
            answer=error.verify_message,
        ) from None
    except OSError as error:
        hint = "`rediss://` is for a server with TLS, `redis://` for one without; " if server.tls or isinstance(error, ConnectionResetError) else ""
        raise Failure(
            f"Redis at {server.shown} does not answer this host: {error}",
            f"{hint}see that it runs, that its name resolves here, and that no firewall closes its port",
            subject=server.shown,
            answer=str(error),
        ) from None


def _context(host_ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if host_ca_file and os.path.exists(host_ca_file):
        context.load_verify_locations(host_ca_file)
    return context


def _refusal(server: RedisServer, answer: str) -> tuple[str, str]:
    if answer.startswith("NOAUTH"):
        return f"Redis at {server.shown} wants a password, and none is given", "set `toucan_redis_password`"
    if answer.startswith(("WRONGPASS", "ERR invalid password")):
        return f"Redis at {server.shown} refuses the password", "correct `toucan_redis_password`"
    if answer.startswith("ERR AUTH") or "without any password configured" in answer:
        return f"Redis at {server.shown} has no password, and one is given", "take `toucan_redis_password` out, or set one there"
    return f"Redis at {server.shown} does not take what this host asks: {answer}", "see that a Redis listens there"


def verify_from_inside(docker: DockerEngine, containers: Iterable[Container], options: StackOptions) -> list[str]:
    """See that the backend reaches the MongoDB outside the stack from within its container.

    :returns: remarks, where that cannot be seen.
    :raises Failure: when it does not.
    """
    uri = mongodb_outside(options)
    backend = next((container for container in containers if container.service == kinds.COMPOSE_NAMES[kinds.BACKEND]), None)
    if kinds.BACKEND not in options.services or uri is None or backend is None:
        return []
    told = _run_inside(docker, backend, options.mongodb_uri_variable)
    if told is None:
        return [f"MongoDB at {uri.shown} was looked at from this host alone: the backend's container has no Python with a driver to look from inside."]
    if "error" in told:
        answer = without_secrets(told["error"], uri)
        raise Failure(
            f"MongoDB at {uri.shown} answers this host, but not from inside the backend: {answer}",
            "see that containers of this host resolve its name and reach its port, and that `toucan_mongodb_ca_file` is the CA of its certificate",
            subject=uri.shown,
            answer=answer,
        )
    return []


def _run_inside(docker: DockerEngine, backend: Container, variable: str) -> Optional[dict[str, Any]]:
    """What the program tells; None where no Python of the container can run it."""
    for python in _PYTHONS:
        code, output = docker.run_if_there(backend.id, [python, "-c", _PROGRAM, variable])
        if code == 0:
            return _told(output, variable)
    return None


def _told(output: str, variable: str) -> dict[str, Any]:
    """The last line, which a driver's warnings may stand before."""
    lines = output.strip().splitlines()
    try:
        told = json.loads(lines[-1]) if lines else None
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Failure(f"The look from inside the backend at the MongoDB in {variable} ended without a result", "see the backend's log", subject=variable)
    return told
