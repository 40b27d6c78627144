# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who adopts a stack reads what was found, what would change, and what follows for people; and never a secret."""

from __future__ import annotations

from typing import Any

from ansible_collections.toucan.selfhosted.plugins.filter.adoption_summary import FilterModule, adoption_summary

ADOPTED: dict[str, Any] = {
    "taken_over": False,
    "project": "bi",
    "containers": {"backend": "bi-backend-1", "mongodb": "bi-mongo-1"},
    "versions": {"backend": "v101.1.0"},
    "secrets": {"encryption_secret": "found", "jwt_secret": "made", "admin_password": "made"},
    "missing_files": ["/opt/lost.yml"],
    "state": {"places": {"storage": "/srv/storage", "database": "bi_data"}, "adopted": {"compose_files": ["/opt/bi/docker-compose.yml"]}},
}
CHANGES = {
    "variables": {"added": ["TOUCAN_JWT_SECRET_KEY", "TOUCAN_USER_SUPERADMIN_PASSWORD"], "removed": ["C"]},
    "ports_closed": ["5000"],
    "networks_left": ["corp"],
    "mounts_left": ["/etc/x"],
    "restart": "no becomes always",
    "settings_left": ["extra_hosts", "command"],
}
STEPS = [
    {"id": "file:compose.yaml", "action": "create", "object": "compose.yaml", "before": None, "after": {"services": {}}},
    {"id": "mongodb.user:app", "action": "create", "object": "user app of MongoDB", "before": None, "after": {"password": "told"}},
    {"id": "service.recreate:backend", "action": "recreate", "object": "service backend", "before": {}, "after": {"changes": CHANGES}},
    {"id": "container.remove:x", "action": "remove", "object": "container x", "before": {}, "after": None},
]


def test_everything_is_told_in_lines() -> None:
    assert adoption_summary(ADOPTED, {"plan": STEPS}) == [
        "Found: compose project bi: backend in bi-backend-1 (v101.1.0), mongodb in bi-mongo-1.",
        "Data stays where it is: database in volume bi_data, storage in /srv/storage.",
        "Secrets: encryption_secret found, jwt_secret made, admin_password made.",
        "The compose file /opt/lost.yml, which the containers name, is gone.",
        "site.yml would create compose.yaml.",
        "site.yml would create user app of MongoDB.",
        "site.yml would recreate service backend: added variables TOUCAN_JWT_SECRET_KEY, TOUCAN_USER_SUPERADMIN_PASSWORD; "
        "removed variables C; port 5000 closes; network corp is left; "
        "the mount at /etc/x goes; restart policy no becomes always; its own extra_hosts, command go; same image.",
        "site.yml would remove container x.",
        "Every user logs in again once, because the secret that signs their tokens is new.",
        "User toucantoco gets a new password, `admin_password` of the secrets file; to keep the one it has, give it in `toucan_secrets` and run this again.",
        "MongoDB asks for a login from then on, of user app with `mongodb_password` of the secrets file.",
        "Move /opt/bi/docker-compose.yml away after site.yml: `docker compose up` there would undo it.",
    ]


def test_a_changed_instance_name_and_image_are_warned_of() -> None:
    changed = {"variables": {"added": ["TOUCAN_INSTANCE_NAME"]}, "image": "a becomes b"}
    lines = adoption_summary({**ADOPTED, "project": ""}, {"plan": [{**STEPS[2], "after": {"changes": changed}}]})
    assert lines[0].startswith("Found: containers that no compose project holds: ")
    assert "site.yml would recreate service backend: added variables TOUCAN_INSTANCE_NAME; image a becomes b." in lines
    assert any(line.startswith("The backend's TOUCAN_INSTANCE_NAME changes") for line in lines)


def test_a_password_that_is_given_is_no_new_one() -> None:
    kept = adoption_summary({**ADOPTED, "secrets": {"admin_password": "kept"}}, {"plan": STEPS})
    given = adoption_summary({**ADOPTED, "secrets": {"admin_password": "given"}}, {"plan": STEPS})
    assert [line for line in kept if line not in given and "toucantoco" in line]


def test_nothing_to_do_and_nothing_to_see_are_said() -> None:
    assert "site.yml would change nothing." in adoption_summary(ADOPTED)
    assert adoption_summary({"taken_over": True}) == ["The collection runs this stack already; there is nothing to adopt."]
    assert adoption_summary({"changed": False})[0].startswith("Nothing could be looked at")


def test_it_is_offered_as_a_filter() -> None:
    assert FilterModule().filters() == {"adoption_summary": adoption_summary}
