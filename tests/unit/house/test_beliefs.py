# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Beliefs about the product stand in package `contract` and in `docs/contract.md`, each with its source, and nowhere else."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from toolchain.places import ROOT

CONTRACT = Path("plugins/module_utils/contract")
PAGE = "docs/contract.md"
#: Sources that are no row of the page's table of sources.
TAGS = {"FAQ", "INF", "GUESS", "UNKNOWN", "IMAGE", "OURS"}
TAG = re.compile(r"\[((?:S:|FAQ|INF|GUESS|UNKNOWN|IMAGE|OURS)[A-Z0-9:;, ]*)\]")

#: Literals of the contract that everyone uses, for things that are not the product's.
EVERYDAY = {
    "/": "the root of any URL or file system",
    "INFO": "a log level of Python's",
    "version": "a key of many results",
    "username": "a key of many options",
    "password": "a key of many options",
    "token": "a key of many results",
}
#: Numbers of the contract that mean something else wherever they stand alone; all others are beliefs.
PLAIN_NUMBERS = {
    "80": "the port of plain HTTP",
    "999": "a user and group that many images and hosts have, and a number of many things",
    "1000": "the first user and group of a Linux host, and a number of many things",
    "400": "a status of HTTP, and a file mode",
    "0.5": "a half",
}
#: What looks like a belief and is none, by place.
PERMITTED = {
    ("plugins/module_utils/proxy/caddyfile.py", "/data"): "where Caddy's image keeps its data",
    ("plugins/module_utils/core/images.py", "latest"): "the tag that Docker takes where none is written",
    ("plugins/module_utils/api/registry.py", "/v2"): "the distribution API of registries",
    ("plugins/module_utils/api/registry.py", "/tags/list"): "the distribution API of registries",
    ("plugins/module_utils/api/registry.py", "/manifests"): "the distribution API of registries",
    ("plugins/module_utils/api/registry.py", "/blobs"): "the distribution API of registries",
    ("plugins/module_utils/containers/listing.py", "/containers/json"): "the API of the Docker engine",
    ("roles/toucan_host/vars/main.yml", "/gpg"): "the key of Docker's own repository",
    ("playbooks/awx_setup.yml", "local"): "the connection to the controller itself",
    ("playbooks/vars/awx.yml", "true"): "an answer to a survey, which knows no booleans",
    ("playbooks/vars/awx.yml", "false"): "an answer to a survey, which knows no booleans",
    ("plugins/module_utils/dump/manifest.py", "app"): "a kind of dump",
    ("plugins/module_utils/mongo/connection.py", "5000"): "milliseconds to wait for a server",
    ("plugins/module_utils/mongo/external.py", "8000"): "the error code of Atlas for a refused login",
    ("plugins/module_utils/core/progress.py", "/s"): "a second, behind a rate",
    ("plugins/module_utils/backup/sources.py", "local"): "a database of the MongoDB server itself",
    ("plugins/module_utils/backup/instance.py", "true"): "an option of a connection string",
    ("plugins/plugin_utils/long_work.py", "status"): "what Ansible is asked of a job",
}

PATTERNS = {
    "variable": re.compile(r"TOUCAN_[A-Z]\w*"),
    "base route": re.compile(r"[A-Z_]*BASEROUTE"),
    "path in the image": re.compile(r"/app/[\w./-]*|/usr/share/nginx[\w./-]*"),
}
#: A path at the start of a text or right behind a value that is put in, which is where a URL's begins.
ROUTE = re.compile(r"(?:^|\{\}|\}\}|[\"'\s=])(/[a-z][a-z0-9_-]*(?:/[a-z][a-z0-9_-]*)*)(?=[/?\s\"'{]|$)")
#: First folders of files on a host: a path below one is no route.
FILE_SYSTEM = {
    "bin", "boot", "dev", "etc", "home", "lib", "media", "mnt", "nonexistent", "opt",
    "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var",
}  # fmt: skip

YAML_TEXTS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float")}
DOCUMENTATION = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
#: Keys of an argument spec that are documentation; choices repeat the module's, where they come from the contract.
SPEC_DOCUMENTATION = {"description", "short_description", "choices"}


