# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack on a MongoDB and a Redis of somebody else: TLS by an authority of their own, passwords with every awkward character.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from labrun.hosts import CONTAINERS, Host, fresh_host, lab_facts, site_variables, user_shell
from labrun.pieces import lab_piece
from labrun.user import bearer

#: The databases' groups are left out: they stand outside the stack.
GROUPS = ("toucan_frontend", "toucan_backend", "toucan_proxy")
#: What the lab's server holds, asked by a client that the collection knows nothing of.
LOOK = """
import json, sys, pymongo
given = json.load(sys.stdin)
open("/tmp/databases-ca.crt", "w").write(given["ca"])
mongodb = given["mongodb"]
client = pymongo.MongoClient(mongodb["address"], tls=True, tlsCAFile="/tmp/databases-ca.crt", username=mongodb["username"], password=mongodb["password"])
"""
DATABASE = "outside"
SECRETS = {"encryption_secret": "an encryption secret of the tests", "jwt_secret": "a secret for tokens of the tests"}


@pytest.fixture(scope="module")
def host() -> Host:
    return replace(fresh_host("host17"), groups=GROUPS)


@pytest.fixture(scope="module")
def pieces() -> dict[str, Any]:
    return lab_piece("databases")


@pytest.fixture(scope="module")
def variables(pieces: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a sysadmin writes into the inventory, by a plain connection string."""
    both = tmp_path_factory.mktemp("trust") / "ca.crt"
    both.write_bytes(Path(lab_facts()["lab_ca_file"]).read_bytes() + Path(pieces["ca_file"]).read_bytes())
    mongodb, redis = pieces["mongodb"], pieces["redis"]
    return {
        **site_variables(),
        "toucan_ca_file": str(both),
        # What stands in a database of somebody else was made with secrets that the inventory knows.
        "toucan_secrets": SECRETS,
        "toucan_stack_instance_name": DATABASE,
        "toucan_mongodb_uri": f"mongodb://{mongodb['address']}",
        "toucan_mongodb_username": mongodb["username"],
        "toucan_mongodb_password": mongodb["password"],
        "toucan_mongodb_ca_file": pieces["ca_file"],
        "toucan_redis_url": f"rediss://{redis['address']}",
        "toucan_redis_password": redis["password"],
        # Whom a backend trusts that speaks TLS with Redis is not public; one on OpenSSL's defaults trusts whom this names.
        "toucan_stack_env": {"SSL_CERT_FILE": "/etc/ssl/myCA.crt"},
    }


def asked(pieces: dict[str, Any], question: str) -> Any:
    """What the lab's MongoDB answers to a question in Python about its `client`."""
    given = {**pieces, "ca": Path(pieces["ca_file"]).read_text(encoding="utf-8")}
    program = f"{LOOK}\nprint(json.dumps({question}))\n"
    return json.loads(user_shell(f"python3 -c {shlex.quote(program)}", json.dumps(given).encode()))


def test_x(host: Host, pieces: dict[str, Any], variables: dict[str, Any]) -> None:
    run = host.site("-vvvv", **variables)
    Path("/tmp/dbsite.log").write_text(run.output)
    run.succeeded()
    Path("/tmp/dbdb.log").write_text(json.dumps(asked(pieces, "client.list_database_names()")))
