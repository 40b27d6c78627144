# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of pinned libraries."""

from __future__ import annotations

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.requirements import (
    OLDEST_PYTHON,
    PINS,
    canonical_name,
    requirements_for,
    requirements_hash,
)

PYTHONS = [(3, minor) for minor in range(9, 15)]


@pytest.mark.parametrize("name", sorted(PINS))
def test_pins_stand_newest_first_and_serve_the_oldest_python(name: str) -> None:
    oldest = [python for _version, python in PINS[name]]
    assert oldest == sorted(oldest, reverse=True)
    assert oldest[-1] == OLDEST_PYTHON
    assert name == canonical_name(name)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_python_gets_every_library(python: tuple[int, int]) -> None:
    requirements = requirements_for(python)
    assert requirements.keys() == PINS.keys()
    # 4.17 and newer refuse MongoDB 4.2.
    assert requirements["pymongo"].startswith("4.16.")


def test_a_newer_python_gets_the_newer_version() -> None:
    assert requirements_for((3, 9))["requests"] == "2.32.5"
    assert requirements_for((3, 10))["requests"] == "2.34.2"
    assert requirements_for((3, 10))["dnspython"] == "2.8.0"


def test_an_old_python_is_refused_with_the_option_to_set() -> None:
    with pytest.raises(Failure, match=r"Python 3\.8 is older than 3\.9.*`toucan_host_python`"):
        requirements_for((3, 8))


def test_the_hash_depends_on_python_and_versions_alone() -> None:
    reference = requirements_hash((3, 11), {"a": "1", "b": "2"})
    assert reference == requirements_hash((3, 11), {"b": "2", "a": "1"})
    assert len({reference, requirements_hash((3, 12), {"a": "1", "b": "2"}), requirements_hash((3, 11), {"a": "1", "b": "3"})}) == 3


@pytest.mark.parametrize(("written", "name"), [("PyYAML", "pyyaml"), ("charset_normalizer", "charset-normalizer"), ("a.-_b", "a-b")])
def test_names_are_compared_as_indexes_do(written: str, name: str) -> None:
    assert canonical_name(written) == name
