# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that several integration tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.clients import open_client

from labrun.canaries import Secretive, deploy_canaries
from labrun.hosts import Host, fresh_host, site_variables
from labrun.mongodb import GIVEN, SOURCE, TARGET, Server, own_server


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


@pytest.fixture(scope="session", name="own")
def _own() -> Iterator[Optional[Server]]:
    """A container with the lab's MongoDB for tests of dumps; None where whoever runs them gave a server."""
    if GIVEN:
        yield None
    else:
        with own_server() as server:
            yield server


@pytest.fixture(name="client")
def _client(own: Optional[Server]) -> Iterator[Any]:
    """A client of that server, where the databases of these tests are empty."""
    with open_client(own.uri if own else str(GIVEN), silent_seconds=60) as client:
        for name in (SOURCE, TARGET):
            client.drop_database(name)
        yield client
        for name in (SOURCE, TARGET):
            client.drop_database(name)


@pytest.fixture(name="mortal")
def _mortal() -> Iterator[Server]:
    """A MongoDB that a test may stop."""
    with own_server() as server:
        yield server
