# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that several integration tests share."""

from __future__ import annotations

import pytest

from labrun.hosts import Host


@pytest.fixture(scope="session")
def deployed() -> Host:
    """Host1 with the lab's product, from whatever state it is in; tests that use it leave the product as it was."""
    host = Host("host1")
    host.site().succeeded()
    return host
