# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a run says where the product is, what runs, who can log in and what changed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.filter.site_summary import FilterModule, site_summary

STACK: dict[str, Any] = {
    "versions": {"frontend": "v101.1.0", "backend": "v101.1.2"},
    "images": {"frontend": {"tag": "latest-monthly"}, "backend": {"tag": "latest-monthly"}, "redis": {"tag": "6"}},
    "login": {
        "admin": "toucantoco",
        "providers": [{"id": "local", "type": "local"}, {"id": "sso", "type": "OIDC", "name": "Company"}, {"id": "idp", "type": "SAML2"}],
    },
    "workers": {"count": 5, "reason": "because"},
    "plan": [],
}
PLACES = {"frontend_url": "https://app.test", "backend_url": "https://api.test", "secrets_path": "/etc/toucan/secrets.json"}


def lines(stack: Any = None, **options: Any) -> dict[str, str]:
    """The summary by label; further lines of a label are joined to it."""
    told: dict[str, str] = {}
    label = ""
    for line in site_summary(STACK if stack is None else stack, **{**PLACES, **options}):
        label = line[:12].strip() or label
        told[label] = f"{told[label]} {line[12:].strip()}" if label in told else line[12:].strip()
    return told


def test_a_whole_stack_is_told() -> None:
    certificate = {"issuer": "CN=Company CA", "days_left": 80, "not_after": "2027-02-11T12:00:00+00:00"}
    assert lines(proxy={"certificate": certificate, "plan": []}) == {
        "Frontend": "https://app.test  v101.1.0",
        "Backend": "https://api.test  v101.1.2",
        "Log in": "as toucantoco, password: `admin_password` in /etc/toucan/secrets.json or through Company (OIDC), idp (SAML2)",
        "Workers": "5 (because)",
        "Certificate": "by CN=Company CA, ends in 80 days, on 2027-02-11",
        "Services": "unchanged",
    }


def test_changes_of_stack_and_proxy_are_told() -> None:
    stack = {**STACK, "plan": [{"action": "recreate", "object": "service backend"}]}
    proxy = {"plan": [{"action": "reload", "object": "service proxy"}]}
    assert lines(stack, proxy=proxy)["Services"] == "changed: recreate service backend; reload service proxy"
    assert lines(stack, proxy=proxy, check_mode=True)["Services"] == "would change: recreate service backend; reload service proxy"


def test_a_release_that_did_not_answer_yet_is_told_by_its_tag() -> None:
    told = lines({**STACK, "versions": {}, "login": {}}, check_mode=True)
    assert (told["Frontend"], told["Backend"]) == ("https://app.test  latest-monthly", "https://api.test  latest-monthly")
    assert "Log in" not in told
    assert told["Services"] == "unchanged"


def test_a_host_of_databases_tells_no_product() -> None:
    assert lines({"images": {"redis": {"tag": "6"}}, "workers": {"count": 5, "reason": "because"}}) == {"Services": "unchanged"}


@pytest.mark.parametrize("proxy", [None, {}, {"certificate": None, "internal_ca": ""}])
def test_no_certificate_is_told_where_none_is_given(proxy: Any) -> None:
    assert "Certificate" not in lines(proxy=proxy)


def test_caddys_own_ca_is_told_by_its_root() -> None:
    assert lines(proxy={"internal_ca": "/srv/root.crt", "certificate": None})["Certificate"] == "by Caddy's own CA, whose root is /srv/root.crt"


def test_the_filter_is_known_by_its_name() -> None:
    assert FilterModule().filters() == {"site_summary": site_summary}
