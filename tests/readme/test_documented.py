"""Everything declared is documented: settings, runtimes, fields, keys of run files, codes.

Each failure prints what to add to which page.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from ai_coordination_engine.adapters.runtimes.attempts import payload
from ai_coordination_engine.adapters.runtimes.builtin import FUNCTIONS
from ai_coordination_engine.adapters.telemetry.emf import NAMESPACE
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.domain import gen_ai, statuses
from ai_coordination_engine.domain.instruments import INSTRUMENTS, MOST_VALUES
from ai_coordination_engine.domain.policies import ERROR_CLASSES
from ai_coordination_engine.domain.runtimes import KINDS
from ai_coordination_engine.entrypoints.cli.cli import app as ace
from ai_coordination_engine.entrypoints.run_file import run_file_keys as keys
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.settings import Settings
from tests.readme.documents import PAGES, ROOT, page, prose

RECORDS = ("Coordination", "Task", "TaskSchedule", "Session", "SessionAgent", "SessionRun")
_SETTING = re.compile(r"^\| `ACE_(\w+)` \| (.*?) \| `(.+)` \| (.*) \|$", re.MULTILINE)


def missing(where: str, words: Iterator[str] | list[str]) -> list[str]:
    """Return the words that the page does not have between backticks."""
    text = page(where)
    return [each for each in words if f"`{each}`" not in text]


def test_every_setting_has_its_row_and_an_example_that_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ACE_AWS_CLIENT", raising=False)  # of a run with the other client
    rows = {
        name.lower(): (default, example, words)
        for name, default, example, words in _SETTING.findall(_operations())
    }
    assert list(rows) == list(Settings.model_fields), (
        "docs/operations.md, Configuration: a row for each setting"
    )
    for name, setting in Settings.model_fields.items():
        default, example, words = rows[name]
        assert (default, words) == (
            _shown(setting.default),
            setting.description,
        ), f"docs/operations.md: ACE_{name}"
        is_json = isinstance(setting.default, dict | list)
        assert Settings.model_validate(
            {name: json.loads(example) if is_json else example}
        ).model_fields_set == {name}


def _operations() -> str:
    return page("docs/operations.md")


def _shown(default: Any) -> str:
    return "" if default in ("", None, [], {}) else f"`{default}`".replace("'", '"')


def test_every_kind_of_runtime_is_documented_with_its_keys_and_its_setting() -> None:
    words = [each for name, kind in KINDS.items() for each in (name, kind.setting, *kind.reads)]
    assert missing("docs/agents.md", words) == []
    assert missing("docs/agents.md", [*FUNCTIONS, *ERROR_CLASSES]) == []


def test_what_an_agent_is_given_is_documented() -> None:
    names = [each.name for each in fields(AgentRequest)]
    assert missing("docs/agents.md", names) == []
    # only its names count
    given = {**dict.fromkeys(names, ""), "runtime": {}, "max_tokens": 1}
    request = AgentRequest(**given)  # type: ignore[arg-type]
    assert missing("docs/agents.md", list(payload(request))) == []


def table(record: str) -> str:
    """Return the table of a record's fields as docs/records.md has it."""
    found: Mapping[str, Any] = SCHEMA.graphql_schema.type_map[f"{record}Type"].fields  # type: ignore[attr-defined]
    rows = [f"| `{name}` | `{each.type}` | {each.description} |" for name, each in found.items()]
    return "\n".join(["| field | type | what it is |", "| --- | --- | --- |", *rows])


@pytest.mark.parametrize("record", RECORDS)
def test_every_field_of_a_record_is_documented(record: str) -> None:
    assert f"## {record}Type\n" in page("docs/records.md")
    assert table(record) in page("docs/records.md"), (
        f"docs/records.md, {record}Type:\n{table(record)}"
    )


def friendly_keys(prefix: str, keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each key as people write it, with its name in the API."""
    for stored in dict.fromkeys(keys.values()):
        others = [
            each
            for each, of in keys.items()
            if of == stored and each not in (stored, to_camel(stored))
        ]
        yield prefix + (others or [stored])[0], to_camel(stored)


def test_every_key_of_a_run_file_has_its_row() -> None:
    tables = [
        *(
            ("", each)
            for each in (
                keys.TOP,
                keys.COORDINATION,
                keys.AGENT,
                keys.TASK,
                keys.SUBTASK,
                keys.ACTION,
            )
        ),
        ("function.", keys.FUNCTION),
        ("map.", keys.MAP),
        ("retry.", keys.POLICY),
    ]
    text = page("docs/run-file.md").replace("`insertUpdateCoordination`", "`coordination`")
    text = text.replace("`insertUpdateTask`", "`task`")  # what the two objects become
    rows = [
        f"| `{key}` | `{name}` |"
        for prefix, each in tables
        for key, name in friendly_keys(prefix, each)
    ]
    assert [row for row in rows if row not in text] == []


def test_every_status_state_and_code_is_documented() -> None:
    assert missing("docs/controls.md", [*statuses.SESSION_STATUSES, *statuses.AGENT_STATES]) == []
    assert missing("docs/people-and-jobs.md", [*statuses.SCHEDULE_STATUSES]) == []
    sources = [
        file.read_text(encoding="utf-8")
        for file in (ROOT / "ai_coordination_engine/engine").rglob("*.py")
    ]
    codes = {
        code for source in sources for code in re.findall(r'(?:Why\(\s*|code=)"([A-Z_]+)"', source)
    }
    assert {"EXECUTING", "WAITS_FOR_BACKEND", "SESSION_ENDED"} <= codes
    assert missing("docs/controls.md", sorted(codes)) == []


def test_every_command_has_its_row() -> None:
    names = [name for name in ace if not name.startswith("-")]
    assert {"run", "serve", "examples"} <= set(names)
    assert [name for name in names if f"`ace {name}" not in page("docs/operations.md")] == []


_PLANS = ("docs/design.md",)  # tells of commands that are still to come


def test_every_command_that_the_text_names_exists() -> None:
    named = {
        (name, match[1])
        for name in PAGES
        for match in re.finditer(r"`ace ([a-z-]+(?: [a-z]+)?)", prose(page(name)))
        if name not in _PLANS
    }
    assert len(named) > 10
    assert [each for each in sorted(named) if not _is_command(each[1].split())] == []


def _is_command(words: list[str]) -> bool:
    """Whether `ace` has the command; what follows a command without commands is an argument."""
    if words[0] not in ace:
        return False
    inner = ace[words[0]]
    return len(words) == 1 or inner.default_command is not None or words[1] in inner


def test_every_metric_and_span_is_explained() -> None:
    text = page("docs/observability.md")
    for row in INSTRUMENTS:
        labels = ", ".join(f"`{each}`" for each in row.labels) or "–"
        line = f"| `{row.name}` | `{row.emf_name}` | {labels} | {row.description} |"
        assert line in text, line
    operations = (gen_ai.INVOKE_WORKFLOW, gen_ai.INVOKE_AGENT, gen_ai.EXECUTE_TOOL, gen_ai.CHAT)
    assert [each for each in operations if f"| `{each}" not in text] == []
    assert gen_ai.SCHEMA.rpartition("/")[2] in text
    assert f"`{NAMESPACE}`" in text
    assert f"keeps {MOST_VALUES} values" in " ".join(text.split())
