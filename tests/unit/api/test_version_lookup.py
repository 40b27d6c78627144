# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions as frontends and backends tell them, from real servers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.urllib_transport import UrllibTransport
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.versions import backend_version, frontend_version
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.versions import Version


@pytest.fixture
def stack(serve: Any, answer: Any) -> Any:
    """``stack(path=body, …)``: the URL of a server with these pages; a body that is no text is sent as JSON, all else is 404."""

    def start(pages: dict[str, Any], status: int = 200) -> str:
        def respond(request: Any) -> Any:
            if request.path not in pages:
                return answer(404)
            page = pages[request.path]
            return answer(status, (page if isinstance(page, str) else json.dumps(page)).encode())

        return str(serve(respond).url)

    return start


def test_frontend_tells_its_version(stack: Any) -> None:
    url = stack({"/prefix/tucana-version.txt": "v101.1.0\n"})
    told = frontend_version(UrllibTransport(), f"{url}/prefix/")
    assert (told.version, told.url) == (Version(101, 1, 0), f"{url}/prefix/tucana-version.txt")


def test_backend_tells_version_and_status(stack: Any) -> None:
    url = stack({"/": {"status": "KO", "version": "v100.1.0"}})
    assert backend_version(UrllibTransport(), url) == (Version(100, 1, 0), f"{url}/", "KO")


def test_backend_in_another_shape(stack: Any) -> None:
    url = stack({"/": {"health": ["OK"], "build": {"release": "100.1.0"}}})
    told = backend_version(UrllibTransport(), url, "build.release", "health[0]")
    assert (told.version, told.status) == (Version(100, 1, 0), "OK")


def test_redirect_is_followed(serve: Any, answer: Any) -> None:
    def respond(request: Any) -> Any:
        return answer(200, b"v1.2.3") if request.path == "/new/tucana-version.txt" else answer(301, b"", (("Location", "/new/tucana-version.txt"),))

    assert frontend_version(UrllibTransport(), serve(respond).url).version == Version(1, 2, 3)


def test_page_instead_of_a_version(stack: Any) -> None:
    url = stack({"/tucana-version.txt": "<!doctype html>\n<html>" + "x" * 100})
    with pytest.raises(Failure, match="answered `<!doctype html> <html>x+…` where a version was expected; correct `frontend_url`"):
        frontend_version(UrllibTransport(), url)


def test_page_instead_of_json(stack: Any) -> None:
    with pytest.raises(Failure, match="answered `<html>`, which is no JSON; correct `backend_url`: it is where the API answers"):
        backend_version(UrllibTransport(), stack({"/": "<html>"}))


def test_version_at_another_place(stack: Any) -> None:
    with pytest.raises(Failure, match="answered `None` at `version` where a version was expected; .*`version_shape`"):
        backend_version(UrllibTransport(), stack({"/": {"status": "OK"}}))


def test_status_at_another_place(stack: Any) -> None:
    with pytest.raises(Failure, match="answered no status at `status`; correct `status_shape`"):
        backend_version(UrllibTransport(), stack({"/": {"version": "v1.2.3"}}))


def test_missing_page(stack: Any) -> None:
    with pytest.raises(Failure, match="tucana-version.txt answered HTTP 404; correct `frontend_url`"):
        frontend_version(UrllibTransport(), stack({}))


def test_broken_service(stack: Any) -> None:
    with pytest.raises(Failure, match="answered HTTP 502; look at the logs of the service and of the proxy before it"):
        backend_version(UrllibTransport(), stack({"/": {}}, status=502))


def test_url_without_scheme() -> None:
    with pytest.raises(Failure, match="write `backend_url` as"):
        backend_version(UrllibTransport(), "api.example.com")