@dataclass(frozen=True)
class Constant:
    """A constant of the contract; `tag` is the inside of the brackets in its trailing comment, empty where it has none."""

    name: str
    tag: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Text:
    """A piece of text, or a number, of a file that is no documentation; not `whole` where values are put in between its parts."""

    line: int
    value: str
    whole: bool


@dataclass(frozen=True)
class Finding:
    """A belief outside the contract."""

    path: str
    line: int
    belief: str


# -- the contract ---------------------------------------------------------------------------------------------------------


def comments(source: str) -> dict[int, str]:
    """Return the comment of each line that has one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}


def constants_of(source: str) -> list[Constant]:
    """Return the constants that a module of the contract assigns at its top level."""
    noted = comments(source)
    found = []
    for node in ast.parse(source).body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        tag = TAG.search(noted.get(node.lineno, "") + noted.get(node.end_lineno or 0, ""))
        values = [str(leaf.value) for leaf in ast.walk(node.value) if isinstance(leaf, ast.Constant) and not isinstance(leaf.value, bool)]
        found.append(Constant(ast.unparse(target), tag[1] if tag else "", tuple(values)))
    return found


def contract_sources(root: Path = ROOT) -> dict[str, str]:
    """Return the text of each module of the contract by its name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((root / CONTRACT).glob("*.py"))}


def contract_constants() -> list[Constant]:
    return [constant for source in contract_sources().values() for constant in constants_of(source)]


def believed_literals(constants: Iterable[Constant]) -> set[str]:
    """Return the texts and numbers that no other code may hold."""
    listed = list(constants)
    ours = {value for constant in listed if constant.tag == "OURS" for value in constant.values}
    beliefs = {value for constant in listed if constant.tag != "OURS" for value in constant.values}
    return beliefs - ours - EVERYDAY.keys() - PLAIN_NUMBERS.keys()


# -- texts of files -------------------------------------------------------------------------------------------------------


def python_texts(source: str) -> Iterator[Text]:
    """Yield the strings and numbers of a Python source without docstrings and documentation blocks; a value put into a string shows as `{}`."""
    tree = ast.parse(source)
    skipped = {node for documentation in _documentation(tree) for node in ast.walk(documentation)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and node not in skipped:
            skipped.update(part for part in node.values if isinstance(part, ast.Constant))
            yield Text(node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values), False)
        elif isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float)) and node not in skipped:
            yield Text(node.lineno, str(node.value), True)


def _documentation(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node, clean=False) is not None:
            yield node.body[0]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in DOCUMENTATION:
            yield node


def yaml_texts(source: str, documentation: frozenset[str] = frozenset()) -> Iterator[Text]:
    """Yield the texts and numbers of a YAML source, and the quoted strings in their templates, without keys of `documentation`."""
    for document in yaml.compose_all(source, Loader=yaml.SafeLoader):
        yield from _node_texts(document, documentation)


def _node_texts(node: yaml.Node | None, documentation: frozenset[str]) -> Iterator[Text]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value not in documentation:
                yield from _node_texts(key, documentation)
                yield from _node_texts(value, documentation)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _node_texts(item, documentation)
    elif isinstance(node, yaml.ScalarNode) and node.tag in YAML_TEXTS:
        line = node.start_mark.line + 1
        yield Text(line, node.value, True)
        yield from quoted_texts(line, node.value)


def template_texts(source: str) -> Iterator[Text]:
    """Yield the lines of a template, and the quoted strings in them."""
    for number, line in enumerate(source.splitlines(), 1):
        yield Text(number, line, False)
        yield from quoted_texts(number, line)


def quoted_texts(line: int, value: str) -> Iterator[Text]:
    for single, double in re.findall(r"'([^'\n]*)'|\"([^\"\n]*)\"", value):
        yield Text(line, single or double, True)


