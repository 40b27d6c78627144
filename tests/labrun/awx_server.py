# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of AWX's API as its modules need to create objects: it remembers them, and refuses what AWX would refuse of a survey.

No AWX: permissions, projects and jobs are not there. The form of lists and objects is that of `/api/v2` of AWX 24.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .awx_rules import injector_problems, survey_problems

TOKEN = "a token of AWX"
#: What AWX fills in where nothing is given.
DEFAULTS: dict[str, dict[str, Any]] = {"inventories": {"kind": "", "host_filter": None}, "projects": {"scm_revision": "1", "summary_fields": {}}}
#: Names under which lists show what others hold, too.
TOGETHER = {"unified_job_templates": ("job_templates",)}


@dataclass
class Awx:
    """What was created: objects by the name of their list, and surveys and credentials by the ID of their job template."""

    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    surveys: dict[int, dict[str, Any]] = field(default_factory=dict)
    credentials: dict[int, list[int]] = field(default_factory=dict)
    address: str = ""

    def add(self, kind: str, item: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object."""
        number = 1 + sum(map(len, self.objects.values()))
        url = f"/api/v2/{kind}/{number}/"
        made = {**DEFAULTS.get(kind, {}), **item, "id": number, "url": url, "related": {"survey_spec": f"{url}survey_spec/"}}
        self.objects.setdefault(kind, []).append(made)
        return made

    def named(self, kind: str) -> dict[str, dict[str, Any]]:
        """The objects of a list by their names."""
        return {item["name"]: item for item in self.objects.get(kind, [])}

    def listed(self, kind: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The page of a list: those of its objects that have all values asked for."""
        items = [item for part in TOGETHER.get(kind, (kind,)) for item in self.objects.get(part, [])]
        return page([item for item in items if all(str(item.get(name)) == value for name, value in query.items())])

    def answer(self, method: str, path: list[str], query: Mapping[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        """Status and body for a request to `/api/v2/` and `path`."""
        kind, number, part = [*path, "", "", ""][:3]
        if not number:
            return (200, self.listed(kind, query)) if method == "GET" else self.create(kind, body)
        item = next(item for item in self.objects[kind] if item["id"] == int(number))
        if part == "survey_spec":
            return self.survey(method, item["id"], body)
        if part == "credentials":
            return self.associated(method, item["id"], body)
        if method == "PATCH":
            item.update(body)
        return 200, item

    def create(self, kind: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Create an object, unless it is a credential type whose injectors use what it has not."""
        problems = injector_problems(body) if kind == "credential_types" else []
        return (400, {"injectors": problems}) if problems else (201, self.add(kind, body))

    def survey(self, method: str, template: int, body: dict[str, Any]) -> tuple[int, Any]:
        """Read or set the survey of a job template."""
        if method == "GET":
            return 200, self.surveys.get(template, {})
        problems = survey_problems(body)
        if problems:
            return 400, {"error": "; ".join(problems)}
        self.surveys[template] = body
        return 200, {}

    def associated(self, method: str, template: int, body: dict[str, Any]) -> tuple[int, Any]:
        """Read the credentials of a job template, or add one."""
        held = self.credentials.setdefault(template, [])
        if method == "GET":
            return 200, page([{"id": number} for number in held])
        held.append(body["id"])
        return 204, None


def page(items: list[dict[str, Any]]) -> dict[str, Any]:
    """A list as AWX answers it."""
    return {"count": len(items), "next": None, "previous": None, "results": items}


@contextmanager
def awx_server() -> Iterator[Awx]:
    """An AWX with an organization `Default`, on a free port of this machine."""
    awx = Awx()
    awx.add("organizations", {"name": "Default"})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(awx)) as server:
        awx.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield awx
        finally:
            server.shutdown()
            thread.join()


def handler_of(awx: Awx) -> type[http.server.BaseHTTPRequestHandler]:
    """The handler that answers for an AWX whoever has the token."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply()

        def do_POST(self) -> None:
            self.reply()

        def do_PATCH(self) -> None:
            self.reply()

        def reply(self) -> None:
            address = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            path = address.path.removeprefix("/api/v2/").strip("/").split("/")
            status, body = awx.answer(self.command, path, dict(parse_qsl(address.query)), json.loads(content or "{}")) if allowed else (401, {})
            self.send_response(status)
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", "24.6.1")
            self.end_headers()
            self.wfile.write(b"" if body is None else json.dumps(body).encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the tests look at what was created."""

    return Handler
