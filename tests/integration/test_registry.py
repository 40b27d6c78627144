# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where images come from: a registry with tokens, mirrors, a folder of archives; who is refused, and what goes when a newer release is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from labrun.hosts import CONTAINERS, ENGINE, Host, fresh_host, lab_facts, site_variables
from labrun.pieces import lab_piece
from labrun.registry import digest_of, point_tag
from labrun.vendor import log_in_to_registry

#: What Docker Hub calls the lab's images of databases and proxy, as the collection asks for them by default.
HUB = {"library/mongo:5.0.31": "lab/mongodb:7.0", "library/redis:6.2-alpine": "lab/redis:8", "library/caddy:2.11-alpine": "lab/caddy:2.11"}
#: Module `toucan_stack` where nothing stands, for plans alone.
NOWHERE = {
    "project": "nowhere",
    "network": "nowhere",
    "directory": "/srv/nowhere/stack",
    "storage_directory": "/srv/nowhere/storage",
    "database_directory": "/srv/nowhere/mongodb",
    "secrets_path": "/srv/nowhere/secrets.json",
    "state_path": "/srv/nowhere/stack.json",
    "frontend_url": "https://app.lab.test",
    "backend_url": "https://api.lab.test",
    "release": "v101.0.0",
}


def answers(host: Host, module: str, asked: Mapping[str, Mapping[str, Any]], told: str) -> str:
    """What a module said by name of what it was asked, in check mode and one run: `NAME: MESSAGE`, or what `told` makes of the result."""
    tasks: list[dict[str, Any]] = [
        {"name": f"Ask {name}", f"toucan.selfhosted.{module}": dict(options), "register": f"asked_{name}", "failed_when": False}
        for name, options in asked.items()
    ]
    result = "lookup('ansible.builtin.vars', 'asked_' ~ item)"
    message = f"{{{{ item }}}}: {{{{ {result}.msg if 'msg' in {result} else {told.replace('RESULT', result)} }}}}"
    tasks.append({"name": "Show", "ansible.builtin.debug": {"msg": message}, "loop": list(asked)})
    run = host.play(tasks, "--check").succeeded()
    assert "Traceback" not in run.output
    return run.text


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
    listed = host.shell("docker ps -aq | xargs docker inspect -f '{{.Name}} {{.Config.Image}}'")
    return dict(line.lstrip("/").split() for line in listed.splitlines())


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


def trust(host: Host, registry: str) -> None:
    """Let the host's engine trust a registry by the lab's authority, which its system trusts already."""
    host.shell(f"mkdir -p /etc/docker/certs.d/{registry} && cp /usr/local/share/ca-certificates/toucan.crt /etc/docker/certs.d/{registry}/ca.crt")


def registries() -> dict[str, dict[str, str]]:
    """Registries by what there is to say of them."""
    pieces = lab_piece("registries")
    stranger, page, mirror = "toucantoco+stranger", f"{pieces['login_page']['name']}/toucantoco", f"{pieces['mirror']['name']}/toucantoco"
    return {
        "robot": quay(),
        "stranger": quay(username=stranger, password=pieces["bearer"]["accounts"][stranger]),
        "wrong_password": quay(password="not-the-robots-password"),
        "nobody": {"name": quay()["name"]},
        "login_page": {"name": page},
        "login_page_with_account": quay(name=page),
        "mirror": {"name": mirror},
    }


