"""`ace`: the command line. What a command needs is imported when it runs, so that help is quick."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, Parameter
from cyclopts.validators import Number

import ai_coordination_engine
from ai_coordination_engine.entrypoints.example_commands import examples
from ai_coordination_engine.entrypoints.failures import FAILED, Failure, explain
from ai_coordination_engine.entrypoints.output import close, on_one_line, prepare, write, write_error, write_json

if TYPE_CHECKING:
    from ai_coordination_engine.engine.app import App as Engine
    from ai_coordination_engine.entrypoints.client import AgentView, Client, SessionView
    from ai_coordination_engine.entrypoints.dead_letters import DeadLetters
    from ai_coordination_engine.entrypoints.run_file import RunFile
    from ai_coordination_engine.entrypoints.server import Running
    from ai_coordination_engine.entrypoints.terminal import Terminal
    from ai_coordination_engine.settings import Settings

# Imports inside functions are about the start: moto, uvicorn and the schema take half a second together.
# ruff: noqa: PLC0415

INTERRUPTED = 130
SHOWN_LINES = 8

_CURL = (
    """curl -s {url} -H 'content-type: application/json' """
    """-d '{{"query": "{{ sessionList {{ sessionList {{ sessionUuid status taskQuery }} }} }}"}}'"""
)

Port = Annotated[
    int | None,
    Parameter(help="Port of the API on 127.0.0.1. Default: 8000, or any free one.", validator=Number(gte=0, lte=65535)),
]
DataDir = Annotated[
    Path | None, Parameter(help="Directory in which the embedded AWS keeps its state. Default: nothing is kept.")
]
Aws = Annotated[
    bool,
    Parameter(negative=(), help="Use the AWS account that the standard variables name, not the embedded AWS."),
]

app = App(
    name="ace",
    help="Runs several AI agents on one job, in the order of their dependencies.",
    version=ai_coordination_engine.__version__,
)
tables = App(name="tables", help="The DynamoDB tables.")
schema = App(name="schema", help="The GraphQL schema.")
dlq = App(name="dlq", help="The dead-letter queue: messages whose step failed each time.")
app.command(examples)
app.command(tables)
app.command(dlq)
app.command(schema)


@app.command
def serve(*, port: Port = None, data_dir: DataDir = None, aws: Aws = False) -> None:
    """Serve the API and run the agents on this machine, until Ctrl-C."""
    from ai_coordination_engine.entrypoints.server import serving

    console = _console()
    with serving(_settings(), port=port, data_dir=data_dir, aws=aws) as running:
        console.print(_runtime_note(running))
        _introduce(console, running)
        _until_stopped(console)


@app.command
def demo(
    *,
    port: Port = None,
    data_dir: DataDir = None,
    exit_: Annotated[bool, Parameter(name="--exit", negative=(), help="Stop after the run.")] = False,
) -> None:
    """Start everything, run an example coordination to its end, and keep serving until Ctrl-C.

    With OPENAI_API_KEY, OPENAI_BASE_URL or ACE_OPENAI_ENDPOINTS the agents are a model; without, a built-in function.
    """
    from ai_coordination_engine.entrypoints.example_files import example
    from ai_coordination_engine.entrypoints.run_file import read_run_file
    from ai_coordination_engine.entrypoints.server import serving

    console = _console()
    with as_file(example("research_brief").source) as brief:
        plan = read_run_file(brief)
    with serving(_settings(), port=port, data_dir=data_dir) as running:
        console.print(f"{plan.coordination_name}, {len(plan.agents)} agents. {_runtime_note(running)}\n")
        view = _run(console, running, plan)
        for agent in view.agents:
            _print_output(console, agent)
        _introduce(console, running)
        if not exit_:
            _until_stopped(console)
    if view.status != "completed":
        raise Failure(_why(view), FAILED)


@app.command
def run(
    file: Annotated[Path, Parameter(help="YAML file with a coordination, a task and a query.")],
    *,
    query: Annotated[str | None, Parameter(help="Query in place of the file's; JSON fills {placeholders}.")] = None,
    json_: Annotated[bool, Parameter(name="--json", negative=(), help="Print the session as JSON.")] = False,
    data_dir: DataDir = None,
    aws: Aws = False,
) -> None:
    """Run one coordination file to its end and print the result. Exits with 1 when the session failed."""
    from dataclasses import replace

    from ai_coordination_engine.domain.charsets import without_mark
    from ai_coordination_engine.entrypoints.client import as_json, as_text
    from ai_coordination_engine.entrypoints.run_checks import not_allowed
    from ai_coordination_engine.entrypoints.run_file import read_run_file
    from ai_coordination_engine.entrypoints.server import serving
    from ai_coordination_engine.errors import BadUserInput

    plan = read_run_file(file)
    if query is not None:
        plan = replace(plan, task_query=without_mark(query))
    console = _console(stderr=True)
    with serving(_settings(), port=0, data_dir=data_dir, aws=aws) as running:
        allow_list = running.app.allow_list
        if allow_list and (problems := list(not_allowed(allow_list, plan))):
            raise BadUserInput("\n".join(problems))
        if not all(agent.get("runtime") for agent in plan.agents):
            console.print(_runtime_note(running))
        if data_dir:
            _note_open_sessions(console, running)
        view = _run(console, running, plan)
    if view.status == "completed" and view.logs:
        console.print(view.logs)
    if json_:
        write_json(as_json(view))
    else:
        write(as_text(view))
    if view.status != "completed":
        raise Failure(_why(view), FAILED)


@tables.command
def create() -> None:
    """Create the tables that do not exist yet, where the standard AWS variables point to."""
    from ai_coordination_engine.bootstrap import create_tables

    created = create_tables(_settings())
    _console().print("\n".join(f"Created {name}." for name in created) or "All tables are there.")


@dlq.command(name="list")
def list_dead_letters(*, data_dir: DataDir = None, aws: Aws = False) -> None:
    """List what is in the dead-letter queue, and leave it there."""
    from ai_coordination_engine.entrypoints.dead_letters import listed

    with _dead_letters(data_dir, aws) as (engine, letters):
        found = listed(engine, letters)
    _console().print("\n".join(on_one_line(letter.line) for letter in found) or "There are no dead letters.")


@dlq.command
def redrive(*, data_dir: DataDir = None, aws: Aws = False) -> None:
    """Bring dead letters back, so that their sessions go on. Exits with 1 when some have to stay."""
    from ai_coordination_engine.entrypoints import dead_letters

    console, stay = _console(), 0
    with _dead_letters(data_dir, aws) as (engine, letters):
        count = 0
        for letter, done in dead_letters.redrive(engine, letters):
            count += 1
            stay += not done
            console.print(f"{on_one_line(letter.line)}: {done or 'stays'}")
    if not count:
        console.print("There are no dead letters.")
    elif data_dir and count > stay:
        console.print(f"They are worked off by: ace serve --data-dir {data_dir}")
    if stay:
        raise Failure(f"{stay} of {count} dead letters stay where they are.", FAILED)


@contextmanager
def _dead_letters(data_dir: Path | None, aws: bool) -> Iterator[tuple["Engine", "DeadLetters"]]:
    from ai_coordination_engine import bootstrap
    from ai_coordination_engine.entrypoints.dead_letters import DeadLetters
    from ai_coordination_engine.entrypoints.journal_file import has_data
    from ai_coordination_engine.entrypoints.server import chosen_aws, has_endpoint, log_to_stderr

    settings = _settings()
    log_to_stderr(settings)
    elsewhere = aws or has_endpoint()
    if not elsewhere and not data_dir:
        raise Failure("Say where the queue is: --data-dir DIR, or --aws with ACE_QUEUE_URL.")
    if elsewhere and not settings.queue_url:
        raise Failure("Set ACE_QUEUE_URL to the URL of the queue, and ACE_BUCKET to the name of the bucket.")
    if not elsewhere and data_dir and not has_data(data_dir):
        raise Failure(f"There is no data in {data_dir}; name the directory of: ace serve --data-dir DIR")
    with chosen_aws(data_dir, aws=aws):
        if not elsewhere:
            bootstrap.create_tables(settings)
            settings = bootstrap.create_queue_and_bucket(settings)
        engine = bootstrap.build_app(settings)
        yield engine, DeadLetters.of(engine)


@app.command(name="webhook-key")
def webhook_key(
    tenant: Annotated[str, Parameter(help="The endpoint id, or endpointId#partId.")],
) -> None:
    """Print the key with which the long jobs of a tenant sign what they report to /async-tasks."""
    from ai_coordination_engine.api.identity import SEPARATOR, tenant_of
    from ai_coordination_engine.api.webhooks import master_keys, tenant_key
    from ai_coordination_engine.bootstrap import secrets_manager

    settings = _settings()
    master = next(master_keys(settings, secrets_manager()), None)
    if master is None:
        raise Failure("Set ACE_WEBHOOK_KEY or ACE_WEBHOOK_KEY_SECRET as the server has it; the tenant's key follows.")
    endpoint_id, separator, part_id = tenant.partition(SEPARATOR)
    checked = tenant_of(endpoint_id, part_id if separator else None)
    write(tenant_key(master, checked))


@schema.command(name="print")
def print_schema() -> None:
    """Print the schema of the API as SDL."""
    from ai_coordination_engine.api.schema import SCHEMA

    write(str(SCHEMA))


def main() -> NoReturn:
    """Run the command line and exit: 0 good, 1 the session or the command failed, 2 wrong input, 130 interrupted."""
    from ai_coordination_engine.settings import keep_loopback_from_proxies

    for ending in (signal.SIGINT, signal.SIGTERM):  # a shell starts what is in the background with SIGINT ignored
        signal.signal(ending, signal.default_int_handler)
    keep_loopback_from_proxies()
    prepare()
    code = 0
    try:
        app(result_action="return_value", exit_on_error=False, print_error=False)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        message, code = explain(error)
        write_error(message)
    finally:
        problem = close()
    if problem:
        write_error(f"ace: {problem}")
    sys.exit(code or (FAILED if problem else 0))


def _settings() -> "Settings":
    from pydantic_settings import SettingsError

    from ai_coordination_engine.settings import Settings, unknown_variables

    for name, meant in unknown_variables():
        write_error(f"ace: {on_one_line(name)} is no setting" + (f"; did you mean {meant}?" if meant else "."))
    try:
        return Settings()
    except SettingsError as error:  # a structured variable that is no JSON
        name = str(error).split('"')[1].upper()  # error parsing value for field "functions" from source …
        raise Failure(f"ACE_{name}: it is no JSON: {error.__cause__}") from error


def _console(*, stderr: bool = False) -> "Terminal":
    from ai_coordination_engine.entrypoints.terminal import Terminal

    return Terminal(stderr=stderr)


def _runtime_note(running: "Running") -> str:
    if running.model:
        return f"Agents without a runtime ask the model endpoint {running.model!r}."
    if running.app.settings.default_runtime != {"kind": "function", "name": "echo"}:
        return f"Agents without a runtime run on {running.app.settings.default_runtime}."
    return "No model is configured: agents without a runtime are the built-in function echo, which answers its input."


def _run(console: "Terminal", running: "Running", run: "RunFile") -> "SessionView":
    from ai_coordination_engine.entrypoints.client import Client
    from ai_coordination_engine.entrypoints.progress import Progress
    from ai_coordination_engine.entrypoints.run_checks import idle_agents

    progress = Progress(console)
    with Client(running.url) as client:
        for line in idle_agents(run):
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


def _ask(console: "Terminal", client: "Client", view: "SessionView", agent: "AgentView") -> None:
    """Show a person what the agent is given, and ask until the API takes the answer."""
    if not sys.stdin.isatty():
        if agent.default_answer is None:
            raise Failure(f"{agent.name} waits for an answer of {agent.asks}; run it in a terminal.", FAILED)
        console.print(
            f"{on_one_line(agent.name)} asks {on_one_line(agent.asks or '')}, and there is no terminal: "
            f"the default answer is given: {on_one_line(agent.default_answer)}"
        )
        _give(console, client, view, agent, agent.default_answer)
        return
    given = client.given(view, agent)
    if given:
        console.print(f"\n{on_one_line(agent.name)} is given:", style="bold")
        console.print("\n".join(f"  {line}" for line in given.rstrip().split("\n")))
    while True:
        try:
            text = console.input(
                f"{on_one_line(agent.name)} asks {on_one_line(agent.asks or '')}: ", markup=False, emoji=False
            )
        except EOFError as error:
            raise Failure(f"{agent.name} still waits for an answer of {agent.asks}.", FAILED) from error
        if text.strip() and _give(console, client, view, agent, text):
            return


def _give(console: "Terminal", client: "Client", view: "SessionView", agent: "AgentView", text: str) -> bool:
    """Give an answer; False when the API does not take this one. Somebody else may have been faster."""
    from ai_coordination_engine.entrypoints.client import ApiError

    try:
        client.answer(view, agent, text)
    except ApiError as error:
        console.print(str(error))
        if error.code not in ("BAD_USER_INPUT", "CONFLICT"):
            raise
        return error.code == "CONFLICT"
    return True


def _note_open_sessions(console: "Terminal", running: "Running") -> None:
    from ai_coordination_engine.entrypoints.client import Client

    with Client(running.url) as client:
        for session in client.open_sessions():
            console.print(f"Open from before, and going on: session {on_one_line(session)}")


def _why(view: "SessionView") -> str:
    failed = [agent for agent in view.agents if agent.state == "failed"]
    notes = [f"{on_one_line(agent.name)}: {agent.notes or 'no reason given'}" for agent in failed]
    return f"the session is {view.status}. {'; '.join(notes) or view.logs or ''}".strip()


def _print_output(console: "Terminal", agent: "AgentView") -> None:
    lines = (agent.output or agent.notes or "").rstrip().split("\n")
    more = [f"… {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
    console.print(f"\n{on_one_line(agent.name)} ({agent.state})", style="bold")
    console.print("\n".join(f"  {line}" for line in [*lines[:SHOWN_LINES], *more]))


def _introduce(console: "Terminal", running: "Running") -> None:
    for note in running.notes:
        console.print(note)
    console.print(
        f"\nOpen: {running.page}\nAPI:  {running.url}\nAWS:  {running.aws}\nTry:  {_CURL.format(url=running.url)}"
    )


def _until_stopped(console: "Terminal") -> None:
    console.print("Serving until Ctrl-C.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("Stopping.")
