"""The console stays small, and its libraries are what their lock says."""

import gzip
import json
import re
import subprocess
from pathlib import Path

from graphql import DocumentNode, parse, print_ast, validate

from ai_coordination_engine.api.schema import SCHEMA
from tests.kit.node import installed, needs_node

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "ai_coordination_engine" / "console"
VENDORED = "vendor.js"
IMPORT = re.compile(r"""^import [^(]*?from "\./(\w+\.js)";$""", re.MULTILINE)


def test_the_console_is_at_most_60_kb_of_gzip() -> None:
    sizes = {each.name: len(gzip.compress(each.read_bytes(), 9)) for each in CONSOLE.iterdir()}
    assert "main.js" in sizes
    assert sum(sizes.values()) <= 60_000, sizes


def test_our_javascript_has_at_most_2000_lines() -> None:
    files = [each for each in CONSOLE.glob("*.js") if each.name != VENDORED]
    lines = {each.name: len(each.read_text(encoding="utf-8").splitlines()) for each in files}
    assert len(lines) > 10
    assert sum(lines.values()) <= 2000, lines


def test_the_page_names_all_modules_that_it_needs_so_that_they_are_loaded_at_once() -> None:
    page = (CONSOLE / "index.html").read_text(encoding="utf-8")
    needed, found = {"main.js"}, set[str]()
    while needed - found:
        name = min(needed - found)
        found.add(name)
        needed |= set(IMPORT.findall((CONSOLE / name).read_text(encoding="utf-8")))
    assert found > {"client.js", "session.js", VENDORED}
    named = re.findall(r'<link rel="modulepreload" href="/console/(\w+\.js)">', page)
    assert sorted(named) == sorted(found)
    read = re.findall(r'fetch\("(/console/[\w.]+)"\)', (CONSOLE / "client.js").read_text())
    assert sorted(read) == sorted(re.findall(r'<link rel="preload" href="([^"]+)"', page))


def test_nothing_becomes_html_or_code_by_itself() -> None:
    files = [each for each in CONSOLE.glob("*.js") if each.name != VENDORED]
    text = "\n".join(each.read_text(encoding="utf-8") for each in files)
    for name in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert name not in text
    page = (CONSOLE / "index.html").read_text(encoding="utf-8")
    assert "style=" not in page
    assert page.count("<script") == page.count('<script type="module" src="/console/') == 2


@needs_node
def test_the_libraries_are_made_from_their_lock(tmp_path: Path) -> None:
    folder = ROOT / ".ci" / "console"
    modules = installed(folder) / "node_modules"
    script = tmp_path / "vendor.mjs"
    script.write_bytes((folder / "vendor.mjs").read_bytes())
    (tmp_path / "node_modules").symlink_to(modules)
    subprocess.run(["node", script, modules, tmp_path], check=True)
    assert (tmp_path / VENDORED).read_bytes() == (CONSOLE / VENDORED).read_bytes(), "make vendor"


WATCHED = ("Sessions", "Latest", "Session", "SessionAlone", "Written", "Inbox", "Waiting")


def test_every_document_is_valid_and_what_is_watched_is_valid_as_a_subscription() -> None:
    text = (CONSOLE / "documents.graphql").read_text(encoding="utf-8")
    document = parse(text)
    operations = {each.name.value: each for each in document.definitions}
    assert set(WATCHED) < set(operations)
    for name, operation in operations.items():
        alone = DocumentNode(definitions=(operation,))
        if name in WATCHED:
            subscription = print_ast(alone).replace("query", "subscription", 1)
            assert validate(SCHEMA.graphql_schema, parse(subscription)) == [], name
        if name != "Written":  # it is only written live
            assert validate(SCHEMA.graphql_schema, alone) == [], name


def test_no_script_names_a_document_that_is_not_there() -> None:
    text = (CONSOLE / "documents.graphql").read_text(encoding="utf-8")
    names = set(re.findall(r"^(?:query|mutation) (\w+)", text, re.MULTILINE))
    scripts = "\n".join(each.read_text(encoding="utf-8") for each in CONSOLE.glob("*.js"))
    asked = set(re.findall(r"(?:ask|askAll|watch|useWatched|useList)\(\"(\w+)\"", scripts))
    assert len(asked) > 15
    assert asked <= names
    controls = {"pause", "resume", "cancel", "retry"}  # named by their buttons
    assert names - asked - {"Session", "SessionAlone"} == controls


def test_the_settings_in_the_documentation_are_those_that_the_scripts_read() -> None:
    page = (ROOT / "docs" / "console.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    shown = json.loads(block)
    client, signing = ((CONSOLE / name).read_text() for name in ("client.js", "sign_in.js"))
    read = set(re.findall(r"config\.(\w+)\b", client)) - {"json", "connection"}
    assert set(shown) == read
    options = {*re.findall(r"given\.(\w+)", signing), "issuer", "authorizationEndpoint"}
    assert set(shown["signIn"]) <= options
    for name in (*options, "tokenEndpoint"):
        assert f"`{name}`" in page
        assert name in signing
