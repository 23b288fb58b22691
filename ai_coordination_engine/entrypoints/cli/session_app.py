"""The commands and options for sessions. Each command imports its code when it runs."""

from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from ai_coordination_engine.entrypoints.cli.remote_options import Remote
from ai_coordination_engine.entrypoints.cli.whole_numbers import whole_number

# Commands import their code when they run, so that help is quick.
# ruff: noqa: PLC0415

Id = Annotated[str, Parameter(help="The session's uuid, or its first characters.")]
AgentId = Annotated[str, Parameter(help="The agent's name, or the first characters of its uuid.")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")]
Yes = Annotated[bool, Parameter(negative=(), help="Do it without asking.")]
Limit = Annotated[
    int,
    Parameter(help="How many, at most.", converter=whole_number, validator=Number(gte=1, lte=1000)),
]
Cursor = Annotated[str | None, Parameter(help="Where the previous page ended.")]
NOWHERE = Remote()


def add_session_commands(app: App) -> None:
    """Add them to `ace`."""
    looking = (sessions, show, watch, logs, inbox, costs)
    for each in (*looking, answer, cancel, pause, resume, retry, rerun, fork):
        app.command(each)


def sessions(
    *,
    status: Annotated[
        list[str] | None, Parameter(help="Only with this status; may be repeated.", negative=())
    ] = None,
    task: Annotated[str | None, Parameter(help="Only of this task: its name or uuid.")] = None,
    user: Annotated[str | None, Parameter(help="Only of this user.")] = None,
    waiting: Annotated[
        bool, Parameter(negative=(), help="Only those that wait for a person.")
    ] = False,
    limit: Limit = 20,
    cursor: Cursor = None,
    json_: Json = False,
    remote: Remote = NOWHERE,
) -> None:
    """List sessions, the newest first."""
    from ai_coordination_engine.entrypoints.cli import session_commands

    session_commands.sessions(
        remote,
        statuses=status or (),
        task=task,
        user=user,
        waits=waiting,
        limit=limit,
        cursor=cursor,
        with_json=json_,
    )


def show(
    session: Id,
    /,
    *,
    all_: Annotated[
        bool, Parameter(name="--all", negative=(), help="Show all elements of maps.")
    ] = False,
    json_: Json = False,
    remote: Remote = NOWHERE,
) -> None:
    """Show a session: its agents as a tree, their states, and why they do not run."""
    from ai_coordination_engine.entrypoints.cli import session_commands

    session_commands.show(remote, session, with_all=all_, with_json=json_)


def watch(session: Id, /, *, json_: Json = False, remote: Remote = NOWHERE) -> None:
    """Watch a session until it ends, and print its result. Exits with 1 if it did not complete.

    Ctrl-C stops watching; the session goes on.
    """
    from ai_coordination_engine.entrypoints.cli import session_commands

    session_commands.watch(remote, session, with_json=json_)


def logs(
    session: Id,
    /,
    *,
    follow: Annotated[
        bool, Parameter(name=("--follow", "-f"), negative=(), help="Go on until the session ends.")
    ] = False,
    json_: Annotated[
        bool, Parameter(name="--json", negative=(), help="Print a JSON object for each event.")
    ] = False,
    remote: Remote = NOWHERE,
) -> None:
    """Print what happened in a session: its attempts, their errors, questions and ends."""
    from ai_coordination_engine.entrypoints.cli import log_command

    log_command.logs(remote, session, follows=follow, with_json=json_)


def inbox(
    *,
    user: Annotated[str | None, Parameter(help="Only what this person is asked.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json_: Json = False,
    remote: Remote = NOWHERE,
) -> None:
    """List what waits for a person, the latest first."""
    from ai_coordination_engine.entrypoints.cli import session_commands

    session_commands.inbox(remote, user=user, limit=limit, cursor=cursor, with_json=json_)


def answer(
    where: Annotated[
        str, Parameter(help="The uuid of the session or session agent, or its first characters.")
    ],
    text: Annotated[
        str | None, Parameter(help="The answer; one that begins with a dash comes after --.")
    ] = None,
    /,
    *,
    stdin: Annotated[
        bool, Parameter(name="-", negative=(), help="Read the answer from stdin.")
    ] = False,
    agent: Annotated[str | None, Parameter(help="Which agent, if several wait.")] = None,
    json_: Json = False,
    remote: Remote = NOWHERE,
) -> None:
    """Answer an agent that waits for a person."""
    from ai_coordination_engine.entrypoints.cli import control_commands

    given = control_commands.given_answer(text, from_stdin=stdin)
    control_commands.answer(remote, where, given, agent=agent, with_json=json_)


def costs(
    *,
    from_: Annotated[
        str | None,
        Parameter(name="--from", help="The first day. Default: 29 days before the last."),
    ] = None,
    to: Annotated[str | None, Parameter(help="The last day. Default: today.")] = None,
    by: Annotated[
        Literal["day", "agent", "model", "coordination"],
        Parameter(help="What the rows are of."),
    ] = "day",
    json_: Json = False,
    remote: Remote = NOWHERE,
) -> None:
    """Print what agents used and cost, day by day in UTC; a session counts once it has ended."""
    from ai_coordination_engine.entrypoints.cli import cost_command

    cost_command.costs(remote, first=from_, last=to, by=by, with_json=json_)


def cancel(
    session: Id, /, *, yes: Yes = False, json_: Json = False, remote: Remote = NOWHERE
) -> None:
    """Cancel a session."""
    _change("cancel", session, remote, yes=yes, with_json=json_)


def pause(session: Id, /, *, json_: Json = False, remote: Remote = NOWHERE) -> None:
    """Pause a session: no further attempt begins, and running ones continue to their end."""
    _change("pause", session, remote, with_json=json_)


def resume(session: Id, /, *, json_: Json = False, remote: Remote = NOWHERE) -> None:
    """Continue a paused session."""
    _change("resume", session, remote, with_json=json_)


def retry(session: Id, /, *, json_: Json = False, remote: Remote = NOWHERE) -> None:
    """Run again the agents that failed, were skipped or cancelled; completed ones are kept."""
    _change("retry", session, remote, with_json=json_)


def _change(name: str, session: str, remote: Remote, *, yes: bool = True, with_json: bool) -> None:
    from ai_coordination_engine.entrypoints.cli import control_commands

    control_commands.change(remote, name, session, yes=yes, with_json=with_json)


def rerun(
    session: Id,
    agent: AgentId,
    /,
    *,
    yes: Yes = False,
    json_: Json = False,
    remote: Remote = NOWHERE,
) -> None:
    """Run one agent of an ended session, and all agents that depend on it, again."""
    from ai_coordination_engine.entrypoints.cli import control_commands

    control_commands.rerun(remote, session, agent, yes=yes, with_json=json_)


def fork(
    session: Id,
    /,
    *,
    from_: Annotated[
        str | None,
        Parameter(
            name="--from", help="The first agent to run. Default: all that did not complete."
        ),
    ] = None,
    query: Annotated[str | None, Parameter(help="The query of the copy.")] = None,
    json_: Json = False,
    remote: Remote = NOWHERE,
) -> None:
    """Start a copy of a session that runs from a given agent on."""
    from ai_coordination_engine.entrypoints.cli import control_commands

    control_commands.fork(remote, session, agent=from_, query=query, with_json=json_)
