# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook can ask for a collection before it names a module of it."""

from __future__ import annotations

import pytest
from ansible_collections.toucan.selfhosted.plugins.filter.collection_installed import FilterModule


@pytest.mark.parametrize(("name", "installed"), [("toucan.selfhosted", True), ("toucan.managed", False), ("nobody.nothing", False)])
def test_only_what_is_there_is_found(name: str, installed: bool) -> None:
    assert FilterModule().filters()["collection_installed"](name) is installed