def test_what_a_registry_says_to_a_deployment_is_one_sentence(host: Host) -> None:
    trust(host, "login.lab.test")
    before = host.shell(CONTAINERS)
    images = {kind: f"mirror.lab.test/lab/{name}" for kind, name in (("mongodb", "mongodb:7.0"), ("redis", "redis:8"))}
    asked = {name: {**NOWHERE, "registry": registry, "images": images} for name, registry in registries().items()}
    asked["mirror_without_release"] = {**asked["mirror"], "release": "v999.0.0"}
    text = answers(host, "toucan_stack", asked, "'planned ' ~ RESULT.images.backend.digest")
    for words in (
        f"robot: planned {digest_of('toucantoco/backend', 'v101.0.0')}",
        f"mirror: planned {digest_of('toucantoco/backend', 'v101.0.0')}",
        "stranger: Registry quay.lab.test refuses user toucantoco+stranger for quay.lab.test/toucantoco/frontend:v101.0.0; have this account let in to",
        "wrong_password: Registry quay.lab.test refuses user toucantoco+robot for quay.lab.test/toucantoco/frontend:v101.0.0; correct `toucan_registry",
        "nobody: Registry quay.lab.test refuses an anonymous user for quay.lab.test/toucantoco/frontend:v101.0.0; correct `toucan_registry.username`",
        "login_page: Registry login.lab.test answered with a web page, such as the login page of a portal",
        "login_page_with_account: Registry login.lab.test answered with a web page, such as the login page of a portal",
        "mirror_without_release: Registry mirror.lab.test has no image mirror.lab.test/toucantoco/frontend:v999.0.0; correct `toucan_release`",
    ):
        assert words in text
    assert "not-the-robots-password" not in text
    assert host.shell(CONTAINERS) == before


def test_what_a_registry_says_to_a_look_at_versions_is_one_sentence(host: Host) -> None:
    asked = {name: {"registry": True, **{f"registry_{key}": value for key, value in registry.items()}} for name, registry in registries().items()}
    text = answers(host, "toucan_version", asked, "'newer ' ~ (RESULT.registry.newer | join(' '))")
    for words in (
        "robot: newer v101",
        "mirror: newer v101",
        "stranger: Registry quay.lab.test refuses repository toucantoco/",
        "wrong_password: Registry quay.lab.test refused the login of toucantoco+robot; correct `registry_username` and `registry_password`",
        "login_page: Registry login.lab.test answered with a web page, such as the login page of a portal",
        "login_page_with_account: Registry login.lab.test answered with a web page, such as the login page of a portal",
    ):
        assert words in text
    assert "not-the-robots-password" not in text


# -- images of former releases -------------------------------------------------------------------------------------------------------------


def local_images(host: Host) -> set[str]:
    """Repository and tag of every image, `<none>` for those without one."""
    return set(host.shell("docker image ls --format '{{.Repository}}:{{.Tag}}'").split())


def test_a_newer_release_sends_away_all_but_the_last(host: Host) -> None:
    """The third release removes the first, unless somebody uses it, and what lies about without a tag; nothing of anybody else."""
    robot, lab = quay(), lab_facts()["lab_registry"]
    own, untagged = robot["name"], f"{robot['name']}/frontend@{digest_of('toucantoco/frontend', 'v101.1.2')}"
    allowed = {"toucan_stack_allow_version_change": True}
    host.role("toucan_stack", variables=of_quay(**allowed) | {"toucan_release": "v101.0.0"}).succeeded()
    assert {f"{own}/{kind}:{tag}" for kind in ("backend", "frontend") for tag in ("v100.1.0", "v101.0.0")} <= local_images(host)

    host.shell(f"docker create --name somebody {own}/backend:v100.1.0 && docker tag {own}/frontend:v100.1.0 elsewhere/frontend:mine")
    host.shell(f"docker login --username {robot['username']} --password-stdin quay.lab.test && docker pull -q {untagged}", robot["password"].encode())
    host.shell("docker logout quay.lab.test")
    log_in_to_registry(host)
    host.shell(f"docker pull -q {lab}/toucantoco-b/frontend:v100.1.0 && docker pull -q {lab}/lab/caddy:2.6 && docker logout {lab}")
    before = local_images(host)
    last = of_quay(**allowed) | {"toucan_release": "v101.1.0"}
    planned = host.role("toucan_stack", "--check", "--diff", variables=last).succeeded()
    assert f"image {own}/frontend:v100.1.0" in planned.text
    assert f"image {untagged}" in planned.text
    assert f"image {own}/backend:v100.1.0" not in planned.text
    assert local_images(host) == before

    host.role("toucan_stack", variables=last).succeeded()
    added = {f"{own}/backend:v101.1.0", f"{own}/frontend:v101.1.0"}
    assert local_images(host) == (before | added) - {f"{own}/frontend:v100.1.0", f"{own}/frontend:<none>"}
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
    host.shell(f"mkdir {FOLDER} && docker save -o {FOLDER}/product-v101.1.0.tar {' '.join(product)}")
    host.shell(f"docker save docker.io/library/redis:6.2-alpine | gzip -1 > {FOLDER}/redis.tar.gz")
    host.shell(f"docker save -o {FOLDER}/mongo.tar docker.io/library/mongo:5.0.31")
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


