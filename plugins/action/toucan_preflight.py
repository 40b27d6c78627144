# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of ``toucan_preflight``: misspelt variables, the clock, and all problems in one message."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Optional

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.preflight import Check, check_clock, check_variables, failure_of

MODULE = "toucan.selfhosted.toucan_preflight"
# What playbooks take beside the options of roles.
PLAYBOOK_VARIABLES = frozenset({"toucan_hosts"})


@cache
def option_names(roles: Path) -> frozenset[str]:
    """Every option of every entry point of every role below ``roles``."""
    names: set[str] = set()
    for spec in sorted(roles.glob("*/meta/argument_specs.yml")):
        content = yaml.load(spec.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for entry in content["argument_specs"].values():
            names.update(entry.get("options", {}))
    return frozenset(names)


class ActionModule(ActionBase):
    """Judge the variables, look at the host between two looks at the clock, and fail once with everything."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        before = time.time()
        answer = self._execute_module(module_name=MODULE, module_args=self._task.args, task_vars=variables)
        after = time.time()
        # Between module and action alone; the module has judged the type of the limit and filled in its default.
        host_time, clock_limit = answer.pop("host_time", 0.0), answer.pop("clock_limit", 0.0)
        result.update(answer)
        if "checks" not in answer:
            return result
        checks = [
            self._variables(variables),
            *([check_clock(before, host_time, after, clock_limit)] if clock_limit is not None else []),
            *(Check(**facts) for facts in answer["checks"]),
        ]
        result["checks"] = [check.facts() for check in checks]
        if not all(check.ok for check in checks):
            failure = failure_of(str(variables.get("inventory_hostname", "the host")), checks)
            result.update(failed=True, msg=str(failure), failure=failure.facts())
        return result

    def _variables(self, used: Iterable[str]) -> Check:
        allowed = self._task.args.get("allowed_variables") or []
        if not isinstance(allowed, list):
            raise AnsibleActionFail("`allowed_variables` is no list; write the names as a list in `toucan_host_allowed_variables`.")
        known = PLAYBOOK_VARIABLES | option_names(Path(__file__).resolve().parents[2] / "roles")
        return check_variables(used, known, allowed)
