"""`ace`: the command line. What a command needs is imported when it runs, so that help is quick."""

import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

from cyclopts import App, Parameter
from cyclopts.validators import Number
from pydantic_settings import SettingsError

import ai_coordination_engine
from ai_coordination_engine.entrypoints.cli.example_commands import examples
from ai_coordination_engine.entrypoints.cli.explanations import explain
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.output import (
    close,
    on_one_line,
    prepare,
    write,
    write_error,
)
from ai_coordination_engine.entrypoints.cli.schedule_commands import schedule
from ai_coordination_engine.settings import Settings, keep_loopback_from_proxies, unknown_variables

# A command imports what carries it out when it runs, so that help is quick: moto and uvicorn take
# half a second. ruff: noqa: PLC0415

INTERRUPTED = 130

Port = Annotated[
    int | None,
    Parameter(
        help="Port of the API on 127.0.0.1. Default: 8000, or any free one.",
        validator=Number(gte=0, lte=65535),
    ),
]
DataDir = Annotated[
    Path | None,
    Parameter(
        help="Directory in which the embedded AWS keeps its state. Default: nothing is kept."
    ),
]
Aws = Annotated[
    bool,
    Parameter(
        negative=(),
        help="Use the AWS account that the standard variables name, not the embedded AWS.",
    ),
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
app.command(schedule)


@app.command
def serve(*, port: Port = None, data_dir: DataDir = None, aws: Aws = False) -> None:
    """Serve the API and run the agents on this machine, until Ctrl-C."""
    from ai_coordination_engine.entrypoints.cli import run_commands  # noqa: PLC0415

    run_commands.serve(_settings(), port, data_dir, aws=aws)


@app.command
def demo(
    *,
    port: Port = None,
    data_dir: DataDir = None,
    exit_: Annotated[
        bool, Parameter(name="--exit", negative=(), help="Stop after the run.")
    ] = False,
) -> None:
    """Start everything, run an example coordination to its end, and keep serving until Ctrl-C.

    With OPENAI_API_KEY, OPENAI_BASE_URL or ACE_OPENAI_ENDPOINTS the agents are a model; without, a
    built-in function.
    """
    from ai_coordination_engine.entrypoints.cli import run_commands  # noqa: PLC0415

    run_commands.demo(_settings(), port, data_dir, stop=exit_)


@app.command
def run(
    file: Annotated[Path, Parameter(help="YAML file with a coordination, a task and a query.")],
    *,
    query: Annotated[
        str | None, Parameter(help="Query in place of the file's; JSON fills {placeholders}.")
    ] = None,
    json_: Annotated[
        bool, Parameter(name="--json", negative=(), help="Print the session as JSON.")
    ] = False,
    data_dir: DataDir = None,
    aws: Aws = False,
) -> None:
    """Run one coordination file to its end and print the result. Exits with 1 when the session
    failed.
    """
    from ai_coordination_engine.entrypoints.cli import run_commands  # noqa: PLC0415

    plan = run_commands.plan_of(file, query)
    run_commands.run(_settings(), plan, data_dir, with_json=json_, aws=aws)


@tables.command
def create() -> None:
    """Create the tables that do not exist yet, where the standard AWS variables point to."""
    from ai_coordination_engine.bootstrap import create_tables  # noqa: PLC0415

    created = create_tables(_settings())
    write("\n".join(f"Created {name}." for name in created) or "All tables are there.")


@dlq.command(name="list")
def list_dead_letters(*, data_dir: DataDir = None, aws: Aws = False) -> None:
    """List what is in the dead-letter queue, and leave it there."""
    from ai_coordination_engine.entrypoints.cli import dead_letter_commands  # noqa: PLC0415

    dead_letter_commands.show(_settings(), data_dir, aws=aws)


@dlq.command
def redrive(*, data_dir: DataDir = None, aws: Aws = False) -> None:
    """Bring dead letters back, so that their sessions go on. Exits with 1 when some have to
    stay.
    """
    from ai_coordination_engine.entrypoints.cli import dead_letter_commands  # noqa: PLC0415

    dead_letter_commands.redrive(_settings(), data_dir, aws=aws)


@app.command(name="webhook-key")
def webhook_key(
    tenant: Annotated[str, Parameter(help="The endpoint id, or endpointId#partId.")],
) -> None:
    """Print the key with which the long jobs of a tenant sign what they report to /async-tasks."""
    from ai_coordination_engine.entrypoints.cli.webhook_keys import key_of  # noqa: PLC0415

    write(key_of(tenant, _settings()))


@schema.command(name="print")
def print_schema() -> None:
    """Print the schema of the API as SDL."""
    from ai_coordination_engine.api.schema import SCHEMA  # noqa: PLC0415

    write(str(SCHEMA))


def main() -> NoReturn:
    """Run the command line and exit: 0 good, 1 the session or the command failed, 2 wrong input,
    130 interrupted.
    """
    # a shell starts what is in the background with SIGINT ignored
    for ending in (signal.SIGINT, signal.SIGTERM):
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


def _settings() -> Settings:
    for name, meant in unknown_variables():
        write_error(
            f"ace: {on_one_line(name)} is no setting"
            + (f"; did you mean {meant}?" if meant else ".")
        )
    try:
        return Settings()
    except SettingsError as error:  # a structured variable that is no JSON
        # error parsing value for field "functions" from source …
        name = str(error).split('"')[1].upper()
        raise Failure(f"ACE_{name}: it is no JSON: {error.__cause__}") from error
