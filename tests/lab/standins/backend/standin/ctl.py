# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``toucan-ctl``: what the entrypoint runs before the servers start."""

from __future__ import annotations

import argparse
import grp
import logging.config
import os
import sys
from pathlib import Path

from . import accounts, secrets
from .config import Config, ConfigError, read_config, toucan_variables, write_config
from .database import (
    InstanceDatabases,
    ServiceUnreachableError,
    connect_mongodb,
    connect_redis,
    wait_for_services,
)
from .identity import read_dialect, read_release
from .logs import logging_config
from .migrations import MigrationError, applied_migrations, migrate, migrations_of

_log = logging.getLogger("toucan-ctl")

# product-facts 1.3 [S:SAAGIE]
_GROUP = "toucan"
_NGINX_PROGRAM = Path("/app/run/supervisor-nginx.conf")
_CANARY = "the encryption secret is right"


def make_config(arguments: argparse.Namespace) -> None:
    """Write the configuration file of the environment."""
    # product-facts 1.3 [S:SAAGIE]
    write_config(arguments.path, toucan_variables(os.environ), grp.getgrnam(_GROUP).gr_gid)


def toggle_service(arguments: argparse.Namespace) -> None:
    """Have supervisord start the inner nginx, or not."""
    # product-facts 1.2 and product-facts 1.3 [S:HELM, SAAGIE]
    if read_config().flag(f"TOUCAN_{arguments.service.upper()}_SUPERVISOR", default=True):
        _NGINX_PROGRAM.write_text("[program:nginx]\ncommand=nginx -c /app/nginx.conf -g 'daemon off;'\n", encoding="utf-8")
    else:
        _NGINX_PROGRAM.unlink(missing_ok=True)


def migrate_up(_arguments: argparse.Namespace) -> None:
    """Bring the data to this release: what happens before the servers start."""
    # product-facts 7 [S:DOC04, LAPDOC]
    config, dialect, release = read_config(), read_dialect(), read_release()
    mongodb = connect_mongodb(config, dialect)
    databases = InstanceDatabases(mongodb, config, dialect)
    wait_for_services(mongodb, connect_redis(config))
    check_encryption(databases, config)
    accounts.ensure_superadmin(databases, config, dialect)
    migrate(databases.instance, release)


def check_encryption(databases: InstanceDatabases, config: Config) -> None:
    """Decrypt what the first boot encrypted; raise WrongSecretError."""
    # product-facts 1.6 [S:RTD, HELM, W6D, SAAGIE]: the secret must stay the same [INF]
    encrypted = databases.instance["encrypted"]
    encrypted.update_one(
        {"_id": "canary"},
        {"$setOnInsert": secrets.encrypt(_CANARY, config.encryption_secret)},
        upsert=True,
    )
    secrets.decrypt(encrypted.find_one({"_id": "canary"}), config.encryption_secret)


def migrate_list(_arguments: argparse.Namespace) -> None:
    """Print the migrations of this release, the applied ones marked."""
    # product-facts 7 [S:LAPDOC]: [APPLIED] lines
    config, dialect = read_config(), read_dialect()
    databases = InstanceDatabases(connect_mongodb(config, dialect), config, dialect)
    applied = applied_migrations(databases.instance)
    for step in migrations_of(read_release()):
        print(("[APPLIED] " if step.name in applied else "[PENDING] ") + step.name)


def parser() -> argparse.ArgumentParser:
    """The sub-commands."""
    # product-facts 1.3 [S:SAAGIE, LAPDOC]
    top = argparse.ArgumentParser(prog="toucan-ctl")
    commands = top.add_subparsers(required=True)
    command = commands.add_parser("make_config")
    command.add_argument("path", type=Path)
    command.set_defaults(run=make_config)
    command = commands.add_parser("toggle_service")
    command.add_argument("service", choices=["nginx"])
    command.set_defaults(run=toggle_service)
    steps = commands.add_parser("migrate").add_subparsers(required=True)
    steps.add_parser("up").set_defaults(run=migrate_up)
    steps.add_parser("list").set_defaults(run=migrate_list)
    return top


def main() -> int:
    """Run one sub-command; 1 when it failed for a reason that can be foreseen."""
    # product-facts 1.6 [S:HELM]
    logging.config.dictConfig(logging_config(os.environ.get("TOUCAN_LOG_LEVEL") or "INFO"))
    arguments = parser().parse_args()
    try:
        arguments.run(arguments)
    except (ConfigError, MigrationError, ServiceUnreachableError, secrets.WrongSecretError) as error:
        _log.error("the backend cannot start: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
