"""The commands that steer sessions: `cancel`, `pause`, `resume`, `retry`, `rerun`, `fork` and
`answer`.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ai_coordination_engine.client import UNSET, BadUserInput
from ai_coordination_engine.client.records import Session
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.entrypoints.cli.client import UPDATED_BY, Client
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.finding import find_agent, find_session
from ai_coordination_engine.entrypoints.cli.output import on_one_line, write, write_json
from ai_coordination_engine.entrypoints.cli.remote import client_of
from ai_coordination_engine.entrypoints.cli.remote_options import Remote
from ai_coordination_engine.entrypoints.cli.session_view import (
    AgentView,
    SessionView,
    as_json,
)

_NAMED = 10  # agents that a message names
_OWN = "sessionAgentUuid"
_QUESTIONS = """
query ($prefix: String) {
  bySession: userInbox(sessionUuidPrefix: $prefix, limit: 100) { ...Questions }
  byAgent: userInbox(sessionAgentUuidPrefix: $prefix, limit: 100) { ...Questions }
}
fragment Questions on UserInboxType {
  sessionAgentList { sessionAgentUuid sessionUuid coordinationUuid agentUuid agentName }
}"""


@dataclass(frozen=True)
class Change:
    """A change of a session: what it does, for a question, and how it is made."""

    warning: str | None
    make: Callable[[Client, Session], Session]


CHANGES = {
    "cancel": Change(
        "Cancel {session}? Agents that have not ended never run.",
        lambda client, session: client.cancel(session, by=UPDATED_BY),
    ),
    "pause": Change(None, lambda client, session: client.pause(session, by=UPDATED_BY)),
    "resume": Change(None, lambda client, session: client.resume(session, by=UPDATED_BY)),
    "retry": Change(None, lambda client, session: client.retry(session, by=UPDATED_BY)),
}


def change(remote: Remote, name: str, session: str, *, yes: bool, with_json: bool) -> None:
    """Make one of `CHANGES`, and say what it did."""
    with client_of(remote) as client:
        before = _found(client, session)
        wanted = CHANGES[name]
        if wanted.warning is not None:
            _confirm(wanted.warning.format(session=_title(before)), yes=yes)
        wanted.make(client, before.session)
        _tell(client, before, with_json=with_json)


def rerun(remote: Remote, session: str, agent: str, *, yes: bool, with_json: bool) -> None:
    """Run an agent and all that depend on it again, and say which."""
    with client_of(remote) as client:
        before = _found(client, session)
        found = find_agent(before.agents, agent)
        _confirm(
            f"Run {on_one_line(found.name)} and all that depend on it again in {_title(before)}?"
            " Their outputs are replaced.",
            yes=yes,
        )
        client.rerun(found.record, by=UPDATED_BY)
        _tell(client, before, with_json=with_json)


def fork(
    remote: Remote, session: str, *, agent: str | None, query: str | None, with_json: bool
) -> None:
    """Start a copy of a session from an agent on, and say how to watch it."""
    with client_of(remote) as client:
        before = _found(client, session)
        first = find_agent(before.agents, agent) if agent is not None else None
        copy = client.fork(
            before.session,
            from_session_agent_uuid=first.uuid if first else UNSET,
            task_query=UNSET if query is None else query,
            by=UPDATED_BY,
        )
        if with_json:
            write_json(as_json(client.view(copy.coordination_uuid, copy.session_uuid)))
            return
    which = (
        f"from {on_one_line(first.name)} on" if first else "with the agents that did not complete"
    )
    write(
        f"Session {copy.session_uuid} is a copy of {before.session.session_uuid} that runs {which}."
        f" Watch it: {remote.command('watch', copy.session_uuid)}"
    )


def given_answer(text: str | None, *, from_stdin: bool) -> str:
    """Return the answer of the command line or of stdin; raises `Failure` unless there is one."""
    if from_stdin == (text is not None):
        raise Failure("Give the answer, or - to read it from stdin.")
    answer = text if text is not None else sys.stdin.read()
    if not answer.strip():
        raise Failure("The answer is empty.")
    return answer


def answer(remote: Remote, where: str, text: str, *, agent: str | None, with_json: bool) -> None:
    """Answer the question of a session or of a session agent."""
    with client_of(remote) as client:
        view, asked = _question(client, where, agent)
        try:
            client.answer(asked.record, text)
        except BadUserInput as error:
            raise Failure(f"the answer is refused: {error.message}") from error
        if with_json:
            session = view.session
            write_json(as_json(client.view(session.coordination_uuid, session.session_uuid)))
            return
    write(
        f"Answered {on_one_line(asked.name)} of {_title(view)}"
        f"{f', which asked {on_one_line(asked.asks)}' if asked.asks else ''}."
    )


def _question(client: Client, where: str, agent: str | None) -> tuple[SessionView, AgentView]:
    """Return the session and the agent that are meant; `where` begins the uuid of either.

    Uuids of sessions and of their agents begin alike, so both are looked for. Raises `Failure` if
    not one question alone is meant.
    """
    found = _questions(client, where.strip())
    if agent is not None:
        found = [row for row in found if agent in _names(row) or row[_OWN].startswith(agent)]
    if len(found) == 1:
        view = client.view(found[0]["coordinationUuid"], found[0]["sessionUuid"])
        return view, find_agent(view.agents, found[0][_OWN])
    if found:
        listed = [f"{on_one_line(_names(row)[0])} ({row[_OWN]})" for row in found]
        raise Failure(
            f"{on_one_line(where)!r} means several questions: {_listed(listed)}. Give the uuid of"
            " one, or its name with --agent."
        )
    view = _found(client, where)
    if view.waiting:
        names = ", ".join(on_one_line(each.name) for each in view.waiting)
        raise Failure(f"{_title(view)} waits for an answer of {names}, not of {agent!r}.")
    raise Failure(f"{_title(view)} waits for nobody: it is {view.status}.", FAILED)


def _questions(client: Client, prefix: str) -> list[Any]:
    """The questions whose own uuid, or whose session's, is or begins with this text."""
    if not prefix:
        return []
    answer = client.execute(_QUESTIONS, {"prefix": prefix})
    rows = [row for page in answer.values() for row in page["sessionAgentList"]]
    by_uuid = {row[_OWN]: row for row in rows}
    exact = [row for row in by_uuid.values() if prefix in (row[_OWN], row["sessionUuid"])]
    return exact or [*by_uuid.values()]


