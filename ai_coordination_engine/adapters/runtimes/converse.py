"""Converse of Amazon Bedrock: the question, and the answer as a whole or as a stream of events.

`bedrock` agents call it. See the Amazon Bedrock API reference, "Converse" and "ConverseStream".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output
from ai_coordination_engine.domain.budgets import limited
from ai_coordination_engine.domain.usage import whole_number
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult, Message

PROVIDER = "aws"
_PARAMETERS = {
    "max_tokens": "maxTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "stop": "stopSequences",
}
_REFUSED = {
    "content_filtered": "a content filter blocked it",
    "guardrail_intervened": "a guardrail blocked it",
    "refusal": "it gave no reason",
}
_CUT_SHORT = ("max_tokens", "model_context_window_exceeded")
_NO_HISTORY = "(The conversation begins with your answer.)"
Fields = Mapping[str, Any]


def question(request: AgentRequest) -> dict[str, Any]:
    """The parameters of Converse, but the model; raises `AgentFailure` without an input.

    A conversation begins with the user, roles take turns, and no text is blank: neighbours of one
    role are merged, and blank texts left out.
    """
    if not request.input.strip():
        message = "the agent has no input, and Bedrock takes no empty message"
        raise AgentFailure(message, error_class="invalid_request")
    turns = [*request.thread, Message("user", request.input)]
    found = [each for each in turns if each.content.strip()]
    if found[0].role != "user":
        found.insert(0, Message("user", _NO_HISTORY))
    asked: dict[str, Any] = {
        "messages": [
            {"role": role, "content": [{"text": each.content} for each in several]}
            for role, several in groupby(found, lambda each: each.role)
        ]
    }
    if request.instructions.strip():
        asked["system"] = [{"text": request.instructions}]
    if inference := dict(_inference(request)):
        asked["inferenceConfig"] = inference
    more = request.runtime.get("additional_model_request_fields")
    return asked if more is None else {**asked, "additionalModelRequestFields": more}


def _inference(request: AgentRequest) -> Iterator[tuple[str, object]]:
    given = {name: request.runtime.get(name) for name in _PARAMETERS}
    given = limited(given, request.max_tokens, "max_tokens")
    for name, theirs in _PARAMETERS.items():
        value = given.get(name)
        if value is not None:
            yield theirs, [value] if name == "stop" and isinstance(value, str) else value


def read(body: Fields, request: AgentRequest, model: str) -> AgentResult:
    """Return the text of an answer and its usage; raises `AgentFailure`, which knows the usage.

    Texts are joined; what the model thinks is left out. A refusal is final, because asking again
    would cost as much and be refused again.
    """
    message = body.get("output", {}).get("message", {})
    text = "".join(each["text"] for each in message.get("content", ()) if "text" in each)
    reason, used = str(body.get("stopReason", "none")), usage(body.get("usage", {}), model)
    if (why := _REFUSED.get(reason)) is not None:
        raise AgentFailure(f"the model refused: {why}", error_class="invalid_output", usage=used)
    is_empty = not text.strip()
    if reason in _CUT_SHORT and (is_empty or request.output_schema is not None):
        limit = "its token limit" if reason == "max_tokens" else "the end of its context window"
        hint = ": raise `runtime.max_tokens`" if reason == "max_tokens" else ""
        raise _unfit(f"the model reached {limit} before it had answered{hint}", used)
    if is_empty:
        raise _unfit(f"the model gave no answer (stopReason: {reason[:50]})", used)
    return answer(text, {**used, "finish_reason": "length"} if reason in _CUT_SHORT else used)


def usage(counted: Fields, model: str) -> dict[str, Any]:
    """The usage in the standard names. Bedrock counts the tokens of a cache beside the input."""
    names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "outputTokens")
    into, cached, written, out = (whole_number(counted.get(name)) for name in names)
    counts = {
        "input_tokens": None if into is None else into + (cached or 0) + (written or 0),
        "output_tokens": out,
        "cached_tokens": cached,
        "cache_write_tokens": written,
    }
    known = {name: count for name, count in counts.items() if count is not None}
    return {**known, "requests": 1, "model": model, "provider": PROVIDER}


def whole(events: Iterable[Fields], on_delta: Callable[[str], None], model: str) -> dict[str, Any]:
    """The answer of a stream as Converse would have sent it; calls `on_delta` with each text.

    Raises `AgentFailure` for a stream that breaks off.
    """
    texts: list[str] = []
    body: dict[str, Any] = {}
    for event in events:
        delta = event.get("contentBlockDelta", {}).get("delta", {})
        if text := delta.get("text"):
            texts.append(text)
            on_delta(text)
        body |= {name: event["messageStop"][name] for name in event.get("messageStop", ())}
        body |= {name: event["metadata"][name] for name in event.get("metadata", ())}
    if "stopReason" not in body:
        used = usage(body.get("usage", {}), model)
        raise _unfit("the answer of the model was cut off", used)
    return {**body, "output": {"message": {"content": [{"text": "".join(texts)}]}}}


def _unfit(message: str, used: Fields) -> AgentFailure:
    failure = invalid_output(message)
    failure.usage = used
    return failure
