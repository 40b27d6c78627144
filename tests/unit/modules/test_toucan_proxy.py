# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the proxy's options become what its engine is asked for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.engine import ProxyRequest
from ansible_collections.toucan.selfhosted.plugins.modules.toucan_proxy import argument_spec, proxy_request
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


def requested(**options: Any) -> ProxyRequest:
    """What comes of `options`, the others at their defaults, with Caddy's own CA."""
    params = {name: option.get("default") for name, option in argument_spec().items()}
    urls = {"frontend_url": "https://app.test", "backend_url": "https://api.test"}
    return proxy_request({**params, **urls, "registry": dict.fromkeys(("name", "username", "password")), "tls": "internal", **options}, {}, can_check=True)


@pytest.mark.parametrize(
    "options, behind",
    [
        ({}, ("backend:80",)),
        ({"backend_env": {"TOUCAN_LOG_LEVEL": "off"}}, ("backend:80",)),
        ({"backend_env": {"TOUCAN_NGINX_SUPERVISOR": "off"}}, ("backend:5000",)),
        ({"backend_env": {"TOUCAN_NGINX_SUPERVISOR": False}}, ("backend:5000",)),
        ({"backend_env": {"TOUCAN_NGINX_SUPERVISOR": "off"}, "backend_upstreams": ["one:80", "two:80"]}, ("one:80", "two:80")),
    ],
)
def test_the_stacks_backend_is_behind_its_url_unless_others_are_named(options: dict[str, Any], behind: tuple[str, ...]) -> None:
    frontend, backend = requested(**options).options.sites
    assert (frontend.upstreams, backend.upstreams) == (("frontend:80",), behind)


def authority() -> str:
    """A CA's certificate as PEM text."""
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]), datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.add_extension(x509.BasicConstraints(True, None), critical=True).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def test_comments_of_any_alphabet_are_left_out_of_the_ca_file(tmp_path: Path) -> None:
    first, second = authority(), authority()
    (tmp_path / "ca.pem").write_text(f"# Autorité de Zürich\n{first}# \N{SNOWMAN}\n{second}", encoding="utf-8")
    assert requested(ca_file=str(tmp_path / "ca.pem")).ca_pem == first + second


@pytest.mark.parametrize(
    "content, words",
    [
        ("\N{SNOWMAN}", "holds no certificate in PEM form; give a file with BEGIN CERTIFICATE lines"),
        (authority().replace("MII", "\N{SNOWMAN}", 1), "Certificate 1 in .*ca.pem is damaged"),
    ],
    ids=["text", "damaged"],
)
def test_a_ca_file_that_is_none_is_told(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(content, encoding="utf-8")
    with pytest.raises(Failure, match=words):
        requested(ca_file=str(tmp_path / "ca.pem"))