def _names(row: Any) -> list[str]:
    return [str(row["agentName"] or row["agentUuid"]), str(row["agentUuid"])]


def _found(client: Client, session: str) -> SessionView:
    key = find_session(client, session)
    return client.view(key.coordination_uuid, key.session_uuid)


def _title(view: SessionView) -> str:
    return f"session {on_one_line(view.session.session_uuid)}"


def _confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal unless `yes`; raises `Failure` if the answer is no, or nobody is
    there.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure(f"{question} Say so with --yes.")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("nothing was changed.", FAILED)


def _tell(client: Client, before: SessionView, *, with_json: bool) -> None:
    """Say what a change did: the statuses before and after, and the agents that changed."""
    session = before.session
    after = client.view(session.coordination_uuid, session.session_uuid)
    if with_json:
        write_json(as_json(after))
        return
    write("\n".join([*_differences(before, after)]))


def _differences(before: SessionView, after: SessionView) -> Iterator[str]:
    title = _title(after).capitalize()
    if before.status == after.status:
        yield f"{title} is {after.status}."
    else:
        yield f"{title} was {before.status} and is {after.status}."
    states = {each.uuid: each.state for each in before.agents}
    changed: dict[str, list[str]] = {}
    for each in after.agents:
        if states.get(each.uuid, each.state) != each.state:
            changed.setdefault(each.state, []).append(on_one_line(each.name))
    for state, names in changed.items():
        yield f"{state}: {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
