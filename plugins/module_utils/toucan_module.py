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
from collections.abc import Iterable
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.respawn import has_respawned, respawn_module

from .core.errors import Failure
from .core.plan import Engine, execute
from .core.state import DEFAULT_PATH, read_state

DEFAULT_PYTHON = "/opt/toucan/venv/bin/python"
# A respawn writes the arguments into a pipe before its reader starts: one byte more than the pipe holds would hang for ever.
_RESPAWN_LIMIT = 60 * 1024


class ToucanModule(AnsibleModule):
    """An Ansible module whose foreseen failures are sentences and whose work is an engine or a function."""

    def finish_failed(self, failure: Failure) -> NoReturn:
        """End the module with the failure's sentence and its parts."""
        self.fail_json(msg=str(failure), failure=failure.facts())

    def run_engine(self, engine: Engine) -> NoReturn:
        """Observe, plan, and outside check mode apply and verify; then end the module."""
        try:
            result = execute(engine, self.check_mode)
        except Failure as failure:
            self.finish_failed(failure)
        for warning in result.pop("warnings", []):
            self.warn(warning)
        if not self._diff:
            result.pop("diff")
        self.exit_json(**result)

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
        if self.check_mode and not has_respawned():
            return False
        self.finish_failed(
            Failure(
                f"{self._name} needs the Python libraries {', '.join(missing)}, which {python} does not have",
                "run role `toucan_host` on this host first, or record the right environment with `toucan_state`",
                subject=python,
            )
        )

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
