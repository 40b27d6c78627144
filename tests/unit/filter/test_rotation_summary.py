# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who rotated a secret reads what was, where the new value is, and what the inventory has to be told."""

from __future__ import annotations

from typing import Any

from ansible_collections.toucan.selfhosted.plugins.filter.kept_rotations import kept_rotations
from ansible_collections.toucan.selfhosted.plugins.filter.rotation_summary import rotation_summary


def result(verb: str, *names: str, after: str = "") -> dict[str, Any]:
    return {"plan": [{"id": f"secret.{verb}:{name}", "after": after} for name in names]}


def test_a_rotation_says_where_the_new_values_are_and_what_to_do() -> None:
    lines = rotation_summary(
        result("promote", "admin_password", "redis_password"),
        prepared=result("prepare", "admin_password", after="a new value that is made"),
        finished={**result("forget", "admin_password", "redis_password"), "outdated": ["redis_password"]},
        registry={"proven": ["quay.io/x:v1"]},
        secrets_path="/etc/s.json",
    )
    assert lines == [
        "Rotated      admin_password, to a new value that is made; redis_password, begun by an earlier run",
        "New values   in /etc/s.json of this host",
        "Inventory    `toucan_secrets` gives redis_password: put the new value there, or leave it out, else `site.yml` stops",
        "             where `toucan_api_username` is toucantoco, `toucan_api_password` is the new admin_password",
        "Registry     gives these credentials quay.io/x:v1",
        "             hosts store none: put them into `toucan_registry` of the inventory, then withdraw the former ones at the registry",
    ]


def test_check_mode_and_nothing_to_do() -> None:
    assert rotation_summary(result("promote", "jwt_secret"), prepared=result("prepare", "jwt_secret", after="x"), check_mode=True) == [
        "Rotated      would rotate jwt_secret, to x"
    ]
    assert rotation_summary({"plan": []}) == ["Rotated      nothing"]
    assert rotation_summary({}, registry={"proven": ["a"]})[0].startswith("Registry")


def test_a_host_learns_of_the_others_what_its_services_need() -> None:
    kept = {"mongodb_password": {"current": "a", "new": "b", "former": ""}, "jwt_secret": {"current": "c", "new": "", "former": ""}}
    hostvars = {"app": {"__toucan_stack_rotation": {"kept": kept}}, "data": {"__toucan_stack_rotation": {"kept": {}}}, "front": {}}
    hosts = ["app", "data", "front"]
    assert kept_rotations(hosts, hostvars, "data", ["mongodb"]) == {"app": {"mongodb_password": kept["mongodb_password"]}, "front": {}}
    assert kept_rotations(hosts, hostvars, "app", ["backend"]) == {"data": {}, "front": {}}
