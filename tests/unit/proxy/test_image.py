# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image the proxy is pinned to: the user's pin, else what is deployed, else what the registry says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import pytest
import yaml
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.compose import ComposeProject
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Credentials
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.images import parse_image
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy import engine as module
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.caddyfile import ProxyOptions, Site
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.engine import ProxyEngine, ProxyRequest

NAME = "registry.test/caddy:2.11"
DEPLOYED, IN_REGISTRY, PINNED = ("sha256:" + digit * 64 for digit in "abc")


class Docker:
    """An engine that runs nothing and has every image; it notes which tags were looked up in a registry."""

    def __init__(self) -> None:
        self.looked_up: list[str] = []

    def registry_digest(self, name: str, tag: str, credentials: Credentials, registry: str) -> str:
        self.looked_up.append(f"{name}:{tag}")
        return IN_REGISTRY

    def containers(self, project: str) -> list[Any]:
        return []

    def image_id(self, reference: str) -> str:
        return "sha256:1d"

    def network_exists(self, name: str) -> bool:
        return True

    def run_once(self, *dummy: Any) -> tuple[int, str]:
        return 0, "v2.11.2"


def pull_of(image: str, compose: Optional[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """The image that a new container would get beside this compose file, and the tags that a registry was asked for."""
    if compose is not None:
        (folder / "compose.yaml").write_text(compose)
    monkeypatch.setattr(ComposeProject, "hashes", lambda self, definition: {"caddy": "aa11"})
    monkeypatch.setattr(module, "refuse_taken_ports", lambda *dummy, **named: None)
    sites = (Site("https://app.test", ("frontend:80",)), Site("https://api.test", ("backend:80",)))
    options = ProxyOptions("proxy", sites, True, 80, 443, "", str(folder), "toucan", (1000, 1000))
    docker = Docker()
    request = ProxyRequest(options, parse_image(image), Credentials(), None, None, False, 1)
    engine = ProxyEngine(request, lambda: docker, has_engine=True)  # type: ignore[arg-type,return-value]
    created = engine.plan(engine.observe())[-1]
    assert created.id == "service.create:proxy"
    return created.after["image"], docker.looked_up


def deployed(image: str) -> str:
    return yaml.safe_dump({"services": {"caddy": {"image": image}}})


@pytest.mark.parametrize(
    "asked, compose, expected, looked_up",
    [
        (NAME, None, f"{NAME}@{IN_REGISTRY}", [NAME]),
        (NAME, deployed(f"{NAME}@{DEPLOYED}"), f"{NAME}@{DEPLOYED}", []),
        (NAME, deployed(f"registry.test/caddy:2.10@{DEPLOYED}"), f"{NAME}@{IN_REGISTRY}", [NAME]),
        (NAME, deployed(NAME), f"{NAME}@{IN_REGISTRY}", [NAME]),
        (f"{NAME}@{PINNED}", None, f"{NAME}@{PINNED}", []),
        (f"{NAME}@{PINNED}", deployed(f"{NAME}@{DEPLOYED}"), f"{NAME}@{PINNED}", []),
    ],
    ids=["new", "deployed", "another tag", "deployed without digest", "pinned", "pinned to another"],
)
def test_an_image_is_pinned(asked: str, compose: Optional[str], expected: str, looked_up: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pull_of(asked, compose, tmp_path, monkeypatch) == (expected, looked_up)


@pytest.mark.parametrize("compose", ["services: {}", "{}", "services: {web: {image: nginx}}", "services: {caddy: {}}", "services: {caddy: {image: ''}}"])
def test_a_compose_file_without_caddy_counts_as_nothing_deployed(compose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pull_of(NAME, compose, tmp_path, monkeypatch) == (f"{NAME}@{IN_REGISTRY}", [NAME])
