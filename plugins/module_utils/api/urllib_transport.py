# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transport of the standard library: needs nothing on the host, and starts at once."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Optional

from .transport import BODY_LIMIT, CA_OPTION, DEFAULT_TIMEOUT, USER_AGENT, Response, connection_failure, merged_headers, too_long, trusting_context


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to the caller, who knows which headers may travel."""

    def redirect_request(self, *arguments: Any, **options: Any) -> None:
        return None


class UrllibTransport:
    """See :class:`.transport.Transport`; proxies come from the environment (``https_proxy``, ``no_proxy``…).

    :param ca_file: CA certificates in PEM form, trusted beside the system's.
    :param timeout: seconds to wait for the connection, and for each piece of the answer.
    :param ca_option: the option that gave ``ca_file``, for failures.
    :raises Failure: when the CA file cannot be used.
    """

    def __init__(self, ca_file: str = "", timeout: float = DEFAULT_TIMEOUT, ca_option: str = CA_OPTION) -> None:
        self._timeout = timeout
        self._ca_option = ca_option
        https = urllib.request.HTTPSHandler(context=trusting_context(ca_file, ca_option))
        self._opener = urllib.request.build_opener(_NoRedirect(), https)

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: Optional[bytes] = None) -> Response:
        request = urllib.request.Request(url, data=body, headers={"User-Agent": USER_AGENT, **headers}, method=method)
        try:
            with self._open(request) as answer:
                content = answer.read(BODY_LIMIT + 1)
                response = Response(answer.status, merged_headers(answer.headers.items()), content)
        except (OSError, http.client.HTTPException, ValueError) as error:  # the last for a host name or path that cannot be encoded
            raise connection_failure(url, error, self._timeout, self._ca_option) from error
        if len(content) > BODY_LIMIT:
            raise too_long(url)
        return response

    def _open(self, request: urllib.request.Request) -> Any:
        try:
            return self._opener.open(request, timeout=self._timeout)
        except urllib.error.HTTPError as answer:
            # An answer like any other; only urllib thinks of it as an error.
            return answer
