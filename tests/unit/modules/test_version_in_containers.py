# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of a stack that nobody manages are asked of containers that are called like the product and answer like it."""

from __future__ import annotations

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.versions import Told
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.listing import Listed
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.versions import Version
from ansible_collections.toucan.selfhosted.plugins.modules import toucan_version

CONTAINERS = [
    Listed("laputa", "quay.io/toucantoco/backend:latest-monthly", "172.18.0.2"),
    Listed("tucana", "mirror.test/bi/frontend:7", "172.18.0.3"),
    Listed("shop", "shop.test/backend", "172.18.0.4"),
    Listed("stranger", "redis:6", "172.18.0.5"),
    Listed("apart", "quay.io/toucantoco/backend", ""),
]


def ask_all_but(*silent: str) -> dict[str, object]:
    """Ask functions by kind; the addresses that end so answer as something else."""

    def ask(url: str) -> Told:
        if url.endswith(silent):
            raise Failure(f"{url} answered HTTP 404", "correct it")
        return Told(Version(101, 1, 0), url, "OK")

    return {"frontend": ask, "backend": ask}


def test_what_answers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toucan_version, "running_containers", lambda: CONTAINERS)
    found = toucan_version.found_containers(ask_all_but(".4"))
    assert found == {"backend": "http://172.18.0.2", "frontend": "http://172.18.0.3"}


def test_of_two_that_answer_one_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toucan_version, "running_containers", lambda: CONTAINERS)
    with pytest.raises(Failure, match=r"Two containers on this host answer as a backend, at http://172\.18\.0\.2 and http://172\.18\.0\.4; give `backend_url`"):
        toucan_version.found_containers(ask_all_but("nothing"))


def test_containers_are_looked_for_only_where_no_url_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> list[Listed]:
        raise AssertionError("containers were listed")

    monkeypatch.setattr(toucan_version, "running_containers", never)
    params = {"frontend_url": "http://127.0.0.1:1", "backend_url": None, "ca_path": None, "timeout": 1, "version_shape": "version", "status_shape": "status"}
    frontend, backend = toucan_version.look_at_stack(params, {})
    assert (frontend.source, backend.url) == (None, "")
