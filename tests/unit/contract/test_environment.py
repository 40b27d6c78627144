# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values are written as the product reads them, and databases elsewhere are named as the options say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import environment as env
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.databases import RedisServer, parse_mongodb_uri
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "value, written",
    [
        (True, "enable"),
        (False, "disable"),
        (["https://a.test"], '["https://a.test"]'),
        (("a", "b"), '["a","b"]'),
        ([], "[]"),
        ({"flag": True}, '{"flag":true}'),
        (["é"], '["é"]'),
        (5, "5"),
        (2.5, "2.5"),
        ("off", "off"),
        ("", ""),
    ],
)
def test_values_are_written_as_the_product_reads_them(value: Any, written: str) -> None:
    assert env.encode(value) == written


@given(st.lists(JSON, max_size=4) | st.dictionaries(st.text(), JSON, max_size=4))
def test_lists_and_mappings_come_back_from_their_json(value: Any) -> None:
    assert json.loads(env.encode(value)) == value


def test_redis_of_the_stack_is_named_with_its_password() -> None:
    assert env.redis_environment(None, "secret") == {"TOUCAN_REDIS_HOST": "redis", "TOUCAN_REDIS_PORT": "6379", "TOUCAN_REDIS_PASSWORD": "secret"}


def test_redis_elsewhere_is_named_by_parts() -> None:
    assert env.redis_environment(RedisServer("cache.test", 6379, False, ""), "the stack's own") == {
        "TOUCAN_REDIS_HOST": "cache.test",
        "TOUCAN_REDIS_PORT": "6379",
        "TOUCAN_REDIS_SSL": "false",
    }
    assert env.redis_environment(RedisServer("cache.test", 7000, True, "p@ss/"), "the stack's own") == {
        "TOUCAN_REDIS_HOST": "cache.test",
        "TOUCAN_REDIS_PORT": "7000",
        "TOUCAN_REDIS_SSL": "true",
        "TOUCAN_REDIS_PASSWORD": "p@ss/",
    }


def test_mongodb_of_the_stack_is_named_by_parts() -> None:
    assert env.mongodb_environment(None, "TOUCAN_MONGODB_URI", "secret") == {
        "TOUCAN_MONGODB_HOST": "mongo",
        "TOUCAN_MONGODB_PORT": "27017",
        "TOUCAN_MONGODB_USER": "app",
        "TOUCAN_MONGODB_PASS": "secret",
    }


def test_mongodb_elsewhere_is_named_by_its_uri_in_the_variable_asked_for() -> None:
    uri = "mongodb://u:p@db.test/?tls=true"
    assert env.mongodb_environment(parse_mongodb_uri(uri), "TOUCAN_MONGODB_HOST", "secret") == {"TOUCAN_MONGODB_HOST": uri}


def test_mail_settings_become_variables() -> None:
    mail = {
        "provider": "smtp",
        "host": "mail.test",
        "port": 587,
        "login": "robot",
        "password": "secret",
        "tls": True,
        "smtps": False,
        "from_email": "bi@mail.test",
        "from_name": "BI",
    }
    assert env.mail_environment(mail) == {
        "TOUCAN_SEND_MAIL_PROVIDER": "smtp",
        "TOUCAN_SMTP_HOST": "mail.test",
        "TOUCAN_SMTP_PORT": "587",
        "TOUCAN_SMTP_LOGIN": "robot",
        "TOUCAN_SMTP_PASSWORD": "secret",
        "TOUCAN_SMTP_TLS": "true",
        "TOUCAN_SMTP_SMTPS": "false",
        "TOUCAN_SEND_MAIL_FROM_EMAIL": "bi@mail.test",
        "TOUCAN_SEND_MAIL_FROM_NAME": "BI",
    }


def test_mail_settings_that_are_not_given_are_left_out() -> None:
    assert env.mail_environment({"host": "mail.test", "port": None, "login": "", "tls": None}) == {"TOUCAN_SMTP_HOST": "mail.test"}
    assert env.mail_environment({}) == {}


def test_the_frontend_is_told_the_backends_url_without_final_slash() -> None:
    assert env.frontend_environment("https://api.test/prefix/") == {"API_BASEROUTE": "https://api.test/prefix"}


def test_a_host_is_taken_from_its_url() -> None:
    assert env.host_of("https://api.test:8443/prefix", "toucan_backend_url") == "api.test"


@pytest.mark.parametrize("url", ["api.test", "", "https://", "/prefix", "https://[::1", "ftp://api.test"])
def test_what_is_no_url_is_refused_by_its_option(url: str) -> None:
    with pytest.raises(Failure, match="`toucan_backend_url` is .* no URL with a host name; write it as `https://"):
        env.host_of(url, "toucan_backend_url")


def test_a_free_map_is_written_as_the_product_reads_it() -> None:
    values = {"A": True, "B": ["x"], "C": 5, "D": None, env.INNER_NGINX: False}
    assert env.variables(values) == {"A": "enable", "B": '["x"]', "C": "5", env.INNER_NGINX: "off"}


@pytest.mark.parametrize(
    "value, written", [(True, "enable"), ("true", "enable"), ("enable", "enable"), (False, "disable"), ("false", "disable"), ("off", "disable")]
)
def test_a_flag_is_what_it_says(value: Any, written: str) -> None:
    assert env.flag("TOUCAN_EMBED", value) == written


def test_a_flag_that_is_neither_on_nor_off_is_refused() -> None:
    with pytest.raises(Failure, match="sets TOUCAN_EMBED to `maybe`, which is neither on nor off; write true or false"):
        env.flag("TOUCAN_EMBED", "maybe")


@pytest.mark.parametrize("value, port", [("off", 5000), ("OFF", 5000), (False, 5000), ("on", 80), (True, 80), (None, 80)])
def test_the_backends_port_follows_its_inner_nginx(value: Any, port: int) -> None:
    assert env.backend_port({"TOUCAN_NGINX_SUPERVISOR": value, "TOUCAN_LOG_LEVEL": "off"}) == port


def test_a_backend_without_variables_has_its_inner_nginx() -> None:
    assert env.backend_port({}) == 80
