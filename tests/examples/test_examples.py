"""Every example in the package works: run files, and scripts with a server."""

import asyncio
import json
import shlex
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import Client as McpClient
from mcp_types import ElicitRequestParams, ElicitResult

from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.cli.example_files import ExampleError, example, examples
from ai_coordination_engine.entrypoints.cli.session_view import SessionView, as_text
from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.entrypoints.run_file.run_checks import not_allowed
from ai_coordination_engine.entrypoints.run_file.run_file import read_run_file
from ai_coordination_engine.settings import Settings
from tests.examples import scripts
from tests.kit.node import needs_node

RUN_FILES = {
    "approval": ["approval.yaml"],
    "chapters": ["chapters.yaml"],
    "fallback": ["fallback", "run.yaml"],
    "hello": ["hello.yaml"],
    "own_function": ["own_function", "run.yaml"],
    "planned": ["planned.yaml"],
    "research_brief": ["research_brief.yaml"],
    "tools": ["tools", "run.yaml"],
    "served": ["served.yaml"],
}
SCRIPTS = ["a2a", "api_python", "api_typescript", "fork"]


@dataclass(frozen=True)
class Copies:
    """Copies of all examples, and a server with the settings that they need."""

    folder: Path
    running: Running

    def run(self, name: str, answer: str = "") -> tuple[SessionView, str]:
        """Run the run file of an example; return the session and its result as printed."""
        plan = read_run_file(self.folder.joinpath(*RUN_FILES[name]))
        allow_list = self.running.app.allow_list
        assert allow_list
        assert list(not_allowed(allow_list, plan)) == []
        with Client(self.running.url) as client:
            session_uuid = client.begin(plan, lambda warning: pytest.fail(str(warning)))
            view = client.follow(plan, session_uuid, lambda view: None)
            if waiting := view.waiting:
                client.answer(waiting[0].record, answer)
                view = client.follow(plan, session_uuid, lambda view: None)
        return view, as_text(view)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    folder = tmp_path_factory.mktemp("examples")
    allowed: dict[str, dict[str, Any]] = defaultdict(dict)
    with pytest.MonkeyPatch.context() as patch:
        for each in examples():
            written = each.copy(folder)
            for command in each.commands:
                if command.startswith("export "):
                    name, _, value = shlex.split(command)[1].partition("=")
                    allowed[name] |= json.loads(value)
                    patch.syspath_prepend(written)
        settings = Settings(
            auth="local",
            **{name.removeprefix("ACE_").lower(): value for name, value in allowed.items()},
        )
        with serving(settings, port=0) as running:
            yield Copies(folder, running)


def states(view: SessionView) -> dict[str, str]:
    return {agent.name: agent.state for agent in view.agents}


def test_every_example_is_run_here_and_says_how_to_run_it() -> None:
    assert sorted([*RUN_FILES, *SCRIPTS]) == [each.name for each in examples()]
    for name, path in RUN_FILES.items():
        run = "ace run " + path[-1]
        assert example(name).commands[-1] == (run if len(path) == 1 else f"PYTHONPATH=. {run}"), (
            name
        )
    for each in examples():
        assert each.summary.endswith("."), each.name
        assert len(each.summary) <= 110, each.name


def test_hello(copies: Copies) -> None:
    _, printed = copies.run("hello")
    assert printed == "OUTPUT OF GREETER:\nSAY HELLO TO THE WORLD\n\nSAY IT LOUDER"


def test_chapters(copies: Copies) -> None:
    view, printed = copies.run("chapters")
    assert printed.startswith('binder:\nOutput of author:\n["WRITE ABOUT BASICS FOR A BEGINNER.", ')
    assert (view.status, states(view)["apologist"]) == ("completed", "skipped")


def test_research_brief(copies: Copies) -> None:
    view, printed = copies.run("research_brief")
    assert set(states(view).values()) == {"completed"}
    assert "Explain how heat pumps work" in printed


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("8", "publisher:\nPUBLISHED (IT GOT 8): OUR NEW BICYCLE IS FAST, QUIET AND GREEN."),
        ("6", "reviser:\nTo be revised (it got 6): Our new bicycle is fast, quiet and green."),
    ],
)
def test_a_person_decides(copies: Copies, answer: str, result: str) -> None:
    view, printed = copies.run("approval", answer)
    assert printed == result
    assert sorted(states(view).values()) == ["completed", "completed", "completed", "skipped"]


