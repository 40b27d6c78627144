# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be rotated is refused before anything changes, with what to do."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.request import RotationRequest, refuse_unusable

MONGODB = ("mongodb_password",)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({"names": ()}, "^Nothing is named to rotate; name some of admin_password, jwt_secret, mongodb_password, redis_password, registry in"),
    "encryption secret": ({"names": ("encryption_secret",)}, "^encryption_secret cannot be rotated: values in the database were encrypted with it"),
    "unknown": ({"names": ("mongo_password",)}, "^`toucan_rotate` names mongo_password, which nobody can rotate; use admin_password"),
    "value of another": ({"names": MONGODB, "values": {"redis_password": "x"}}, "`toucan_rotate_values` has redis_password, which `toucan_rotate` does not"),
    "value of the registry": ({"names": MONGODB, "values": {"registry_password": "x"}}, "`toucan_rotate_values` has registry_password"),
    "value of two lines": ({"names": MONGODB, "values": {"mongodb_password": "a\nb"}}, "new value of mongodb_password .* is no text in one line"),
    "number": ({"names": MONGODB, "values": {"mongodb_password": 5}}, "new value of mongodb_password .* is no text in one line"),
    "outside mongodb": ({"names": MONGODB, "outside": ("mongodb",)}, "stack's own MongoDB, .* one outside .`toucan_mongodb_uri`.*, and run `site.yml`"),
    "outside redis": ({"names": ("redis_password",), "outside": ("redis",)}, "stack's own Redis, .* one outside .`toucan_redis_url`"),
    "host left out": ({"names": MONGODB, "left_out": ("host2",)}, "The run leaves out host2, .*; rotate on all hosts of the stack at once"),
    "bare host": ({"names": MONGODB, "deployed": False}, "brought up no stack on this host yet; run `site.yml` first"),
    "stopped": ({"names": MONGODB, "stopped": ("backend",)}, "backend of this host was stopped on purpose, .*; start the stack with `start.yml` first"),
}


@pytest.mark.parametrize(("asked", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_rotated_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(Failure, match=told):
        refuse_unusable(RotationRequest(**asked))


@pytest.mark.parametrize(
    "asked",
    [
        {"names": MONGODB},
        {"names": MONGODB, "values": {"mongodb_password": "a b'\"\\$é"}, "outside": ("redis",), "services": ("mongodb",), "stopped": ("backend",)},
        {"names": MONGODB, "services": (), "deployed": False},
        # The registry's credentials are proven on any host, whatever stands there.
        {"names": ("registry",), "values": {"registry_username": "u", "registry_password": "p"}, "left_out": ("host2",), "deployed": False},
    ],
)
def test_what_can_be_is_not(asked: dict[str, Any]) -> None:
    refuse_unusable(RotationRequest(**asked))


def test_a_host_rotates_what_its_services_need() -> None:
    names = ("admin_password", "mongodb_password", "redis_password")
    assert RotationRequest(names, services=("mongodb", "frontend")).here == MONGODB
    assert RotationRequest(names, services=("frontend",)).here == ()
    assert set(RotationRequest(names, services=("backend",)).here) == set(names)
