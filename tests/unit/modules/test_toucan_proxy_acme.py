# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module `toucan_proxy` makes of its options for an ACME server, and which it refuses."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.acme import Acme, ExternalAccount
from ansible_collections.toucan.selfhosted.plugins.modules.toucan_proxy import acme_options, argument_spec

from labrun.certificates import self_signed

NOW = datetime.now(timezone.utc)
PAIR = self_signed("ca.test", 30)


def asked(can_check: bool = True, now: datetime = NOW, **options: Any) -> Any:
    """What becomes of these options beside the defaults of all others."""
    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    return acme_options({**defaults, "tls": "acme", **options}, can_check, now)


def test_only_the_mode_decides_whether_an_acme_server_is_asked() -> None:
    assert asked() == Acme()
    assert asked(tls="given", acme_email="it@corp.test") is None


def test_every_option_arrives() -> None:
    binding = {"key_id": "kid", "mac_key": "bWFj=="}
    options = {"acme_email": "it@corp.test", "acme_directory_url": "https://acme.test/dir", "acme_challenge": "http-01"}
    assert asked(**options, acme_eab=binding, acme_account_key=f"comment\n{PAIR.key}") == Acme(
        "it@corp.test", "https://acme.test/dir", "http-01", "", ExternalAccount("kid", "bWFj"), PAIR.key
    )


@pytest.mark.parametrize("binding", [None, {"key_id": "", "mac_key": ""}, {"key_id": None, "mac_key": None}])
def test_an_empty_binding_is_none(binding: Any) -> None:
    assert asked(acme_eab=binding).external_account is None


def test_a_ca_file_is_one(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(Failure, match="There is no CA file .*ca.pem on this host; copy it there, or correct `toucan_proxy_acme_ca_file`"):
        asked(acme_ca_file=str(file))
    assert asked(can_check=False, acme_ca_file=str(file)) == Acme()  # it may come with the library
    file.write_text("no certificate")
    for can_check in (True, False):
        with pytest.raises(Failure, match="ca.pem holds no certificate in PEM form"):
            asked(can_check, acme_ca_file=str(file))
    file.write_text(PAIR.certificate)
    with pytest.raises(Failure, match="holds the certificate of CN=ca.test, which is no CA's"):
        asked(acme_ca_file=str(file))
    assert asked(can_check=False, acme_ca_file=str(file)).ca_pem == PAIR.certificate


def test_an_account_key_is_one() -> None:
    with pytest.raises(Failure, match="`toucan_proxy_acme_account_key` holds no private key in PEM form"):
        asked(can_check=False, acme_account_key="no key")
    lines = PAIR.key.splitlines()
    damaged = "\n".join([lines[0], *lines[2:]])
    with pytest.raises(Failure, match="The private key in `toucan_proxy_acme_account_key` is damaged") as failure:
        asked(acme_account_key=damaged)
    assert lines[2] not in str(failure.value)
