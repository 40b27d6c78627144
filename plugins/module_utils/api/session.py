# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A login to the backend's API, once, and the requests that it allows.

The backend stops to take logins for a while after five that failed within a minute [S:PUBAPI], so nothing is tried twice.
"""

from __future__ import annotations

import json
from typing import Any, Optional

from ..contract import routes
from ..core.errors import Failure
from .transport import Response, Transport, check_url, shown

_TOO_MANY = 429
_EXCERPT = 200


class Session:
    """The API of one backend.

    :param url: of the backend, with a path prefix where it has one.
    :param token: of a login that somebody did before; without one, the first request logs in with ``username`` and ``password``.
    """

    def __init__(self, transport: Transport, url: str, username: str, password: str, token: str = "") -> None:
        self._transport = transport
        self._url = check_url(url, "`api_url`")
        self._username = username
        self._password = password
        self._token = token

    def token(self) -> str:
        """The token of the login. :raises Failure: when the backend refuses it."""
        if not self._token:
            self._token = self._log_in()
        return self._token

    def get(self, route: str) -> Any:
        """The JSON that a route answers. :raises Failure: when it answers anything else."""
        return self._ask("GET", route)

    def post(self, route: str, body: Any) -> Any:
        """The JSON that a route answers to one. :raises Failure: when it answers anything else."""
        return self._ask("POST", route, body)

    def _ask(self, method: str, route: str, body: Optional[Any] = None) -> Any:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self.token()}"}
        response = self._send(method, route, headers, body)
        if response.status in (401, 403):
            raise Failure(
                f"The backend refuses {method} {shown(self._url + route)} to user {self._username or 'of the given token'}: HTTP {response.status}",
                "give the name and password of a user who is an admin as `toucan_api_username` and `toucan_api_password`",
                subject=route,
                answer=f"HTTP {response.status}",
            )
        return self._parsed(method, route, response)

    def _log_in(self) -> str:
        body = {routes.LOGIN_USERNAME: self._username, routes.LOGIN_PASSWORD: self._password}
        response = self._send("POST", routes.LOGIN, {"Accept": "application/json"}, body)
        if response.status == _TOO_MANY:
            raise Failure(
                f"The backend takes no logins of {self._username} for a while, because too many failed", "wait a minute, and run again", subject=self._username
            )
        if response.status in (400, 401, 403):
            raise Failure(
                f"The backend refuses the login of {self._username}: HTTP {response.status}",
                "give the right `toucan_api_username` and `toucan_api_password`; five failed logins within a minute lock the user out for a while",
                subject=self._username,
                answer=f"HTTP {response.status}",
            )
        answer = self._parsed("POST", routes.LOGIN, response)
        token = answer.get(routes.LOGIN_TOKEN) if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise Failure(f"The backend answered a login without a `{routes.LOGIN_TOKEN}`", "see that `api_url` is where its API answers", subject=self._url)
        return token

    def _send(self, method: str, route: str, headers: dict[str, str], body: Optional[Any]) -> Response:
        if body is None:
            return self._transport(method, self._url + route, headers)
        return self._transport(method, self._url + route, {**headers, "Content-Type": "application/json"}, json.dumps(body).encode())

    def _parsed(self, method: str, route: str, response: Response) -> Any:
        text = response.body.decode("utf-8", "replace")
        if not 200 <= response.status < 300:
            remedy = "see the backend's log" if response.status >= 500 else "see that `api_url` is where its API answers"
            raise Failure(
                f"The backend answered {method} {shown(self._url + route)} with HTTP {response.status}: {' '.join(text.split())[:_EXCERPT]}",
                remedy,
                subject=route,
                answer=f"HTTP {response.status}",
            )
        try:
            return json.loads(text) if text.strip() else None
        except ValueError as error:
            raise Failure(
                f"The backend answered {method} {shown(self._url + route)} with no JSON", "see that `api_url` is where its API answers", subject=route
            ) from error
