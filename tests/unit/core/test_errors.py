# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a failure reads."""

from __future__ import annotations

from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure


def test_failure_is_one_sentence() -> None:
    assert str(Failure("Port 443 is taken by nginx", "stop it")) == "Port 443 is taken by nginx; stop it."


def test_log_follows_the_sentence() -> None:
    assert str(Failure("It failed", "look", log=("first", "last"))) == "It failed; look.\nLast log lines:\n  first\n  last"


def test_parts_are_data_for_a_result() -> None:
    failure = Failure("It failed", "look", subject="/path", answer="HTTP 500", log=("line",))
    assert failure.facts() == {"problem": "It failed", "remedy": "look", "subject": "/path", "answer": "HTTP 500", "log": ["line"]}
