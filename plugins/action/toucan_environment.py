# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send the collection's own library along with ``toucan_environment``, only to hosts that have another version of it."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Optional

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.distribution import content_hash, pack, package_files

MODULE = "toucan.selfhosted.toucan_environment"
_FILLED_IN = ("package_hash", "package_version", "package_archive")


def collection_version(root: Path) -> str:
    """Version of the collection at ``root``: an installed one carries a manifest, a checkout its ``galaxy.yml``."""
    manifest = root / "MANIFEST.json"
    if manifest.exists():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
    return str(yaml.safe_load((root / "galaxy.yml").read_text(encoding="utf-8"))["version"])


class ActionModule(ActionBase):
    """Ask the host first; send the package and ask again only where it is needed."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = sorted(set(_FILLED_IN) & set(self._task.args))
        if given:
            raise AnsibleActionFail(f"The options {', '.join(given)} are filled in on the controller; remove them from the task.")
        root = Path(__file__).resolve().parents[2]
        version = collection_version(root)
        files = package_files(root / "plugins" / "module_utils", version)
        arguments = {**self._task.args, "package_hash": content_hash(files), "package_version": version}
        answer = self._ask(arguments, task_vars)
        if answer.pop("package_needed", False):
            try:
                answer = self._ask({**arguments, "package_archive": self._send(pack(files))}, task_vars)
            finally:
                self._remove_tmp_path(self._connection._shell.tmpdir)
        result.update(answer)
        return result

    def _ask(self, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        return self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)

    def _send(self, archive: bytes) -> str:
        """Put the archive into the task's temporary folder on the host; returns its path there."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, "toucan_selfhosted.zip")
        handle, local = tempfile.mkstemp(suffix=".zip")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(archive)
            self._transfer_file(local, remote)
            self._fixup_perms2((self._connection._shell.tmpdir, remote))
        finally:
            os.unlink(local)
        return str(remote)
