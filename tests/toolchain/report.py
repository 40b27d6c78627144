# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stage counted, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

# What ansible-test says of a test that has nothing to look at in this collection: no news for a reader.
NOT_APPLICABLE = "No tests applicable."


@dataclass
class Count:
    """How many tests of a stage passed and failed, which were skipped for which reason."""

    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)
    #: What the stage's line says beside its counts.
    note: str = ""

    def add(self, other: Count) -> None:
        """Add another count to this one."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def ran(self) -> int:
        """Return how many tests really ran."""
        return self.passed + self.failed


def read_junit(files: Iterable[Path]) -> Count:
    """Count the test cases of JUnit XML files (those of pytest and of ansible-test have the same shape).

    A file that was cut off, because its writer was killed, counts as one failure.
    """
    count = Count()
    for file in files:
        try:
            cases = list(ElementTree.parse(file).getroot().iter("testcase"))
        except ElementTree.ParseError:
            count.add(Count(failed=1))
            continue
        for case in cases:
            count.add(count_case(case))
    return count


def count_case(case: ElementTree.Element) -> Count:
    """Return the count of one `testcase` element."""
    if case.find("failure") is not None or case.find("error") is not None:
        return Count(failed=1)
    skipped = case.find("skipped")
    if skipped is None:
        return Count(passed=1)
    reason = (skipped.get("message") or skipped.text or "no reason given").strip()
    return Count() if reason == NOT_APPLICABLE else Count(skipped=[f"{case.get('name')}: {reason}"])


def judge(count: Count, exit_code: int) -> Count:
    """Make a count agree with the exit code: a tool that failed without a failed test, or that ran no test, is one failure."""
    if (exit_code != 0 and count.failed == 0) or (count.ran() == 0 and not count.skipped):
        count.failed += 1
    return count


def tail(log: Path, lines: int = 40) -> str:
    """Return the last lines of a log, indented for reading under a stage's line."""
    if not log.exists():
        return ""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text)
