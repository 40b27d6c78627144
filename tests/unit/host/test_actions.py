# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins read on the controller."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible_collections.toucan.selfhosted.plugins.action.toucan_environment import collection_version
from ansible_collections.toucan.selfhosted.plugins.action.toucan_preflight import ActionModule, option_names

from toolchain.places import ROOT


def test_the_options_of_every_entry_point_of_every_role_are_known(tmp_path: Path) -> None:
    for role, entries in {"toucan_a": {"main": {"options": {"toucan_a_x": {}}}, "stop": {}}, "toucan_b": {"main": {"options": {"toucan_b_y": {}}}}}.items():
        folder = tmp_path / role / "meta"
        folder.mkdir(parents=True)
        (folder / "argument_specs.yml").write_text(yaml.safe_dump({"argument_specs": entries}), encoding="utf-8")
    assert option_names(tmp_path) == {"toucan_a_x", "toucan_b_y"}


def test_the_collections_own_options_are_known() -> None:
    assert {"toucan_host_python", "toucan_release", "toucan_ca_file", "toucan_secrets"} <= option_names(ROOT / "roles")


def test_the_version_is_read_from_a_checkout_and_from_an_installed_collection(tmp_path: Path) -> None:
    (tmp_path / "galaxy.yml").write_text("version: 1.2.3\n", encoding="utf-8")
    assert collection_version(tmp_path) == "1.2.3"
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": "1.2.4"}}), encoding="utf-8")
    assert collection_version(tmp_path) == "1.2.4"


@pytest.mark.parametrize("given", ["toucan_mine", {"toucan_mine": True}])
def test_names_to_let_through_are_a_list(given: object) -> None:
    action = ActionModule(SimpleNamespace(args={"allowed_variables": given}), None, None, None, None, None)
    with pytest.raises(AnsibleActionFail, match="`allowed_variables` is no list; write the names as a list in `toucan_host_allowed_variables`"):
        action._variables(["toucan_mine"])
