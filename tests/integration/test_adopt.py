# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack that somebody started by hand is recorded, and taken over with exactly the announced changes and all of its data."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from labrun.hosts import Run, fresh_host, lab_facts, site_variables
from labrun.vendor import SUPERADMIN, VendorStack
from toolchain.places import ROOT

ADOPT = ROOT / "playbooks" / "adopt.yml"
SITE = ROOT / "playbooks" / "site.yml"
NEVER_STARTED = "docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.Image}} {{.State}}' | sort; docker volume ls --quiet | sort"
ADDRESS = "docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "


def variables() -> dict[str, Any]:
    """The inventory of who takes the stack over; the administrator goes on with the password that it has."""
    return {**site_variables(), "toucan_secrets": {"admin_password": SUPERADMIN[1]}}


@pytest.fixture(scope="module")
def stack() -> VendorStack:
    """The vendor's compose file started by hand, from a moving tag, with data in it."""
    stack = VendorStack(fresh_host("host12"), tag="latest-monthly")
    stack.start()
    stack.fill()
    return stack


@pytest.fixture(scope="module")
def content(stack: VendorStack) -> dict[str, Any]:
    """What it holds before anything is done to it."""
    return stack.content()


def announced(run: Run) -> list[str]:
    """What adopt.yml says that site.yml would do, as action and object."""
    return re.findall(r"site\.yml would ((?:\w+) [\w./ -]+?)(?:\.(?= |')|:)", run.text)


def done(run: Run) -> list[str]:
    """What site.yml says that it changed."""
    found = re.search(r"Services changed: (.*?)'", run.text)
    return found[1].split("; ") if found else []


def behind_the_proxy(stack: VendorStack) -> VendorStack:
    """The same stack as users reach it once no port of it is published; the lab's names mean another host by themselves."""
    names = "api.lab.test app.lab.test"
    stack.host.shell(f"grep --quiet '{names}' /etc/hosts || echo '{stack.host.address} {names}' >> /etc/hosts")
    return replace(stack, backend="https://api.lab.test")


def test_versions_are_told_before_anything_is_known_of_the_stack(stack: VendorStack, content: dict[str, Any]) -> None:
    run = stack.host.play([{"name": "Ask", "toucan.selfhosted.toucan_version": {}, "register": "told"}, {"ansible.builtin.debug": {"var": "told"}}])
    assert "Frontend v101.1.0 and backend v101.1.0 fit together." in run.succeeded().text
    assert run.text.count("source: container") == 2


def test_half_a_stack_is_not_adopted(stack: VendorStack, content: dict[str, Any]) -> None:
    extra = {**variables(), "toucan_host_docker_source": "distribution"}
    stack.host.playbook(ADOPT, variables=extra).refused("adopt.yml leaves the Docker engine alone", "put it into the inventory")
    stack.host.shell("docker stop bi-backend-1")
    stack.host.playbook(ADOPT, variables=variables()).refused("Only half of the stack runs: container bi-backend-1 of backend is exited; start it")
    stack.host.shell("docker start bi-backend-1")
    stack.host.shell("curl --silent --fail --retry 60 --retry-delay 1 --retry-all-errors http://localhost:5000/")
    assert stack.host.shell("ls /etc/toucan") == "stack.json\n"


def test_an_env_file_that_is_gone_is_named(stack: VendorStack, content: dict[str, Any]) -> None:
    path = f"{stack.folder}/docker-compose.yml"
    stack.host.shell(f"cp {path} /tmp/kept.yml && sed -i 's/^  backend:$/&\\n    env_file: lost.env/' {path}")
    adopt = {"name": "Adopt", "toucan.selfhosted.toucan_adopt": {}}
    stack.host.play([adopt]).refused(f"The env file {stack.folder}/lost.env, which {path} names for service backend, cannot be read: it is missing")
    stack.host.play([{**adopt, "check_mode": True, "toucan.selfhosted.toucan_adopt": {"ignore_files": True}}]).succeeded()
    stack.host.shell(f"cp /tmp/kept.yml {path}")


def test_adoption_touches_no_container_and_says_what_would_come(stack: VendorStack, content: dict[str, Any]) -> None:
    host = stack.host
    before = host.shell(NEVER_STARTED)
    checked = host.playbook(ADOPT, "--check", variables=variables()).succeeded()
    assert host.shell("ls /etc/toucan") == "stack.json\n"
    run = host.playbook(ADOPT, "--diff", variables=variables()).succeeded()
    assert announced(checked) == announced(run)
    assert announced(run)[-5:] == ["create user app of MongoDB", *(f"recreate service {kind}" for kind in ("mongodb", "redis", "backend", "frontend"))]
    for words in (
        "storage in /srv/bi/storage",
        "database in volume bi_mongo-data",
        "encryption_secret found, jwt_secret made, admin_password given",
        "port 5000 closes; restart policy no becomes always; same image",
        "changed variables API_BASEROUTE; port 8000 closes",
        "Every user logs in again once",
        f"Move {stack.folder}/docker-compose.yml away",
    ):
        assert words in run.text, run.output
    assert stack.encryption_secret not in run.output
    assert host.shell(NEVER_STARTED) == before
    assert host.shell("stat -c '%a %U' /etc/toucan/secrets.json") == "600 root\n"
    assert json.loads(host.shell("cat /etc/toucan/secrets.json"))["encryption_secret"] == stack.encryption_secret
    assert stack.encryption_secret not in host.shell("cat /etc/toucan/stack.json")
    host.playbook(ADOPT, variables=variables()).unchanged()


