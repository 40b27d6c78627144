# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout holds what the conventions of collections name, and every Python file its licence."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from toolchain.places import ROOT, source_files

FOLDERS = {"plugins", "roles", "playbooks", "tests", "docs", "meta", "changelogs", ".ci"}
FILES = {
    ".ansible-lint",
    ".gitignore",
    ".yamllint",
    "CHANGELOG.rst",
    "LICENSE",
    "Makefile",
    "README.md",
    "ansible.cfg",
    "galaxy.yml",
    "pyproject.toml",
}
HEADER = (
    "# Copyright: (c) ",
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
)


def unexpected(paths: Iterable[Path]) -> set[str]:
    """Return the names at the top of the checkout that no convention names."""
    return {path.parts[0] for path in paths if path.parts[0] not in (FOLDERS if len(path.parts) > 1 else FILES)}


def missing_header(text: str) -> list[str]:
    """Return the lines of the licence header that a Python source lacks near its start."""
    first = text.splitlines()[:6]
    return [line for line in HEADER if not any(found.startswith(line) for found in first)]


def test_top_level_holds_only_conventional_names() -> None:
    assert unexpected(source_files()) == set()


def test_an_unconventional_folder_or_file_is_found() -> None:
    assert unexpected([Path("scripts/x.sh"), Path("notes.txt"), Path("docs/x.md"), Path("LICENSE")]) == {"scripts", "notes.txt"}


def test_every_python_file_names_its_licence() -> None:
    sources = [path for path in source_files() if path.suffix == ".py"]
    assert sources
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in sources}
    assert {str(path): missing_header(text) for path, text in texts.items() if text.strip() and missing_header(text)} == {}


def test_a_missing_licence_line_is_found() -> None:
    assert missing_header("\n".join(["#!/usr/bin/python", *HEADER])) == []
    assert missing_header("\n".join(HEADER[:2])) == [HEADER[2]]
