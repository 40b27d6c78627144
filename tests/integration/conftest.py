# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that several integration tests share."""

from __future__ import annotations

import pytest

from labrun.canaries import Secretive, deploy_canaries
from labrun.hosts import Host, fresh_host, site_variables


@pytest.fixture(scope="session")
def deployed() -> Host:
    """Host1 with the lab's product, from whatever state it is in; tests that use it leave the product as it was."""
    host = Host("host1")
    host.site().succeeded()
    return host


@pytest.fixture(scope="session")
def proxied() -> Host:
    """Host3 just made, with the lab's product: its proxy is what tests change and look at."""
    host = fresh_host("host3")
    host.site().succeeded()
    return host


@pytest.fixture(scope="session")
def stack() -> Host:
    """Host4 with the lab's product and no proxy; tests that use it leave it running and healthy."""
    host = fresh_host("host4")
    roles = ("toucan_host", "toucan_stack")
    host.play([{"name": role, "ansible.builtin.import_role": {"name": f"toucan.selfhosted.{role}"}} for role in roles], variables=site_variables()).succeeded()
    return host


@pytest.fixture(scope="session")
def secretive() -> Secretive:
    """Host21 just made, with the lab's product and a canary in every secret; tests that use it leave it running and healthy."""
    return deploy_canaries("host21")
