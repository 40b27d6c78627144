# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module shows of its parameters, which texts it blanks in its results, how it gets at its libraries, and for whom it waits."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils import toucan_module
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.lock import Lock
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import Step
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule, to_blank, with_empty_texts_unset, without_secrets

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


def test_an_empty_text_is_what_was_not_given() -> None:
    spec: dict[str, Any] = {
        "directory": {"type": "path", "default": "/var/lib/toucan"},
        "url": {},
        "wanted": {"type": "str", "required": True},
        "registry": {"type": "dict", "options": {"name": {"type": "str", "default": "quay.io"}, "username": {"type": "str"}}},
        "env": {"type": "dict"},
        "services": {"type": "list", "elements": "str", "default": ["backend"]},
    }
    params = {"directory": "", "url": "", "wanted": "", "registry": {"name": "", "username": "robot"}, "env": {"EMPTY": ""}, "services": []}
    assert with_empty_texts_unset(spec, params) == {
        "directory": "/var/lib/toucan",
        "url": None,
        "wanted": "",
        "registry": {"name": "quay.io", "username": "robot"},
        "env": {"EMPTY": ""},
        "services": [],
    }


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


# -- the lock -------------------------------------------------------------------------------------------------------------


class Exit(Exception):
    """The result a module ended with, as the argument."""


class EndingModule(LooseModule):
    """A module whose end is raised and whose warnings are kept."""

    def __init__(self, check_mode: bool = False, **params: Any) -> None:
        super().__init__(check_mode, **params)
        self.warned: list[str] = []
        self.no_log_values = set()
        self._diff = False

    def warn(self, warning: str) -> None:
        self.warned.append(warning)

    def exit_json(self, **result: Any) -> NoReturn:
        raise Exit(result)


class Lamp:
    """An engine that lights a lamp, and says who held the lock at each of its stages."""

    def __init__(self, lamp: Path, lock: Path) -> None:
        self.lamp, self.lock = lamp, lock
        self.held: list[bool] = []
        self.told: list[str] = []

    def observe(self) -> bool:
        return self._noted(self.lamp.exists())

    def plan(self, observed: bool) -> list[Step]:
        return self._noted([] if observed else [Step("lamp", "light", "lamp")])

    def apply(self, step: Step) -> None:
        self._noted(self.lamp.touch())

    def report(self, observed: bool, applied: bool) -> dict[str, Any]:
        return self._noted({})

    def _noted(self, value: Any) -> Any:
        try:
            with Lock(str(self.lock), "probe"):
                self.held.append(False)
        except Failure as failure:
            self.held.append(True)
            self.told.append(failure.answer)
        return value


def run(module: ToucanModule, lamp: Lamp) -> dict[str, Any]:
    with pytest.raises(Exit) as ended:
        module.run_engine(lamp, lock=str(lamp.lock))
    return ended.value.args[0]


def test_the_lock_is_held_from_the_first_look_to_the_last_and_no_longer(tmp_path: Path) -> None:
    lamp = Lamp(tmp_path / "lamp", tmp_path / "lock")
    module = EndingModule(lock_timeout=0)
    module._name = "toucan.selfhosted.toucan_stack"
    assert run(module, lamp)["changed"]
    assert lamp.held == [True] * 4
    assert {told.partition(" of process ")[0] for told in lamp.told} == {"toucan_stack"}
    assert module.warned == []
    Lock(str(lamp.lock), "next").acquire()


def test_a_run_that_had_to_wait_sees_what_the_other_one_did(tmp_path: Path) -> None:
    lamp = Lamp(tmp_path / "lamp", tmp_path / "lock")
    other = Lock(str(lamp.lock), "another module")
    other.acquire()

    def finish() -> None:
        lamp.lamp.touch()
        other.release()

    timer = threading.Timer(0.3, finish)
    timer.start()
    module = EndingModule(lock_timeout=30)
    assert not run(module, lamp)["changed"]
    timer.join()
    (warning,) = module.warned
    assert warning.startswith("Waited ") and " s for another module of process " in warning


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_run_that_waited_in_vain_fails_untouched(tmp_path: Path, check_mode: bool) -> None:
    lamp = Lamp(tmp_path / "lamp", tmp_path / "lock")
    with (
        Lock(str(lamp.lock), "another module"),
        pytest.raises(Failure, match="^toucan_stack cannot run beside another module of process .*did not end within 1 s"),
    ):
        EndingModule(check_mode, lock_timeout=1).run_engine(lamp, lock=str(lamp.lock))
    assert lamp.held == [] and not lamp.lamp.exists()


def test_check_mode_leaves_no_lock(tmp_path: Path) -> None:
    lamp = Lamp(tmp_path / "lamp", tmp_path / "lock")
    module = EndingModule(check_mode=True, lock_timeout=0)
    lamp._noted = lambda value: value  # type: ignore[method-assign]
    assert run(module, lamp)["changed"]
    assert list(tmp_path.iterdir()) == []


def test_who_locks_only_to_write_reads_beside_another_run(tmp_path: Path) -> None:
    lamp = Lamp(tmp_path / "lamp", tmp_path / "lock")
    lamp.lamp.touch()
    with Lock(str(lamp.lock), "another module"), pytest.raises(Exit) as ended:
        EndingModule(lock_timeout=0).run_engine(lamp, lock=str(lamp.lock), only_to_write=True)
    assert not ended.value.args[0]["changed"]


def test_who_locks_only_to_write_looks_again_under_the_lock(tmp_path: Path) -> None:
    lamp = Lamp(tmp_path / "lamp", tmp_path / "lock")
    module = EndingModule(lock_timeout=0)
    with Lock(str(lamp.lock), "another module"), pytest.raises(Failure, match="^toucan_stack cannot run beside another module"):
        module.run_engine(lamp, lock=str(lamp.lock), only_to_write=True)
    assert not lamp.lamp.exists()
    lamp.held.clear()
    with pytest.raises(Exit):
        module.run_engine(lamp, lock=str(lamp.lock), only_to_write=True)
    assert lamp.held == [False] * 3 + [True] * 4
