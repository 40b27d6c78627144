# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups say which services a host runs."""

from __future__ import annotations

import pytest
from ansible_collections.toucan.selfhosted.plugins.filter.stack_services import FilterModule, stack_services
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import ALL_KINDS
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("groups", [[], ["all", "toucan"], ["toucan", "backend", "toucan_backends", "toucan_stack"]])
def test_a_host_in_no_group_of_a_service_runs_all(groups: list[str]) -> None:
    assert stack_services(groups) == ["frontend", "backend", "mongodb", "redis", "proxy"]


@given(st.lists(st.sampled_from(ALL_KINDS), min_size=1))
def test_a_host_runs_what_its_groups_name(kinds: list[str]) -> None:
    assert stack_services(["all", "toucan", *(f"toucan_{kind}" for kind in kinds)]) == [kind for kind in ALL_KINDS if kind in kinds]


def test_the_filter_is_known_by_its_name() -> None:
    assert FilterModule().filters() == {"stack_services": stack_services}
