# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection shares with Ansible: errors as sentences, engines, the respawn into the environment.

The only file here that imports from ``ansible``; the packages beside it do not.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.respawn import has_respawned, respawn_module

from .core.errors import Failure
from .core.lock import Lock
from .core.plan import Engine, execute
from .core.state import DEFAULT_PATH, read_state

DEFAULT_PYTHON = "/opt/toucan/venv/bin/python"
# A respawn writes the arguments into a pipe before its reader starts: one byte more than the pipe holds would hang for ever.
_RESPAWN_LIMIT = 60 * 1024
# Ansible blanks a secret's text wherever a result contains it; one as short as these would blank digests, paths and counts.
_SHORT_SECRET = 8
_HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def without_secrets(spec: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they may be shown: what the argument spec marks ``no_log`` is replaced whole."""
    return {name: _shown(spec.get(name, {}), value) for name, value in params.items()}


def _shown(spec: Mapping[str, Any], value: Any) -> Any:
    if value is not None and spec.get("no_log"):
        return _HIDDEN
    if spec.get("options") and isinstance(value, Mapping):
        return without_secrets(spec["options"], value)
    if spec.get("options") and isinstance(value, list):
        return [_shown(spec, item) for item in value]
    return value


def with_empty_texts_unset(spec: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in which an empty text is what the option is without one: a survey cannot leave a text out.

    A required text stays empty, for the module to say what it is missing.
    """
    return {name: _without_empty_text(spec.get(name, {}), value) for name, value in params.items()}


def _without_empty_text(spec: Mapping[str, Any], value: Any) -> Any:
    if value == "" and spec.get("type", "str") in ("str", "path") and not spec.get("required"):
        return spec.get("default")
    if spec.get("options") and isinstance(value, Mapping):
        return with_empty_texts_unset(spec["options"], value)
    return value


def to_blank(secrets: Iterable[str], shown: Mapping[str, Any]) -> set[str]:
    """The secrets to blank in a result: not those that are short, or that stand in the open in another parameter.

    Else a secret such as ``5`` or ``toucan`` would garble what a later task records.
    """
    in_the_open = json.dumps(shown, default=str, ensure_ascii=False)
    return {secret for secret in secrets if len(secret) >= _SHORT_SECRET and secret not in in_the_open}


class ToucanModule(AnsibleModule):
    """An Ansible module whose foreseen failures are sentences and whose work is an engine or a function."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._invocation: dict[str, Any] = {}
        super().__init__(*args, **kwargs)
        self.params = with_empty_texts_unset(self.argument_spec, self.params)
        # From here on the parameters are shown without secrets, instead of with their texts blanked.
        shown = without_secrets(self.argument_spec, self.params)
        self._invocation = {"invocation": {"module_args": shown}}
        self.no_log_values = to_blank(self.no_log_values, shown)

    def _log_invocation(self) -> None:
        """Tell the system's log what the module was called with but for the secrets.

        Ansible blanks their texts in what it prints of an option with suboptions, where a backslash or a quote stands escaped: such a secret
        would be read in the log.
        """
        given = self.params
        self.params = without_secrets(self.argument_spec, given)
        try:
            super()._log_invocation()
        finally:
            self.params = given

    def exit_json(self, **result: Any) -> NoReturn:
        """End the module, saying what it was called with but for the secrets."""
        super().exit_json(**{**self._invocation, **result})

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        """End the module as failed, saying what it was called with but for the secrets."""
        super().fail_json(msg, **{**self._invocation, **result})

    def finish_failed(self, failure: Failure) -> NoReturn:
        """End the module with the failure's sentence and its parts."""
        self.fail_json(msg=str(failure), failure=failure.facts())

    def run_engine(self, engine: Engine, lock: str = "", only_to_write: bool = False) -> NoReturn:
        """Observe, plan, and outside check mode apply and verify; then end the module.

        :param lock: file that keeps apart the runs that name it, from the first look to the last, for up to option ``lock_timeout``; a run in
            check mode waits for one that changes something, so that its plan is true, and for no other. Without it nothing is kept apart.
        :param only_to_write: look without the lock first, and take it only for a plan that changes something, which is then made again.
        """
        try:
            result = self._execute(engine, lock, only_to_write)
        except Failure as failure:
            # A log tail or an answer may quote what the engine read on this host, which Ansible knows nothing of.
            self.no_log_values = self.no_log_values | to_blank(getattr(engine, "secret_values", list)(), {})
            self.finish_failed(failure)
        for warning in result.pop("warnings", []):
            self.warn(warning)
        if not self._diff:
            result.pop("diff")
        self.exit_json(**result)

    def _execute(self, engine: Engine, lock: str, only_to_write: bool) -> dict[str, Any]:
        if not lock or (only_to_write and self.check_mode):
            return execute(engine, self.check_mode)
        if only_to_write:
            result = execute(engine, check_mode=True)
            if not result["changed"]:
                return result
        return self._execute_alone(engine, lock)

    def _execute_alone(self, engine: Engine, path: str) -> dict[str, Any]:
        # A task may call the module by its short name or its full one.
        with Lock(path, self._name.rpartition(".")[2], self.params["lock_timeout"], shared=self.check_mode) as lock:
            if lock.waited:
                self.warn(f"Waited {lock.waited:.0f} s for {lock.waited_for or 'another run on this host'}.")
            return execute(engine, self.check_mode)

    def state(self) -> dict[str, Any]:
        """The host's state file, empty on a host without one."""
        try:
            return read_state(self.params.get("state_path") or DEFAULT_PATH) or {}
        except Failure as failure:
            self.finish_failed(failure)

    def need_libraries(self, names: Iterable[str]) -> bool:
        """Make sure that ``names`` can be imported, by starting again in the collection's environment if need be.

        :returns: False only in check mode on a host that has no such environment yet: the plan then starts from nothing.
        """
        missing = [name for name in names if importlib.util.find_spec(name) is None]
        if not missing:
            return True
        python = self.state().get("python") or DEFAULT_PYTHON
        if not has_respawned() and os.path.exists(python):
            self._respawn(python)
        if has_respawned() or not self.check_mode:
            self.finish_failed(
                Failure(
                    f"{self._name} needs the Python libraries {', '.join(missing)}, which {python} does not have",
                    "run role `toucan_host` on this host first, or record the right environment with `toucan_state`",
                    subject=python,
                )
            )
        return False

    def _respawn(self, python: str) -> NoReturn:
        """Start again under another interpreter, and end with what that one ends with."""
        size = len(json.dumps(self.params, default=str))
        if size > _RESPAWN_LIMIT:
            self.finish_failed(
                Failure(
                    f"The arguments of {self._name} hold {size} bytes, more than the {_RESPAWN_LIMIT} that can be handed to {python}",
                    "give big inputs as files",
                    subject=self._name,
                )
            )
        respawn_module(python)
        raise SystemExit
