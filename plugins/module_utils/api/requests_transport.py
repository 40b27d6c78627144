# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transport made of requests: keeps connections open between requests. Import it only where requests is known to be there.

For what asks one server many times: the backend's small apps and settings, of which backup and migration read up to a thousand.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Optional

from ..core.errors import Failure
from .transport import BODY_LIMIT, CA_OPTION, DEFAULT_TIMEOUT, USER_AGENT, Response, connection_failure, merged_headers, too_long, trusting_context

try:
    import requests
    from requests.adapters import HTTPAdapter
except ImportError:
    HAS_REQUESTS = False
else:
    HAS_REQUESTS = True


def _trusting_adapter(context: ssl.SSLContext) -> HTTPAdapter:
    """An adapter that uses ``context``: requests alone trusts the CAs that came with it, and not the system's."""

    class TrustingAdapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, ssl_context=context, **options)

        def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
            return super().proxy_manager_for(*arguments, ssl_context=context, **options)

    return TrustingAdapter()


class RequestsTransport:
    """See :class:`.transport.Transport`; proxies come from the environment, credentials never do (no ``.netrc``).

    :param ca_file: CA certificates in PEM form, trusted beside the system's.
    :param timeout: seconds to wait for the connection, and for each piece of the answer.
    :param ca_option: the option that gave ``ca_file``, for failures.
    :raises Failure: when requests is missing or the CA file cannot be used.
    """

    def __init__(self, ca_file: str = "", timeout: float = DEFAULT_TIMEOUT, ca_option: str = CA_OPTION) -> None:
        if not HAS_REQUESTS:
            raise Failure("The Python library requests is missing", "run role `toucan_host` on this host first", subject="requests")
        self._timeout = timeout
        self._ca_option = ca_option
        self._session = requests.Session()
        # With an authentication of its own the session looks into no .netrc.
        self._session.auth = lambda request: request
        self._session.mount("https://", _trusting_adapter(trusting_context(ca_file, ca_option)))

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: Optional[bytes] = None) -> Response:
        try:
            with self._session.request(
                method,
                url,
                headers={"User-Agent": USER_AGENT, **headers},
                data=body,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = bytearray()
                for piece in answer.iter_content(65536):
                    content += piece
                    if len(content) > BODY_LIMIT:
                        raise too_long(url)
                return Response(answer.status_code, merged_headers(answer.headers.items()), bytes(content))
        except requests.RequestException as error:
            raise connection_failure(url, error, self._timeout, self._ca_option) from error
