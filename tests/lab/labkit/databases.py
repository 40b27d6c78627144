# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MongoDB and Redis of somebody else: TLS by an authority of their own, and passwords with every awkward character."""

from __future__ import annotations

import secrets

from . import pki
from .command import run, wait_for
from .containers import ensure_service
from .names import CLUSTER_NAME, LAB_CACHE, MONGODB_IP, MONGODB_NAME, NARROW_MONGODB_IP, NARROW_MONGODB_NAME, REDIS_IP, REDIS_NAME

WHAT = "a MongoDB and a Redis that somebody else runs"
LAYERS = ("mongodb", "mongodb-narrow", "redis")
MONGODB = "toucan-lab-mongodb"
NARROW_MONGODB = "toucan-lab-mongodb-narrow"
REDIS = "toucan-lab-redis"
MONGODB_PORT = 27017
REDIS_PORT = 6380
READER_PORT, WRITER_PORT = 27017, 27018
MONGODB_USER = "toucan"

PASSWORDS = LAB_CACHE / "passwords"
REDIS_SETTINGS = PASSWORDS / "redis.conf"
#: What an URI, a shell, a Compose file, a `.env` file, JSON or SASLprep may trip over.
AWKWARD = "@:/%40?#&+[x]$HOME'\"\\ é"


def ensure(images: dict[str, str]) -> None:
    """Start them if they do not run, from ``images`` of LAYERS, and wait until they answer."""
    pki.ensure_databases()
    _ensure_mongodb(images["mongodb"])
    _ensure_narrow_mongodb(images["mongodb-narrow"])
    _ensure_redis(images["redis"])


def facts() -> dict[str, object]:
    """What a sysadmin is told by whoever runs these databases, and where the lab keeps them."""
    return {
        "ca_file": str(pki.DATABASES_AUTHORITY),
        "mongodb": {
            "address": f"{MONGODB_NAME}:{MONGODB_PORT}",
            "srv_name": CLUSTER_NAME,
            # The same server, with the same login, to whoever has but the role readAnyDatabase or readWriteAnyDatabase.
            "reader_address": f"{NARROW_MONGODB_NAME}:{READER_PORT}",
            "writer_address": f"{NARROW_MONGODB_NAME}:{WRITER_PORT}",
            "username": MONGODB_USER,
            "password": password("mongodb"),
            "ip": MONGODB_IP,
            "container": MONGODB,
        },
        "redis": {"address": f"{REDIS_NAME}:{REDIS_PORT}", "password": password("redis"), "ip": REDIS_IP, "container": REDIS},
    }


def password(name: str) -> str:
    """Password of ``mongodb`` or ``redis``, made on first use."""
    place = PASSWORDS / name
    if not place.exists():
        PASSWORDS.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Servers read it as users of their own; the folder keeps everybody else of this machine out.
        place.write_text(f"{AWKWARD}{secrets.token_urlsafe(12)}", encoding="utf-8")
        place.chmod(0o444)
    return place.read_text(encoding="utf-8")


def _ensure_mongodb(image: str) -> None:
    password("mongodb")
    ensure_service(
        MONGODB, "mongodb", image, "--ip", MONGODB_IP, "--network-alias", MONGODB_NAME,
        "--volume", f"{PASSWORDS / 'mongodb'}:/run/secrets/password:ro",
        "--env", f"MONGO_INITDB_ROOT_USERNAME={MONGODB_USER}", "--env", "MONGO_INITDB_ROOT_PASSWORD_FILE=/run/secrets/password",
        "--volume", f"{pki.key_and_certificate('mongodb')}:/etc/lab/mongodb.pem:ro",
        command=["mongod", "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", "/etc/lab/mongodb.pem"],
    )
    _wait_for_tls("MongoDB", MONGODB, MONGODB_IP, MONGODB_PORT)


def _ensure_narrow_mongodb(image: str) -> None:
    """What the lab's MongoDB cannot show by itself, as it knows no roles."""
    ensure_service(
        NARROW_MONGODB, "mongodb-narrow", image, "--ip", NARROW_MONGODB_IP, "--network-alias", NARROW_MONGODB_NAME,
        "--volume", f"{pki.DATABASES_AUTHORITY}:/etc/lab/ca.crt:ro",
        "--volume", f"{pki.key_and_certificate('narrow-mongodb')}:/etc/lab/narrow.pem:ro",
        command=["python3", "/usr/local/bin/narrow-mongodb", f"{MONGODB_NAME}:{MONGODB_PORT}"],
    )
    for port in (READER_PORT, WRITER_PORT):
        _wait_for_tls("MongoDB for narrower roles", NARROW_MONGODB, NARROW_MONGODB_IP, port)


def _ensure_redis(image: str) -> None:
    quoted = password("redis").replace("\\", "\\\\").replace('"', '\\"')
    REDIS_SETTINGS.touch(mode=0o644)
    REDIS_SETTINGS.write_text(
        f'port 0\ntls-port {REDIS_PORT}\ntls-auth-clients no\ntls-cert-file /etc/lab/redis.pem\ntls-key-file /etc/lab/redis.pem\n'
        f'requirepass "{quoted}"\nsave ""\n',
        encoding="utf-8",
    )
    ensure_service(
        REDIS, "redis", image, "--ip", REDIS_IP, "--network-alias", REDIS_NAME,
        "--volume", f"{REDIS_SETTINGS}:/etc/lab/redis.conf:ro", "--volume", f"{pki.key_and_certificate('redis')}:/etc/lab/redis.pem:ro",
        command=["redis-server", "/etc/lab/redis.conf"],
    )
    _wait_for_tls("Redis", REDIS, REDIS_IP, REDIS_PORT)


def _wait_for_tls(what: str, container: str, address: str, port: int) -> None:
    """Wait until a server shows a certificate of the databases' authority."""
    look = ["openssl", "s_client", "-connect", f"{address}:{port}", "-CAfile", str(pki.DATABASES_AUTHORITY), "-verify_return_error"]
    wait_for(f"{what} (`docker logs {container}` tells)", lambda: run(look, stdin="", check=False).returncode == 0, seconds=60)
