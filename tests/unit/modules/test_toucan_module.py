# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module shows of its parameters, and which texts it blanks in its results."""

from __future__ import annotations

from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import to_blank, without_secrets

HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
SPEC: dict[str, Any] = {
    "name": {"type": "str"},
    "secret_env": {"type": "dict", "no_log": True},
    "registry": {"type": "dict", "options": {"username": {"type": "str"}, "password": {"type": "str", "no_log": True}}},
    "logins": {"type": "list", "elements": "dict", "options": {"token": {"type": "str", "no_log": True}}},
}


def test_secrets_are_hidden_whole_at_any_depth() -> None:
    params = {
        "name": "toucan",
        "secret_env": {"PORT": 5},
        "registry": {"username": "robot", "password": "sesame"},
        "logins": [{"token": "sesame"}, {"token": None}],
    }
    assert without_secrets(SPEC, params) == {
        "name": "toucan",
        "secret_env": HIDDEN,
        "registry": {"username": "robot", "password": HIDDEN},
        "logins": [{"token": HIDDEN}, {"token": None}],
    }
    assert params["registry"] == {"username": "robot", "password": "sesame"}


def test_what_was_not_given_is_shown_as_missing() -> None:
    assert without_secrets(SPEC, {"secret_env": None, "registry": None, "unknown": 1}) == {"secret_env": None, "registry": None, "unknown": 1}


def test_only_what_can_be_told_from_ordinary_text_is_blanked() -> None:
    shown = {"url": "https://app.example.com/é", "nested": {"paths": ["/var/lib/toucan"]}}
    secrets = {"5", "toucan", "/var/lib/toucan", "app.example.com/é", "a-real-secret", "app.example.org"}
    assert to_blank(secrets, shown) == {"a-real-secret", "app.example.org"}
