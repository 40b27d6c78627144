# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A canary in every secret: none shows in what Ansible says, in facts, process lists, labels or logs, and few files hold one.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from labrun.canaries import Secretive, canary, command_lines, files_with, marker, sampled, shown
from labrun.hosts import Host
from toolchain.places import ROOT

#: As much as Ansible can be made to say.
LOUD = ("-vvvv", "--diff")
ROTATED = ("admin_password", "jwt_secret", "mongodb_password", "redis_password")
#: The only files of a host that hold secrets, each for root or its service alone; `docker inspect` shows what the engine keeps of the backend.
STACK = "/var/lib/toucan/stack"
KEEPERS = {
    "/etc/toucan/secrets.json",
    f"{STACK}/compose.override.yaml",
    f"{STACK}/mongodb/password",
    f"{STACK}/redis/redis.conf",
    "/var/lib/toucan/proxy/config/key.pem",
}


def in_the_open(host: Host) -> str:
    """What anybody on the host, or whoever reads its logs, can see."""
    return "\n".join(
        [
            command_lines(host),
            host.shell("cat /etc/toucan/stack.json /var/lib/toucan/stack/compose.yaml"),
            host.shell("docker ps --all --quiet | xargs docker inspect --format '{{json .Config.Labels}} {{json .Config.Cmd}} {{json .Args}}'"),
            host.shell("docker ps --all --format '{{.Names}}' | grep --invert-match backend | xargs docker inspect --format '{{json .Config.Env}}'"),
            host.shell("for name in $(docker ps --all --quiet); do docker logs $name 2>&1; done"),
            host.shell("journalctl --output cat --no-pager"),
        ]
    )


def assert_kept(host: Host, markers: Iterable[str]) -> None:
    """No marker is seen but in the files that keep secrets, and those are closed."""
    text = in_the_open(host)
    assert "redis-server" in text and "Invoked with" in text, "the places that are looked at are empty"
    assert shown(text, markers) == []
    backend = host.containers()["toucan-backend-1"]
    keepers = {*KEEPERS, f"/var/lib/docker/containers/{backend}/config.v2.json"}
    assert set(files_with(host, markers)) - keepers == set()
    for path in KEEPERS:
        # A folder that is closed to others closes what is in it.
        open_to = host.shell(f"setpriv --reuid=65534 --regid=65534 --clear-groups cat {path} 2>&1 || true")
        assert "Permission denied" in open_to, path


def test_the_search_finds_what_it_is_to_find(secretive: Secretive) -> None:
    host, spelt = secretive.host, canary("planted")
    host.shell("mkdir -p /srv/planted && cat > /srv/planted/file", json.dumps({"a": spelt}).encode())
    host.shell("base64 > /srv/planted/encoded", f"user:{spelt}".encode())
    try:
        assert files_with(host, [marker("planted")]) == ["/srv/planted/encoded", "/srv/planted/file"]
    finally:
        host.shell("rm -r /srv/planted")
    with sampled(host):
        host.shell(f": {marker('planted')}; sleep 1; :")  # a shell becomes its last command
    assert shown(command_lines(host), [marker("planted")]) == [marker("planted")]
    assert shown("\n".join([spelt, "user"]), secretive.markers.values()) == []


def test_the_product_runs_with_the_canaries(secretive: Secretive) -> None:
    files = files_with(secretive.host, [secretive.markers["encryption_secret"]])
    assert {"/etc/toucan/secrets.json", f"{STACK}/compose.override.yaml"} <= set(files)
    assert json.loads(secretive.host.shell("cat /etc/toucan/secrets.json"))["mongodb_password"] == canary("mongodb_password")


def test_no_canary_shows_when_a_stack_is_deployed(secretive: Secretive) -> None:
    assert shown(secretive.first.output, secretive.markers.values()) == []
    assert_kept(secretive.host, secretive.markers.values())


def test_none_shows_when_nothing_changes(secretive: Secretive) -> None:
    with sampled(secretive.host):
        run = secretive.host.site(*LOUD, **secretive.variables).unchanged()
    assert shown(run.output, secretive.markers.values()) == []


def test_none_shows_in_a_plan(secretive: Secretive) -> None:
    uris = {"toucan_mongodb_uri": f"mongodb://app:{marker('uri')}@db.invalid/", "toucan_redis_url": f"redis://:{marker('url')}@cache.invalid"}
    mail = {**secretive.variables["toucan_stack_mail"], "password": canary("othermail")}
    with sampled(secretive.host):
        run = secretive.host.site(*LOUD, "--check", **{**secretive.variables, **uris, "toucan_stack_mail": mail})
    # Whatever becomes of databases that do not exist, the run came to the stack.
    assert "Bring the services of this host to the release and configuration asked for" in run.output
    assert shown(run.output, [*secretive.markers.values(), *map(marker, ("uri", "url", "othermail"))]) == []


def test_none_shows_in_facts(secretive: Secretive) -> None:
    tasks = [
        {"name": "Gather", "ansible.builtin.setup": {}},
        {"name": "Show", "ansible.builtin.debug": {"var": "ansible_facts"}},
    ]
    run = secretive.host.play(tasks, "-vvvv").succeeded()
    assert "ansible_facts" in run.output or "distribution" in run.output
    assert shown(run.output, secretive.markers.values()) == []


def test_none_shows_when_secrets_are_rotated(secretive: Secretive) -> None:
    host, new = secretive.host, {name: canary(f"next{name}") for name in ROTATED}
    with sampled(host):
        run = host.playbook(ROOT / "playbooks" / "rotate.yml", *LOUD, variables={**secretive.variables, "toucan_rotate": [*new], "toucan_rotate_values": new})
    run.succeeded()
    told = "`toucan_secrets` gives jwt_secret, admin_password, mongodb_password, redis_password: put the new value there, or leave it out"
    assert told in run.text
    markers = [*secretive.markers.values(), *(marker(f"next{name}") for name in ROTATED)]
    assert shown(run.output, markers) == []
    assert_kept(host, markers)
    assert files_with(host, [secretive.markers[name] for name in ROTATED]) == [], "a former value is left"


def test_none_shows_when_a_run_fails(secretive: Secretive) -> None:
    before = secretive.host.containers()
    with sampled(secretive.host):
        stale = secretive.host.site(*LOUD, **secretive.variables)
        wrong = {**secretive.variables["toucan_registry"], "password": canary("wrongrobot")}
        rotation = secretive.host.playbook(
            ROOT / "playbooks" / "rotate.yml", *LOUD, variables={**secretive.variables, "toucan_rotate": "registry", "toucan_registry": wrong}
        )
    stale.refused("jwt_secret, mongodb_password, redis_password in `toucan_secrets` differ from the ones this stack was made with")
    rotation.refused("Registry registry.lab.test:5000 refused the login of robot")
    markers = [*secretive.markers.values(), *(marker(f"next{name}") for name in ROTATED), marker("wrongrobot")]
    assert shown(stale.output + rotation.output, markers) == []
    assert secretive.host.containers() == before
    assert_kept(secretive.host, markers)
