"""The commands that look at sessions: `sessions`, `show`, `watch`, `logs` and `inbox`."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.client import NotFound
from ai_coordination_engine.entrypoints.cli.budget_lines import budget_lines
from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.cli.columns import columns
from ai_coordination_engine.entrypoints.cli.cost_command import cost_line
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.finding import (
    SessionKey,
    find_session,
    find_task,
    short_length,
)
from ai_coordination_engine.entrypoints.cli.output import (
    on_one_line,
    width_of_stdout,
    write,
    write_json,
)
from ai_coordination_engine.entrypoints.cli.progress import Progress, elapsed
from ai_coordination_engine.entrypoints.cli.questions import expected
from ai_coordination_engine.entrypoints.cli.remote import Absence, NoServer, client_of, say_tenant
from ai_coordination_engine.entrypoints.cli.remote_options import Remote
from ai_coordination_engine.entrypoints.cli.run_commands import check_completed
from ai_coordination_engine.entrypoints.cli.session_tree import as_tree
from ai_coordination_engine.entrypoints.cli.session_view import SessionView, as_json, as_text
from ai_coordination_engine.entrypoints.cli.terminal import Terminal

_LIST = """
query ($statuses: [String], $taskUuid: String, $userId: String, $waits: Boolean, $limit: Int,
    $cursor: String) {
  sessionList(statuses: $statuses, taskUuid: $taskUuid, userId: $userId, waitsForPerson: $waits,
      limit: $limit, cursor: $cursor) {
    sessionList { sessionUuid coordinationUuid taskUuid status userId createdAt updatedAt
      task { taskName } }
    nextCursor
  }
}"""
_INBOX = """
query ($user: String, $limit: Int, $cursor: String) {
  userInbox(userInTheLoop: $user, limit: $limit, cursor: $cursor) {
    sessionAgentList { sessionAgentUuid sessionUuid coordinationUuid agentUuid agentName agentAction
      question agentInput agentOutput dueAt updatedAt }
    nextCursor
  }
}"""
_EXPLAINED = ("initial", "pending", "skipped")  # the states whose reason `show` prints
_LINE = 300  # characters of a line
_QUESTION_LINES = 3  # the last lines of an input, which a list shows


def sessions(
    remote: Remote,
    *,
    statuses: Sequence[str],
    task: str | None,
    user: str | None,
    waits: bool,
    limit: int,
    cursor: str | None,
    with_json: bool,
) -> None:
    """Print the newest sessions."""
    with client_of(remote) as client:
        asked = {
            "statuses": [*statuses] or None,
            "taskUuid": task and find_task(client, task),
            "userId": user,
            "waits": waits or None,
            "limit": limit,
            "cursor": cursor,
        }
        page = client.execute(_LIST, asked)["sessionList"]
    if with_json:
        found = {"sessions": page["sessionList"], "nextCursor": page["nextCursor"]}
        write_json(json.dumps(found, ensure_ascii=False, indent=2))
        return
    is_filtered = any(value for name, value in asked.items() if name != "limit")
    _write_sessions(
        page, "There are no such sessions." if is_filtered else "There are no sessions."
    )
    if not page["sessionList"]:
        say_tenant(remote)


def _write_sessions(page: Any, nothing: str) -> None:
    rows = page["sessionList"]
    length = short_length(row["sessionUuid"] for row in rows)
    write(columns([_session_row(row, length) for row in rows], width_of_stdout()) or nothing)
    if page["nextCursor"]:
        Terminal(stderr=True).print(f"There are more: --cursor {page['nextCursor']}")


def _session_row(row: Any, length: int) -> list[str]:
    return [
        on_one_line(row["sessionUuid"][:length]),
        row["status"],
        _ago(row["createdAt"]),
        on_one_line((row["task"] or {}).get("taskName") or "-"),
        on_one_line(row["userId"] or ""),
    ]


def _ago(moment: str) -> str:
    return f"{elapsed(datetime.now(UTC) - datetime.fromisoformat(moment))} ago"


def show(remote: Remote, session: str, *, with_all: bool, with_json: bool) -> None:
    """Print a session: its agents as a tree, their states, and why they do not run."""
    with client_of(remote) as client:
        key = find_session(client, session)
        view = _view(client, key)
        if states := [each for each in _EXPLAINED if any(each == a.state for a in view.agents)]:
            view = view.with_reasons(client.reasons(key.session_uuid, states))
        task = _task_name(client, view)
        used = [] if with_json else [cost_line(client, view), *budget_lines(client, view)]
    if with_json:
        write_json(as_json(view))
    else:
        write("\n".join(filter(None, (as_tree(view, task, with_all=with_all), *used))))


def _view(client: Client, key: SessionKey) -> SessionView:
    return client.view(key.coordination_uuid, key.session_uuid)


def _task_name(client: Client, view: SessionView) -> str:
    if view.session.task_uuid is None:
        return ""
    keys = {"c": view.session.coordination_uuid, "t": view.session.task_uuid}
    document = "query ($c: String!, $t: String!) { task(coordinationUuid: $c, taskUuid: $t) {"
    return ((client.execute(f"{document} taskName }} }}", keys)["task"]) or {}).get(
        "taskName"
    ) or ""


def watch(remote: Remote, session: str, *, with_json: bool) -> None:
    """Show a session live until it ends, then its result. Raises `Failure` if it did not complete.

    While the server is away, it waits for it to come back.
    """
    console = Terminal(stderr=True)
    absence, key = Absence(console), None
    progress = Progress(console, lambda uuid: remote.command("answer", uuid, "TEXT"))
    view: SessionView | None = None
    cost: str | None = None
    try:
        while view is None:
            try:
                with client_of(remote) as client, progress:
                    key = key or find_session(client, session)
                    view = _watched(client, key, absence, progress)
                    cost = cost_line(client, view)
            except NoServer:
                if key is None:
                    raise
                absence.wait()
    except NotFound as error:
        raise Failure(f"the session {session} no longer exists.", FAILED) from error
    except KeyboardInterrupt:
        if key is not None:
            console.print(
                f"Session {key.session_uuid} goes on. Watch it again:"
                f" {remote.command('watch', key.session_uuid)}"
            )
        raise
    write_json(as_json(view)) if with_json else write(as_text(view))
    if cost:
        console.print(cost)
    check_completed(view)


def _watched(client: Client, key: SessionKey, absence: Absence, progress: Progress) -> SessionView:
    def seen(view: SessionView) -> None:
        absence.ended()
        progress.show(view)

    for view in client.views(key.coordination_uuid, key.session_uuid, seen):
        if view.has_ended:
            return view
    return _view(client, key)


def inbox(
    remote: Remote, *, user: str | None, limit: int, cursor: str | None, with_json: bool
) -> None:
    """Print what waits for a person, the latest first."""
    with client_of(remote) as client:
        asked = {"user": user, "limit": limit, "cursor": cursor}
        page = client.execute(_INBOX, asked)["userInbox"]
    rows = page["sessionAgentList"]
    if with_json:
        found = {"questions": [*map(_question_json, rows)], "nextCursor": page["nextCursor"]}
        write_json(json.dumps(found, ensure_ascii=False, indent=2))
        return
    length = short_length(row["sessionUuid"] for row in rows)
    write("\n".join(_questions(rows, length)) or "Nothing waits for a person.")
    if not rows:
        say_tenant(remote)
    if page["nextCursor"]:
        Terminal(stderr=True).print(f"There are more: --cursor {page['nextCursor']}")


def _questions(rows: Sequence[Any], length: int) -> Iterator[str]:
    for row in rows:
        action = row["agentAction"] or {}
        name = on_one_line(row["agentName"] or row["agentUuid"] or "")
        due = f", until {row['dueAt'][:19]}Z" if row["dueAt"] else ""
        yield (
            f"{on_one_line(row['sessionUuid'][:length])}  {name} asks"
            f" {on_one_line(action.get('userInTheLoop') or 'somebody')}{due}"
        )
        yield from (f"    {on_one_line(line[:_LINE])}" for line in _given(row))
        if schema := (row["question"] or action).get("answerSchema"):
            yield f"    answer: {on_one_line(expected(schema)[:_LINE])}"


def _given(row: Any) -> list[str]:
    """The last lines of what the person is given: a plan, or the agent's input."""
    text = row["agentOutput"] or row["agentInput"] or ""
    return [each for each in text.splitlines() if each.strip()][-_QUESTION_LINES:]


def _question_json(row: Any) -> dict[str, object]:
    action = row["agentAction"] or {}
    return {
        "sessionUuid": row["sessionUuid"],
        "sessionAgentUuid": row["sessionAgentUuid"],
        "agentName": row["agentName"],
        "asks": action.get("userInTheLoop"),
        "input": row["agentInput"],
        "plan": row["agentOutput"],
        "answerSchema": (row["question"] or action).get("answerSchema"),
        "defaultAnswer": None if row["question"] else action.get("defaultAnswer"),
        "question": row["question"],
        "dueAt": row["dueAt"],
    }
