"""The committed schema follows the rules of the npm package `graphql-schema-linter`."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from ai_coordination_engine import api
from tests.kit.node import installed, needs_node

HERE = Path(__file__).parent
SCHEMA = Path(api.__file__).parent / "schema.graphql"

pytestmark = [pytest.mark.conformance, needs_node]


def lint(tmp_path: Path, schema: str) -> list[str]:
    """Return the rules that the schema breaks."""
    config = HERE / "graphql-schema-linter.config.cjs"
    (tmp_path / "graphql-schema-linter.config.js").write_text(config.read_text(), encoding="utf-8")
    (tmp_path / "schema.graphql").write_text(schema, encoding="utf-8")
    linter = installed(HERE) / "node_modules" / ".bin" / "graphql-schema-linter"
    command = [
        str(linter),
        "--format",
        "json",
        "--config-directory",
        str(tmp_path),
        str(tmp_path / "schema.graphql"),
    ]
    printed = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    ).stdout
    return [each["rule"] for each in json.loads(printed)["errors"]]


def test_the_schema_follows_the_rules(tmp_path: Path) -> None:
    schema = SCHEMA.read_text(encoding="utf-8")
    assert "\ntype Subscription {" in schema
    assert lint(tmp_path, schema) == []


def test_a_schema_without_words_does_not(tmp_path: Path) -> None:
    bare = re.sub(r'"""(?s:.*?)"""', "", SCHEMA.read_text(encoding="utf-8"))
    rules = {"arguments-have-descriptions", "fields-have-descriptions", "types-have-descriptions"}
    assert set(lint(tmp_path, bare)) == rules
