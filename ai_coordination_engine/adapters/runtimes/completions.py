"""Read the response of a chat completions endpoint: the answer, or why there is none.

`openai` agents call it.
"""

import json
from collections.abc import Iterator, Mapping

from ai_coordination_engine.adapters.runtimes.answer import invalid_output
from ai_coordination_engine.adapters.runtimes.error_documents import error_in, one_line, title_of
from ai_coordination_engine.adapters.runtimes.web import Reply
from ai_coordination_engine.domain.usage import COUNTS, Usage
from ai_coordination_engine.runtime_ports import AgentFailure

_FILTERED = {
    "content_filter",
    "refusal",
    "safety",
    "recitation",
    "blocklist",
    "prohibited_content",
    "spii",
    "sensitive",
}
_TEXTS = ("text", "output_text")
_CUT_SHORT = "length"
Fields = Mapping[str, object]


def read_completion(reply: Reply, question: Fields, service: str) -> tuple[str, dict[str, object]]:
    """Return the text of the first choice and the usage; raises `AgentFailure`, with the usage if
    the endpoint counted any.

    Text parts are joined; reasoning parts are left out. A refusal by the model or by a content
    filter is final, because asking again would cost as much and be refused again.
    """
    body = _json(reply.text)
    fields = body if isinstance(body, dict) else {}
    usage = usage_of(fields, question)
    try:
        return _read(body, question, reply, service), usage
    except AgentFailure as failure:
        failure.usage = usage if "usage" in fields else {}
        raise


def _read(body: object, question: Fields, reply: Reply, service: str) -> str:
    fields = body if isinstance(body, dict) else {}
    choice = _choice(fields)
    reason = _finish_reason(choice)
    message = _message(choice, reason)
    if choice is None or message is None or _failed(fields, choice):
        raise _no_completion(body, choice, reply, service)
    content = _content(message.get("content"))
    _check_answered(content, message, reason, wants_json="response_format" in question)
    return content


def _check_answered(content: str, message: Fields, reason: str, *, wants_json: bool) -> None:
    """Raise `AgentFailure` for a refusal, an empty answer, or a JSON answer that was cut off.

    A plain text that was cut off is accepted; its usage says so in `finish_reason`.
    """
    if refusal := _refusal(message, reason):
        raise AgentFailure(f"the model refused: {refusal}", error_class="invalid_output")
    is_empty = not content.strip()
    if reason == _CUT_SHORT and (is_empty or wants_json):
        raise invalid_output(
            "the model reached its token limit before it had answered: raise `runtime.max_tokens`"
        )
    if is_empty:
        raise invalid_output(_no_answer(message, reason))


def _finish_reason(choice: Fields | None) -> str:
    return str((choice or {}).get("finish_reason") or "none")[:50]


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _choice(body: Fields) -> Fields | None:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def _message(choice: Fields | None, reason: str) -> Fields | None:
    """Return the message of a choice; an empty one when a content filter removed it."""
    message = choice.get("message") if choice else None
    if message is None and reason.lower() in _FILTERED:
        return {}
    return message if isinstance(message, dict) else None


def _failed(body: Fields, choice: Fields) -> bool:
    """Whether the response reports an error, at the top or in the choice."""
    return bool(body.get("error") or choice.get("error"))


def _no_completion(body: object, choice: Fields | None, reply: Reply, service: str) -> AgentFailure:
    document = error_in(choice if choice and choice.get("error") else body)
    error_class = document.error_class or "invalid_output"
    message = document.message or title_of(reply.text)
    return AgentFailure(
        f"the answer of {service} is not a chat completion{': ' if message else ''}{message}",
        retryable=document.retryable or error_class == "invalid_output",
        retry_after=reply.retry_after,
        error_class=error_class,
    )


def _content(content: object) -> str:
    parts = content if isinstance(content, list) else [content]
    return "".join(part if isinstance(part, str) else _text(part) for part in parts)


def _text(part: object) -> str:
    if not isinstance(part, dict):
        return ""
    is_answer = part.get("type", "text") in _TEXTS and not part.get("thought")
    if not is_answer:
        return ""
    text = part.get("text")
    text = text.get("value") if isinstance(text, dict) else text
    return text if isinstance(text, str) else ""


def _refusal(message: Fields, reason: str) -> str:
    content = message.get("content")
    parts = (
        [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    )
    said = [part.get("refusal") for part in (message, *parts)]
    refusal = " ".join(one_line(each) for each in said if isinstance(each, str) and each.strip())
    return refusal or ("a content filter blocked it" if reason.lower() in _FILTERED else "")


def _no_answer(message: Fields, reason: str) -> str:
    if tools := sorted(set(_tools(message))):
        names = one_line(", ".join(tools))
        return (
            "the model called tools, which an `openai` agent does not offer, and gave no answer:"
            f" {names}"
        )
    thought = any(message.get(name) for name in ("reasoning_content", "reasoning", "thinking"))
    if thought or (isinstance(message.get("content"), list) and message["content"]):
        return f"the model reasoned but gave no answer (finish_reason: {reason})"
    return f"the model gave no answer (finish_reason: {reason})"


def _tools(message: Fields) -> Iterator[str]:
    calls = message.get("tool_calls")
    for call in [
        *(calls if isinstance(calls, list) else []),
        {"function": message.get("function_call")},
    ]:
        function = call.get("function") or call.get("custom") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield str(function.get("name") or "?")


def usage_of(body: Fields, question: Fields) -> dict[str, object]:
    """Return the usage that a response reports, with the model that answered."""
    counted = Usage.of(body.get("usage"))
    counts = {name: getattr(counted, name) for name in COUNTS}
    model = body.get("model")
    usage: dict[str, object] = {
        **{name: count for name, count in counts.items() if count is not None},
        "requests": 1,
        "model": model if isinstance(model, str) and model else question["model"],
    }
    if (reason := _finish_reason(_choice(body))) == _CUT_SHORT:
        usage["finish_reason"] = reason
    return usage
