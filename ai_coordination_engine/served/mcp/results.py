"""Results on the wire: tools, what a call has answered, and tasks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ai_coordination_engine import __version__
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.budget import MAX_WORK, Budget
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.served.mcp.forms import form_of
from ai_coordination_engine.served.mcp.wire import SERVER_KEY, Call
from ai_coordination_engine.served.outputs import Output
from ai_coordination_engine.served.sessions import Question, ServedSession, ServedState
from ai_coordination_engine.served.tasks import ServedTask, output_schema_of

SERVER = {"name": "ai-coordination-engine", "version": __version__}
LIST_FRESH_MS = 60_000
POLL_MS = 1_000
Result = dict[str, Any]

# Cold start: `json_schema` is imported when the first output with a schema is checked.
# ruff: noqa: PLC0415


def of(call: Call, values: Mapping[str, Any], kind: str = "complete") -> Result:
    """A result for this client; those of the stateless revision also say what kind it is, and of
    which server.
    """
    if not call.is_modern:
        return dict(values)
    meta = {**values.get("_meta", {}), SERVER_KEY: SERVER}
    return {"resultType": kind, **values, "_meta": meta}


def fresh(call: Call, values: Mapping[str, Any], milliseconds: int = LIST_FRESH_MS) -> Result:
    """A result that the client may keep for a while, but share with no other caller."""
    hints = {"ttlMs": milliseconds, "cacheScope": "private"} if call.is_modern else {}
    return of(call, {**values, **hints})


def tool(task: ServedTask) -> Result:
    """A task as a tool."""
    found: Result = {
        "name": task.name,
        "title": task.title,
        "description": task.description,
        "inputSchema": dict(task.input_schema),
    }
    if task.output_schema is not None:
        found["outputSchema"] = dict(task.output_schema)
    return found


def text_result(text: str, *, is_error: bool = False) -> Result:
    """The result of a call that says something."""
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def ended(seen: ServedSession, schema: Mapping[str, Any] | None) -> Result:
    """The result of a session that has ended: its outputs, or why it has none."""
    if seen.state is ServedState.CANCELLED:
        return text_result("The session was cancelled.", is_error=True)
    if seen.state is ServedState.FAILED:
        return text_result(seen.message or "The session failed.", is_error=True)
    if schema is not None:
        return _structured(seen.outputs, schema)
    if not seen.outputs:
        return text_result(seen.message)
    return {"content": _content(seen.outputs), "isError": False}


def _structured(outputs: Sequence[Output], schema: Mapping[str, Any]) -> Result:
    from ai_coordination_engine.domain import json_schema

    value = outputs[0].value if outputs else None
    (problem,) = json_schema.problems(schema, [value], Budget(MAX_WORK))
    if problem is not None:
        said = outputs[0].text if outputs else ""
        return text_result(
            f"The agent's answer does not conform to the output schema: {problem}.\n\n{said}",
            is_error=True,
        )
    return {"content": _content(outputs), "structuredContent": value, "isError": False}


def _content(outputs: Sequence[Output]) -> list[dict[str, Any]]:
    """The outputs; of several, each after the name of its agent."""
    if len(outputs) == 1:
        return [{"type": "text", "text": outputs[0].text}]
    return [{"type": "text", "text": f"{each.name}:\n{each.text}"} for each in outputs]


def unfinished(
    seen: ServedSession, schema: Mapping[str, Any] | None, look_with: str | None
) -> Result:
    """The result of a call whose session goes on without its caller.

    `look_with`: the tool that shows the session later. A client would refuse such a result of a
    tool with an output schema, unless it is an error.
    """
    name = seen.session.session_uuid
    text = _people(seen) if seen.questions else f"The session {name} has not ended yet."
    if look_with is not None:
        text += f" Call {look_with} with {json_text.dumps({'session': seen.handle})} to see it."
    return text_result(text, is_error=schema is not None)


def _people(seen: ServedSession) -> str:
    people = ", ".join(dict.fromkeys(each.person or "a person" for each in seen.questions))
    return (
        f"The session {seen.session.session_uuid} waits for {people}, who must answer in the inbox."
    )


def input_requests(questions: Sequence[Question]) -> dict[str, Any]:
    """The questions as requests to the client, by key."""
    return {
        each.key: {"method": "elicitation/create", "params": form_of(each)} for each in questions
    }


_STATUS = {ServedState.FAILED: "completed"}
"""What went wrong in a session is in the result of its task."""


def task(call: Call, seen: ServedSession) -> Result:
    """The session as a task ("Tasks", section "Tasks").

    A client that cannot ask its user is not asked: somebody must answer in the inbox.
    """
    is_elsewhere = bool(seen.questions) and not call.takes_forms
    status = "working" if is_elsewhere else _STATUS.get(seen.state, str(seen.state))
    found: Result = {
        "taskId": seen.handle,
        "status": status,
        "createdAt": _moment(seen.created_at),
        "lastUpdatedAt": _moment(seen.updated_at),
        "ttlMs": None,
        "pollIntervalMs": POLL_MS,
    }
    if message := _people(seen) if is_elsewhere else _status_message(seen):
        found["statusMessage"] = message
    return found


def whole_task(app: App, call: Call, seen: ServedSession) -> Result:
    """The task with its result or its questions. Its schema is that of the task as it is now."""
    found = task(call, seen)
    if seen.state in (ServedState.COMPLETED, ServedState.FAILED):
        schema = output_schema_of(app, seen.task)
        found["result"] = of(call, ended(seen, schema))
        found["result"].pop("_meta")
    elif found["status"] == str(ServedState.INPUT_REQUIRED):
        found["inputRequests"] = input_requests(seen.questions)
    return found


def _status_message(seen: ServedSession) -> str:
    if seen.message or seen.has_ended:
        return seen.message
    return progress_message(seen)


def progress_message(seen: ServedSession) -> str:
    """How far the session is."""
    return f"{seen.ended} of {seen.agents} agents have ended."


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
