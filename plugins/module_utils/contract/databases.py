# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases outside the stack: how they are named, and what the backend wants of them. Pure, and free of any library.

No sentence quotes a part of a connection string that could be a piece of a password: where the marks between its parts are wrong, any part could.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urlsplit

from ..core.errors import Failure
from .services import MONGODB_PORT, REDIS_PORT

BACKEND_CA_FILE = "/etc/ssl/myCA.crt"  # where the vendor's example mounts the CA of MongoDB into the backend [FAQ]
MONGODB_ROLES = ("readWriteAnyDatabase", "dbAdminAnyDatabase")  # of the backend's user: each small app has a database of its own [S:HELM]

# How connection strings are written is MongoDB's documentation, and no belief about the product.
_SCHEMES = ("mongodb", "mongodb+srv")  # [OURS]
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")  # [OURS]
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")  # [OURS]
_RESERVED = "`@:/?#%`"  # [OURS]
_PAIR = re.compile(r"[A-Za-z]+=.*")  # [OURS]
_TLS = ("tls", "ssl")  # [OURS]
_CA_FILE = "tlsCAFile"  # [OURS]
_OTHER_FILES = ("tlsCertificateKeyFile", "tlsCRLFile")  # [OURS]
_HIGHEST_PORT = 65535  # [OURS]
_URI_FORM = "write `mongodb://HOST[:PORT][,HOST[:PORT]]/?OPTIONS` or `mongodb+srv://HOST/?OPTIONS`, and the login as `toucan_mongodb_username`"  # [OURS]
_URI_REMEDY = f"{_URI_FORM} and `toucan_mongodb_password`"  # [OURS]
_REDIS_REMEDY = "write `redis://HOST[:PORT]`, or `rediss://` for TLS, and the password as `toucan_redis_password`"  # [OURS]


@dataclass(frozen=True)
class MongodbUri:
    """A connection string in its parts; ``user`` and ``password`` as they are, not as they are written there.

    :param user: empty for none; ``options`` are names and values as written, in their order.
    :param written: the whole of it, as long as nothing in it was changed.
    """

    scheme: str
    user: str
    password: str
    hosts: tuple[str, ...]
    database: str
    options: tuple[tuple[str, str], ...]
    written: str = field(default="", compare=False)

    def __str__(self) -> str:
        if self.written:
            return self.written
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        options = "&".join(f"{name}={value}" for name, value in self.options)
        return f"{self.scheme}://{login}{','.join(self.hosts)}/{self.database}{'?' if options else ''}{options}"

    @property
    def written_password(self) -> str:
        """The password as it stands in the text."""
        return str(self).partition("://")[2].rpartition("@")[0].partition(":")[2]

    @property
    def shown(self) -> str:
        """Its hosts, for sentences and results."""
        return ", ".join(self.hosts)

    @property
    def is_record(self) -> bool:
        """Whether the hosts stand in an SRV record."""
        return self.scheme == _SCHEMES[1]

    @property
    def uses_tls(self) -> bool:
        """Whether drivers speak TLS: always by an SRV record that says nothing else, and wherever a CA is named."""
        told = self.option("tls") or self.option("ssl")
        return told == "true" if told else self.is_record or bool(self.option(_CA_FILE))

    def option(self, name: str) -> str:
        """The value of an option, by its name in any case; empty where it is not there."""
        return next((unquote(value) for known, value in self.options if known.lower() == name.lower()), "")

    def with_login(self, user: str, password: str) -> MongodbUri:
        """The same for this user."""
        return replace(self, user=user, password=password, written="")

    def with_ca_file(self, path: str) -> MongodbUri:
        """The same over TLS, by the CA in a file that whoever connects can read."""
        tls = () if any(self.option(name) for name in _TLS) else (("tls", "true"),)
        kept = tuple((name, value) for name, value in self.options if name.lower() != _CA_FILE.lower())
        return replace(self, options=(*kept, *tls, (_CA_FILE, quote(path, safe="/"))), written="")


@dataclass(frozen=True)
class ExternalMongodb:
    """What an inventory says of a MongoDB outside the stack.

    :param ca_pem: certificates that sign the server's, empty where the backend trusts them anyway.
    :param ca_path: where the backend finds them.
    """

    uri: str
    username: str = ""
    password: str = ""
    ca_pem: str = ""
    ca_path: str = BACKEND_CA_FILE

    def settled(self) -> MongodbUri:
        """The connection string as the backend gets it.

        :raises Failure: when it cannot be read, or contradicts the other options.
        """
        if not self.ca_path.startswith("/") or ":" in self.ca_path:
            raise Failure(f"`toucan_stack_mongodb_ca_path` is `{self.ca_path}`, which is no path in a container", "write a whole path without a colon")
        uri = self._with_login(parse_mongodb_uri(self.uri))
        for name in _OTHER_FILES:
            if uri.option(name):
                raise Failure(
                    f"`toucan_mongodb_uri` has {name}, a file that nothing puts into the backend's container",
                    "log in with a user and a password instead",
                    subject=name,
                )
        if not self.ca_pem:
            self._refuse_missing_ca(uri)
            return uri
        if self._switches_tls_off(uri):
            raise Failure("`toucan_mongodb_uri` switches TLS off, and `toucan_mongodb_ca_file` is for TLS", "take one of them out")
        if uri.option(_CA_FILE) == self.ca_path:
            return uri
        self._refuse_missing_ca(uri)
        return uri.with_ca_file(self.ca_path)

    def _with_login(self, uri: MongodbUri) -> MongodbUri:
        refuse_half_a_login(self.username, self.password)
        if not self.username:
            return uri
        if uri.user:
            raise Failure("`toucan_mongodb_uri` holds a login, and `toucan_mongodb_username` is another one", "take the login out of the URI")
        return uri.with_login(self.username, self.password)

    def _switches_tls_off(self, uri: MongodbUri) -> bool:
        return any(uri.option(name) == "false" for name in _TLS)

    def _refuse_missing_ca(self, uri: MongodbUri) -> None:
        named = uri.option(_CA_FILE)
        if named:
            raise Failure(
                f"`toucan_mongodb_uri` has {_CA_FILE}={named}, a file that nothing puts into the backend's container",
                "take it out and give the CA as `toucan_mongodb_ca_file`, which is mounted there and named in the URI",
                subject=named,
            )


