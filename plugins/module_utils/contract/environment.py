# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment of the product's containers: names of variables, and how values are written.

Configuration of both images is environment only; a changed variable needs a container created anew [S:SAAGIE].
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional
from urllib.parse import urlsplit

from ..core.errors import Failure
from .databases import MongodbUri, RedisServer
from .services import BACKEND_BARE_PORT, BACKEND_PORT, COMPOSE_NAMES, MONGODB, MONGODB_PORT, REDIS, REDIS_PORT
from .topology import Peer

INSTANCE_NAME = "TOUCAN_INSTANCE_NAME"  # [S:HELM]
SERVER_NAME = "TOUCAN_VHOST_SERVER_NAME"  # backend host name [S:HELM]
FRONTEND_URLS = "TOUCAN_FRONTEND_URLS"  # JSON list [S:HELM, W6D, SAAGIE]
CROSS_ORIGINS = "TOUCAN_CROSS_ORIGIN_WHITELIST"  # JSON list [S:W6D]
BEHIND_PROXY = "TOUCAN_IS_BEHIND_PROXY"  # [S:HELM]
LOG_LEVEL = "TOUCAN_LOG_LEVEL"  # [S:HELM]
LOG_LEVEL_USUAL = "INFO"  # [OURS]
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")  # those of Python, of which the sources name INFO [S:HELM; INF]
INNER_NGINX = "TOUCAN_NGINX_SUPERVISOR"  # [S:HELM]
INNER_NGINX_OFF = "off"  # what removes the inner nginx [S:HELM]
JWT_SECRET = "TOUCAN_JWT_SECRET_KEY"  # [S:HELM, W6D]
ENCRYPTION_SECRET = "TOUCAN_DB_ENCRYPTION_SECRET"  # must never change while there is data [S:RTD, HELM; INF]
ADMIN_PASSWORD = "TOUCAN_USER_SUPERADMIN_PASSWORD"  # of the built-in super admin [S:W6D]
MONGODB_HOST = "TOUCAN_MONGODB_HOST"  # [S:HELM, W6D]
MONGODB_PORT_NAME = "TOUCAN_MONGODB_PORT"  # [S:HELM, W6D]
MONGODB_USER = "TOUCAN_MONGODB_USER"  # [S:HELM, W6D]
MONGODB_PASSWORD = "TOUCAN_MONGODB_PASS"  # [S:HELM, W6D]
MONGODB_URI = "TOUCAN_MONGODB_URI"  # the real name is unknown, so an option [GUESS]
REDIS_HOST = "TOUCAN_REDIS_HOST"  # [S:HELM, W6D]
REDIS_PORT_NAME = "TOUCAN_REDIS_PORT"  # [S:HELM, W6D]
REDIS_PASSWORD = "TOUCAN_REDIS_PASSWORD"  # [S:W6D]
REDIS_SSL = "TOUCAN_REDIS_SSL"  # true or false [S:W6D]
GUNICORN_WORKERS = "TOUCAN_GUNICORN_WORKERS"  # [S:HELM, W6D]
API_BASEROUTE = "API_BASEROUTE"  # of the frontend: the backend's public URL [S:RTD, HELM, FAQ]

MAIL_PROVIDER = "TOUCAN_SEND_MAIL_PROVIDER"  # [S:W6D]
MAIL_PROVIDERS = ("smtp", "sendgrid")  # [S:W6D]
MAIL_FROM = "TOUCAN_SEND_MAIL_FROM_EMAIL"  # [S:W6D, HELM]
MAIL_FROM_NAME = "TOUCAN_SEND_MAIL_FROM_NAME"  # [S:W6D, HELM]
SMTP_HOST = "TOUCAN_SMTP_HOST"  # [S:W6D]
SMTP_PORT = "TOUCAN_SMTP_PORT"  # [S:W6D]
SMTP_LOGIN = "TOUCAN_SMTP_LOGIN"  # [S:W6D]
SMTP_PASSWORD = "TOUCAN_SMTP_PASSWORD"  # [S:W6D]
SMTP_TLS = "TOUCAN_SMTP_TLS"  # true or false [S:W6D]
SMTP_SMTPS = "TOUCAN_SMTP_SMTPS"  # true or false [S:W6D]

FLAG_ON = "enable"  # how a feature flag is written [S:HELM]
FLAG_OFF = "disable"  # [S:HELM]
BOOLEAN_TRUE = "true"  # how the TLS switches are written [S:W6D]
BOOLEAN_FALSE = "false"  # [S:W6D]

MONGODB_INIT_USER = "MONGO_INITDB_ROOT_USERNAME"  # of the mongo image, first start only [IMAGE]
MONGODB_INIT_PASSWORD = "MONGO_INITDB_ROOT_PASSWORD"  # [IMAGE]
MONGODB_INIT_PASSWORD_FILE = "MONGO_INITDB_ROOT_PASSWORD_FILE"  # [IMAGE]
MONGODB_STACK_USER = "app"  # the product needs rights on any database, one a small app [S:HELM]

