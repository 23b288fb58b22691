"""What a message means: the start of a session, or the answer to a question."""

from collections.abc import Mapping, Sequence
from typing import Any

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.a2a import Reason, TaskState
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.a2a.cards import PROTOCOL, skills_of
from ai_coordination_engine.served.a2a.errors import ProtocolError, invalid
from ai_coordination_engine.served.a2a.tasks import context_of, state_of
from ai_coordination_engine.served.a2a.wire import Sent
from ai_coordination_engine.served.arguments import QUERY
from ai_coordination_engine.served.sessions import Beside, Question, ServedSession
from ai_coordination_engine.served.tasks import ServedTask, served_task

_NAMES = ("skill", "skillId")
_SHOWN = 20  # skills in a message


def begin(app: App, tenant: str, sent: Sent, trace: str | None = None) -> ServedSession:
    """Start a session, or answer the question of one; raises `ProtocolError` and
    `CoordinationError`.
    """
    if sent.task_id is not None:
        return _answer(app, tenant, sent, sent.task_id)
    task = _skill(app, tenant, sent.metadata)
    try:
        return sessions.start(
            app,
            tenant,
            task,
            _arguments(task.input_schema, sent),
            protocol=PROTOCOL,
            idempotency_key=sent.message_id,
            trace=trace,
            beside=Beside(
                sent.files or None,
                {"context_id": sent.context_id, "message_id": sent.message_id},
            ),
        )
    except BadUserInput as error:
        raise invalid("message.parts", error.message) from error
    except Conflict as error:
        raise invalid("message.messageId", error.message) from error


def find(app: App, tenant: str, task_id: str) -> ServedSession:
    """The session of a task; raises `ProtocolError` if there is none."""
    try:
        return sessions.look(app, tenant, task_id, PROTOCOL)
    except NotFound:
        raise unknown_task(task_id) from None


def unknown_task(task_id: str) -> ProtocolError:
    """The error for a task that does not exist, or belongs to another tenant."""
    return ProtocolError(Reason.TASK_NOT_FOUND, "there is no such task", taskId=task_id)


# A new task


def _skill(app: App, tenant: str, metadata: Mapping[str, Any]) -> ServedTask:
    """The skill that the metadata names, or the only one."""
    name = next((metadata[each] for each in _NAMES if metadata.get(each) is not None), None)
    if name is not None:
        if not isinstance(name, str):
            raise invalid("message.metadata.skill", "must be a text")
        try:
            return served_task(app, tenant, PROTOCOL, name)
        except NotFound as error:
            raise invalid("message.metadata.skill", error.message) from error
    skills = skills_of(app, tenant)
    if len(skills) == 1:
        return skills[0]
    names = ", ".join(each.name for each in skills[:_SHOWN])
    raise invalid("message.metadata.skill", f"is needed: it names one of {names}")


def _arguments(schema: Mapping[str, Any], sent: Sent) -> dict[str, Any]:
    """The arguments: the keys of the data, and the text as `query` or as the one that is left."""
    arguments: dict[str, Any] = {}
    for each in sent.data:
        if not isinstance(each, dict):
            raise invalid("message.parts", "data must be an object with the skill's arguments")
        arguments |= each
    text = "\n\n".join(sent.texts)
    if not sent.texts:
        return arguments
    if not arguments and (given := _object_in(text, schema)) is not None:
        return given
    return {**arguments, _name_of_text(schema, arguments): text}


def _object_in(text: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments in a text that is a JSON object, where the skill takes more than a text."""
    if QUERY in schema.get("properties", {}) or not text.lstrip().startswith("{"):
        return None
    try:
        value = json_text.loads(text)
    except json_text.NotJSON:
        return None
    return value if isinstance(value, dict) else None


def _name_of_text(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    properties = schema.get("properties", {})
    if QUERY in properties:
        return QUERY
    left = [each for each in schema.get("required", ()) if each not in arguments]
    if len(left) == 1 and properties.get(left[0], {}).get("type", "string") == "string":
        return str(left[0])
    names = ", ".join(properties)
    raise invalid("message.parts", f"send a data part: the skill takes the arguments {names}")


# An answer


def _answer(app: App, tenant: str, sent: Sent, task_id: str) -> ServedSession:
    seen = find(app, tenant, task_id)
    if sent.context_id is not None and sent.context_id != context_of(seen):
        raise invalid("message.contextId", "is not the context of this task")
    text, message = answer_text(sent), sessions.digest_of(sent.message_id)
    if message in seen.answered_by:
        return seen  # a repetition, whatever is asked by now
    if any(text == said for _, said in seen.answers) and not seen.questions:
        return seen  # a repetition
    if not seen.questions:
        state = state_of(seen)
        words = "asks nothing now" if state is TaskState.WORKING else f"is {state}"
        raise ProtocolError(
            Reason.UNSUPPORTED_OPERATION, f"the task {words}: it takes no message", taskId=task_id
        )
    try:
        asked = _question(sent, seen)
        of = (app, tenant, task_id, PROTOCOL)
        return sessions.answer(*of, text, asked.uuid, asked_id=asked.asked_id, message=message)
    except BadUserInput as error:
        raise invalid("message.parts", error.message) from error
    except Conflict as error:
        raise ProtocolError(Reason.UNSUPPORTED_OPERATION, error.message, taskId=task_id) from error


def answer_text(sent: Sent) -> str:
    """The answer: the text, or the data as JSON."""
    data: Sequence[str] = [json_text.dumps(each) for each in sent.data]
    return "\n\n".join([*sent.texts, *data])


def _question(sent: Sent, seen: ServedSession) -> Question:
    """The question that the metadata names, or the only one."""
    name = sent.metadata.get("question")
    known = {key: each for each in seen.questions for key in (each.uuid, each.key)}
    if name is None and len(seen.questions) == 1:
        return seen.questions[0]
    if not isinstance(name, str) or name not in known:
        raise invalid(
            "message.metadata.question",
            f"must name one of the questions: {', '.join(each.uuid for each in seen.questions)}",
        )
    return known[name]