Reader = Callable[[str], Iterator[Text]]
PLACES: dict[str, Reader] = {
    "plugins/**/*.py": python_texts,
    "playbooks/**/*.yml": yaml_texts,
    "roles/*/meta/argument_specs.yml": lambda source: yaml_texts(source, frozenset(SPEC_DOCUMENTATION)),
    **{f"roles/*/{folder}/**/*.yml": yaml_texts for folder in ("tasks", "handlers", "defaults", "vars")},
    **{f"roles/*/{folder}/**/*": template_texts for folder in ("templates", "files")},
}


# -- beliefs in texts -----------------------------------------------------------------------------------------------------


def beliefs_in(text: Text, literals: Iterable[str]) -> set[str]:
    """Return what in a text is a belief: what a pattern matches, and what the contract holds.

    A literal that is a plain word counts only where it stands alone, since sentences are made of words. A number may have a path behind it.
    """
    parts = [text.value] if text.whole else text.value.split("{}")
    found = {match[0] for pattern in PATTERNS.values() for match in pattern.finditer(text.value)}
    found |= set(routes_in(text.value))
    for literal in literals:
        behind = r"[\w-]" if literal.isdigit() else r"[\w/-]"
        if literal in parts or (not literal.isalpha() and re.search(rf"(?<![\w/.-]){re.escape(literal)}(?!{behind})", text.value)):
            found.add(literal)
    return found


def routes_in(text: str) -> Iterator[str]:
    """Yield what looks like the beginning of a URL's path, and is neither a file's path nor a later part of one."""
    for match in ROUTE.finditer(text):
        before = re.split(r"[\s\"'=]", text[: match.start(1)])[-1]
        if not before.startswith("/") and match[1].split("/")[1] not in FILE_SYSTEM:
            yield match[1]


def findings(root: Path, literals: Iterable[str], permitted: Collection[tuple[str, str]] = tuple(PERMITTED)) -> set[Finding]:
    """Return every belief that code, templates or variables below `root` hold outside the contract, unless it is permitted there."""
    found = set()
    for pattern, read in PLACES.items():
        for path in sorted(root.glob(pattern)):
            relative = path.relative_to(root)
            if path.is_file() and CONTRACT not in relative.parents:
                for text in read(path.read_text(encoding="utf-8")):
                    found |= {Finding(str(relative), text.line, belief) for belief in beliefs_in(text, literals)}
    return {finding for finding in found if (finding.path, finding.belief) not in permitted}


def test_no_belief_stands_outside_the_contract() -> None:
    assert findings(ROOT, believed_literals(contract_constants())) == set()


def test_what_is_permitted_is_still_there() -> None:
    found = findings(ROOT, believed_literals(contract_constants()), permitted=())
    assert PERMITTED.keys() - {(item.path, item.belief) for item in found} == set()
    assert {value for constant in contract_constants() for value in constant.values} >= EVERYDAY.keys() | PLAIN_NUMBERS.keys()


# -- the scan itself ------------------------------------------------------------------------------------------------------

