# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module shows of its parameters, which texts it blanks in its results, and how it gets at its libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils import toucan_module
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule, to_blank, without_secrets

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


class Respawn(Exception):
    """A start under another interpreter, whose path is the argument."""


class LooseModule(ToucanModule):
    """A module that no Ansible started: a failure that would end it is raised."""

    def __init__(self, check_mode: bool = False, **params: Any) -> None:
        self._name = "toucan_stack"
        self.check_mode = check_mode
        self.params = params

    def finish_failed(self, failure: Failure) -> NoReturn:
        raise failure


@pytest.fixture
def state_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A state file that names an environment's Python beside it, which is not there; a respawn is raised."""

    def respawn(python: str) -> NoReturn:
        raise Respawn(python)

    monkeypatch.setattr(toucan_module, "respawn_module", respawn)
    monkeypatch.setattr(toucan_module, "has_respawned", lambda: False)
    path = tmp_path / "stack.json"
    path.write_text(json.dumps({"schema": 1, "instance_id": "f1ce", "python": str(tmp_path / "python")}), encoding="utf-8")
    return str(path)


def python_beside(state_path: str) -> Path:
    return Path(state_path).with_name("python")


def test_libraries_that_are_there_need_no_respawn(state_path: str) -> None:
    python_beside(state_path).touch()
    assert LooseModule(state_path=state_path).need_libraries(["json"])


def test_missing_libraries_are_looked_for_in_the_environment_that_the_state_names(state_path: str) -> None:
    python_beside(state_path).touch()
    with pytest.raises(Respawn, match=f"^{python_beside(state_path)}$"):
        LooseModule(state_path=state_path).need_libraries(["json", "no_such_library"])


def test_missing_libraries_and_no_environment_name_the_role(state_path: str) -> None:
    told = f"toucan_stack needs the Python libraries no_such_library, which {python_beside(state_path)} does not have; run role `toucan_host`"
    with pytest.raises(Failure, match=told):
        LooseModule(state_path=state_path).need_libraries(["json", "no_such_library"])


def test_check_mode_on_a_bare_host_goes_on_without_libraries(state_path: str) -> None:
    assert not LooseModule(check_mode=True, state_path=state_path).need_libraries(["no_such_library"])


@pytest.mark.parametrize("check_mode", [False, True])
def test_an_environment_without_the_libraries_is_not_entered_again(state_path: str, monkeypatch: pytest.MonkeyPatch, check_mode: bool) -> None:
    python_beside(state_path).touch()
    monkeypatch.setattr(toucan_module, "has_respawned", lambda: True)
    with pytest.raises(Failure, match="needs the Python libraries no_such_library"):
        LooseModule(check_mode, state_path=state_path).need_libraries(["no_such_library"])


@pytest.mark.parametrize(("excess", "outcome"), [(0, Respawn), (1, Failure)])
def test_arguments_that_a_pipe_does_not_hold_are_refused(state_path: str, excess: int, outcome: type[Exception]) -> None:
    python_beside(state_path).touch()
    spare = 60 * 1024 - len(json.dumps({"state_path": state_path, "files": ""}))
    module = LooseModule(state_path=state_path, files="x" * (spare + excess))
    with pytest.raises(outcome) as caught:
        module.need_libraries(["no_such_library"])
    if excess:
        told = f"hold 61441 bytes, more than the 61440 that can be handed to {python_beside(state_path)}; give big inputs as files."
        assert str(caught.value).endswith(told)


# -- the system's log -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["pa\\ss\"wo'rd", "line\nbreak\ttab", "h\N{SNOWMAN}llo\x07", "plain-password"])
def test_the_systems_log_gets_no_secret_however_python_spells_it(secret: str) -> None:
    params = {"name": "toucan", "secret_env": {"WORD": secret}, "registry": {"username": "robot", "password": secret}, "logins": [{"token": secret}]}
    module = LooseModule(**params)
    module.argument_spec, module.aliases, module.no_log_values = SPEC, {}, {secret}
    logged: list[str] = []
    module.log = lambda msg, log_args=None: logged.extend([msg, str(log_args)])
    module._log_invocation()
    for text in logged:
        assert "robot" in text and "toucan" in text
        assert [spelling for spelling in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]) if spelling in text] == []
    assert len(logged) == 2
    assert module.params == params
