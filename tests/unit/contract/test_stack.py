# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compose project that options ask for: what is in it, where secrets stand, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import COMPOSE_NAMES, KINDS
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import (
    Definition,
    StackOptions,
    define,
    escape,
    refuse_incomplete,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.workers import Workers
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import NAMES
from hypothesis import given
from hypothesis import strategies as st

IMAGES = {kind: f"registry.test/{kind}:1@sha256:00" for kind in KINDS}
SECRETS = {name: f"value-of-{name}" for name in NAMES}
OPTIONS = StackOptions(
    project="toucan",
    services=KINDS,
    frontend_url="https://app.test",
    backend_url="https://api.test/prefix/",
    directory="/srv/stack",
    storage="/srv/storage",
    database="/srv/mongodb",
    network="toucan",
)
VARIABLES = st.from_regex(r"[A-Z][A-Z_]{0,12}", fullmatch=True)


def defined(**changes: Any) -> Definition:
    return define(replace(OPTIONS, **changes), IMAGES, SECRETS, Workers(5, "because"))


def environment(definition: Definition, service: str = "backend") -> dict[str, str]:
    """The variables that a service's container gets, as compose hands them over."""
    variables = definition.merged()["services"][service]["environment"]
    return {name: value.replace("$$", "$") for name, value in variables.items()}


def test_a_backend_gets_exactly_these_variables() -> None:
    definition = defined(cross_origins=("https://x.test",), features={"TOUCAN_EMBED": True, "TOUCAN_ALERTS": False})
    assert definition.public["services"]["backend"]["environment"] == {
        "TOUCAN_INSTANCE_NAME": "toucan",
        "TOUCAN_VHOST_SERVER_NAME": "api.test",
        "TOUCAN_FRONTEND_URLS": '["https://app.test"]',
        "TOUCAN_CROSS_ORIGIN_WHITELIST": '["https://x.test"]',
        "TOUCAN_IS_BEHIND_PROXY": "enable",
        "TOUCAN_LOG_LEVEL": "INFO",
        "TOUCAN_GUNICORN_WORKERS": "5",
        "TOUCAN_EMBED": "enable",
        "TOUCAN_ALERTS": "disable",
    }
    assert definition.secret == {
        "services": {
            "backend": {
                "environment": {
                    "TOUCAN_DB_ENCRYPTION_SECRET": "value-of-encryption_secret",
                    "TOUCAN_JWT_SECRET_KEY": "value-of-jwt_secret",
                    "TOUCAN_USER_SUPERADMIN_PASSWORD": "value-of-admin_password",
                    "TOUCAN_MONGODB_HOST": "mongo",
                    "TOUCAN_MONGODB_PORT": "27017",
                    "TOUCAN_MONGODB_USER": "app",
                    "TOUCAN_MONGODB_PASS": "value-of-mongodb_password",
                    "TOUCAN_REDIS_HOST": "redis",
                    "TOUCAN_REDIS_PORT": "6379",
                    "TOUCAN_REDIS_PASSWORD": "value-of-redis_password",
                }
            }
        }
    }


def test_a_frontend_gets_the_backends_url() -> None:
    assert environment(defined(frontend_env={"SHOW": True}), "frontend") == {"API_BASEROUTE": "https://api.test/prefix", "SHOW": "enable"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_service_stands_alone_with_its_image(kind: str) -> None:
    definition = defined(services=(kind,), mongodb_uri="mongodb://db.test", redis_url="redis://cache.test")
    (name,) = definition.public["services"]
    service = definition.public["services"][name]
    assert (name, service["image"], service["restart"]) == (COMPOSE_NAMES[kind], IMAGES[kind], "always")
    assert "depends_on" not in service
    assert set(definition.secret["services"]) == ({"backend"} if kind == "backend" else set())


def test_a_backend_starts_after_the_databases_beside_it() -> None:
    assert defined().public["services"]["backend"]["depends_on"] == ["mongo", "redis"]
    assert defined(services=("backend", "redis"), mongodb_uri="mongodb://db.test").public["services"]["backend"]["depends_on"] == ["redis"]


def test_all_services_share_a_network_that_compose_does_not_own() -> None:
    assert defined(network="other").public["networks"] == {"default": {"name": "other", "external": True}}


def test_folders_of_the_host_are_mounted_where_the_images_keep_data() -> None:
    services = defined().public["services"]
    assert services["backend"]["volumes"] == ["/srv/storage:/app/storage"]
    assert services["mongo"]["volumes"] == ["/srv/mongodb:/data/db", "/srv/stack/mongodb:/run/toucan:ro"]


@given(st.lists(st.sampled_from(KINDS), min_size=1, unique=True))
def test_no_secret_stands_in_the_public_file(services: list[str]) -> None:
    mail = {"host": "mail.test", "password": "value-of-mail"}
    definition = defined(
        services=tuple(services),
        mail=mail,
        mongodb_uri="mongodb://u:value-of-uri@db.test",
        redis_url="redis://:value-of-url@cache.test",
        backend_secret_env={"TOUCAN_SECRETS": {"a": "value-of-map"}},
    )
    assert "value-of" not in json.dumps(definition.public)
    assert ("value-of-uri" in json.dumps(definition.secret)) == ("backend" in services)


def test_databases_elsewhere_take_the_place_of_the_stacks() -> None:
    variables = environment(
        defined(services=("backend",), mongodb_uri="mongodb://db.test", mongodb_uri_variable="TOUCAN_MONGODB_HOST", redis_url="redis://cache.test")
    )
    assert variables["TOUCAN_MONGODB_HOST"] == "mongodb://db.test"
    assert variables["TOUCAN_REDIS_HOST"] == "cache.test"
    assert not {"TOUCAN_MONGODB_PASS", "TOUCAN_REDIS_PASSWORD"} & variables.keys()


@pytest.mark.parametrize("option", ["backend_env", "backend_secret_env"])
@pytest.mark.parametrize("variable", ["TOUCAN_LOG_LEVEL", "TOUCAN_GUNICORN_WORKERS", "TOUCAN_MONGODB_HOST", "TOUCAN_JWT_SECRET_KEY", "TOUCAN_NEW"])
def test_a_free_variable_wins_over_what_is_derived(option: str, variable: str) -> None:
    assert environment(defined(**{option: {variable: "mine"}}))[variable] == "mine"


@given(st.dictionaries(VARIABLES, st.text() | st.booleans() | st.integers()), st.dictionaries(VARIABLES, st.text() | st.booleans()))
def test_free_variables_arrive_and_the_secret_map_wins(public: dict[str, Any], secret: dict[str, Any]) -> None:
    written = {True: "enable", False: "disable"}
    variables = environment(defined(backend_env=public, backend_secret_env=secret))
    for name, value in {**public, **secret}.items():
        assert variables[name] == (written[value] if isinstance(value, bool) else str(value))


def test_a_dollar_reaches_the_container_as_it_is() -> None:
    assert defined(backend_env={"A": "p$a${b}"}).public["services"]["backend"]["environment"]["A"] == "p$$a$${b}"
    assert (
        define(OPTIONS, IMAGES, {**SECRETS, "jwt_secret": "$x"}, Workers(1, "")).secret["services"]["backend"]["environment"]["TOUCAN_JWT_SECRET_KEY"] == "$$x"
    )


@given(st.recursive(st.text() | st.integers() | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_an_escaped_value_holds_no_dollar_that_compose_would_read(value: Any) -> None:
    def unescaped(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: unescaped(inner) for key, inner in item.items()}
        if isinstance(item, list):
            return [unescaped(inner) for inner in item]
        if isinstance(item, str):
            assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", item)
            return item.replace("$$", "$")
        return item

    assert unescaped(escape(value)) == value


@pytest.mark.parametrize("service", ["mongo", "redis"])
def test_databases_are_hardened(service: str) -> None:
    defined_service = defined().public["services"][service]
    assert defined_service["read_only"] is True
    assert defined_service["cap_drop"] == ["ALL"]
    assert defined_service["security_opt"] == ["no-new-privileges:true"]
    assert defined_service["user"] == "999:999"
    assert "cap_add" not in defined_service
    assert not defined_service.get("ports")


def test_no_service_publishes_a_port() -> None:
    assert [name for name, service in defined().public["services"].items() if "ports" in service or "network_mode" in service] == []


@pytest.mark.parametrize("service", ["frontend", "backend"])
def test_the_vendors_images_run_as_they_are_shipped(service: str) -> None:
    assert not {"read_only", "cap_drop", "security_opt", "user", "command", "entrypoint"} & defined().public["services"][service].keys()


def test_mongodb_reads_its_first_password_from_a_file_of_its_own() -> None:
    (file,) = defined(services=("mongodb",)).files
    assert (file.path, file.content, file.owner, file.kind) == ("mongodb/password", "value-of-mongodb_password", (999, 999), "mongodb")
    assert defined().public["services"]["mongo"]["environment"] == {
        "MONGO_INITDB_ROOT_USERNAME": "app",
        "MONGO_INITDB_ROOT_PASSWORD_FILE": "/run/toucan/password",
    }


def test_redis_is_configured_by_a_file_with_password_and_memory_limit() -> None:
    definition = define(replace(OPTIONS, services=("redis",), redis_memory_mb=64), IMAGES, {**SECRETS, "redis_password": 'a"b\\c'}, Workers(1, ""))
    (file,) = definition.files
    lines = file.content.splitlines()
    assert (file.path, file.owner, file.kind) == ("redis/redis.conf", (999, 999), "redis")
    assert {'requirepass "a\\"b\\\\c"', "maxmemory 64mb", "protected-mode yes", "port 6379", 'save ""', "appendonly no"} <= set(lines)
    assert definition.public["services"]["redis"]["command"] == ["redis-server", "/usr/local/etc/redis/redis.conf"]
    assert "/srv/stack/redis:/usr/local/etc/redis:ro" in definition.public["services"]["redis"]["volumes"]
    assert definition.public["services"]["redis"]["tmpfs"] == ["/data:mode=0700,uid=999,gid=999"]


def test_logs_are_rotated() -> None:
    for service in defined(log_size_mb=7, log_files=3).public["services"].values():
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "7m", "max-file": "3"}}


@pytest.mark.parametrize(
    "services, given_elsewhere",
    [
        (KINDS, {}),
        (("frontend",), {}),
        (("mongodb", "redis"), {}),
        (("backend",), {"mongodb_uri": "mongodb://db.test", "redis_url": "redis://cache.test"}),
        (("backend", "redis"), {"mongodb_uri": "mongodb://db.test"}),
    ],
)
def test_a_complete_host_passes(services: tuple[str, ...], given_elsewhere: dict[str, str]) -> None:
    refuse_incomplete(replace(OPTIONS, services=services, **given_elsewhere))


@pytest.mark.parametrize(
    "services, sentence",
    [
        (("backend", "redis"), "runs a backend but no MongoDB; add a host to group `toucan_mongodb`, or set `toucan_mongodb_uri`"),
        (("backend", "mongodb"), "runs a backend but no Redis; add a host to group `toucan_redis`, or set `toucan_redis_url`"),
    ],
)
def test_a_backend_without_database_is_refused(services: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(Failure, match=re.escape(sentence)):
        refuse_incomplete(replace(OPTIONS, services=services))


@pytest.mark.parametrize("option", ["frontend_url", "backend_url"])
def test_a_product_without_public_url_is_refused(option: str) -> None:
    with pytest.raises(Failure, match=f"`toucan_{option}` is .* no URL with a host name"):
        refuse_incomplete(replace(OPTIONS, **{option: "app.test"}))


# -- adopted stacks -------------------------------------------------------------------------------------------------------


def test_what_an_adopted_stack_brought_along_is_kept_below_all_options_and_out_of_sight() -> None:
    brought = {"TOUCAN_CACHE": "enable", "TOUCAN_SMTP_HOST": "old.test", "TOUCAN_EMBED": "enable", "TOUCAN_LOG_LEVEL": "DEBUG", "TOUCAN_TOKEN": "se$cret"}
    definition = defined(
        adopted={"backend": brought, "frontend": {"PASSWORD": "visitor", "API_BASEROUTE": "http://localhost:5000"}},
        mail={"host": "new.test"},
        features={"TOUCAN_EMBED": False},
        backend_env={"TOUCAN_TOKEN_VALIDITY": "1 hours"},
    )
    kept = environment(definition)
    assert {name: kept[name] for name in brought} == {
        "TOUCAN_CACHE": "enable",
        "TOUCAN_SMTP_HOST": "new.test",
        "TOUCAN_EMBED": "disable",
        "TOUCAN_LOG_LEVEL": "DEBUG",
        "TOUCAN_TOKEN": "se$cret",
    }
    assert environment(definition, "frontend") == {"API_BASEROUTE": "https://api.test/prefix", "PASSWORD": "visitor"}
    assert not {"se$$cret", "visitor"} & set(json.dumps(definition.public).split('"')), "a value that may be secret stands in the public file"


def test_an_adopted_stack_gets_no_instance_name_unless_one_is_asked_for() -> None:
    assert "TOUCAN_INSTANCE_NAME" not in environment(defined(adopted={"backend": {}}))
    assert environment(defined(adopted={"backend": {"TOUCAN_INSTANCE_NAME": "ours"}}))["TOUCAN_INSTANCE_NAME"] == "ours"
    assert environment(defined(adopted={"backend": {}}, instance_name="new"))["TOUCAN_INSTANCE_NAME"] == "new"
    assert environment(defined())["TOUCAN_INSTANCE_NAME"] == "toucan"


def test_further_mounts_are_kept_and_their_volumes_never_compose_s_own() -> None:
    mounts = {"backend": ("/etc/ssl/corp.crt:/etc/ssl/myCA.crt:ro", "logs:/app/logs"), "frontend": ("/srv/tc-params.js:/x.js:ro",), "mongodb": ("a:/b",)}
    public = defined(mounts=mounts, services=("frontend", "backend"), mongodb_uri="mongodb://db.test", redis_url="redis://cache.test").public
    assert public["services"]["backend"]["volumes"] == ["/srv/storage:/app/storage", *mounts["backend"]]
    assert public["services"]["frontend"]["volumes"] == list(mounts["frontend"])
    assert public["volumes"] == {"logs": {"name": "logs", "external": True}}