async def test_a_tool_of_other_systems_asks_their_user(copies: Copies) -> None:
    asked = []

    async def agree(context: object, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"publish": True})

    view, _ = await asyncio.to_thread(copies.run, "served", '{"publish": false}')
    assert states(view) == {"writer": "completed", "decision": "completed", "publisher": "skipped"}
    async with McpClient(f"{copies.running.page}mcp", elicitation_callback=agree) as client:
        (tool,) = (await client.list_tools()).tools
        assert (tool.name, tool.input_schema["required"]) == ("announce", ["product"])
        done = await client.call_tool("announce", {"product": "a bell"})
    assert asked == ["decision asks editor:\n\nPublish this? New: a bell!"]
    assert done.model_dump()["content"][0]["text"] == "NEW: A BELL! (AGREED: TRUE)"


def test_functions_of_ones_own(copies: Copies) -> None:
    view, printed = copies.run("own_function")
    assert printed == "apology:\nWe are sorry. (8 words read)"
    assert states(view) == {"reader": "completed", "apology": "completed", "thanks": "skipped"}


def test_a_plan(copies: Copies) -> None:
    view, printed = copies.run("planned")
    assert [(each.name, each.state) for each in view.agents] == [
        (name, "completed") for name in ("planner", "researcher", "researcher", "writer")
    ]
    assert printed.startswith("OUTPUT OF RESEARCHER:\nWHAT ARE HEAT PUMPS?")
    assert printed.endswith("WHO NEEDS HEAT PUMPS?\n\nA PAGE ABOUT HEAT PUMPS.")


def test_a_fallback(copies: Copies) -> None:
    _, printed = copies.run("fallback")
    assert printed == "Our bicycle costs 890.00 (last month)."


def test_a_call_by_a2a(copies: Copies, tmp_path: Path) -> None:
    assert scripts.python(tmp_path, "a2a", "", API=copies.running.url) == [
        "TASK_STATE_INPUT_REQUIRED Which colour for the door?",
        "TASK_STATE_COMPLETED Green paint on the door",
    ]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("yes", "Done: 3 boxes of tea are ordered (with a key)"),
        ("too many", "Done: The user did not allow this call: too many"),
    ],
)
def test_tools(copies: Copies, answer: str, result: str) -> None:
    view, printed = copies.run("tools", answer)
    notes = [(each.state, each.record.notes) for each in view.agents]
    assert (notes, printed) == ([("completed", None)], result)


def test_a_fork(copies: Copies, tmp_path: Path) -> None:
    assert scripts.python(tmp_path, "fork", "", API=copies.running.url) == [
        "session: completed; ran here: researcher, writer",
        "  Write a slogan. (What is good about it?)",
        "fork: completed; ran here: writer",
        "  Write a slogan that rhymes. (What is good about it?)",
    ]


def test_the_client_in_python(copies: Copies, tmp_path: Path) -> None:
    assert (
        scripts.python(tmp_path, "api_python", "client.py", API=copies.running.url) == scripts.PAGE
    )


@needs_node
@pytest.mark.conformance
def test_the_client_in_typescript(copies: Copies, tmp_path: Path) -> None:
    assert (
        scripts.typescript(tmp_path, "api_typescript", "client.ts", API=copies.running.url)
        == scripts.PAGE
    )


def test_a_copy_replaces_nothing_and_appears_as_a_whole(tmp_path: Path) -> None:
    for name in ("hello", "fork.py", "own_function"):
        written = example(name).copy(tmp_path / "new" / "folder")
        before = sorted(path.name for path in tmp_path.rglob("*"))
        with pytest.raises(ExampleError, match="exists already and is not overwritten"):
            example(name).copy(tmp_path / "new" / "folder")
        assert sorted(path.name for path in tmp_path.rglob("*")) == before
        assert written.exists()
    assert {path.name for path in (tmp_path / "new/folder/own_function").iterdir()} == {
        "README.md",
        "my_agents.py",
        "run.yaml",
    }


def test_a_copy_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = tmp_path / "file"
    with pytest.raises(ExampleError) as refused:
        example("hello").copy(file)
    assert str(refused.value) == f"{file}/hello.yaml cannot be written: {file} is not a folder."
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("helo", "There is no example 'helo'; did you mean \"hello\"?"),
        (
            "research-brief",
            "There is no example 'research-brief'; did you mean \"research_brief\"?",
        ),
        ("../cli", "There is no example '../cli'; see ace examples."),
        ("", "There is no example ''; see ace examples."),
    ],
)
def test_an_example_that_is_not_there_is_told_with_what_is_meant(name: str, told: str) -> None:
    with pytest.raises(ExampleError) as raised:
        example(name)
    assert str(raised.value) == told
