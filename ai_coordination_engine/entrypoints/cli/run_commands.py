"""The commands `ace demo` and `ace run`."""

import sys
from importlib.resources import as_file
from pathlib import Path

from ai_coordination_engine.database_file import Durability
from ai_coordination_engine.entrypoints.cli.client import ApiError, Client
from ai_coordination_engine.entrypoints.cli.example_files import example
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.output import on_one_line, write, write_json
from ai_coordination_engine.entrypoints.cli.progress import Progress
from ai_coordination_engine.entrypoints.cli.serve_command import (
    introduce,
    runtime_note,
    until_stopped,
)
from ai_coordination_engine.entrypoints.cli.session_view import (
    AgentView,
    SessionView,
    as_json,
    as_text,
)
from ai_coordination_engine.entrypoints.cli.terminal import Terminal
from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.entrypoints.run_file.run_checks import agent_warnings, not_allowed
from ai_coordination_engine.entrypoints.run_file.run_file import RunFile, read_run_file
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.settings import Settings

SHOWN_LINES = 8


def demo(
    settings: Settings,
    port: int | None,
    data_dir: Path | None,
    *,
    stop: bool,
    durability: Durability | None = None,
) -> None:
    """Run an example, then serve until Ctrl-C unless `stop`; raises `Failure` if the session
    failed.
    """
    console = Terminal()
    with as_file(example("research_brief").source) as brief:
        plan = read_run_file(brief)
    with serving(settings, port=port, data_dir=data_dir, durability=durability) as running:
        console.print(
            f"{plan.coordination_name}, {len(plan.agents)} agents. {runtime_note(running)}\n"
        )
        view = _run(console, running, plan)
        for agent in view.agents:
            _print_output(console, agent)
        introduce(console, running)
        if not stop:
            until_stopped(console)
    _check_completed(view)


def run(
    settings: Settings,
    plan: RunFile,
    data_dir: Path | None,
    *,
    with_json: bool,
    aws: bool,
    durability: Durability | None = None,
) -> None:
    """Run a plan and print the result as text or JSON; raises `Failure` if the session failed."""
    console = Terminal(stderr=True)
    with serving(settings, port=0, data_dir=data_dir, aws=aws, durability=durability) as running:
        _check_allowed(running, plan)
        if not all(agent.get("runtime") for agent in plan.agents):
            console.print(runtime_note(running))
        if data_dir:
            _note_open_sessions(console, running)
        view = _run(console, running, plan)
    if view.status == "completed" and view.logs:
        console.print(view.logs)
    if with_json:
        write_json(as_json(view))
    else:
        write(as_text(view))
    _check_completed(view)


def _check_allowed(running: Running, plan: RunFile) -> None:
    allow_list = running.app.allow_list
    if allow_list and (problems := list(not_allowed(allow_list, plan))):
        raise BadUserInput("\n".join(problems))


def _check_completed(view: SessionView) -> None:
    if view.status != "completed":
        raise Failure(_why(view), FAILED)


def _run(console: Terminal, running: Running, run: RunFile) -> SessionView:
    progress = Progress(console)
    with Client(running.url) as client:
        for line in agent_warnings(run):
            console.print(line)
        session_uuid = client.begin(run, console.print)
        console.print(f"Session {session_uuid}")
        while True:
            with progress:
                view = client.follow(run, session_uuid, progress.show)
            waiting = view.waiting
            if not waiting:
                return view
            for agent in waiting:
                _ask(console, client, view, agent)


def _show(console: Terminal, client: Client, view: SessionView, agent: AgentView) -> None:
    """Show the plan that a person is asked about, or else the agent's input."""
    text = agent.output or client.agent_input(view, agent)
    if text:
        what = "Plan" if agent.output else "Input"
        console.print(f"\n{what} of {on_one_line(agent.name)}:", style="bold")
        console.print("\n".join(f"  {line}" for line in text.rstrip().split("\n")))


def _ask(console: Terminal, client: Client, view: SessionView, agent: AgentView) -> None:
    """Show a person the agent's input, or its plan, and ask until the API accepts the answer."""
    if not sys.stdin.isatty():
        _send_default(console, client, view, agent)
        return
    _show(console, client, view, agent)
    question = f"{on_one_line(agent.name)} asks {on_one_line(agent.asks or '')}: "
    while True:
        try:
            text = console.input(question, markup=False, emoji=False)
        except EOFError as error:
            raise Failure(
                f"{agent.name} still waits for an answer from {agent.asks}.", FAILED
            ) from error
        if text.strip() and _send_answer(console, client, view, agent, text):
            return


def _send_default(console: Terminal, client: Client, view: SessionView, agent: AgentView) -> None:
    if agent.default_answer is None:
        raise Failure(
            f"{agent.name} waits for an answer from {agent.asks}; run it in a terminal.", FAILED
        )
    console.print(
        f"{on_one_line(agent.name)} asks {on_one_line(agent.asks or '')}, and there is no terminal:"
        f" using the default answer: {on_one_line(agent.default_answer)}"
    )
    _send_answer(console, client, view, agent, agent.default_answer)


def _send_answer(
    console: Terminal, client: Client, view: SessionView, agent: AgentView, text: str
) -> bool:
    """Send an answer; False when the API rejects it and another may be given.

    An answer that somebody else has given already counts as given.
    """
    try:
        client.answer(view, agent, text)
    except ApiError as error:
        console.print(str(error))
        if error.code not in ("BAD_USER_INPUT", "CONFLICT"):
            raise
        return error.code == "CONFLICT"
    return True


def _note_open_sessions(console: Terminal, running: Running) -> None:
    with Client(running.url) as client:
        for session in client.open_sessions():
            console.print(f"Continuing an earlier session: {on_one_line(session)}")


def _why(view: SessionView) -> str:
    failed = [agent for agent in view.agents if agent.state == "failed"]
    notes = [f"{on_one_line(agent.name)}: {agent.notes or 'no reason given'}" for agent in failed]
    return f"the session is {view.status}. {'; '.join(notes) or view.logs or ''}".strip()


def _print_output(console: Terminal, agent: AgentView) -> None:
    lines = (agent.output or agent.notes or "").rstrip().split("\n")
    more = [f"… {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
    console.print(f"\n{on_one_line(agent.name)} ({agent.state})", style="bold")
    console.print("\n".join(f"  {line}" for line in [*lines[:SHOWN_LINES], *more]))
