"""Sessions of exposed tasks: start, look, answer and cancel, in words of no protocol.

Each function checks the tenant. A session is named by a handle, which another system can keep. It
is seen as long as its task is exposed by the protocol.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.exposure import Exposure
from ai_coordination_engine.domain.ids import MAX_ID, derived_uuid, is_id
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES, TERMINAL_SESSION_STATUSES
from ai_coordination_engine.domain.topics import of_session
from ai_coordination_engine.engine.advance.pinning import is_planner
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.controls import cancel_session
from ai_coordination_engine.engine.graph import inputs
from ai_coordination_engine.engine.planning.start import ServedStart, execute_procedure
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.served.outputs import Output, outputs_of
from ai_coordination_engine.served.tasks import ServedTask
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent, Task
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT, TASK

_SEPARATOR = "\x1f"  # not in any uuid, because uuids are printable


class ServedState(StrEnum):
    """The state of a session in the words that protocols share."""

    WORKING = "working"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Question:
    """A question to a person: the session agent that asks it, its text, who is asked, and the JSON
    Schema of the answer (None: any text).

    `key`: unique among all questions of the session; an agent may ask several times. `asked_id`:
    the id of a question of the agent's runtime, so that no other one gets its answer.
    """

    uuid: str
    key: str
    agent: str
    text: str
    person: str
    schema: Mapping[str, Any] | None
    asked_id: str | None = None


@dataclass(frozen=True)
class ServedSession:
    """A session as another system sees it.

    `message`: why it failed, or that it is paused; else empty. `outputs`: once it has completed.
    `questions`: while it is open. `answers`: what people have answered, by the uuid of the session
    agent, and `answered_by` which messages (their digests). `ended`: how many of its `agents` have
    ended. `task`: its task as it is now. `updated_at`: when the session, or an agent of it while it
    is open, was changed last.
    """

    handle: str
    state: ServedState
    message: str
    created_at: datetime
    updated_at: datetime
    outputs: Sequence[Output]
    questions: Sequence[Question]
    answers: Sequence[tuple[str, str]]
    answered_by: Set[str]
    ended: int
    agents: int
    session: Session
    task: Task

    @property
    def has_ended(self) -> bool:
        """Whether the session has ended."""
        return self.session.status in TERMINAL_SESSION_STATUSES


@dataclass(frozen=True)
class Beside:
    """What a call has beside its arguments: files, and what its protocol keeps with the session."""

    input_files: Sequence[Any] | None = None
    served: Mapping[str, Any] | None = None


NOTHING_BESIDE = Beside()


def handle_of(session: Session) -> str:
    """The handle of a session: its key in base64url without padding."""
    return urlsafe_b64encode(_SEPARATOR.join(session.key).encode()).decode().rstrip("=")


def start(
    app: App,
    tenant: str,
    task: ServedTask,
    arguments: Mapping[str, Any],
    *,
    protocol: str,
    idempotency_key: str | None = None,
    trace: str | None = None,
    beside: Beside = NOTHING_BESIDE,
) -> ServedSession:
    """Start a session of an exposed task with these arguments.

    The same key again finds the session that it started, in whatever state it is. `trace`: the
    caller's trace (`domain.trace_context`). Raises `BadUserInput` if the arguments do not conform
    to the task's schema, `Conflict` if the key stands for other arguments, and `NotFound` if the
    task has been deleted.
    """
    if idempotency_key is not None and not is_key(idempotency_key):
        raise BadUserInput(f"An idempotency key has 1 to {MAX_ID} printable characters.")
    uuid = None
    if idempotency_key is not None:
        names = (tenant, *task.task.key, protocol, idempotency_key)
        uuid = derived_uuid(task.task.created_at, *names)
    query = task.query(arguments)
    asked = ServedStart(*task.task.key, query, None, uuid, beside.input_files, beside.served)
    try:
        session = execute_procedure(app, tenant, asked, trace=trace)
    except Conflict as error:
        if not _is_of_another_call(app, tenant, asked):
            raise
        raise Conflict(
            "This idempotency key stands for a call with other arguments, or of the task as it was"
            " before; choose a new key."
        ) from error
    return _seen(app, session, task.task)


def _is_of_another_call(app: App, tenant: str, asked: ServedStart) -> bool:
    """Whether the session with this uuid was started by another call, so that waiting is no use."""
    if asked.session_uuid is None:
        return False
    key = (asked.coordination_uuid, asked.session_uuid)
    session = app.records.get(SESSION, tenant, key, consistent=True)
    if session is None:
        return False
    names = ("task_query", "user_id", "input_files", "served")
    return any(getattr(session, name) != getattr(asked, name) for name in names)


def is_key(text: str) -> bool:
    """Whether a text can be an idempotency key."""
    return 1 <= len(text) <= MAX_ID and text.isprintable()


def look(app: App, tenant: str, handle: str, protocol: str) -> ServedSession:
    """The session as it is now; raises `NotFound`."""
    session, task = _find(app, tenant, handle, protocol)
    return _seen(app, session, task)


def answer(
    app: App,
    tenant: str,
    handle: str,
    protocol: str,
    text: str,
    question: str | None = None,
    *,
    asked_id: str | None = None,
    message: str | None = None,
) -> ServedSession:
    """Answer a question of the session, and return the session as it is then.

    `question`: the uuid of the session agent that asks; None if there is only one question.
    `asked_id`: the `Question.asked_id` that was shown. `message`: as `digest_of` makes it. The same
    answer again has no effect. Raises `NotFound`, `Conflict` if nothing is asked or another
    question is, and `BadUserInput` if the answer does not conform to the schema, or it is not clear
    what it answers.
    """
    session, task = _find(app, tenant, handle, protocol)
    if question is None:
        only = _only(_seen(app, session, task))
        question, asked_id = only.uuid, only.asked_id
    execute_for_user_input(
        app, tenant, session.session_uuid, question, text, asked_id, message=message
    )
    return look(app, tenant, handle, protocol)


def digest_of(message_id: str) -> str:
    """What identifies a message with an answer."""
    return sha256(message_id.encode(errors="replace")).hexdigest()[:24]


def _only(seen: ServedSession) -> Question:
    if not seen.questions:
        raise Conflict(f"The session asks nothing: it is {seen.state}.", state=str(seen.state))
    if len(seen.questions) > 1:
        raise BadUserInput(
            "The session asks several questions; name the one that is answered:"
            f" {', '.join(each.uuid for each in seen.questions)}."
        )
    return seen.questions[0]


def cancel(app: App, tenant: str, handle: str, protocol: str) -> ServedSession:
    """Cancel the session; a session that is cancelled stays so. Raises `NotFound`, and `Conflict`
    if it has ended in another way.
    """
    session, task = _find(app, tenant, handle, protocol)
    return _seen(app, cancel_session(app, tenant, *session.key), task)


def end(app: App, tenant: str, handle: str, protocol: str) -> None:
    """Cancel the session if it has not ended; raises `NotFound`."""
    session, _ = _find(app, tenant, handle, protocol)
    try:
        cancel_session(app, tenant, *session.key)
    except Conflict as error:
        if error.extensions.get("status") not in TERMINAL_SESSION_STATUSES:
            raise


def stir(app: App, tenant: str, handle: str) -> None:
    """Let who waits for a session in this process look at it, though nothing of it has changed."""
    if key := _key_in(handle):
        app.changes.announce([of_session(tenant, key[1])])


def _find(app: App, tenant: str, handle: str, protocol: str) -> tuple[Session, Task]:
    """A session of a task that is exposed by the protocol; two GetItems, and another one before it
    raises `NotFound`.
    """
    missing = NotFound(f'There is no such session: "{handle[:200]}".')
    if (key := _key_in(handle)) is None:
        raise missing
    session = app.records.get(SESSION, tenant, key, consistent=True)
    if session is None or session.task_uuid is None:
        raise missing
    for consistent in (False, True):  # a stale read may be of before it was exposed
        task_key = (key[0], session.task_uuid)
        task = app.records.get(TASK, tenant, task_key, consistent=consistent)
        exposure = Exposure.of(task.expose_as) if task is not None else None
        if task is not None and exposure is not None and protocol in exposure.protocols:
            return session, task
    raise missing


def _key_in(handle: str) -> Key | None:
    try:
        parts = urlsafe_b64decode(handle.encode() + b"==").decode().split(_SEPARATOR)
    except ValueError:
        return None
    if len(parts) != 2 or not all(map(is_id, parts)):
        return None
    return parts[0], parts[1]


# What is seen of it


def seen_together(app: App, found: Sequence[tuple[Session, Task]]) -> list[ServedSession]:
    """These sessions of exposed tasks as they are now. One Query each, at the same time."""
    return app.records.parallel.run([partial(_seen, app, *each) for each in found])


def _seen(app: App, session: Session, task: Task) -> ServedSession:
    agents = [
        *app.records.children(SESSION_AGENT, session.partition_key, session.key, consistent=True)
    ]
    has_ended = session.status in TERMINAL_SESSION_STATUSES
    questions = [] if has_ended else _questions(app, agents)
    state = _state(session, is_asking=bool(questions))
    return ServedSession(
        handle_of(session),
        state,
        _message(session),
        session.created_at,
        session.updated_at if has_ended else _changed_at(session, agents),
        outputs_of(agents) if state is ServedState.COMPLETED else [],
        questions,
        [(each.session_agent_uuid, each.user_input) for each in agents if each.user_input],
        {digest for each in agents for digest in each.answered_by or ()},
        sum(each.state in TERMINAL_AGENT_STATES for each in agents),
        len(agents),
        session,
        task,
    )


def _changed_at(session: Session, agents: Sequence[SessionAgent]) -> datetime:
    """When an open session was changed last: a question is a change of its agent alone."""
    return max([session.updated_at, *(each.updated_at for each in agents)])


def _state(session: Session, *, is_asking: bool) -> ServedState:
    match session.status:
        case "completed":
            return ServedState.COMPLETED
        case "failed" | "timeout":
            return ServedState.FAILED
        case "cancelled":
            return ServedState.CANCELLED
        case _:
            return ServedState.INPUT_REQUIRED if is_asking else ServedState.WORKING


def _message(session: Session) -> str:
    if session.status == "paused":
        return "The session is paused."
    return session.logs or ""


def _questions(app: App, agents: Sequence[SessionAgent]) -> list[Question]:
    waiting = [each for each in agents if each.state == "wait_for_user_input"]
    if not waiting:
        return []
    try:
        texts = inputs.given(app, [each for each in waiting if not is_planner(each)], Budget())
    except AgentFailure as error:  # its placeholders cannot be filled: it fails once it runs
        texts = dict.fromkeys((each.session_agent_uuid for each in waiting), str(error))
    return [_question(each, texts) for each in waiting]


def _question(agent: SessionAgent, texts: Mapping[str, str]) -> Question:
    action = agent.agent_action or {}
    schema = action.get("answer_schema")
    text = texts.get(agent.session_agent_uuid) or agent.agent_output or ""
    asked_id = None
    if agent.stored("asks") is not None:  # its runtime asks
        asks = agent.asks
        text, schema, asked_id = asks["text"], asks.get("answer_schema"), asks.get("id")
    which = asked_id or agent.waits_since or ""
    return Question(
        agent.session_agent_uuid,
        f"{agent.session_agent_uuid}.{zlib.crc32(which.encode()):08x}",
        inputs.label(agent),
        text,
        agent.awaits_user or action.get("user_in_the_loop") or "",
        schema if isinstance(schema, dict) else None,
        asked_id,
    )
