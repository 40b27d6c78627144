# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where images come from: a registry with tokens, mirrors, a folder of archives; who is refused, and what goes when a newer release is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from labrun.hosts import CONTAINERS, ENGINE, Host, fresh_host, lab_facts, site_variables
from labrun.pieces import lab_piece
from labrun.registry import digest_of, point_tag
from labrun.vendor import log_in_to_registry

#: What Docker Hub calls the lab's images of databases and proxy, as the collection asks for them by default.
HUB = {"library/mongo:5.0.31": "lab/mongodb:7.0", "library/redis:6.2-alpine": "lab/redis:8", "library/caddy:2.11-alpine": "lab/caddy:2.11"}
#: Where a stack that is only planned would stand.
NOWHERE = {
    "toucan_stack_project": "nowhere",
    "toucan_stack_network": "nowhere",
    "toucan_stack_directory": "/srv/nowhere/stack",
    "toucan_stack_storage_directory": "/srv/nowhere/storage",
    "toucan_stack_database_directory": "/srv/nowhere/mongodb",
    "toucan_stack_secrets_path": "/srv/nowhere/secrets.json",
    "toucan_stack_state_path": "/srv/nowhere/stack.json",
}


def quay(**changes: str) -> dict[str, str]:
    """The registry with tokens, by its robot account unless `changes` say otherwise."""
    bearer = lab_piece("registries")["bearer"]
    return {"name": f"{bearer['name']}/toucantoco", "username": bearer["username"], "password": bearer["password"], **changes}


def variables(**changes: Any) -> dict[str, Any]:
    """An inventory as of the lab's product, but with the collection's own images, and with no registry unless `changes` name one."""
    images = {"toucan_stack_images": {}, "toucan_proxy_image": "docker.io/library/caddy:2.11-alpine"}
    return {**site_variables(), **images, "toucan_registry": {}, **changes}


def images(host: Host) -> dict[str, str]:
    """Image by name of every container, as it was started."""
    return dict(line.split() for line in host.shell("docker ps -a --format '{{.Names}} {{.Image}}'").splitlines())


# -- a registry with tokens, and a mirror of Docker Hub beside it ------------------------------------------------------------------------


def of_quay(**changes: Any) -> dict[str, Any]:
    """An inventory of a site with a robot account and a mirror of Docker Hub."""
    return variables(toucan_registry=quay(), toucan_image_mirror=lab_piece("registries")["mirror"]["name"], toucan_release="v100.1.0", **changes)


@pytest.fixture(scope="module")
def host() -> Host:
    """Host19 with the product out of the registry with tokens, in its oldest release."""
    for name, source in HUB.items():
        point_tag(*name.split(":"), *source.split(":"))
    host = fresh_host("host19")
    host.site(**of_quay()).succeeded()
    return host


def test_a_robot_account_with_tokens_and_a_mirror_bring_the_product(host: Host) -> None:
    bearer, mirror = (lab_piece("registries")[name]["name"] for name in ("bearer", "mirror"))
    known = host.state()["images"]
    assert {kind: image["name"] for kind, image in known.items()} == {
        "frontend": f"{bearer}/toucantoco/frontend",
        "backend": f"{bearer}/toucantoco/backend",
        "mongodb": f"{mirror}/library/mongo",
        "redis": f"{mirror}/library/redis",
        "proxy": f"{mirror}/library/caddy",
    }
    assert known["backend"]["digest"] == digest_of("toucantoco/backend", "v100.1.0")
    assert known["redis"]["digest"] == digest_of("lab/redis", "8")
    host.site(**of_quay()).unchanged()


def test_the_robots_password_stays_nowhere(host: Host) -> None:
    found = host.shell("grep -rlF -f - /etc /root /var/lib/toucan /var/log /run/log /opt/toucan 2>/dev/null || true", quay()["password"].encode())
    assert found == ""
    assert quay()["username"] not in host.shell("cat /root/.docker/config.json 2>/dev/null || true")