SAMPLES = {
    "variable": "TOUCAN_ANYTHING",
    "base route": "WEBSOCKET_BASEROUTE",
    "path in the image": "/app/logs",
    "path in the frontend's image": "/usr/share/nginx/html",
    "route": "/small-apps",
    "route of several parts": "/auth/check",
    "text of the contract": "latest-monthly",
    "word of the contract": "toucantoco",
    "port of MongoDB": "27017",
    "port of Redis": "6379",
    "port of gunicorn": "5000",
}
PLANTS = {
    "module": ("plugins/modules/toucan_x.py", '"""Prose."""\nx = "{}"\n'),
    "engine": ("plugins/module_utils/stack/x.py", "def x() -> list[str]:\n    return ['{}']\n"),
    "f-string": ("plugins/module_utils/api/x.py", 'x = f"{{url}}{}"\n'),
    "filter": ("plugins/filter/x.py", 'x = {{"{}": 1}}\n'),
    "template": ("roles/toucan_x/templates/x.conf.j2", "value {{{{ '{}' }}}}\n"),
    "file": ("roles/toucan_x/files/x.sh", 'x="{}"\n'),
    "task": ("roles/toucan_x/tasks/main.yml", "- name: Do it\n  ansible.builtin.uri:\n    url: '{}'\n"),
    "expression": ("roles/toucan_x/tasks/deep/x.yml", "- name: Do it\n  vars:\n    x: \"{{{{ y['{}'] }}}}\"\n"),
    "handler": ("roles/toucan_x/handlers/main.yml", "- name: Do it\n  x.y.z:\n    a: [{}]\n"),
    "default": ("roles/toucan_x/defaults/main.yml", "toucan_x_env:\n  {}: 1\n"),
    "variable": ("roles/toucan_x/vars/main.yml", "__toucan_x: {}\n"),
    "default of a spec": ("roles/toucan_x/meta/argument_specs.yml", "argument_specs:\n  main:\n    options:\n      x:\n        default: {}\n"),
    "playbook": ("playbooks/x.yml", "- hosts: all\n  vars:\n    x: {}\n"),
}
EXEMPT = {
    "documentation block": ("plugins/modules/toucan_x.py", 'DOCUMENTATION = r"""\nx: [{}]\n"""\n'),
    "docstring": ("plugins/module_utils/stack/x.py", 'def x() -> None:\n    """\n    {}\n    """\n'),
    "comment": ("plugins/module_utils/stack/x.py", "x = 1  # {}\n"),
    "contract": (f"{CONTRACT}/x.py", 'X = "{}"\n'),
    "description": ("roles/toucan_x/meta/argument_specs.yml", "argument_specs:\n  main:\n    options:\n      x:\n        description: '{}'\n"),
    "README": ("roles/toucan_x/README.md", "{}\n"),
    "docs": ("docs/x.md", "{}\n"),
    "lab": ("tests/lab/x.py", 'X = "{}"\n'),
}


def plant(root: Path, place: tuple[str, str], sample: str) -> str:
    """Write a file that holds a sample; return its path below `root`."""
    path, content = place
    (root / path).parent.mkdir(parents=True)
    (root / path).write_text(content.format(sample), encoding="utf-8")
    return path


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
@pytest.mark.parametrize("place", PLANTS.values(), ids=PLANTS.keys())
def test_a_planted_belief_is_found(tmp_path: Path, place: tuple[str, str], sample: str) -> None:
    path = plant(tmp_path, place, sample)
    assert {(item.path, item.belief) for item in findings(tmp_path, believed_literals(contract_constants()))} == {(path, sample)}


@pytest.mark.parametrize("port", ["27017", "6379", "5000"])
@pytest.mark.parametrize("content", ["x = {}\n", "x = dict(port={})\n", 'x = f"{{host}}:{}"\n', 'x = f"{{host}}:{{{}}}"\n', 'x = "mongo:{}/admin"\n'])
def test_a_number_is_found_as_number_and_in_an_address(tmp_path: Path, content: str, port: str) -> None:
    path = plant(tmp_path, ("plugins/module_utils/stack/x.py", content), port)
    assert findings(tmp_path, believed_literals(contract_constants())) == {Finding(path, 1, port)}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
@pytest.mark.parametrize("place", EXEMPT.values(), ids=EXEMPT.keys())
def test_what_is_exempt_is_left_alone(tmp_path: Path, place: tuple[str, str], sample: str) -> None:
    plant(tmp_path, place, sample)
    assert findings(tmp_path, believed_literals(contract_constants())) == set()


@pytest.mark.parametrize("literal", sorted(believed_literals(contract_constants())))
def test_every_literal_of_the_contract_is_found(tmp_path: Path, literal: str) -> None:
    path = plant(tmp_path, PLANTS["module"], literal)
    assert (path, literal) in {(item.path, item.belief) for item in findings(tmp_path, believed_literals(contract_constants()))}


@pytest.mark.parametrize(
    "text",
    [
        "/etc/toucan/stack.json",
        "/var/lib/toucan",
        "toucan_stack",
        "a/path/to",
        "frontend",
        "{}/bin/python",
        "/proc/{}/comm",
        "and/or",
        "https://example.com/linux/",
        "127017",
        "15000",
        "5000ms",
        "sha256/5000",
        "80",
        "1000",
    ],
)
def test_what_is_no_belief_is_left_alone(text: str) -> None:
    assert beliefs_in(Text(1, text, True), believed_literals(contract_constants())) == set()


