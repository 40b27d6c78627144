# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`rotate.yml` on a running stack: what it refuses, and what it tells beforehand. `test_secrecy.py` rotates for real."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from labrun.canaries import Secretive
from labrun.hosts import Host, Run
from toolchain.places import ROOT

ROTATE = ROOT / "playbooks" / "rotate.yml"
SECRETS = "/etc/toucan/secrets.json"


def rotate(secretive: Secretive, *arguments: str, **variables: Any) -> Run:
    """Run `rotate.yml` with the inventory that the host was deployed with, but for secrets, which have been rotated since."""
    return secretive.host.playbook(ROTATE, *arguments, variables={**secretive.variables, "toucan_secrets": {}, **variables})


def secrets_of(host: Host) -> dict[str, Any]:
    """The secrets file."""
    return json.loads(host.shell(f"cat {SECRETS}"))


class Refused(NamedTuple):
    """Variables that are refused, and the words that say so."""

    variables: Mapping[str, Any]
    words: tuple[str, ...]


REFUSED = {
    "encryption_secret": Refused(
        {"toucan_rotate": ["mongodb_password", "encryption_secret"]},
        ("encryption_secret cannot be rotated: values in the database were encrypted with it", "leave it out of `toucan_rotate`"),
    ),
    "nothing": Refused({"toucan_rotate": ""}, ("Nothing is named to rotate; name some of admin_password, jwt_secret",)),
    "database_outside": Refused(
        {"toucan_rotate": "mongodb_password", "toucan_mongodb_uri": "mongodb://db.invalid"},
        ("this stack uses one outside (`toucan_mongodb_uri`), whose password is not ours to change", "have it changed there", "run `site.yml`"),
    ),
    "wrong_registry_password": Refused(
        {"toucan_rotate": ["registry", "redis_password"], "toucan_rotate_values": {"registry_password": "no-password-of-robot"}},
        ("Registry registry.lab.test:5000 refused the login of robot",),
    ),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_rotated_is_refused_untouched(secretive: Secretive, refused: Refused) -> None:
    before = secrets_of(secretive.host), secretive.host.containers()
    rotate(secretive, **refused.variables).refused(*refused.words)
    assert (secrets_of(secretive.host), secretive.host.containers()) == before


def test_check_mode_tells_the_plan_and_changes_nothing(secretive: Secretive) -> None:
    before = secrets_of(secretive.host), secretive.host.containers()
    run = rotate(secretive, "--check", toucan_rotate="redis_password, registry").succeeded()
    assert "Rotated would rotate redis_password, to a new value that is made" in run.text.replace("- ", "")
    assert "Registry gives these credentials registry.lab.test:5000/" in run.text.replace("- ", "")
    assert (secrets_of(secretive.host), secretive.host.containers()) == before
