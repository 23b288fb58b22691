"""`ace check` prints what a run would do."""

import json
from pathlib import Path

import pytest

from ai_coordination_engine.entrypoints.cli.cli import app
from ai_coordination_engine.entrypoints.run_file.run_file import RunFileError
from ai_coordination_engine.errors import BadUserInput
from tests.kit.commands import ace

FILE = """\
coordination:
  agents:
    - {name: "one\\tline", uuid: a}
    - {name: model, runtime: {kind: openai, model: large}}
    - {name: every, runtime: {kind: function, name: echo}}
task:
  subtasks: [{agent: a, query: "{topic}"}, {agent: model, query: q}, {agent: model, query: r},
             {agent: every, query: s}]
  actions: {model: {after: a}, every: {after: model, map: model}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(FILE)
    return path


def check(*arguments: str | Path) -> None:
    app(
        ["check", *map(str, arguments)],
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )


def test_the_graph_is_printed_with_its_warnings(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACE_OPENAI_ENDPOINTS", raising=False)
    check(file)
    assert capsys.readouterr().out.splitlines() == [
        "layer 1: one\\x09line",
        "layer 2: model x 2",
        "layer 3: every",
        "width: 2",
        "critical path: one\\x09line -> model -> every",
        "calls: one\\x09line 1, model 2, every once an element",
        "models: large 2",
        (
            f"{file}:7:32: warning: query: {{topic}} of agent one\\x09line has no value: the query"
            " is not a JSON object with values, and no predecessor is called so."
        ),
        (
            f"{file}:4:30: warning: agent model: the model endpoint 'default' is not configured;"
            " configured: none; see ACE_OPENAI_ENDPOINTS"
        ),
    ]


def test_json_is_what_the_api_answers(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints = {"default": {"base_url": "http://127.0.0.1:9/v1"}}
    monkeypatch.setenv("ACE_OPENAI_ENDPOINTS", json.dumps(endpoints))
    check(file, "--json", "--query", '{"topic": "bees"}')
    assert json.loads(capsys.readouterr().out) == {
        "layers": [["a"], ["model", "model"], ["every"]],
        "width": 2,
        "criticalPath": ["a", "model", "every"],
        "agentCalls": {"a": 1, "model": 2, "every": None},
        "modelCalls": {"large": 2},
        "warnings": [],
        "tokens": None,
        "costMicroUsd": None,
    }


def test_a_wrong_file_is_refused_with_its_places(file: Path) -> None:
    file.write_text(FILE.replace("after: a}", "after: aa}"))
    with pytest.raises(RunFileError, match=r'c\.yaml:9:28: agent "aa" is not defined'):
        check(file)


def test_a_check_starts_nothing(file: Path) -> None:
    done = ace("check", str(file), "--query", "{}", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("layer 1: one\\x09line\n")


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (
            "task",
            '7:3: The task says plan: true, but its coordination has no agent with type: "planning"'
            ' or "decompose".',
        ),
        (
            "planning",
            "8:13: subtasks: the planning agent 'model' has 2 subtasks; it is asked once, so it"
            " takes one.",
        ),
    ],
)
def test_what_a_start_would_refuse_has_its_place(file: Path, kind: str, line: str) -> None:
    planned = FILE.replace("task:\n", "task:\n  plan: true\n")
    file.write_text(planned.replace("{name: model,", f"{{name: model, type: {kind},"))
    with pytest.raises(BadUserInput) as refused:
        check(file)
    assert refused.value.message == f"{file}:{line}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "ACE_BUDGETS",
            '{"acme": {"tokens": -1}}',
            "ACE_BUDGETS.acme.tokens: must be greater than or equal to 0.",
        ),
        (
            "ACE_BUDGETS",
            '{"*": {"token": 5}}',
            "ACE_BUDGETS.*: needs microUsd, tokens or both.",
        ),
    ],
)
def test_a_budget_of_the_settings_is_checked(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadUserInput) as refused:
        check(file)
    assert refused.value.message == message


def test_a_function_of_the_settings_that_cannot_be_imported_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACE_FUNCTIONS", '{"f": "json:nothing"}')
    check(file)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "warning: ACE_FUNCTIONS: 'f' (json:nothing) failed: AttributeError: module 'json' has no"
        " attribute 'nothing'"
    )
