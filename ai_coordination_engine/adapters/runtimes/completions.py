"""Reads a chat completion: the text of the answer, or why there is none."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ai_coordination_engine.adapters.runtimes.answer import invalid_output
from ai_coordination_engine.adapters.runtimes.error_documents import error_in, one_line, title_of
from ai_coordination_engine.adapters.runtimes.web import Reply
from ai_coordination_engine.ports import AgentFailure

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


def read_completion(reply: Reply, question: Mapping[str, Any], whom: str) -> tuple[str, dict[str, Any]]:
    """The text of the first choice, and the usage. Raises `AgentFailure`.

    Parts of a content are joined; what the model thought is not its answer. A refusal, of the model or of a content
    filter, is final: the same question would be paid for, and refused, again.
    """
    body = _json(reply.text)
    choice = _choice(body)
    reason = str((choice or {}).get("finish_reason") or "none")[:50]
    message = _message(choice, reason)
    if choice is None or message is None or _failed(body, choice):
        raise _no_completion(body, reply, whom)
    usage = _usage(body, question)
    content = _content(message.get("content"))
    if refusal := _refusal(message, reason):
        raise AgentFailure(f"the model refused: {refusal}", error_class="invalid_output")
    if reason == "length":
        # Half of a JSON document is none; half of a text may do, and the record says that it is half.
        if not content.strip() or "response_format" in question:
            raise invalid_output("the model reached its token limit before it had answered: raise `runtime.max_tokens`")
        usage["finish_reason"] = "length"
    if not content.strip():
        raise invalid_output(_nothing(message, reason))
    return content, usage


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _choice(body: Any) -> Mapping[str, Any] | None:
    choices = body.get("choices") if isinstance(body, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def _message(choice: Mapping[str, Any] | None, reason: str) -> Mapping[str, Any] | None:
    """The message of a choice; what a content filter stopped may have none."""
    message = choice.get("message") if choice else None
    if message is None and reason.lower() in _FILTERED:
        return {}
    return message if isinstance(message, dict) else None


def _failed(body: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    """Whether the service broke off: some answer an error beside a choice, or in it."""
    return bool(body.get("error") or choice.get("error"))


def _no_completion(body: Any, reply: Reply, whom: str) -> AgentFailure:
    choice = _choice(body)
    document = error_in(choice if choice and choice.get("error") else body)
    error_class = document.error_class or "invalid_output"
    words = document.words or title_of(reply.text)
    return AgentFailure(
        f"{whom} answered something that is no chat completion{': ' if words else ''}{words}",
        retryable=document.retryable or error_class == "invalid_output",
        retry_after=reply.retry_after,
        error_class=error_class,
    )


def _content(content: Any) -> str:
    parts = content if isinstance(content, list) else [content]
    return "".join(part if isinstance(part, str) else _text(part) for part in parts)


def _text(part: Any) -> str:
    if not isinstance(part, dict) or part.get("type", "text") not in _TEXTS or part.get("thought"):
        return ""
    text = part.get("text")
    text = text.get("value") if isinstance(text, dict) else text
    return text if isinstance(text, str) else ""


def _refusal(message: Mapping[str, Any], reason: str) -> str:
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    said = [part.get("refusal") for part in (message, *parts)]
    words = " ".join(one_line(each) for each in said if isinstance(each, str) and each.strip())
    return words or ("the content filter stopped it" if reason.lower() in _FILTERED else "")


def _nothing(message: Mapping[str, Any], reason: str) -> str:
    if tools := sorted(set(_tools(message))):
        names = one_line(", ".join(tools))
        return f"the model asked for tools, which an `openai` agent does not offer, and answered nothing: {names}"
    thought = any(message.get(name) for name in ("reasoning_content", "reasoning", "thinking"))
    if thought or (isinstance(message.get("content"), list) and message["content"]):
        return f"the model thought and answered nothing (finish_reason: {reason})"
    return f"the model answered nothing (finish_reason: {reason})"


def _tools(message: Mapping[str, Any]) -> Iterator[str]:
    calls = message.get("tool_calls")
    for call in [*(calls if isinstance(calls, list) else []), {"function": message.get("function_call")}]:
        function = call.get("function") or call.get("custom") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield str(function.get("name") or "?")


def _usage(body: Mapping[str, Any], question: Mapping[str, Any]) -> dict[str, Any]:
    counted = body.get("usage")
    counted = counted if isinstance(counted, dict) else {}
    counts = {
        "input_tokens": counted.get("prompt_tokens"),
        "output_tokens": counted.get("completion_tokens"),
        "total_tokens": counted.get("total_tokens"),
    }
    return {
        **{name: count for name, count in counts.items() if isinstance(count, int)},
        "model": body.get("model") or question["model"],
    }