class Refusal(NamedTuple):
    """A registry that is refused or refuses, and the words that say so."""

    registry: Mapping[str, str]
    words: tuple[str, ...]


def refusals() -> dict[str, Refusal]:
    """Registries by what is wrong with them."""
    pieces = lab_piece("registries")
    stranger = "toucantoco+stranger"
    return {
        "account_without_rights": Refusal(
            quay(username=stranger, password=pieces["bearer"]["accounts"][stranger]),
            (f"Registry quay.lab.test refuses user {stranger} for quay.lab.test/toucantoco/", "have this account let in to the repository"),
        ),
        "wrong_password": Refusal(
            quay(password="not-the-robots-password"),
            ("Registry quay.lab.test refuses user toucantoco+robot for", "correct `toucan_registry.username` and `toucan_registry.password`"),
        ),
        "login_page": Refusal(
            {"name": f"{pieces['login_page']['name']}/toucantoco"},
            ("Registry login.lab.test answered with a web page, such as the login page of a portal", "let this host past the portal, or correct"),
        ),
        "login_page_with_an_account": Refusal(
            quay(name=f"{pieces['login_page']['name']}/toucantoco"), ("Registry login.lab.test answered with a web page, such as the login page",)
        ),
    }


@pytest.mark.parametrize("fault", ["account_without_rights", "wrong_password", "login_page"])
def test_a_registry_that_refuses_is_one_sentence(host: Host, fault: str) -> None:
    registry, words = refusals()[fault]
    trust(host, "login.lab.test")
    before = host.shell(CONTAINERS)
    run = host.role("toucan_stack", "--check", variables=of_quay(**NOWHERE) | {"toucan_registry": dict(registry)})
    run.refused(*words)
    assert "not-the-robots-password" not in run.output
    assert host.shell(CONTAINERS) == before


def trust(host: Host, registry: str) -> None:
    """Let the host's engine trust a registry by the lab's authority, which its system trusts already."""
    host.shell(f"mkdir -p /etc/docker/certs.d/{registry} && cp /usr/local/share/ca-certificates/toucan.crt /etc/docker/certs.d/{registry}/ca.crt")


def test_versions_are_looked_up_in_a_registry_with_tokens(host: Host) -> None:
    """All in one run, which goes on where one is refused."""
    asked = {"robot": Refusal(quay(), ()), **refusals()}
    tasks = [
        {
            "name": f"Ask as {name}",
            "toucan.selfhosted.toucan_version": {f"registry_{key}": value for key, value in registry.items()} | {"registry": True},
            "register": f"asked_{name}",
            "failed_when": False,
        }
        for name, (registry, dummy) in asked.items()
    ]
    told = "{{ item }}: {{ lookup('ansible.builtin.vars', item).msg | default('newer ' ~ lookup('ansible.builtin.vars', item).registry.newer | join(' ')) }}"
    tasks.append({"name": "Show", "ansible.builtin.debug": {"msg": told}, "loop": [f"asked_{name}" for name in asked]})
    text = host.play(tasks).succeeded().text
    for words in (
        "asked_robot: newer v101.1",
        "asked_account_without_rights: Registry quay.lab.test refuses repository toucantoco/",
        "asked_wrong_password: Registry quay.lab.test refused the login of toucantoco+robot",
        "asked_login_page: Registry login.lab.test answered with a web page, such as the login page of a portal",
        "asked_login_page_with_an_account: Registry login.lab.test answered with a web page",
    ):
        assert words in text
    assert "not-the-robots-password" not in text


def test_a_mirror_wants_no_login_and_says_what_it_lacks(host: Host) -> None:
    mirror = {"name": f"{lab_piece('registries')['mirror']['name']}/toucantoco"}
    planned = host.role("toucan_stack", "--check", "--diff", variables=of_quay(**NOWHERE) | {"toucan_registry": mirror}).succeeded()
    assert f"mirror.lab.test/toucantoco/backend:v100.1.0@{digest_of('toucantoco/backend', 'v100.1.0')}" in planned.output
    lacking = of_quay(**NOWHERE) | {"toucan_registry": mirror, "toucan_release": "v999.0.0"}
    host.role("toucan_stack", "--check", variables=lacking).refused("Registry mirror.lab.test has no image", "correct `toucan_release` or `toucan_registry.name`")