def test_site_takes_it_over_with_the_announced_changes_and_its_data(stack: VendorStack, content: dict[str, Any]) -> None:
    host = stack.host
    expected = announced(host.playbook(ADOPT, variables=variables()).unchanged())
    volumes = host.shell("docker volume ls --quiet | sort")
    run = host.playbook(SITE, variables=variables()).succeeded()
    changed = done(run)
    assert changed[: len(expected)] == expected, run.output
    assert changed[-1].endswith("service proxy"), run.output
    assert {name for name in host.containers() if name.startswith("bi-")} == {f"bi-{service}-1" for service in ("mongo", "redis", "backend", "frontend")}
    assert not set(volumes.split()) - set(host.shell("docker volume ls --quiet").split())
    after = behind_the_proxy(stack)
    assert after.content() == content
    assert after.api("POST", "/login", {"username": "ann@example.com", "password": "Ann's own 2021"})["token"]
    assert host.state()["compose"] == {"project": "bi", "directory": "/var/lib/toucan/stack", "network": "bi_default"}
    assert host.state()["images"]["backend"]["tag"] == "v101.1.0"
    assert host.shell("curl --silent --output /dev/null http://localhost:5000/ || echo closed") == "closed\n"
    host.playbook(SITE, variables=variables()).unchanged()
    again = host.playbook(ADOPT, variables=variables()).unchanged()
    assert "The collection runs this stack already" in again.text


BY_HAND = """
set -e
docker ps --all --quiet | xargs --no-run-if-empty docker rm --force
rm -rf /etc/toucan/secrets.json /etc/toucan/stack.json /var/lib/toucan/stack
mkdir -p /srv/hand
docker run --detach --name database --env MONGO_INITDB_ROOT_USERNAME=root --env MONGO_INITDB_ROOT_PASSWORD=of-the-root {mongodb}
docker run --detach --name cache {redis} redis-server --requirepass of-the-cache
cat > /root/backend.env
docker run --detach --name laputa --link database --link cache --env-file /root/backend.env --volume /srv/hand:/app/storage \
  --volume /etc/hostname:/etc/ssl/myCA.crt:ro --publish 127.0.0.1:5000:80 {backend}:v101.1.0
docker run --detach --name tucana --env API_BASEROUTE=http://localhost:5000 --publish 8000:80 {frontend}:v101.1.0
curl --silent --show-error --fail --retry 90 --retry-delay 1 --retry-all-errors http://localhost:5000/ http://localhost:8000/
"""
BACKEND_ENV = b"""TOUCAN_DB_ENCRYPTION_SECRET=chosen-by-hand
TOUCAN_MONGODB_HOST=database
TOUCAN_MONGODB_USER=root
TOUCAN_MONGODB_PASS=of-the-root
TOUCAN_REDIS_HOST=cache
TOUCAN_REDIS_PASSWORD=of-the-cache
TOUCAN_INSTANCE_NAME=ours
TOUCAN_LOG_LEVEL=DEBUG
TOUCAN_SMTP_PASSWORD=of-the-mail
"""


def test_containers_run_by_hand_are_taken_over_too(stack: VendorStack) -> None:
    """Without compose, on the engine's own network, with another user of MongoDB, its data in a volume without a name, and a mounted file."""
    host, lab = stack.host, lab_facts()
    images = {**lab["lab_service_images"], **lab["lab_product_images"]["a"]}
    host.shell(BY_HAND.format(**images), BACKEND_ENV)
    by_hand = replace(stack, backend="http://localhost:5000", storage="/srv/hand")
    by_hand.fill()
    content = by_hand.content()
    tasks = [
        {"name": part, "ansible.builtin.import_role": {"name": "toucan.selfhosted.toucan_stack", "tasks_from": part}} for part in ("adopt", "preflight", "main")
    ]
    named = {**variables(), "toucan_adopt_containers": {"backend": "laputa", "frontend": "tucana"}}
    run = host.play(tasks, variables=named).succeeded()
    assert {"create user app of MongoDB", "remove container laputa", "create service backend"} <= set(announced(run)), run.output
    assert set(host.containers()) == {f"toucan-{service}-1" for service in ("mongo", "redis", "backend", "frontend")}
    after = replace(by_hand, backend=f"http://{host.shell(ADDRESS + 'toucan-backend-1').strip()}")
    assert after.content() == content
    environment = json.loads(host.shell("docker inspect --format '{{json .Config.Env}}' toucan-backend-1"))
    assert {"TOUCAN_INSTANCE_NAME=ours", "TOUCAN_LOG_LEVEL=DEBUG", "TOUCAN_SMTP_PASSWORD=of-the-mail", "TOUCAN_MONGODB_USER=app"} <= set(environment)
    assert "/etc/ssl/myCA.crt" in host.shell("docker inspect --format '{{json .Mounts}}' toucan-backend-1")
    assert "of-the-" not in run.output + host.shell("cat /etc/toucan/stack.json /var/lib/toucan/stack/compose.yaml")
    host.play(tasks, variables=named).unchanged()
