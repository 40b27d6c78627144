# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error type for failures that can be foreseen."""

from __future__ import annotations

from typing import Any


class Failure(Exception):
    """A foreseen failure, told as one sentence: what was attempted and what came back, then what to do.

    :param problem: clause without a final full stop, for example ``"Backend v101.2.0 and frontend v100.4.1 differ in major version"``.
    :param remedy: clause without a final full stop, for example ``"set `toucan_release` to one major"``.
    :param subject: the thing that was acted on (a path, an image, a host), for callers that treat failures as data.
    :param answer: what came back, verbatim and free of secrets (an exit text, an HTTP status).
    :param log: last log lines of the failing part, oldest first; shown after the sentence.
    """

    def __init__(self, problem: str, remedy: str, *, subject: str = "", answer: str = "", log: tuple[str, ...] = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.subject = subject
        self.answer = answer
        self.log = tuple(log)

    def __str__(self) -> str:
        sentence = f"{self.problem}; {self.remedy}."
        if not self.log:
            return sentence
        return "\n".join([sentence, "Last log lines:", *(f"  {line}" for line in self.log)])

    def facts(self) -> dict[str, Any]:
        """The parts of the failure, for a module's result."""
        return {
            "problem": self.problem,
            "remedy": self.remedy,
            "subject": self.subject,
            "answer": self.answer,
            "log": list(self.log),
        }
