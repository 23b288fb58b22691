"""The diffs in docs/contributing.md have the effects that it describes."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.growth import places
from tests.readme.documents import ROOT, run, snippets

PACKAGE = "ai_coordination_engine"
LOOK = """
import json, sys
from ai_coordination_engine import assembly
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.domain.lifecycle.agents import AGENT_TRANSITIONS
from ai_coordination_engine.domain.shapes import parse_agents
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.records.entities import SESSION

graph = SCHEMA.graphql_schema
allowed = assembly.allow_list(Settings(texts={"hi": "Hello"}))
runtime = {"kind": "canned", "name": "hi"}
json.dump({
    "shown": str(graph.type_map["SessionType"].fields["priority"].type),
    "written": "priority" in graph.mutation_type.fields["insertUpdateSession"].args,
    "filters": [
        "priority" in graph.query_type.fields["sessionList"].args, "priority" in SESSION.filters
    ],
    "mutation": sorted(graph.mutation_type.fields["stopSession"].args),
    "kind": [
        parse_agents([{"agentUuid": "a", "runtime": runtime}])[0].runtime.kind,
        allowed.of_runtime(runtime),
    ],
    "refused": allowed.of_runtime({"kind": "canned", "name": "no"}),
    "transition": "withdraw" in [each.name for each in AGENT_TRANSITIONS],
}, sys.stdout)
"""


def changes(diff: str) -> Iterator[tuple[str, str, str]]:
    """Return, for each hunk, its path, the replaced lines with their context, and the new lines."""
    for of_file in diff.split("+++ ")[1:]:
        path, *hunks = of_file.split("@@\n")
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            yield path.strip(), before, "".join(line[1:] for line in lines if line[0] in " +")


def test_each_addition_is_one_declaration_from_which_the_rest_follows(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
    )
    for each in snippets("diff"):
        for path, before, after in changes(each.text):
            file = tmp_path / path
            text = file.read_text(encoding="utf-8") if file.exists() else ""
            where = f"docs/contributing.md no longer fits {path}:\n{before}"
            assert (text.count(before) if before else not text) == 1, where
            file.write_text(text.replace(before, after) if before else after, encoding="utf-8")
    seen = json.loads(run(sys.executable, "-c", LOOK, cwd=tmp_path, PYTHONPATH=os.fspath(tmp_path)))
    assert seen == {
        "shown": "Int",
        "written": True,
        "filters": [True, True],
        "mutation": ["coordinationUuid", "idempotencyKey", "sessionUuid", "updatedBy"],
        "kind": ["canned", None],
        "refused": "there is no text 'no'; see ACE_TEXTS",
        "transition": True,
    }


def test_few_places_are_touched() -> None:
    assert places() == {
        "A field of a record": 2,
        "A runtime kind": 2,
        "An operation of the API": 1,
        "A transition": 2,
    }
