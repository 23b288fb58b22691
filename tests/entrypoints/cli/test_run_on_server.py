"""`ace run` on a server that is there, and with the answers of people."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ai_coordination_engine import AgentRequest, AgentResult, Question
from ai_coordination_engine.entrypoints.cli.cli import app
from ai_coordination_engine.entrypoints.cli.explanations import explain
from ai_coordination_engine.entrypoints.cli.failures import Failure
from ai_coordination_engine.entrypoints.cli.people import Answers
from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.settings import Settings
from tests.kit.views import agent

FILE = """
coordination:
  name: Refunds
  agents:
    - {name: reviewer, runtime: {kind: function, name: answer}}
    - {name: boss, runtime: {kind: function, name: answer}}
    - {name: pay}
task:
  subtasks: [{agent: pay, query: paid}]
  actions:
    reviewer: {ask: ann, answer_schema: {enum: ["yes", "no"]}}
    boss: {after: reviewer, ask: bob}
    pay: {after: boss}
"""
Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("home") / "data"
    with serving(Settings(auth="local"), port=0, data_dir=folder, durability="process") as running:
        yield running


@pytest.fixture
def folder(running: Running) -> str:
    return running.where.removeprefix("State: ").removesuffix("/ace.db")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the file; returns the exit code, stdout and the lines of stderr."""
    (tmp_path / "file.yaml").write_text(FILE)

    def run(*words: str) -> tuple[int, str, list[str]]:
        code, message = 0, ""
        try:
            app(
                ["run", str(tmp_path / "file.yaml"), *words],
                result_action="return_value",
                exit_on_error=False,
                print_error=False,
            )
        except Exception as error:
            message, code = explain(error)
        out, err = capsys.readouterr()
        return code, out, (err + message).splitlines()

    return run


BOTH = ("--answer", "reviewer=yes", "--answer", "bob=go = on")


def test_the_server_that_holds_the_directory_runs_the_file(
    running: Running, folder: str, run: Run
) -> None:
    code, out, err = run("--data-dir", folder, *BOTH)
    assert (code, out) == (0, "Output of boss:\ngo = on\n\npaid\n")
    assert err[0] == f"Runs on the server at {running.url}."
    assert [line for line in err if " asks " in line] == [
        "reviewer asks ann: yes",
        "boss asks bob: go = on",
    ]


def test_one_that_is_named_runs_it_too(
    running: Running, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run("--url", running.url, *BOTH, "--json")
    session = json.loads(out)
    assert (code, session["status"]) == (0, "completed")
    monkeypatch.setenv("ACE_URL", running.url)
    monkeypatch.setenv("ACE_TENANT", "acme")
    assert run(*BOTH)[0] == 0


def test_an_answer_that_is_missing_or_refused_leaves_the_session_waiting(
    folder: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    code, out, err = run("--data-dir", folder, "--answer", "ann=yes")
    assert (code, out, err[-1]) == (
        1,
        "",
        "ace: boss waits for an answer from bob; run it in a terminal, or with --answer bob=TEXT.",
    )
    uuid = next(line.split()[1] for line in err if line.startswith("Session "))
    goes_on = f"Session {uuid} goes on. Answer it: ace answer {uuid} TEXT --data-dir {folder}"
    assert err[-2] == goes_on
    code, _, err = run("--data-dir", folder, "--answer", "reviewer=perhaps")
    assert code == 2
    assert " goes on. Answer it: ace answer " in err[-2]
    assert err[-1].startswith("ace: --answer for reviewer is refused: ")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("yes", "--answer takes WHO=TEXT, such as reviewer=yes; not 'yes'."),
        ("=yes", "--answer takes WHO=TEXT, such as reviewer=yes; not '=yes'."),
        ("reviewer= ", "--answer takes WHO=TEXT, such as reviewer=yes; not 'reviewer= '."),
        (
            "eve=yes",
            "--answer eve=…: WHO is an agent of the file or a person whom it asks (ann, bob, boss,"
            " pay, reviewer), not 'eve'.",
        ),
    ],
)
def test_an_answer_that_nobody_asks_for_is_refused_before_anything_runs(
    run: Run, given: str, message: str
) -> None:
    code, out, err = run("--answer", given)
    assert (code, out, err) == (2, "", [f"ace: {message}"])


def may_i(request: AgentRequest) -> AgentResult:
    """Ask a question that names no person, as tools that need an approval do."""
    if request.resumed is None:
        return AgentResult("", question=Question("May I?"))
    return AgentResult(f"answered {request.resumed.answer}")


def test_the_question_of_a_runtime_is_answered_by_the_name_of_its_agent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACE_FUNCTIONS", json.dumps({"may_i": f"{__name__}:may_i"}))
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    file = tmp_path / "asks.yaml"
    file.write_text(
        "coordination: {agents: [{name: my buyer, runtime: {kind: function, name: may_i}}]}\n"
        "task: {name: Buy}\nquery: tea\n"
    )

    def run(*words: str) -> tuple[str, str]:
        try:
            app(["run", str(file), *words], result_action="return_value", exit_on_error=False)
        except Failure as failure:
            return capsys.readouterr().err, str(failure)
        return capsys.readouterr().err, ""

    assert run()[1] == (
        "my buyer waits for an answer from somebody; run it in a terminal, or with --answer"
        " 'my buyer'=TEXT."
    )
    said, failure = run("--answer", "my buyer=yes")
    assert (failure, "my buyer asks somebody: yes" in said.splitlines()) == ("", True)


def test_several_answers_for_one_are_given_one_after_the_other() -> None:
    answers = Answers(["a=1", "a=2", "ann=3"])
    asked = agent("a", "wait_for_user_input", agent_action={"userInTheLoop": "ann"})
    assert [answers.take(asked) for _ in range(4)] == ["1", "2", "3", None]
    with pytest.raises(Failure):
        Answers(["a"])