# -- images of former releases -------------------------------------------------------------------------------------------------------------


def local_images(host: Host) -> set[str]:
    """Repository and tag of every image, `<none>` for those without one."""
    return set(host.shell("docker image ls --format '{{.Repository}}:{{.Tag}}'").split())


def test_a_newer_release_sends_away_all_but_the_last(host: Host) -> None:
    """The third release removes the first, unless somebody uses it, and what lies about without a tag; nothing of anybody else."""
    own = "quay.lab.test/toucantoco"
    log_in_to_registry(host)
    registry = lab_facts()["lab_registry"]
    host.shell(f"docker pull -q {registry}/toucantoco-b/frontend:v100.1.0 && docker pull -q {registry}/lab/caddy:2.6")
    allowed = {"toucan_stack_allow_version_change": True}
    host.role("toucan_stack", variables=of_quay(**allowed) | {"toucan_release": "v101.0.0"}).succeeded()
    assert {f"{own}/{kind}:{tag}" for kind in ("backend", "frontend") for tag in ("v100.1.0", "v101.0.0")} <= local_images(host)
    host.shell(f"docker create --name somebody {own}/backend:v100.1.0")
    host.shell(f"docker tag {own}/frontend:v100.1.0 elsewhere/frontend:mine")
    host.shell(f"docker rmi {own}/frontend:v101.0.0 2>&1 || true")
    before = local_images(host)
    last = of_quay(**allowed) | {"toucan_release": "v101.1.0"}
    planned = host.role("toucan_stack", "--check", "--diff", variables=last).succeeded()
    assert f"image {own}/frontend:v100.1.0" in planned.output
    assert local_images(host) == before
    host.role("toucan_stack", variables=last).succeeded()
    after = local_images(host)
    assert f"{own}/frontend:v100.1.0" not in after
    assert {f"{own}/backend:v100.1.0", "elsewhere/frontend:mine", f"{registry}/toucantoco-b/frontend:v100.1.0", f"{registry}/lab/caddy:2.6"} <= after
    assert {f"{own}/{kind}:{tag}" for kind in ("backend", "frontend") for tag in ("v101.1.0",)} <= after
    host.role("toucan_stack", variables=last).unchanged()


# -- without a way out --------------------------------------------------------------------------------------------------------------------


FOLDER = "/srv/images"


def without_a_way_out(**changes: Any) -> dict[str, Any]:
    """An inventory that names no registry at all."""
    return variables(toucan_image_folder=FOLDER, **changes)


@pytest.fixture(scope="module")
def closed() -> Host:
    """Host20 with archives of the product and its databases, under the names of Quay and Docker Hub, which the lab has no way to."""
    host = fresh_host("host20")
    log_in_to_registry(host)
    lab = lab_facts()["lab_registry"]
    names = {f"docker.io/{name}": f"{lab}/{source}" for name, source in HUB.items()}
    names |= {f"quay.io/toucantoco/{kind}:v101.1.0": f"{lab}/toucantoco/{kind}:v101.1.0" for kind in ("backend", "frontend")}
    for name, source in names.items():
        host.shell(f"docker pull -q {source} && docker tag {source} {name}")
    product = [name for name in names if "toucantoco" in name]
    databases = [name for name in names if "mongo" in name or "redis" in name]
    host.shell(f"mkdir {FOLDER} && docker save -o {FOLDER}/product-v101.1.0.tar {' '.join(product)}")
    host.shell(f"docker save {' '.join(databases)} | gzip -1 > {FOLDER}/databases.tar.gz")
    host.shell(f"docker save -o {FOLDER}/proxy.tar docker.io/library/caddy:2.11-alpine && echo notes > {FOLDER}/README.txt")
    host.shell(f"docker logout {lab} && docker image prune --all --force")
    assert local_images(host) == set()
    return host