# -- the page -------------------------------------------------------------------------------------------------------------


def sections(page: str) -> dict[str, str]:
    """Return the body of each section of a page by its title."""
    parts = re.split(r"^#+ (.+)$", page, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def table(body: str) -> list[list[str]]:
    """Return the rows of the tables in a section, without their heads."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line.startswith("|")]
    return [row for index, row in enumerate(rows) if not set(row[0]) <= {"-"} and not (index + 1 < len(rows) and set(rows[index + 1][0]) <= {"-"})]


def page_rows(page: str) -> list[tuple[set[str], str]]:
    """Return the values and the tag of each belief on the page."""
    return [
        (set(re.findall(r"`([^`]+)`", row[0])), row[2].strip("`[]"))
        for title, body in sections(page).items()
        if title not in ("Tags", "Sources", "Unknown, so an option")
        for row in table(body)
    ]


def page_problems(constants: Iterable[Constant], page: str) -> list[str]:
    """Return which constants have no tag, and which of their values the page does not hold with the same tag."""
    rows = page_rows(page)
    problems = []
    for constant in constants:
        if not constant.tag:
            problems.append(f"{constant.name} has no tag")
        elif constant.tag != "OURS":
            problems += [
                f"{PAGE} has no row with {value} of {constant.name} and tag [{constant.tag}]"
                for value in constant.values
                if not any(value in values and tag == constant.tag for values, tag in rows)
            ]
    return problems


def unknown_sources(text: str, page: str) -> set[str]:
    """Return the sources that a text cites and the page's table does not hold."""
    known = {row[0] for row in table(sections(page)["Sources"])} | TAGS
    cited = {source.strip().removeprefix("S:") for tag in TAG.findall(text) for source in re.split("[,;]", tag)}
    return cited - known - {"KEY"}


@pytest.fixture(name="page")
def _page() -> str:
    return (ROOT / PAGE).read_text(encoding="utf-8")


def test_every_constant_has_a_source_which_the_page_tells(page: str) -> None:
    constants = contract_constants()
    assert len(constants) > 50
    assert page_problems(constants, page) == []


def test_the_page_holds_nothing_that_the_contract_does_not(page: str) -> None:
    package = "\n".join(contract_sources().values())
    rows = page_rows(page)
    assert len(rows) > 50
    assert [value for values, dummy in rows for value in values if value not in package] == []


def test_every_cited_source_is_in_the_table(page: str) -> None:
    assert unknown_sources("\n".join([page, *contract_sources().values()]), page) == set()


def test_every_option_that_the_page_names_exists(page: str) -> None:
    specs = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in ROOT.glob("roles/*/meta/argument_specs.yml")]
    options = {name for spec in specs for entry in spec["argument_specs"].values() for name in entry.get("options") or {}}
    named = set(re.findall(r"`(toucan_[a-z_]+)(?:\.\w+)?`", page))
    modules = {path.stem for path in ROOT.glob("plugins/modules/*.py")}
    assert "toucan_stack_mongodb_uri_variable" in named
    assert named - options - modules == set()


def test_a_gap_between_contract_and_page_is_found() -> None:
    sources = "## Sources\n\n| KEY | source |\n| --- | --- |\n| RTD | x |\n"
    page = f"{sources}\n## Names\n\n| name | what | source |\n| --- | --- | --- |\n| `a`, `b` | x | `[S:RTD]` |\n"
    source = 'A = ("a", "b")  # first [S:RTD]\nB = {  # [S:RTD; INF]\n    A: "a",\n}\nC = "c"\nD = "d"  # [OURS]\n'
    assert [constant.tag for constant in constants_of(source)] == ["S:RTD", "S:RTD; INF", "", "OURS"]
    assert page_problems(constants_of(source), page) == [f"{PAGE} has no row with a of B and tag [S:RTD; INF]", "C has no tag"]
    assert unknown_sources("[S:RTD, NOSUCH; INF] and [FAQ]", page) == {"NOSUCH"}
