# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry client against the lab's real registry (docker-registry 2.8, TLS by the lab's CA, password)."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
import yaml
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.registry import REGISTRY_CA_OPTION, Registry, parse_image_name
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.releases import Located, look_up_releases
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.requests_transport import RequestsTransport
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.transport import Transport
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.urllib_transport import UrllibTransport
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.versions import Version

from toolchain.places import CACHE

VARS = CACHE / "lab" / "vars.yml"
pytestmark = pytest.mark.skipif(not VARS.exists(), reason="the lab is not up")


@pytest.fixture(scope="module")
def lab() -> dict[str, Any]:
    """What the lab tells about itself."""
    return yaml.safe_load(VARS.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def lab_names(lab: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve the registry's name, which only the lab's network knows."""
    resolve = socket.getaddrinfo
    name = lab["lab_registry"].partition(":")[0]
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **named: resolve(lab["lab_registry_ip"] if host == name else host, *rest, **named))
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, name)


@pytest.fixture(params=[UrllibTransport, RequestsTransport])
def transport(request: pytest.FixtureRequest, lab: dict[str, Any]) -> Transport:
    return request.param(lab["lab_ca_file"], ca_option=REGISTRY_CA_OPTION)


@pytest.fixture
def registry(lab: dict[str, Any], transport: Transport) -> Registry:
    return Registry(transport, lab["lab_registry"], lab["lab_registry_username"], lab["lab_registry_password"])


@pytest.fixture(params=["a", "b"])
def repository(request: pytest.FixtureRequest, lab: dict[str, Any]) -> Callable[[str], str]:
    """Path of the frontend's or backend's repository, in each dialect."""
    return lambda kind: parse_image_name(lab["lab_product_images"][request.param][kind]).repository


def test_tags_are_listed(registry: Registry, repository: Callable[[str], str]) -> None:
    assert {"v100.1.0", "v101.0.0", "v101.1.0", "latest-monthly"} <= set(registry.tags(repository("backend")))


def test_digest_is_that_of_the_engines_image(registry: Registry, repository: Callable[[str], str], lab: dict[str, Any]) -> None:
    """The digest is the hash of the manifest that curl gets, and this manifest is the image that the lab's engine pushed."""
    for kind in ("backend", "frontend"):
        manifest = manifest_by_curl(lab, repository(kind), "v101.0.0")
        assert registry.digest(repository(kind), "v101.0.0") == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        image = inspect(f"{lab['lab_registry']}/{repository(kind)}:v101.0.0", "{{.Id}}")
        assert json.loads(manifest)["config"]["digest"] == image


def manifest_by_curl(lab: dict[str, Any], repository: str, tag: str) -> bytes:
    """A manifest as curl gets it from inside the lab; the password goes in by standard input."""
    url = f"https://{lab['lab_registry']}/v2/{repository}/manifests/{tag}"
    command = ["docker", "exec", "-i", "toucan-lab-client", "curl", "--silent", "--fail", "--config", "-", url]
    login = f'user = "{lab["lab_registry_username"]}:{lab["lab_registry_password"]}"'
    config = f'{login}\nheader = "Accept: application/vnd.docker.distribution.manifest.v2+json"\n'
    return subprocess.run(command, input=config.encode(), stdout=subprocess.PIPE, check=True).stdout


def inspect(image: str, template: str) -> str:
    """What the lab's engine knows about an image."""
    command = ["docker", "image", "inspect", "--format", template, image]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def test_build_date_is_the_one_the_engine_knows(registry: Registry, repository: Callable[[str], str], lab: dict[str, Any]) -> None:
    known = inspect(f"{lab['lab_registry']}/{repository('backend')}:v101.0.0", "{{.Created}}")
    created = registry.created(repository("backend"), "v101.0.0")
    assert created is not None and f"{created:%Y-%m-%dT%H:%M:%S}" == known[:19]


def test_releases_seen_from_an_installed_one(registry: Registry, repository: Callable[[str], str]) -> None:
    frontend, backend = Located(registry, repository("frontend")), Located(registry, repository("backend"))
    releases = look_up_releases(frontend, backend, Version(101, 0, 0))
    assert releases.newer[0] == Version(101, 1, 0) and Version(101, 0, 0) not in releases.newer
    assert releases.monthly is not None
    assert (releases.monthly.digest, releases.monthly.version) == (registry.digest(backend.repository, "v101.1.0"), Version(101, 1, 0))
    assert releases.created is not None and releases.created < datetime.now(timezone.utc)


def test_unknown_tag_names_known_ones(registry: Registry, repository: Callable[[str], str]) -> None:
    with pytest.raises(Failure, match=r"has no .*backend:v1.2.3; the newest tags it has are v101\.1\.\d, .*v101\.0\.0"):
        registry.digest(repository("backend"), "v1.2.3")


def test_unknown_repository(registry: Registry) -> None:
    with pytest.raises(Failure, match="has no repository toucantoco/nothing; correct the registry's name and path"):
        registry.digest("toucantoco/nothing", "v1.2.3")


def test_wrong_password(lab: dict[str, Any], transport: Transport, repository: Callable[[str], str]) -> None:
    registry = Registry(transport, lab["lab_registry"], lab["lab_registry_username"], "wrong")
    with pytest.raises(Failure, match="refused the login of robot; correct `registry_username` and `registry_password`") as caught:
        registry.tags(repository("backend"))
    assert "wrong" not in str(caught.value)


def test_no_login(lab: dict[str, Any], transport: Transport, repository: Callable[[str], str]) -> None:
    with pytest.raises(Failure, match="wants a login; set `registry_username` and `registry_password`"):
        Registry(transport, lab["lab_registry"]).tags(repository("backend"))


@pytest.mark.parametrize("kind", [UrllibTransport, RequestsTransport])
def test_unknown_ca(lab: dict[str, Any], kind: Any, repository: Callable[[str], str]) -> None:
    with pytest.raises(Failure, match="certificate is not trusted .*; give the CA that signed it in `registry_ca_path`"):
        Registry(kind(ca_option=REGISTRY_CA_OPTION), lab["lab_registry"], "robot", "unused").tags(repository("backend"))
