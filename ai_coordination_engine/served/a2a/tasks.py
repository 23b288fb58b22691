"""A session as a task of the protocol."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.domain.a2a import AGENT, USER, TaskState
from ai_coordination_engine.domain.exposure import Exposure
from ai_coordination_engine.served.outputs import Output
from ai_coordination_engine.served.sessions import Question, ServedSession, ServedState

JSONObject = dict[str, Any]
_STATES = {
    ServedState.WORKING: TaskState.WORKING,
    ServedState.INPUT_REQUIRED: TaskState.INPUT_REQUIRED,
    ServedState.COMPLETED: TaskState.COMPLETED,
    ServedState.FAILED: TaskState.FAILED,
    ServedState.CANCELLED: TaskState.CANCELED,
}


def task_of(
    seen: ServedSession, history_length: int | None = None, *, with_artifacts: bool = True
) -> JSONObject:
    """The task. `history_length`: at most so many of the latest messages; None for all."""
    task: JSONObject = {
        "id": seen.handle,
        "contextId": context_of(seen),
        "status": status_of(seen),
        "metadata": _metadata(seen),
    }
    if with_artifacts:
        task["artifacts"] = [artifact_of(each) for each in seen.outputs]
    if history := _history(seen, history_length):
        task["history"] = history
    return task


def state_of(seen: ServedSession) -> TaskState:
    """The state of the task. A session that has just begun counts as submitted."""
    if seen.state is ServedState.WORKING and seen.session.status in ("initial", "dispatched"):
        return TaskState.SUBMITTED
    return _STATES[seen.state]


def context_of(seen: ServedSession) -> str:
    """The context: what the client said, else the session alone."""
    return str(_served(seen).get("context_id") or seen.session.session_uuid)


def status_of(seen: ServedSession) -> JSONObject:
    """The status, with a message that says what is asked, or why the task failed."""
    status: JSONObject = {"state": str(state_of(seen)), "timestamp": moment(seen.updated_at)}
    if seen.questions:
        status["message"] = _asking(seen)
    elif seen.message:
        status["message"] = _message(seen, AGENT, "status", [{"text": seen.message}])
    return status


def artifact_of(output: Output) -> JSONObject:
    """The output of a sink: an object or a list as data, anything else as text."""
    value = output.value
    part = (
        {"data": value, "mediaType": "application/json"}
        if isinstance(value, dict | list)
        else {"text": output.text, "mediaType": "text/plain"}
    )
    return {"artifactId": output.uuid, "name": output.name, "parts": [part]}


def moment(time: datetime) -> str:
    """A time by section 5.6.1: UTC, to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _asking(seen: ServedSession) -> JSONObject:
    parts = [{"text": each.text or f"{each.agent} asks for an answer."} for each in seen.questions]
    key = seen.questions[0].key if len(seen.questions) == 1 else "questions"
    asked = _message(seen, AGENT, key, parts)
    return {**asked, "metadata": {"questions": [_question(each) for each in seen.questions]}}


def _question(question: Question) -> JSONObject:
    schema = {} if question.schema is None else {"answerSchema": dict(question.schema)}
    return {"question": question.uuid, "agent": question.agent, "text": question.text, **schema}


def _history(seen: ServedSession, length: int | None) -> list[JSONObject]:
    if length == 0:
        return []
    message_id = str(_served(seen).get("message_id") or "begin")
    begun = _message(seen, USER, message_id, [{"text": seen.session.task_query or ""}])
    answers = [
        _message(seen, USER, f"answer-{uuid}", [{"text": text}]) for uuid, text in seen.answers
    ]
    asked = [_asking(seen)] if seen.questions else []
    history = [begun, *answers, *asked]
    return history if length is None else history[-length:]


def _message(
    seen: ServedSession, role: str, message_id: str, parts: Sequence[JSONObject]
) -> JSONObject:
    return {
        "messageId": message_id,
        "role": role,
        "parts": list(parts),
        "taskId": seen.handle,
        "contextId": context_of(seen),
    }


def _metadata(seen: ServedSession) -> JSONObject:
    exposure = Exposure.of(seen.task.expose_as)
    return {
        "skill": exposure.name if exposure is not None else "",
        "sessionUuid": seen.session.session_uuid,
        "coordinationUuid": seen.session.coordination_uuid,
        "agents": seen.agents,
        "agentsEnded": seen.ended,
    }


def _served(seen: ServedSession) -> Mapping[str, Any]:
    return seen.session.served or {}
