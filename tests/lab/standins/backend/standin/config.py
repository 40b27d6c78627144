# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration of the backend, which comes from the environment only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# product-facts 1.3 [S:SAAGIE]
CONFIG_PATH = Path("/app/config.yml")

_PREFIX = "TOUCAN_"
_SECONDS = {"ms": 0.001, "second": 1, "minute": 60, "hour": 3600, "day": 86400}


class ConfigError(ValueError):
    """A variable holds something the backend cannot read."""


def toucan_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of ``environment`` that becomes the configuration file."""
    # product-facts 1.3 [S:SAAGIE]: the file is made of every TOUCAN_* variable
    return {name: value for name, value in environment.items() if name.startswith(_PREFIX)}


def write_config(path: Path, variables: Mapping[str, str], group: int | None = None) -> None:
    """Write ``variables`` as YAML (JSON is YAML), readable by ``group`` only: it holds secrets."""
    path.touch(mode=0o640)
    if group is not None:
        os.chown(path, -1, group)
    path.write_text(json.dumps(variables, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_config(path: Path = CONFIG_PATH) -> Config:
    """Read what :func:`write_config` wrote."""
    return Config(json.loads(path.read_text(encoding="utf-8")))


def parse_duration(text: str) -> float:
    """Seconds in a text such as ``2 hours``, ``30 days`` or ``1000 ms``; raise ConfigError."""
    # product-facts 1.6 [S:HELM]
    match = re.fullmatch(r"(\d+)\s*(ms|second|minute|hour|day)s?", text.strip())
    if not match:
        raise ConfigError(f"{text!r} is no duration such as '2 hours', '30 days' or '1000 ms'")
    return int(match[1]) * _SECONDS[match[2]]


def parse_rate(text: str) -> tuple[int, int]:
    """(attempts, seconds) of a text such as ``5/minute``; raise ConfigError."""
    # product-facts 1.6 [S:HELM]
    match = re.fullmatch(r"(\d+)/(second|minute|hour|day)", text.strip())
    if not match:
        raise ConfigError(f"{text!r} is no rate such as '5/minute'")
    return int(match[1]), int(_SECONDS[match[2]])


@dataclass(frozen=True)
class Config:
    """The ``TOUCAN_*`` variables, read by type."""

    variables: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        """The variable ``name``; an empty one counts as unset."""
        return self.variables.get(name) or default

    def number(self, name: str, default: int) -> int:
        """The variable ``name`` as an integer; raise ConfigError."""
        text = self.text(name, str(default))
        if not text.isdigit():
            raise ConfigError(f"{name} is {text!r}, not a number")
        return int(text)

    def flag(self, name: str, default: bool = False) -> bool:
        """The variable ``name`` as a switch; raise ConfigError."""
        # product-facts 1.6 [S:HELM, W6D]: enable/disable, disabled, true/false; 1.2: off
        text = self.text(name, "enable" if default else "disable").lower()
        if text in ("enable", "enabled", "true", "on"):
            return True
        if text in ("disable", "disabled", "false", "off"):
            return False
        raise ConfigError(f"{name} is {text!r}, neither enable nor disable")

    def texts(self, name: str) -> list[str]:
        """The variable ``name`` as a list of texts; raise ConfigError."""
        # product-facts 1.6 [S:HELM, W6D]: lists and maps are JSON text
        text = self.text(name, "[]")
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{name} is {text!r}, which is no JSON: {error}") from error
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{name} is {text!r}, not a JSON list of texts")
        return value

    @property
    def instance_name(self) -> str:
        """Name of the instance."""
        # product-facts 1.6 [S:HELM]; that the sample is the default is [GUESS]
        return self.text("TOUCAN_INSTANCE_NAME", "toucan-on-prem")

    @property
    def encryption_secret(self) -> str:
        """Secret that protects what is encrypted in MongoDB; raise ConfigError when unset."""
        # product-facts 1.2 [S:RTD]: the one variable the reference compose file sets
        secret = self.text("TOUCAN_DB_ENCRYPTION_SECRET")
        if not secret:
            raise ConfigError("TOUCAN_DB_ENCRYPTION_SECRET is not set")
        return secret

    @property
    def jwt_secret(self) -> str:
        """Key that signs the tokens."""
        # product-facts 1.6 [S:HELM, W6D]. The reference compose file runs without it, so there is
        # a default; where it comes from is [GUESS]
        return self.text("TOUCAN_JWT_SECRET_KEY") or "jwt:" + self.encryption_secret

    @property
    def token_validity(self) -> float:
        """Lifetime of a token in seconds."""
        # product-facts 1.6 [S:HELM]
        return parse_duration(self.text("TOUCAN_TOKEN_VALIDITY", "2 hours"))

    @property
    def login_rate(self) -> tuple[int, int] | None:
        """(failed logins, seconds) that lock an account, or None when throttling is off."""
        # product-facts 1.6 [S:HELM] and 2.1 [S:PUBAPI]
        if not self.flag("TOUCAN_THROTTLE_RATE_STATUS", default=True):
            return None
        return parse_rate(self.text("TOUCAN_THROTTLE_RATE_LIMIT", "5/minute"))
