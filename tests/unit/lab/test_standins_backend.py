# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the backend stand-in that need no server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

STANDINS = Path(__file__).resolve().parents[2] / "lab/standins"
sys.path.insert(0, str(STANDINS / "backend"))

from standin.config import (  # noqa: E402
    Config,
    ConfigError,
    parse_duration,
    parse_rate,
    read_config,
    toucan_variables,
    write_config,
)
from standin.cors import cors_headers  # noqa: E402
from standin.identity import Dialect, Release, read_dialect  # noqa: E402
from standin.migrations import migrations_of, unknown_migrations  # noqa: E402
from standin.settings import listed_providers, settings_problems  # noqa: E402
from standin.small_apps import slug, staged  # noqa: E402
from standin.throttle import LoginThrottle  # noqa: E402


@pytest.mark.parametrize(("text", "seconds"), [("2 hours", 7200), ("30 days", 2592000), ("1000 ms", 1), ("1 minute", 60)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "hours", "2 weeks", "-1 hours"])
def test_a_text_that_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="no duration"):
        parse_duration(text)


def test_rates() -> None:
    assert parse_rate("5/minute") == (5, 60)
    with pytest.raises(ConfigError, match="no rate"):
        parse_rate("five a minute")


def test_the_config_file_holds_the_toucan_variables_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    write_config(path, toucan_variables({"TOUCAN_MONGODB_HOST": "db", "PATH": "/bin"}))
    assert json.loads(path.read_text()) == {"TOUCAN_MONGODB_HOST": "db"}
    assert path.stat().st_mode & 0o007 == 0
    assert read_config(path).text("TOUCAN_MONGODB_HOST", "mongo") == "db"


@pytest.mark.parametrize(("text", "value"), [("enable", True), ("disabled", False), ("true", True), ("off", False)])
def test_flags(text: str, value: bool) -> None:
    assert Config({"FLAG": text}).flag("FLAG") is value


def test_variables_that_cannot_be_read() -> None:
    config = Config({"FLAG": "maybe", "NUMBER": "many", "LIST": "a, b", "MAP": "{}"})
    with pytest.raises(ConfigError, match="FLAG"):
        config.flag("FLAG")
    with pytest.raises(ConfigError, match="NUMBER"):
        config.number("NUMBER", 1)
    for name in ("LIST", "MAP"):
        with pytest.raises(ConfigError, match=name):
            config.texts(name)
    with pytest.raises(ConfigError, match="TOUCAN_DB_ENCRYPTION_SECRET is not set"):
        dummy = config.encryption_secret


class FakeRedis:
    """The three commands the throttle uses, with a clock of its own."""

    def __init__(self) -> None:
        self.now = 0
        self._values: dict[str, int] = {}
        self._ends: dict[str, int] = {}

    def get(self, name: str) -> bytes | None:
        if self._ends.get(name, self.now + 1) <= self.now:
            self._values.pop(name, None)
            self._ends.pop(name, None)
        return str(self._values[name]).encode() if name in self._values else None

    def incr(self, name: str) -> int:
        self._values[name] = int(self.get(name) or 0) + 1
        return self._values[name]

    def expire(self, name: str, time: int) -> None:
        self._ends[name] = self.now + time


def test_five_failures_in_a_minute_lock_one_user_for_the_rest_of_it() -> None:
    redis = FakeRedis()
    throttle = LoginThrottle(redis, (5, 60))
    for dummy in range(4):
        throttle.failed("ann")
    assert not throttle.locked("ann")
    throttle.failed("ann")
    assert throttle.locked("ann")
    assert not throttle.locked("bob")
    redis.now = 60
    assert not throttle.locked("ann")


def test_throttling_can_be_off() -> None:
    throttle = LoginThrottle(FakeRedis(), Config({"TOUCAN_THROTTLE_RATE_STATUS": "disable"}).login_rate)
    for dummy in range(9):
        throttle.failed("ann")
    assert not throttle.locked("ann")


def test_a_newer_major_has_one_migration_more_and_an_older_backend_does_not_know_it() -> None:
    old, new = (migrations_of(Release(version, "normal")) for version in ("v100.1.0", "v101.0.0"))
    assert new[: len(old)] == old
    assert len(new) == len(old) + 1
    assert unknown_migrations([step.name for step in new], old) == [new[-1].name]
    assert unknown_migrations([step.name for step in old], new) == []


def test_the_broken_release_has_one_more_migration_than_its_major() -> None:
    good, broken = (migrations_of(Release("v101.1.2", how)) for how in ("normal", "migration_fails"))
    assert broken[: len(good)] == good
    assert len(broken) == len(good) + 1


@pytest.mark.parametrize(("version", "behaviour"), [("101.1.0", "normal"), ("v101.1.0", "moody")])
def test_a_release_that_makes_no_sense(version: str, behaviour: str) -> None:
    with pytest.raises(ValueError, match="is no version|is none of"):
        Release(version, behaviour)


def test_dialects_answer_every_question_and_differently() -> None:
    a, b = (json.loads((STANDINS / "dialects" / f"{name}.json").read_text()) for name in "ab")
    assert a.keys() == b.keys()
    assert [key for key in a if a[key] == b[key]] == []
    readme = (STANDINS / "dialects/README.md").read_text()
    assert [key for key in a if f"| `{key}` |" not in readme] == []
    assert isinstance(read_dialect(STANDINS / "dialects/a.json"), Dialect)


def test_small_app_ids() -> None:
    assert slug("Ventes Été 2026!") == "ventes-ete-2026"
    assert len(slug("x" * 50)) == 30
    assert staged("config", "production") == "config"
    assert staged("config", "staging") == "config-staging"


ORIGIN = "https://app.lab.test"


def test_cors_answers_the_frontend_and_nobody_else() -> None:
    config = Config({"TOUCAN_FRONTEND_URLS": f'["{ORIGIN}/"]', "TOUCAN_CROSS_ORIGIN_WHITELIST": '["https://more.test"]'})
    headers = cors_headers(config, ORIGIN)
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert {"authorization", "x-json-flavor"} <= set(headers["Access-Control-Allow-Headers"].split(", "))
    assert cors_headers(config, "https://more.test")
    assert cors_headers(config, "https://evil.test") == {}
    assert cors_headers(config, None) == {}
    assert cors_headers(Config({}), "https://anyone.test")


LOCAL = {"type": "local", "name": "Toucan"}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ([], "not an object"),
        ({"auth_providers": {}}, "not a list"),
        ({"auth_providers": [{"id": "x", "type": "LDAP"}]}, "has no type"),
        ({"auth_providers": [{"id": {}, "type": "OIDC"}]}, "its id is no text"),
        ({"auth_providers": [LOCAL, LOCAL]}, "twice"),
    ],
)
def test_bad_settings(settings: object, problem: str) -> None:
    assert problem in settings_problems(settings)[0]


def test_providers_are_listed_without_credentials() -> None:
    secret = {"id": "idp", "type": "OIDC", "name": "Corp", "credentials": {"client_secret": "x"}}
    settings = {"auth_providers": [LOCAL, secret]}
    assert settings_problems(settings) == []
    assert listed_providers(settings) == [
        {"discrete": False, "id": "local", "type": "local", "name": "Toucan"},
        {"discrete": False, "id": "idp", "type": "OIDC", "name": "Corp"},
    ]
