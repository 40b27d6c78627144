# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pieces that only some tests ask the lab for are what they claim to be."""

from __future__ import annotations

import json

import pytest

from labrun.hosts import Host, fresh_host
from labrun.vendor import VendorStack


@pytest.fixture(scope="module")
def host() -> Host:
    return fresh_host("host9")


def test_the_vendors_compose_file_runs_as_it_is_and_keeps_what_is_written(host: Host) -> None:
    stack = VendorStack(host)
    stack.start()
    assert json.loads(host.shell("docker inspect -f '{{json .HostConfig.PortBindings}}' bi-backend-1")) == {"80/tcp": [{"HostIp": "", "HostPort": "5000"}]}
    assert "TOUCAN_MONGODB_" not in host.shell("docker inspect bi-backend-1")
    stack.fill()
    before = stack.content()
    assert [app["name"] for app in before["small apps"]] == ["Sales 2021"]
    assert [file["name"] for file in before["files"]] == ["shops.csv"]
    host.shell(f"cd {stack.folder} && docker compose restart")
    host.shell("curl --silent --fail --retry 60 --retry-delay 1 --retry-all-errors http://localhost:5000/")
    assert stack.content() == before
