# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a backend finds its databases, whoever configured it: pure, from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from . import environment as env
from .databases import MongodbUri, parse_mongodb_uri
from .services import COMPOSE_NAMES, MONGODB, MONGODB_PORT, REDIS


def uri_variable(environment: Mapping[str, str]) -> str:
    """The variable that holds a whole connection string, whatever it is called; empty where there is none."""
    return next((name for name, value in sorted(environment.items()) if value.startswith(("mongodb://", "mongodb+srv://"))), "")


def database_host(environment: Mapping[str, str]) -> str:
    """The host of MongoDB, the first one of several."""
    variable = uri_variable(environment)
    if not variable:
        return environment.get(env.MONGODB_HOST) or COMPOSE_NAMES[MONGODB]
    # Not `urlsplit`, which takes no list of hosts.
    hosts = environment[variable].partition("://")[2].split("/")[0].rpartition("@")[2]
    return hosts.split(",")[0].rpartition(":")[0] or hosts.split(",")[0]


def database_login(environment: Mapping[str, str]) -> tuple[str, str]:
    """User and password that the backend has for MongoDB, both empty for none."""
    variable = uri_variable(environment)
    if not variable:
        return environment.get(env.MONGODB_USER, ""), environment.get(env.MONGODB_PASSWORD, "")
    user, dummy, password = environment[variable].partition("://")[2].split("/")[0].rpartition("@")[0].partition(":")
    return unquote(user), unquote(password)


def database_uri(environment: Mapping[str, str]) -> MongodbUri:
    """How the backend connects to MongoDB, with the hosts as it knows them. :raises Failure: when its connection string cannot be read."""
    variable = uri_variable(environment)
    if variable:
        return parse_mongodb_uri(environment[variable])
    user, password = database_login(environment)
    return MongodbUri("mongodb", user, password, (f"{database_host(environment)}:{environment.get(env.MONGODB_PORT_NAME) or MONGODB_PORT}",), "", ())


def redis_host(environment: Mapping[str, str]) -> str:
    """The host of Redis."""
    host = environment.get(env.REDIS_HOST, "")
    return (urlsplit(host).hostname or host) if "://" in host else host or COMPOSE_NAMES[REDIS]
