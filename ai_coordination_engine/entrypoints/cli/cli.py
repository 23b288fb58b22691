"""The commands and options of `ace`. Each command imports its code when it runs."""

import signal
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from cyclopts import App, Parameter
from cyclopts.validators import Number

import ai_coordination_engine
from ai_coordination_engine.entrypoints.cli.example_commands import examples, init
from ai_coordination_engine.entrypoints.cli.explanations import explain
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.output import (
    close,
    on_one_line,
    prepare,
    write,
    write_error,
)
from ai_coordination_engine.entrypoints.cli.remote_options import Remote
from ai_coordination_engine.entrypoints.cli.schedule_commands import schedule
from ai_coordination_engine.entrypoints.cli.session_app import NOWHERE, add_session_commands
from ai_coordination_engine.entrypoints.cli.whole_numbers import whole_number
from ai_coordination_engine.entrypoints.cold_start import without_collections
from ai_coordination_engine.settings import (
    NotJson,
    Settings,
    keep_loopback_from_proxies,
    unknown_variables,
)

# Commands import their code when they run, so that help is quick: boto3 and uvicorn take half a
# second. ruff: noqa: PLC0415

INTERRUPTED = 130

Port = Annotated[
    int | None,
    Parameter(
        help="Port of the API on 127.0.0.1. Default: 8000, or a free one if that is taken.",
        converter=whole_number,
        validator=Number(gte=0, lte=65535),
    ),
]
DataDir = Annotated[
    Path | None,
    Parameter(help="Directory in which the state is kept, in ace.db. Default: nothing is kept."),
]
StateDir = Annotated[Path | None, Parameter(help="Directory of ace serve --data-dir.")]
Aws = Annotated[
    bool,
    Parameter(
        negative=(),
        help="Keep the state on the AWS account of the standard variables.",
    ),
]

Durable = Annotated[
    Literal["full", "process"] | None,
    Parameter(
        name="--durability",
        help="What a change in the data directory survives: a loss of power (full, the default), or"
        " the end of the process alone (process: faster).",
    ),
]
Workers = Annotated[
    int,
    Parameter(
        help="How many processes run agents, this one included.",
        converter=whole_number,
        validator=Number(gte=1, lte=64),
    ),
]


def _is_no_option(_: object, file: Path) -> None:
    if str(file).startswith("-") and file != Path("-"):
        raise ValueError(f"there is no such option here; a file of this name is ./{file}")


File = Annotated[
    Path,
    Parameter(
        help="YAML file with a coordination, a task and a query; - reads it from stdin.",
        allow_leading_hyphen=True,
        validator=_is_no_option,
    ),
]
Query = Annotated[
    str | None, Parameter(help="Query to use instead of the file's; JSON fills {placeholders}.")
]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print the result as JSON.")]

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
app.command(init)
app.command(schedule)
add_session_commands(app)


@app.command
def serve(
    *,
    port: Port = None,
    data_dir: DataDir = None,
    durability: Durable = None,
    workers: Workers = 1,
    aws: Aws = False,
    reload: Annotated[
        bool,
        Parameter(negative=(), help="Load functions anew when their files change."),
    ] = False,
) -> None:
    """Serve the API and run the agents on this machine, until Ctrl-C."""
    with without_collections():
        from ai_coordination_engine.entrypoints.cli import serve_command  # noqa: PLC0415

    serve_command.serve(
        _settings(),
        port,
        data_dir,
        aws=aws,
        durability=durability,
        workers=workers,
        reload=reload,
    )


@app.command
def worker(
    *,
    data_dir: Annotated[Path, Parameter(help="Directory of: ace serve --data-dir DIR.")],
    durability: Durable = None,
    workers: Workers = 1,
) -> None:
    """Run agents of a data directory in a further process, until Ctrl-C.

    It may start before or after the server, which fires schedules and repairs sessions.
    """
    with without_collections():
        from ai_coordination_engine.entrypoints.cli import worker_command  # noqa: PLC0415

    worker_command.work(_settings(), data_dir, durability or "full", workers)


@app.command
def demo(
    *,
    port: Port = None,
    data_dir: DataDir = None,
    durability: Durable = None,
    exit_: Annotated[
        bool, Parameter(name="--exit", negative=(), help="Stop after the run.")
    ] = False,
) -> None:
    """Start everything, run an example to its end, and keep serving until Ctrl-C.

    The agents use a model if OPENAI_API_KEY, OPENAI_BASE_URL or ACE_OPENAI_ENDPOINTS is set, and a
    built-in function otherwise.
    """
    with without_collections():
        from ai_coordination_engine.entrypoints.cli import run_commands  # noqa: PLC0415

    run_commands.demo(_settings(), port, data_dir, stop=exit_, durability=durability)


