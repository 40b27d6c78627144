# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a run says what stopped, started or went, and what a removal left where."""

from __future__ import annotations

from typing import Any

from ansible_collections.toucan.selfhosted.plugins.filter.service_summary import FilterModule, service_summary

STOP = {"id": "service.remove:frontend", "action": "remove", "object": "service frontend"}
RECORD = {"id": "state:/etc/toucan/stack.json", "action": "update", "object": "/etc/toucan/stack.json"}
KEPT = [{"what": "database", "where": "/var/lib/toucan/mongodb"}, {"what": "secrets", "where": "/etc/toucan/secrets.json"}]


def result(**changes: Any) -> dict[str, Any]:
    return {"plan": [], "stopped": [], "kept": [], "instance_id": "an-id", **changes}


def test_a_stop_is_told_with_what_it_means() -> None:
    assert service_summary(result(plan=[STOP, RECORD], stopped=["frontend"])) == [
        "Services     changed: remove service frontend",
        "Stopped      frontend; no reboot starts them, but start.yml and site.yml do",
    ]


def test_check_mode_says_would() -> None:
    assert service_summary(result(plan=[STOP]), check_mode=True) == ["Services     would change: remove service frontend"]


def test_nothing_is_told_as_nothing() -> None:
    assert service_summary(result()) == ["Services     unchanged"]


def test_what_a_removal_leaves_is_told_with_its_place() -> None:
    assert service_summary(result(plan=[STOP], stopped=["frontend"], kept=KEPT)) == [
        "Services     changed: remove service frontend",
        "Stays        database: /var/lib/toucan/mongodb",
        "             secrets: /etc/toucan/secrets.json",
        "Instance     an-id",
    ]


def test_a_host_with_none_of_the_services_says_so() -> None:
    assert service_summary({"skipped": True, "changed": False}) == ["Services     none of those named runs on this host"]


def test_the_filter_is_registered() -> None:
    assert FilterModule().filters() == {"service_summary": service_summary}