@dataclass(frozen=True)
class RedisServer:
    """A Redis outside the stack; ``password`` is empty for none."""

    host: str
    port: int
    tls: bool
    password: str

    @property
    def shown(self) -> str:
        """Its address, for sentences."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def refuse_half_a_login(username: str, password: str) -> None:
    """:raises Failure: when only one of both is given."""
    if bool(username) != bool(password):
        given, missing = ("username", "password") if username else ("password", "username")
        raise Failure(f"`toucan_mongodb_{given}` is set, and `toucan_mongodb_{missing}` is not", "set both, or none where the URI holds the login")


def parse_mongodb_uri(uri: str) -> MongodbUri:
    """The parts of a connection string (https://www.mongodb.com/docs/manual/reference/connection-string/).

    :raises Failure: when it is none, or a character of its login is not escaped.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise Failure("`toucan_mongodb_uri` is no connection string", _URI_REMEDY)
    head, dummy, query = rest.partition("?")
    authority, dummy, database = head.partition("/")
    login, at, hosts = authority.rpartition("@")
    pairs = [pair for pair in query.split("&") if pair]
    well_formed = all(_PAIR.fullmatch(pair) for pair in pairs)
    if "@" in database or ("@" in query and not (at and well_formed)) or _is_not_escaped(login):
        raise Failure(
            f"The user or the password in `toucan_mongodb_uri` has a character of {_RESERVED} that is not escaped",
            "give them as `toucan_mongodb_username` and `toucan_mongodb_password`, which may hold any character, and leave them out of the URI",
        )
    if not well_formed:
        raise Failure("`toucan_mongodb_uri` has options that are no NAME=VALUE", _URI_REMEDY)
    user, dummy, password = login.partition(":")
    if at and not user:
        raise Failure("`toucan_mongodb_uri` has a login without a user", _URI_REMEDY)
    options = tuple((name, value) for name, dummy, value in (pair.partition("=") for pair in pairs))
    parsed = MongodbUri(scheme, unquote(user), unquote(password), tuple(hosts.split(",")), database, options, written=uri)
    _refuse_unusable_hosts(parsed)
    _refuse_unusable_switch(parsed)
    return parsed


def parse_redis_url(url: str, password: str = "") -> RedisServer:
    """The Redis that a ``redis://`` or ``rediss://`` URL names.

    :param password: given beside the URL, which must have none then.
    :raises Failure: when it is none, or holds what the backend has no variable for.
    """
    authority, *behind = re.split("[/?#]", url.partition("://")[2], maxsplit=1)
    if "@" in "".join(behind) or _is_not_escaped(authority.rpartition("@")[0]):
        raise Failure(
            f"The password in `toucan_redis_url` has a character of {_RESERVED} that is not escaped",
            "give it as `toucan_redis_password`, which may hold any character, and leave it out of the URL",
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or REDIS_PORT
    except ValueError:  # its text quotes the URL, which may hold a password
        raise Failure("`toucan_redis_url` is no Redis URL", _REDIS_REMEDY) from None
    told = parts.password or ""
    if not host or parts.scheme not in ("redis", "rediss"):
        raise Failure("`toucan_redis_url` is no Redis URL", _REDIS_REMEDY)
    if told and password:
        raise Failure("`toucan_redis_url` holds a password, and `toucan_redis_password` is another one", "take the password out of the URL")
    if parts.username not in (None, "", "default"):
        raise Failure("`toucan_redis_url` names a user, and no variable of the backend is known that takes one", _REDIS_REMEDY)
    if parts.path.strip("/") not in ("", "0"):
        raise Failure("`toucan_redis_url` names a database by number, and no variable of the backend is known that takes one", _REDIS_REMEDY)
    return RedisServer(host, port, parts.scheme == "rediss", unquote(told) or password)


def _is_not_escaped(login: str) -> bool:
    return "@" in login or login.count(":") > 1 or bool(_BROKEN_PERCENT.search(login))


def _refuse_unusable_hosts(uri: MongodbUri) -> None:
    found = [_HOST.fullmatch(host) for host in uri.hosts]
    if not all(match and int(match[1] or MONGODB_PORT) in range(1, _HIGHEST_PORT + 1) for match in found):
        raise Failure("`toucan_mongodb_uri` has no host, or one that cannot be read", _URI_REMEDY)
    if uri.is_record and (len(found) > 1 or any(match and match[1] for match in found)):
        raise Failure("`toucan_mongodb_uri` has more than one host, or a port, beside `mongodb+srv`", "name the one host of the SRV record alone")


def _refuse_unusable_switch(uri: MongodbUri) -> None:
    """Drivers pass over a switch that they cannot read, and would send the password in the open."""
    for name in _TLS:
        if uri.option(name) not in ("", "true", "false"):
            raise Failure(f"`toucan_mongodb_uri` has {name} with another value than true or false", "correct it", subject=name)