@app.command
def run(
    file: File,
    *,
    query: Query = None,
    answer: Annotated[
        list[str] | None,
        Parameter(
            negative=(),
            help="WHO=TEXT: the answer for an agent, or for the person whom it asks. May be"
            " repeated.",
        ),
    ] = None,
    json_: Json = False,
    durability: Durable = None,
    aws: Aws = False,
    remote: Remote = NOWHERE,
) -> None:
    """Run a file until its session ends and print the result. Exits with 1 if the session
    failed.

    It runs on the server that --url or ACE_URL names, or that holds the data directory; or else on
    one that lives as long as the run, whose state is kept in the data directory.
    """
    with without_collections():
        from ai_coordination_engine.entrypoints.cli import run_commands  # noqa: PLC0415
    from ai_coordination_engine.entrypoints.run_file.run_file import read_run_file  # noqa: PLC0415

    place = run_commands.Place(remote, aws=aws, durability=durability)
    run_commands.run(_settings(), read_run_file(file, query), place, answer or (), with_json=json_)


@app.command
def check(
    file: File,
    *,
    query: Query = None,
    json_: Json = False,
) -> None:
    """Check a file and print what a run would do, without running it. Exits with 2 if it is
    invalid.
    """
    from ai_coordination_engine.entrypoints.cli import check_command  # noqa: PLC0415
    from ai_coordination_engine.entrypoints.run_file.run_file import read_run_file  # noqa: PLC0415

    check_command.check(_settings(), read_run_file(file, query), with_json=json_)


@app.command
def backup(
    file: Annotated[Path, Parameter(help="File to save the state to.")],
    *,
    data_dir: StateDir = None,
    force: Annotated[bool, Parameter(negative=(), help="Replace an existing file.")] = False,
) -> None:
    """Save the state in a data directory to a file, also while a server runs and writes.

    To restore it, stop the server, copy the file to ace.db in an empty directory, and start it.
    """
    from ai_coordination_engine.entrypoints.cli import backup_command  # noqa: PLC0415

    backup_command.backup(file, data_dir, force=force)


@app.command(name="check-db")
def check_db(
    file: Annotated[Path | None, Parameter(help="A backup; or else name --data-dir.")] = None,
    *,
    data_dir: StateDir = None,
    vacuum: Annotated[
        bool,
        Parameter(
            negative=(), help="Also give free space back to the disk; stop the server first."
        ),
    ] = False,
) -> None:
    """Check the file in a data directory, also while a server runs, or a backup. Exits with 1 if
    something is wrong, and says what to do.
    """
    from ai_coordination_engine.entrypoints.cli import check_db_command  # noqa: PLC0415

    check_db_command.check_db(file, data_dir, vacuums=vacuum)


@tables.command
def create() -> None:
    """Create the tables that do not exist yet, in the AWS of the standard variables."""
    from ai_coordination_engine.bootstrap import create_tables  # noqa: PLC0415

    created = create_tables(_settings())
    write("\n".join(f"Created {name}." for name in created) or "All tables exist.")


@dlq.command(name="list")
def list_dead_letters(*, data_dir: DataDir = None, aws: Aws = False) -> None:
    """List the messages in the dead-letter queue and leave them there."""
    from ai_coordination_engine.entrypoints.cli import dead_letter_commands  # noqa: PLC0415

    dead_letter_commands.show(_settings(), data_dir, aws=aws)


@dlq.command
def redrive(*, data_dir: DataDir = None, aws: Aws = False) -> None:
    """Send the dead letters again, so that their sessions continue. Exits with 1 if some remain."""
    from ai_coordination_engine.entrypoints.cli import dead_letter_commands  # noqa: PLC0415

    dead_letter_commands.redrive(_settings(), data_dir, aws=aws)


@app.command(name="webhook-key")
def webhook_key(
    tenant: Annotated[str, Parameter(help="The endpoint id, or endpointId#partId.")],
) -> None:
    """Print the key with which a tenant's long jobs sign their requests to /async-tasks."""
    from ai_coordination_engine.entrypoints.cli.webhook_keys import key_of  # noqa: PLC0415

    write(key_of(tenant, _settings()))


@app.command
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="The shell.")],
) -> None:
    """Print a script that completes commands and options of ace in a shell."""
    write(app.generate_completion(shell=shell))


@schema.command(name="print")
def print_schema(
    *,
    enums: Annotated[
        bool,
        Parameter(negative=(), help="With enums for statuses and states, for code generators."),
    ] = False,
) -> None:
    """Print the schema of the API as SDL."""
    from ai_coordination_engine.api.enums import with_enums  # noqa: PLC0415
    from ai_coordination_engine.api.schema import SCHEMA  # noqa: PLC0415

    write(with_enums(str(SCHEMA)) if enums else str(SCHEMA))


def main() -> NoReturn:
    """Run the command line and exit.

    The exit code is 0 for success, 1 when the session or the command failed, 2 for wrong input, and
    130 when interrupted.
    """
    # A shell starts background processes with SIGINT ignored, and `nohup` those with SIGHUP.
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if ending != signal.SIGHUP or signal.getsignal(ending) != signal.SIG_IGN:
            signal.signal(ending, signal.default_int_handler)
    keep_loopback_from_proxies()
    prepare()
    code = 0
    try:
        _warn_of_unknown_variables()
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


def _warn_of_unknown_variables() -> None:
    for name, meant in unknown_variables():
        write_error(
            f"ace: {on_one_line(name)} is not a setting"
            + (f"; did you mean {meant}?" if meant else ".")
        )


def _settings() -> Settings:
    try:
        return Settings()
    except NotJson as error:
        raise Failure(str(error)) from error
