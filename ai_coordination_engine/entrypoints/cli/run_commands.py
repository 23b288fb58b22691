"""The commands `ace demo` and `ace run`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.resources import as_file
from pathlib import Path

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.database_file import Durability
from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.cli.cost_command import cost_line
from ai_coordination_engine.entrypoints.cli.example_files import example
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.moving import SCREEN, moving, with_steady
from ai_coordination_engine.entrypoints.cli.output import on_one_line, write, write_json
from ai_coordination_engine.entrypoints.cli.people import Answers, ask
from ai_coordination_engine.entrypoints.cli.progress import Progress
from ai_coordination_engine.entrypoints.cli.remote import Absence, NoServer, address, client_of
from ai_coordination_engine.entrypoints.cli.remote_options import Remote
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
from ai_coordination_engine.entrypoints.local.address import address_of
from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.entrypoints.run_file.run_checks import agent_warnings, not_allowed
from ai_coordination_engine.entrypoints.run_file.run_file import RunFile, read_run_file
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.settings import Settings, server_variables

SHOWN_LINES = 8


def demo(
    settings: Settings,
    port: int | None,
    data_dir: Path | None,
    *,
    stop: bool,
    durability: Durability | None = None,
) -> None:
    """Run an example, then serve until Ctrl-C unless `stop`, with a session that moves while
    somebody watches; raises `Failure` if the first session failed.
    """
    console = Terminal()
    with as_file(example("research_brief").source) as brief:
        plan = read_run_file(brief)
    settings = with_steady(settings)
    with serving(settings, port=port, data_dir=data_dir, durability=durability) as running:
        console.print(
            f"{plan.coordination_name}, {len(plan.agents)} agents. {runtime_note(running)}\n"
        )
        with Client(running.url) as client:
            view = _Run(console, plan, Answers(())).on(client)
        for agent in view.agents:
            _print_output(console, agent)
        introduce(console, running, "" if stop else SCREEN)
        if not stop:
            with moving(running, plan):
                until_stopped(console)
    check_completed(view)


@dataclass(frozen=True)
class Place:
    """Where a file runs: on a server that is there, or on one that lives as long as the run."""

    remote: Remote
    aws: bool = False
    durability: Durability | None = None

    @cached_property
    def has_server(self) -> bool:
        """Whether a server is there: one is named, or holds the data directory. If it goes away, a
        run waits for it: this process may lack its settings.
        """
        if self.remote.data_dir is not None:
            return address_of(self.remote.data_dir, lasting=True) is not None
        return bool(self.remote.url or server_variables().url) and not self.aws


def run(
    settings: Settings, plan: RunFile, place: Place, answers: Sequence[str], *, with_json: bool
) -> None:
    """Run a plan and print the result as text or JSON; raises `Failure` if the session failed.

    `answers`: each `WHO=TEXT`.
    """
    console, given = Terminal(stderr=True), Answers(answers)
    given.check(plan)
    ran, absence = _Run(console, plan, given), Absence(console)
    view: SessionView | None = None
    cost: str | None = None
    while view is None:
        try:
            with _client(console, settings, place, plan) as client:
                view = ran.on(client)
                cost = cost_line(client, view)
        except NoServer:
            if ran.session_uuid is None:
                raise
            absence.wait()
        except (Failure, KeyboardInterrupt) as error:
            owed = ("answer", "TEXT") if isinstance(error, Failure) else ()
            _say_what_goes_on(console, place, ran.session_uuid, *owed)
            raise
    if view.status == "completed" and view.session.logs:
        console.print(view.session.logs)
    if with_json:
        write_json(as_json(view))
    else:
        write(as_text(view))
    if cost:
        console.print(cost)
    check_completed(view)


@contextmanager
def _client(console: Terminal, settings: Settings, place: Place, plan: RunFile) -> Iterator[Client]:
    remote = place.remote
    if place.has_server:
        console.print(f"Runs on the server at {address(remote)}.")
        with client_of(remote) as client:
            yield client
        return
    with serving(
        settings,
        port=0,
        data_dir=remote.data_dir,
        aws=place.aws,
        durability=place.durability,
        is_lasting=False,
    ) as running:
        _check_allowed(running, plan)
        if not all(agent.get("runtime") for agent in plan.agents):
            console.print(runtime_note(running))
        with Client(running.url) as client:
            if remote.data_dir:
                for session in client.open_sessions():
                    console.print(f"Continuing an earlier session: {on_one_line(session)}")
            yield client


def _check_allowed(running: Running, plan: RunFile) -> None:
    allow_list = running.app.allow_list
    if allow_list and (problems := list(not_allowed(allow_list, plan))):
        raise BadUserInput("\n".join(problems))


def check_completed(view: SessionView) -> None:
    """Raise `Failure` with the reasons if the session did not complete."""
    if view.status != "completed":
        raise Failure(_why(view), FAILED)


class _Run:
    """One run of a file; it goes on with another client when its server was away."""

    def __init__(self, console: Terminal, run: RunFile, answers: Answers) -> None:
        self.session_uuid: str | None = None
        self._console = console
        self._run = run
        self._answers = answers
        self._progress = Progress(console)

    def on(self, client: Client) -> SessionView:
        """Start the session if it has not started, and follow it to its end."""
        if self.session_uuid is None:
            for line in agent_warnings(self._run):
                self._console.print(line)
            self.session_uuid = client.begin(self._run, self._console.print)
            self._console.print(f"Session {self.session_uuid}")
        while True:
            with self._progress:
                view = client.follow(self._run, self.session_uuid, self._progress.show)
            if not view.waiting:
                return view
            for agent in view.waiting:
                ask(self._console, client, agent, self._answers)


def _say_what_goes_on(
    console: Terminal, place: Place, session_uuid: str | None, does: str = "watch", *words: str
) -> None:
    folder = place.remote.data_dir
    if session_uuid is None:
        return
    if place.has_server or place.aws:
        command = place.remote.command(does, session_uuid, *words)
        console.print(f"Session {session_uuid} goes on. {does.capitalize()} it: {command}")
    elif folder is not None:
        console.print(f"Session {session_uuid} is kept. Go on: ace serve --data-dir {folder}")


def _why(view: SessionView) -> str:
    failed = [agent for agent in view.agents if agent.state == "failed"]
    notes = [
        f"{on_one_line(agent.name)}: {agent.record.notes or 'no reason given'}" for agent in failed
    ]
    reasons = "; ".join(notes) or view.session.logs or ""
    return f"the session is {view.status}. {reasons}".strip()


def _print_output(console: Terminal, agent: AgentView) -> None:
    lines = (agent.record.agent_output or agent.record.notes or "").rstrip().split("\n")
    more = [f"… {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
    console.print(f"\n{on_one_line(agent.name)} ({agent.state})", style="bold")
    console.print("\n".join(f"  {line}" for line in [*lines[:SHOWN_LINES], *more]))
