"""Ask a person whether tool calls may be made, and read the answer.

The question's state holds the messages of the agent, so that it goes on without asking the model
again, and each call with a digest of its arguments: an approval counts for that call alone. Secrets
are in none of them: the agent goes on from what is stored, and a call is made as it was shown.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ToolCallPart
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied

from ai_coordination_engine.adapters.runtimes.agents.recorder import Recorder, digest_of
from ai_coordination_engine.adapters.runtimes.web import redacted
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, Question

_YES = frozenset({"yes", "y", "approve", "approved", "true"})
_STRUCTURE = ("kind", "part_kind", "tool_name", "tool_call_id", "timestamp")
_LONGEST_SHOWN = 4_000  # characters of the arguments in the text; the details have all of them
_DECISION: Mapping[str, Any] = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "string"},
        {
            "type": "object",
            "properties": {"approved": {"type": "boolean"}, "reason": {"type": "string"}},
            "required": ["approved"],
            "additionalProperties": False,
        },
    ]
}
_LOST = (
    "An earlier attempt was lost or failed after these calls were approved: they may have been"
    " made already."
)


def question_of(
    asked: DeferredToolRequests,
    messages: Sequence[ModelMessage],
    recorder: Recorder,
    request: AgentRequest,
    used: Mapping[str, int],
    secrets: Sequence[str] = (),
) -> Question:
    """What a person is asked about these calls. `used`: what counts towards the limits so far;
    `secrets`: texts that are neither stored nor shown.
    """
    if asked.calls:
        names = ", ".join(sorted({each.tool_name for each in asked.calls}))
        raise AgentFailure(f"these tools defer their calls, which the engine does not run: {names}")
    calls = [_call(each, recorder, secrets) for each in asked.approvals]
    dumped = ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")
    state = {
        "messages": [_without(each, secrets) for each in dumped],
        "calls": calls,
        "attempt": request.attempt,
        "used": dict(used),
    }
    return _question(calls, state)


def asked_again(state: Mapping[str, Any], request: AgentRequest) -> Question:
    """The same question again, because an attempt was lost or failed since it was answered."""
    calls = state["calls"]
    return _question(calls, {**state, "attempt": request.attempt}, _LOST)


def _without(message: Mapping[str, Any], secrets: Sequence[str]) -> dict[str, Any]:
    """The stored form of a message, without the secrets in its texts; its structure stays."""
    parts = [
        {name: each if name in _STRUCTURE else _hidden(name, each, secrets) for name, each in part}
        for part in map(dict.items, message.get("parts", ()))
    ]
    rest = {name: each for name, each in message.items() if name not in (*_STRUCTURE, "parts")}
    return {**message, **redacted(rest, secrets), "parts": parts}


def _hidden(name: str, value: Any, secrets: Sequence[str]) -> Any:
    """The value of a part without the secrets; arguments may be the text of a JSON object."""
    if name == "args" and isinstance(value, str):
        with suppress(ValueError):
            given = json.loads(value)
            hidden = redacted(given, secrets)
            return value if hidden == given else json.dumps(hidden)
    return redacted(value, secrets)


def _call(part: ToolCallPart, recorder: Recorder, secrets: Sequence[str]) -> dict[str, Any]:
    label = recorder.asked.get(part.tool_call_id, part.tool_name)
    arguments = redacted(part.args_as_dict(), secrets)
    return {
        "id": part.tool_call_id,
        "tool": label,
        "arguments": arguments,
        "digest": digest_of(label, arguments),
    }


def _question(calls: Sequence[Mapping[str, Any]], state: Any, note: str = "") -> Question:
    shown = [
        f"{number}. {each['tool']}({json.dumps(each['arguments'], ensure_ascii=False)})"
        for number, each in enumerate(calls, 1)
    ]
    room = _LONGEST_SHOWN // max(len(shown), 1)
    lines = [
        *([note] if note else []),
        "The agent wants to call:",
        *(each if len(each) <= room else f"{each[:room]}…" for each in shown),
        "Answer yes, or why not.",
    ]
    if len(calls) > 1:
        lines.append('Or answer for each call: {"1": true, "2": "why not"}.')
    numbers = {str(number): _DECISION for number, _ in enumerate(calls, 1)}
    each_call = {
        "type": "object",
        "properties": numbers,
        "required": [*numbers],
        "additionalProperties": False,
    }
    schema = {"anyOf": [*_DECISION["anyOf"], each_call]}
    details = {"calls": [{k: v for k, v in each.items() if k != "digest"} for each in calls]}
    return Question("\n".join(lines), schema, state, details)


def messages_of(state: Mapping[str, Any]) -> list[ModelMessage]:
    """The messages of the agent until it asked."""
    return ModelMessagesTypeAdapter.validate_python(state["messages"])


def decisions(state: Mapping[str, Any], answer: str) -> dict[str, str | None]:
    """For each call, by id: None if it is allowed, else why it is denied."""
    calls = state["calls"]
    value = _value(answer)
    numbered = isinstance(value, dict) and "approved" not in value
    return {
        each["id"]: _denied(value.get(str(number)) if numbered else value)
        for number, each in enumerate(calls, 1)
    }


def _value(answer: str) -> Any:
    try:
        return json.loads(answer)
    except ValueError:
        return answer


def _denied(value: Any) -> str | None:
    """Why a call is denied; None if it is allowed. What is no clear yes denies."""
    if isinstance(value, dict):
        reason = value.get("reason") or "The user did not allow this call."
        return None if value.get("approved") is True else str(reason)
    if value is True or (isinstance(value, str) and value.strip().lower() in _YES):
        return None
    said = value.strip() if isinstance(value, str) else ""
    return (
        f"The user did not allow this call: {said}" if said else "The user did not allow this call."
    )


def results_of(decided: Mapping[str, str | None]) -> DeferredToolResults:
    """What the library is told of the calls."""
    approvals = {
        call: ToolApproved() if why is None else ToolDenied(why) for call, why in decided.items()
    }
    return DeferredToolResults(approvals=dict(approvals))