# What the collection always sets itself, from the URLs, the secrets and the topology.
DERIVED_BACKEND = frozenset(  # [OURS]
    {
        SERVER_NAME,
        FRONTEND_URLS,
        BEHIND_PROXY,
        JWT_SECRET,
        ENCRYPTION_SECRET,
        ADMIN_PASSWORD,
        MONGODB_HOST,
        MONGODB_PORT_NAME,
        MONGODB_USER,
        MONGODB_PASSWORD,
        REDIS_HOST,
        REDIS_PORT_NAME,
        REDIS_PASSWORD,
        REDIS_SSL,
        INNER_NGINX,
    }
)
DERIVED_FRONTEND = frozenset({API_BASEROUTE})  # [OURS]


def encode(value: Any) -> str:
    """A typed value as the product reads it: booleans as flags, lists and mappings as JSON, all else as text."""
    if isinstance(value, bool):
        return FLAG_ON if value else FLAG_OFF
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)


def flag(name: str, value: Any) -> str:
    """A feature flag as the product reads it; a survey sends a boolean as text. :raises Failure: when it is neither on nor off."""
    text = str(value).strip().lower()
    if text in ("true", "yes", "on", "1", FLAG_ON):
        return FLAG_ON
    if text in ("false", "no", "off", "0", FLAG_OFF):
        return FLAG_OFF
    raise Failure(f"`toucan_stack_features` sets {name} to `{value}`, which is neither on nor off", "write true or false", subject=name)


def variables(values: Mapping[str, Any]) -> dict[str, str]:
    """A free map of variables as the product reads it; a variable that is null is left out."""
    return {name: _encode_of(name, value) for name, value in values.items() if value is not None}


def backend_port(backend_env: Mapping[str, Any]) -> int:
    """The port that a backend with these variables answers on."""
    bare = variables(backend_env).get(INNER_NGINX, "").lower() == INNER_NGINX_OFF
    return BACKEND_BARE_PORT if bare else BACKEND_PORT


def _encode_of(name: str, value: Any) -> str:
    # YAML reads an unquoted `off` as false.
    return INNER_NGINX_OFF if name == INNER_NGINX and value is False else encode(value)


def redis_environment(outside: Optional[RedisServer], password: str, elsewhere: Optional[Peer] = None) -> dict[str, str]:
    """Variables for a Redis: the stack's own, or the one outside it.

    :param password: of the stack's own.
    :param elsewhere: the stack's own, where it runs on another host.
    """
    if not outside:
        address, its_port = (elsewhere.address, elsewhere.port) if elsewhere else (COMPOSE_NAMES[REDIS], REDIS_PORT)
        return {REDIS_HOST: address, REDIS_PORT_NAME: str(its_port), REDIS_PASSWORD: password}
    environment = {
        REDIS_HOST: outside.host,
        REDIS_PORT_NAME: str(outside.port),
        REDIS_SSL: BOOLEAN_TRUE if outside.tls else BOOLEAN_FALSE,
    }
    if outside.password:
        environment[REDIS_PASSWORD] = outside.password
    return environment


def mongodb_environment(outside: Optional[MongodbUri], uri_variable: str, password: str, elsewhere: Optional[Peer] = None) -> dict[str, str]:
    """Variables for a MongoDB: the stack's own, or the one outside it, in ``uri_variable``.

    :param password: of the stack's own.
    :param elsewhere: the stack's own, where it runs on another host.
    """
    if outside:
        return {uri_variable: str(outside)}
    host, port = (elsewhere.address, elsewhere.port) if elsewhere else (COMPOSE_NAMES[MONGODB], MONGODB_PORT)
    return {
        MONGODB_HOST: host,
        MONGODB_PORT_NAME: str(port),
        MONGODB_USER: MONGODB_STACK_USER,
        MONGODB_PASSWORD: password,
    }


def mail_environment(mail: Mapping[str, Any]) -> dict[str, str]:
    """Variables for the keys ``provider host port login password tls smtps from_email from_name``; missing keys are left out."""
    names = {
        "provider": MAIL_PROVIDER,
        "host": SMTP_HOST,
        "port": SMTP_PORT,
        "login": SMTP_LOGIN,
        "password": SMTP_PASSWORD,
        "from_email": MAIL_FROM,
        "from_name": MAIL_FROM_NAME,
    }
    environment = {names[key]: encode(mail[key]) for key in names if mail.get(key) not in (None, "")}
    for key, name in (("tls", SMTP_TLS), ("smtps", SMTP_SMTPS)):
        if mail.get(key) is not None:
            environment[name] = BOOLEAN_TRUE if mail[key] else BOOLEAN_FALSE
    return environment


def frontend_environment(backend_url: str) -> dict[str, str]:
    """Variables of the frontend; the image's entrypoint replaces a placeholder by each of them [S:SAAGIE]."""
    return {API_BASEROUTE: backend_url.rstrip("/")}


def host_of(url: str, option: str) -> str:
    """The host name of a public URL. :raises Failure: when it is none."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise Failure(f"`{option}` is `{url}`, which is no URL with a host name", "write it as `https://toucan.example.com`", subject=option)
    return host
