# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-ins know the product from its public facts, never from the collection."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STANDINS = ROOT / "tests/lab/standins"
CONTRACT = ROOT / "docs/contract.md"

CITATION = re.compile(r"product-facts (?P<section>\d+(?:\.\d+)?)(?: \[(?P<sources>[^\]]+)\])?")
ROUTE_METHODS = {"route", "get", "post", "put", "patch", "delete"}
# Tags that are no row of the table of sources.
TAGS = {"FAQ", "INF", "GUESS", "UNKNOWN"}
BRACKET = re.compile(r"product-facts [\d.]+ \[([^\]]+)\]|\[((?:S:|(?:FAQ|INF|GUESS|UNKNOWN)\b)[^\]]*)\]")
# What only the product can have told: its variables and the paths inside its images.
BELIEF = re.compile(r"TOUCAN_[A-Z]|/app/|/usr/share/nginx")
# Files of the images that cannot carry a comment.
UNCOMMENTED = {".json", ".md"}


def python_files() -> list[Path]:
    """The stand-ins' code and the program that builds them; what tests them may know anything."""
    return sorted(path for path in STANDINS.rglob("*.py") if not path.name.startswith("test_"))


def image_files() -> list[Path]:
    """The files that end up in an image and are not Python."""
    return sorted(
        path
        for service in ("backend", "frontend", "toolbox")
        for path in (STANDINS / service).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} | UNCOMMENTED
    )


def source_keys(contract: str) -> set[str]:
    """Keys of the rows ``| KEY | ...`` in section "Sources" of the contract's document."""
    section = re.search(r"^#+ Sources\b.*?$(?P<body>.*?)(?=^#+ |\Z)", contract, re.M | re.S)
    assert section, "docs/contract.md has no section Sources"
    cells = re.findall(r"^\|\s*`?([A-Z0-9]+)`?\s*\|", section["body"], re.M)
    return set(cells)


def cited_sources(text: str) -> Iterator[str]:
    """Every source key or tag that ``text`` names in brackets, after a section of the facts or by itself."""
    for after_section, alone in BRACKET.findall(text):
        for source in (after_section or alone).split(","):
            yield source.strip().removeprefix("S:")


def is_route(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute) and decorator.func.attr in ROUTE_METHODS
        for decorator in function.decorator_list
    )


def block_lines(node: ast.FunctionDef, lines: list[str]) -> list[str]:
    """A function with its decorators and the comment right above it."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return lines[first : node.end_lineno]


def code_without_comments(lines: list[str]) -> str:
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def uncited_blocks(source: str) -> list[str]:
    """Functions of ``source`` that are a route or hold a belief, and cite nothing."""
    lines = source.splitlines()
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        and (is_route(node) or BELIEF.search(code_without_comments(block_lines(node, lines))))
        and not CITATION.search("\n".join(block_lines(node, lines)))
    ]


def imported_modules(source: str) -> set[str]:
    """Absolute names that ``source`` imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return names


def collection_imports(source: str) -> set[str]:
    """Imports of ``source`` that lead into the collection."""
    return {name for name in imported_modules(source) if name.split(".")[0] in {"ansible", "ansible_collections", "plugins", "toucan_selfhosted"}}


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(STANDINS)))
def test_imports_nothing_from_the_collection(path: Path) -> None:
    assert not collection_imports(path.read_text())


@pytest.mark.parametrize(
    "path",
    [*python_files(), *image_files(), *STANDINS.glob("dialects/*.json")],
    ids=lambda path: str(path.relative_to(STANDINS)),
)
def test_names_no_file_of_the_collection(path: Path) -> None:
    assert not re.search(r"\b(plugins|module_utils|roles|playbooks)/", path.read_text())


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(STANDINS)))
def test_every_route_and_belief_has_a_citation(path: Path) -> None:
    assert uncited_blocks(path.read_text()) == []


@pytest.mark.parametrize("path", image_files(), ids=lambda path: str(path.relative_to(STANDINS)))
def test_every_image_file_has_a_citation(path: Path) -> None:
    assert CITATION.search(path.read_text())


def test_cited_sources_are_in_the_table() -> None:
    keys = source_keys(CONTRACT.read_text()) | TAGS
    assert len(keys) > len(TAGS)
    unknown = {
        f"{path.relative_to(STANDINS)}: {source}"
        for path in [*python_files(), *image_files()]
        for source in cited_sources(path.read_text())
        if source not in keys
    }
    assert not unknown


def test_the_checks_find_what_they_look_for() -> None:
    route = "@api.get('/x')\ndef x():\n    return 1\n"
    belief = "def y():\n    return 'TOUCAN_ANYTHING'\n"
    assert uncited_blocks(route) == ["x"]
    assert uncited_blocks(belief) == ["y"]
    assert uncited_blocks("# product-facts 2.2 [S:FE57]\n" + route) == []
    assert collection_imports("from ansible_collections.toucan.selfhosted import x") != set()
    assert list(cited_sources("# product-facts 1.1 [S:RTD, NOSUCH]")) == ["RTD", "NOSUCH"]
    assert list(cited_sources("# product-facts 1.1 [NOSUCH]; prints [APPLIED], [INF]")) == ["NOSUCH", "INF"]
    assert source_keys("## Sources\n\n| key | source |\n| --- | --- |\n| RTD | a |\n\n## Next\n| HELM | b |") == {"RTD"}
