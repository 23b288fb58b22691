"""Find sessions, agents and tasks by the beginning of a uuid, or by a name."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.cli.failures import Failure
from ai_coordination_engine.entrypoints.cli.output import on_one_line
from ai_coordination_engine.entrypoints.cli.session_view import AgentView

SHORT = 8  # characters of a uuid that are shown, at least
_SHOWN = 10  # what fits too, in a message
_MOST = 200
_SESSIONS = """
query ($prefix: String!, $limit: Int) {
  sessionList(sessionUuidPrefix: $prefix, limit: $limit) {
    sessionList { sessionUuid coordinationUuid status createdAt task { taskName } }
    nextCursor
  }
}"""
_TASKS = """
query ($limit: Int, $name: String) {
  taskList(limit: $limit, taskName: $name) { taskList { taskUuid taskName } nextCursor }
}"""


@dataclass(frozen=True)
class SessionKey:
    """The key of a session."""

    coordination_uuid: str
    session_uuid: str


def find_session(client: Client, text: str) -> SessionKey:
    """Return the session whose uuid is, or begins with, this text; `COORDINATION/SESSION` names one
    among sessions of different coordinations with the same uuid.

    Raises `Failure` if there is none or there are several.
    """
    text = _named("a session", text)
    found = _sessions(client, text)
    above, separator, own = text.rpartition("/")
    if not found and separator:
        below = _sessions(client, own)
        found = [row for row in below if row["coordinationUuid"].startswith(above)]
    if len(found) != 1:
        has_doubles = len({row["sessionUuid"] for row in found}) < len(found)
        described = [_described(row, with_coordination=has_doubles) for row in found]
        raise Failure(_not_one("session", text, described))
    return SessionKey(found[0]["coordinationUuid"], found[0]["sessionUuid"])


def _sessions(client: Client, text: str) -> list[Any]:
    """The sessions with this uuid, or else those whose uuids begin with it."""
    asked = {"prefix": text, "limit": _MOST}
    rows: list[Any] = client.execute(_SESSIONS, asked)["sessionList"]["sessionList"]
    return [row for row in rows if row["sessionUuid"] == text] or rows


def _described(row: Any, *, with_coordination: bool) -> str:
    name = (row["task"] or {}).get("taskName") or "no task"
    above = f"{on_one_line(row['coordinationUuid'])}/" if with_coordination else ""
    return (
        f"{above}{on_one_line(row['sessionUuid'])} ({on_one_line(name)}, {row['status']},"
        f" {row['createdAt'][:19]}Z)"
    )


def find_agent(agents: Sequence[AgentView], text: str) -> AgentView:
    """Return the agent with this name or uuid, or whose uuid begins with this text.

    Raises `Failure` if there is none or there are several.
    """
    text = _named("an agent", text)
    exact = [each for each in agents if text in (each.name, each.uuid, each.record.agent_uuid)]
    found = exact or [each for each in agents if each.uuid.startswith(text)]
    if len(found) == 1:
        return found[0]
    names = found or agents
    described = [f"{on_one_line(each.name)} ({each.uuid}, {each.state})" for each in names]
    if not found:
        known = [on_one_line(each.name) for each in agents]
        raise Failure(
            f"There is no agent {on_one_line(text)!r} in the session"
            f"{did_you_mean(text, known) or ';'} it has: {_list(known)}."
        )
    raise Failure(_not_one("agent", text, described))


def find_task(client: Client, text: str) -> str:
    """Return the uuid of the task with this name or uuid, or of the one that begins so.

    Raises `Failure` if there is none or there are several.
    """
    text = _named("a task", text)
    rows = client.execute(_TASKS, {"limit": 1000})["taskList"]["taskList"]
    exact = [row for row in rows if text in (row["taskUuid"], row["taskName"])]
    found = exact or [
        row
        for row in rows
        if row["taskUuid"].startswith(text) or text.lower() in (row["taskName"] or "").lower()
    ]
    if len(found) == 1:
        return str(found[0]["taskUuid"])
    described = [f"{on_one_line(row['taskName'])} ({row['taskUuid']})" for row in found]
    raise Failure(_not_one("task", text, described))


def short_length(uuids: Iterable[str]) -> int:
    """How many characters tell these uuids apart, at least `SHORT`."""
    known = sorted(set(uuids))
    length = SHORT
    for one, other in pairwise(known):
        same = next(
            (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
            min(len(one), len(other)),
        )
        length = max(length, same + 1)
    return length


def _named(what: str, text: str) -> str:
    if not text.strip():
        raise Failure(f"Name {what}: its uuid, or the first characters of it.")
    return text.strip()


def _not_one(kind: str, text: str, found: Sequence[str]) -> str:
    shown = on_one_line(text[:100])
    if not found:
        where = {"session": "ace sessions lists them", "task": "the name is in the run file"}
        return f"There is no {kind} {shown!r}; {where.get(kind, 'ace inbox lists them')}."
    return f"{shown!r} is not one {kind} alone: {_list(found)}. Give more characters."


def _list(found: Sequence[str]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
