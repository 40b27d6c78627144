# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of modules that may work for hours: started once on the host, watched from here, told in a line now and then.

The work outlives the connection. When contact is lost it is asked for again, and never started a second time.
"""

from __future__ import annotations

import base64
import json
import sys
import time
import uuid
from typing import Any, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.progress import progress_line

_FOLDER = "/run/toucan"
_OPTION = "progress_path"
_LIMIT_SECONDS = 7 * 24 * 3600  # after which the host itself ends the work
_FIRST_POLL, _LAST_POLL = 1.0, 10.0  # seconds
_LINE_EVERY = {True: 15.0, False: 60.0}  # seconds between two lines, on a terminal and elsewhere
_OF_THE_JOB = ("ansible_job_id", "finished", "started", "results_file", "stdout", "stderr", "stdout_lines", "stderr_lines")
_SILENCE_SECONDS = 3600.0  # without any answer of the host, after which it is given up


class LongWork(ActionBase):
    """Run the task's module as a job of the host, and show its progress."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """See ActionBase. Check mode, which only looks, runs the module in the usual way."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            result.update(self._execute_module(task_vars=task_vars))
            return result
        path = f"{_FOLDER}/{uuid.uuid4().hex}.progress"
        started = self._start({**self._task.args, _OPTION: path}, task_vars)
        if "ansible_job_id" not in started:
            result.update(started)
            return result
        try:
            result.update(self._watch(started["ansible_job_id"], path, task_vars))
        finally:
            self._forget(started["ansible_job_id"], path, task_vars)
        return result

    def _start(self, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        # Set for this call alone: with it, Ansible would poll by itself, and core 2.16 would refuse check mode.
        self._task.async_val = _LIMIT_SECONDS
        try:
            return self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=True)
        finally:
            self._task.async_val = 0

    def _watch(self, job: str, path: str, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """The result of the job, when it has one."""
        pause, answered, told = _FIRST_POLL, time.monotonic(), time.monotonic()
        while True:
            status = self._ask_status(job, "status", task_vars)
            if status.get("finished"):
                return _without_job(status)
            now = time.monotonic()
            if status.get("unreachable"):
                if now - answered > _SILENCE_SECONDS:
                    return {"failed": True, "unreachable": True, "msg": f"{self._host(task_vars)} did not answer for an hour; its job {job} may still run."}
            else:
                answered = now
                if now - told >= _LINE_EVERY[sys.stdout.isatty()]:
                    told = now
                    self._tell(path, task_vars)
            time.sleep(pause)
            pause = min(pause * 1.5, _LAST_POLL)

    def _ask_status(self, job: str, mode: str, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        arguments = {"jid": job, "mode": mode, "_async_dir": self.get_shell_option("async_dir", default="~/.ansible_async")}
        return self._ask("ansible.legacy.async_status", arguments, task_vars)

    def _ask(self, module: str, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        try:
            return self._execute_module(module_name=module, module_args=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as failure:
            return {"unreachable": True, "msg": str(failure)}

    def _tell(self, path: str, task_vars: Optional[dict[str, Any]]) -> None:
        answer = self._ask("ansible.legacy.slurp", {"src": path}, task_vars)
        if "content" in answer:
            text = progress_line(json.loads(base64.b64decode(answer["content"])))
            if text:
                Display().display(f"{self._host(task_vars)}: {text}")

    def _forget(self, job: str, path: str, task_vars: Optional[dict[str, Any]]) -> None:
        """Remove the files of a job that has ended; those of one that may still run are for the administrator to look at."""
        if self._ask_status(job, "status", task_vars).get("finished"):
            self._ask_status(job, "cleanup", task_vars)
            self._ask("ansible.legacy.file", {"path": path, "state": "absent"}, task_vars)

    @staticmethod
    def _host(task_vars: Optional[dict[str, Any]]) -> str:
        return str((task_vars or {}).get("inventory_hostname", "the host"))


def _without_job(status: dict[str, Any]) -> dict[str, Any]:
    """The module's own result."""
    return {name: value for name, value in status.items() if name not in _OF_THE_JOB}
