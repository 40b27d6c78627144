# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`rotate.yml` on a running stack: what it refuses, that it replaces secrets, and that a run that was killed is finished by the next.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from labrun.canaries import Secretive
from labrun.hosts import Host, Run, site_variables
from labrun.user import bearer
from toolchain.places import ROOT

ROTATE = ROOT / "playbooks" / "rotate.yml"
SECRETS = "/etc/toucan/secrets.json"
NAMES = ("admin_password", "mongodb_password", "redis_password")
PATIENCE_SECONDS = 120


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


def killed_at(secretive: Secretive, part: str) -> None:
    """Rotate, and kill the run once the secrets file has that part of a rotation."""
    with ThreadPoolExecutor(1) as runs:
        others = children()
        running = runs.submit(rotate, secretive, toucan_rotate=list(NAMES))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while part not in secrets_of(secretive.host).get("rotation", {}):
            assert time.monotonic() < deadline and not running.done(), f"the secrets file never had {part}"
            time.sleep(0.2)
        (ansible,) = (pid for pid in children() - others if b"ansible-playbook" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(ansible, signal.SIGKILL)
        assert running.result().code == -signal.SIGKILL


def children() -> set[int]:
    """The processes that this one started and that still run."""
    return {int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def test_a_rotation_that_was_killed_is_finished_by_the_next_run(secretive: Secretive) -> None:
    host, before = secretive.host, secrets_of(secretive.host)
    killed_at(secretive, "new")
    coming = secrets_of(host)["rotation"]
    told = "is not finished; run `rotate.yml` with `toucan_rotate: [admin_password, mongodb_password, redis_password]`, which finishes it"
    host.playbook(ROOT / "playbooks" / "site.yml", variables={**secretive.variables, "toucan_secrets": {}}).refused("A rotation of", told)
    killed_at(secretive, "former")
    run = rotate(secretive, toucan_rotate=list(NAMES)).succeeded()
    assert "begun by an earlier run" in run.text
    after = secrets_of(host)
    assert "rotation" not in after
    assert {name: after[name] for name in NAMES} == coming["new"]
    assert [name for name in before if after[name] != before[name]] == sorted(NAMES)


def test_the_product_works_with_the_new_values_and_site_yml_finds_nothing_to_do(secretive: Secretive) -> None:
    assert bearer(secretive.host).startswith(b"Authorization: Bearer ")
    secretive.host.site(**{**secretive.variables, "toucan_secrets": {}}).unchanged()


def test_another_encryption_secret_is_refused_by_its_fingerprint(secretive: Secretive) -> None:
    host = secretive.host
    kept, containers = host.shell(f"cat {SECRETS}"), host.containers()
    assert json.loads(kept)["encryption_secret"] not in host.shell("cat /etc/toucan/stack.json")
    host.shell(f"cat > {SECRETS}", json.dumps({**json.loads(kept), "encryption_secret": "another-one"}).encode())
    try:
        run = host.role("toucan_stack", variables={**site_variables(), "toucan_secrets": {}})
        run.refused("encryption_secret is not the one that the data of this stack was made with, by its fingerprint in the state file")
        assert host.containers() == containers
    finally:
        host.shell(f"cat > {SECRETS}", kept.encode())