#: Folders by what is wrong with them: how they are made, and what is said of them.
FOLDERS = {
    "other_release": (f"ln {FOLDER}/* .", "holds no image quay.io/toucantoco/frontend:v101.0.0: there are mongo.tar (mongo:5.0.31), product-v101.1.0.tar ("),
    "missing": ("rmdir $PWD", "on this host failed: No such file or directory; put the archives there, or correct `toucan_image_folder`"),
    "empty": ("touch README.txt", "holds no image quay.io/toucantoco/frontend:v101.0.0: no file in it ends in .tar, .tar.gz, .tgz"),
    "cut": (f"head -c 100000 {FOLDER}/product-v101.1.0.tar > product.tar", "product.tar is no whole archive of `docker save`: "),
    "cut_gzip": (f"head -c 100000 {FOLDER}/redis.tar.gz > redis.tar.gz", "redis.tar.gz is no whole archive of `docker save`: "),
    "foreign": ("tar -C /etc -cf etc.tar hostname", "etc.tar is no whole archive of `docker save`: it has no manifest.json; make it anew with `docker save`"),
}


def test_a_folder_that_does_not_help_is_one_sentence(closed: Host) -> None:
    asked = {}
    for name, (made, dummy) in FOLDERS.items():
        folder = f"/srv/folders/{name}"
        closed.shell(f"rm -rf {folder} && mkdir -p {folder} && cd {folder} && {made}")
        asked[name] = {**NOWHERE, "image_folder": folder}
    before = closed.shell(ENGINE)
    text = answers(closed, "toucan_stack", asked, "'no refusal'")
    for name, (dummy, words) in FOLDERS.items():
        said = text.split(f"(item={name})")[1].split("(item=")[0]
        assert f"/srv/folders/{name}" in said
        assert words in said
    assert closed.shell(ENGINE) == before


def test_an_archive_whose_layers_are_damaged_is_refused_by_the_engine(closed: Host) -> None:
    """Its lists are whole, so that only loading it shows the damage; what runs goes on."""
    folder = "/srv/folders/layers"
    closed.shell(f"mkdir -p {folder} && cd {folder} && cp {FOLDER}/proxy.tar proxy.tar")
    closed.shell(f"cd {folder} && python3 - <<'PY'\n{DAMAGE}\nPY")
    before = closed.shell(CONTAINERS)
    asked = without_a_way_out(toucan_proxy_image="docker.io/library/caddy:damaged") | {"toucan_image_folder": folder}
    closed.role("toucan_proxy", variables=asked).refused(f"{folder}/proxy.tar", "`docker save`")
    assert closed.shell(CONTAINERS) == before


#: Makes `proxy.tar` an archive of another name and configuration, whose layers are noise.
DAMAGE = """
import io, json, tarfile
with tarfile.open("proxy.tar") as whole:
    manifest = json.load(whole.extractfile("manifest.json"))
    members = [(member, whole.extractfile(member).read() if member.isfile() else None) for member in whole]
manifest[0]["RepoTags"] = ["caddy:damaged"]
config = manifest[0]["Config"]
other = config[:-8] + "00000000"
manifest[0]["Config"] = other
with tarfile.open("proxy.tar", "w") as damaged:
    for member, content in members:
        if member.name in ("index.json", "repositories", "oci-layout"):
            continue
        if member.name == "manifest.json":
            content = json.dumps(manifest).encode()
        elif member.name == config:
            member.name = other
        elif content and member.name in manifest[0]["Layers"]:
            content = b"noise" * 1000
        if content is not None:
            member.size = len(content)
        damaged.addfile(member, io.BytesIO(content) if content is not None else None)
"""
