"""The spans of a session's trace, made from what has ended. Pure.

`invoke_workflow` is a session; below it an `invoke_agent` is one attempt; below that an
`execute_tool` is one tool call and a `chat` what the model was asked. Content is none of them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import gen_ai
from ai_coordination_engine.domain.observed import LOST, EndedAttempt, EndedSession
from ai_coordination_engine.domain.trace_context import inner_span
from ai_coordination_engine.domain.usage import Usage

_DONE = ("completed", "asked")


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has ended. Times are epoch seconds; `parent_id` is empty for the first of a
    trace. `error`: its error class. `link`: the id of the attempt that it repeats. `calls`: it is a
    call of another service.
    """

    name: str
    span_id: str
    parent_id: str
    started: float
    ended: float
    attributes: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    link: str | None = None
    calls: bool = False


def of_session(session: EndedSession) -> Span:
    """The span of a session."""
    return Span(
        gen_ai.INVOKE_WORKFLOW,
        session.span_id,
        session.parent_id,
        session.started,
        max(session.started, session.ended),
        {
            gen_ai.OPERATION: gen_ai.INVOKE_WORKFLOW,
            "ace.tenant": session.tenant,
            "ace.coordination_uuid": session.coordination_uuid,
            "ace.session_uuid": session.session_uuid,
            "ace.session.status": session.status,
            **({"ace.task_uuid": session.task_uuid} if session.task_uuid else {}),
            **({"ace.session.epoch": session.epoch} if session.epoch else {}),
        },
        "session_failed" if session.status == "failed" else None,
    )


def of_attempt(attempt: EndedAttempt, content: Mapping[str, Any] | None = None) -> Iterator[Span]:
    """The spans of an attempt: its own, its tool calls, and its model requests.

    `content`: attributes with what it was given and answered, if that is to be exported; then the
    spans of its tools have their arguments and results, too.
    """
    yield Span(
        f"{gen_ai.INVOKE_AGENT} {attempt.agent_name}",
        attempt.span_id,
        attempt.parent_id,
        attempt.started,
        max(attempt.started, attempt.ended),
        {**_attributes(attempt), **gen_ai.usage_attributes(attempt.usage), **(content or {})},
        attempt.error_class or (LOST if attempt.status == LOST else None),
        attempt.earlier_span_id,
    )
    if attempt.asks_model and Usage.of(attempt.usage).is_metered:
        yield _chat(attempt)
    for number, call in enumerate(attempt.tool_calls):
        yield _tool(attempt, number, call, with_content=content is not None)


def _attributes(attempt: EndedAttempt) -> dict[str, Any]:
    cost = {"ace.cost.micro_usd": attempt.cost} if attempt.cost is not None else {}
    waited = {"ace.waited_for": "person"} if attempt.waited_for_person else {}
    return {
        gen_ai.OPERATION: gen_ai.INVOKE_AGENT,
        gen_ai.AGENT_ID: attempt.agent_uuid,
        gen_ai.AGENT_NAME: attempt.agent_name,
        gen_ai.CONVERSATION_ID: attempt.thread_uuid,
        "ace.tenant": attempt.tenant,
        "ace.coordination_uuid": attempt.coordination_uuid,
        "ace.session_uuid": attempt.session_uuid,
        "ace.session_agent_uuid": attempt.session_agent_uuid,
        "ace.run_uuid": attempt.run_uuid,
        "ace.attempt": attempt.attempt,
        "ace.attempt.status": attempt.status,
        "ace.runtime.kind": attempt.kind,
        **cost,
        **waited,
    }


def _chat(attempt: EndedAttempt) -> Span:
    """What the model was asked in an attempt, as one span: the single requests are not recorded."""
    usage = Usage.of(attempt.usage)
    model = attempt.model or usage.model
    named = {gen_ai.REQUEST_MODEL: model} if model else {}
    counted = {"ace.requests": usage.requests} if usage.requests is not None else {}
    return Span(
        f"{gen_ai.CHAT} {model}" if model else gen_ai.CHAT,
        inner_span(attempt.span_id, gen_ai.CHAT, 0),
        attempt.span_id,
        attempt.started,
        max(attempt.started, attempt.ended),
        {
            gen_ai.OPERATION: gen_ai.CHAT,
            **named,
            **counted,
            **gen_ai.usage_attributes(attempt.usage),
        },
        attempt.error_class,
        calls=True,
    )


def _tool(
    attempt: EndedAttempt, number: int, call: Mapping[str, Any], *, with_content: bool
) -> Span:
    name, outcome = str(call.get("name") or "?"), str(call.get("outcome") or "completed")
    begun = _seconds(call.get("started_at"), attempt.started)
    content = {
        attribute: _text(call[key])
        for key, attribute in (
            ("arguments", gen_ai.TOOL_ARGUMENTS),
            ("result", gen_ai.TOOL_RESULT),
        )
        if with_content and call.get(key) is not None
    }
    return Span(
        f"{gen_ai.EXECUTE_TOOL} {name}",
        inner_span(attempt.span_id, gen_ai.EXECUTE_TOOL, number),
        attempt.span_id,
        begun,
        begun + _milliseconds(call.get("duration_ms")) / 1000,
        {
            gen_ai.OPERATION: gen_ai.EXECUTE_TOOL,
            gen_ai.TOOL_NAME: name,
            "ace.tool.outcome": outcome,
            **content,
        },
        None if outcome in _DONE else outcome,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _seconds(text: object, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return otherwise


def _milliseconds(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return max(float(value), 0.0) if is_number else 0.0  # type: ignore[arg-type]
