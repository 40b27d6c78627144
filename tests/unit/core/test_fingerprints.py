# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fingerprint tells another secret and does not tell the secret."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.fingerprints import fingerprint, fits, refuse_other


def test_it_fits_its_secret_and_no_other() -> None:
    known = json.loads(json.dumps(fingerprint("sesame")))
    assert fits("sesame", known)
    assert not fits("sesame ", known)


def test_it_is_salted_scrypt() -> None:
    first, second = fingerprint("sesame"), fingerprint("sesame")
    assert first["salt"] != second["salt"] and first["scrypt"] != second["scrypt"]
    assert first["scrypt"] == hashlib.scrypt(b"sesame", salt=bytes.fromhex(first["salt"]), n=2**14, r=8, p=1, dklen=32).hex()


def test_only_another_secret_is_refused() -> None:
    known = {"a": fingerprint("sesame")}
    refuse_other("a", "sesame", known, "/etc/x.json")
    refuse_other("a", "", known, "/etc/x.json")
    refuse_other("b", "anything", known, "/etc/x.json")
    with pytest.raises(Failure, match="^a is not the one .*put it into /etc/x.json .*remove `fingerprints` from the state file"):
        refuse_other("a", "other", known, "/etc/x.json")


@pytest.mark.parametrize("damaged", [None, "text", {}, {"salt": "xyz", "scrypt": "00"}, {"salt": "00"}])
def test_a_damaged_one_is_told(damaged: Any) -> None:
    with pytest.raises(Failure, match="holds a fingerprint that is none; restore the file from a backup"):
        fits("sesame", damaged)