def test_a_folder_of_archives_brings_the_product_to_a_site_without_a_way_out(closed: Host) -> None:
    planned = closed.site("--check", "--diff", **without_a_way_out()).succeeded()
    assert "Folder" not in planned.output
    run = closed.site(**without_a_way_out()).succeeded()
    assert run.recap["changed"] > 0
    known = closed.state()["images"]
    assert {kind: image["tag"] for kind, image in known.items()} == {
        "frontend": "v101.1.0",
        "backend": "v101.1.0",
        "mongodb": "5.0.31",
        "redis": "6.2-alpine",
        "proxy": "2.11-alpine",
    }
    for image in known.values():
        assert image["digest"] == ""
        local = f"{image['name']}:{image['tag']}-loaded-{image['id'].removeprefix('sha256:')}"
        assert local in images(closed).values()
    for folder, count in (("stack", 4), ("proxy", 1)):
        assert closed.shell(f"grep -c 'pull_policy: \"never\"' /var/lib/toucan/{folder}/compose.yaml") == f"{count}\n"
    closed.site(**without_a_way_out()).unchanged()


def test_what_is_loaded_stays_when_its_names_move_and_its_archives_go(closed: Host) -> None:
    """The pin is the ID: another image under the same name, or an empty folder, changes nothing."""
    before = closed.containers()
    closed.shell("docker tag docker.io/library/redis:6.2-alpine quay.io/toucantoco/backend:v101.1.0")
    closed.shell(f"mkdir -p {FOLDER}.empty")
    closed.role("toucan_stack", variables=without_a_way_out() | {"toucan_image_folder": f"{FOLDER}.empty"}).unchanged()
    assert closed.containers() == before


def damage(host: Host) -> None:
    """Archives as a copy that broke off leaves them, and one that was never one."""
    host.shell(f"mkdir -p {FOLDER}.cut {FOLDER}.cut-gz {FOLDER}.other")
    host.shell(f"head -c 100000 {FOLDER}/product-v101.1.0.tar > {FOLDER}.cut/product.tar")
    host.shell(f"head -c 100000 {FOLDER}/databases.tar.gz > {FOLDER}.cut-gz/databases.tar.gz")
    host.shell(f"tar -C /etc -cf {FOLDER}.other/etc.tar hostname")


FOLDERS = {
    "wrong_release": (FOLDER, ("Folder /srv/images holds no image quay.io/toucantoco/", "product-v101.1.0.tar (quay.io/toucantoco/", "databases.tar.gz (")),
    "no_folder": ("/srv/nothing", ("Looking into the folder of image archives /srv/nothing on this host failed: No such file", "correct `toucan_image_folder`")),
    "empty": (f"{FOLDER}.cut-none", ("holds no image", "no file in it ends in .tar, .tar.gz, .tgz")),
    "cut_off": (f"{FOLDER}.cut", ("/srv/images.cut/product.tar is no whole archive of `docker save`", "copy it whole, and compare the sizes")),
    "cut_off_gzip": (f"{FOLDER}.cut-gz", ("/srv/images.cut-gz/databases.tar.gz is no whole archive of `docker save`",)),
    "other_archive": (f"{FOLDER}.other", ("/srv/images.other/etc.tar is no whole archive of `docker save`: it has no manifest.json",)),
}


@pytest.mark.parametrize("fault", FOLDERS)
def test_a_folder_that_does_not_help_is_one_sentence(closed: Host, fault: str) -> None:
    folder, words = FOLDERS[fault]
    damage(closed)
    closed.shell(f"mkdir -p {FOLDER}.cut-none")
    before = closed.shell(ENGINE)
    asked = without_a_way_out(**NOWHERE) | {"toucan_image_folder": folder, "toucan_release": "v101.0.0"}
    closed.role("toucan_stack", "--check", variables=asked).refused(*words)
    assert closed.shell(ENGINE) == before
