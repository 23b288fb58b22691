"""Read what a remote A2A agent has answered: its artifacts and messages, as text."""

from collections.abc import Iterator, Mapping
from typing import Any

from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output
from ai_coordination_engine.adapters.runtimes.error_documents import one_line
from ai_coordination_engine.domain import a2a, json_text
from ai_coordination_engine.domain.usage import plain_usage
from ai_coordination_engine.runtime_ports import AgentFailure, AgentResult

MOST_INLINE = 100_000  # characters of a file that is sent as a part, in base64
_FAILURES = {
    a2a.TaskState.FAILED: ("failed", "error", True),
    a2a.TaskState.REJECTED: ("rejected the task", "invalid_request", False),
    a2a.TaskState.CANCELED: ("cancelled the task", "error", False),
    a2a.TaskState.AUTH_REQUIRED: (
        "asks for an authorization, which cannot be given",
        "not_allowed",
        False,
    ),
}


def state_of(task: Mapping[str, Any]) -> str:
    """The state of a task; empty if it has none."""
    return str(_object(task.get("status")).get("state") or "")


def failure_of(task: Mapping[str, Any], service: str) -> AgentFailure | None:
    """The failure that the state of a task stands for; None for any other state."""
    found = _FAILURES.get(a2a.TaskState(state)) if (state := state_of(task)) in _STATES else None
    if found is None:
        return None
    words, error_class, retryable = found
    said = one_line(message_text(_object(task.get("status")).get("message")))
    return AgentFailure(
        f"{service} {words}{': ' if said else ''}{said}",
        retryable=retryable,
        error_class=error_class,
        usage=plain_usage(_object(task.get("metadata")).get("usage")),
    )


_STATES = frozenset(a2a.TaskState)


def result_of(task: Mapping[str, Any], service: str) -> AgentResult:
    """The result of a completed task: its artifacts, or else the agent's last message."""
    artifacts = [_object(each) for each in _list(task.get("artifacts"))]
    parts = [part for each in artifacts for part in _list(each.get("parts"))]
    usage = _object(task.get("metadata")).get("usage")
    if parts:
        return answer(_text(parts, service), usage)
    return answer(said_by(task), usage)


def said_by(task: Mapping[str, Any]) -> str:
    """What the agent has said last: the message of the status, or else of the history."""
    own = [each for each in _list(task.get("history")) if _object(each).get("role") == a2a.AGENT]
    said = message_text(_object(task.get("status")).get("message"))
    return said or (message_text(own[-1]) if own else "")


def result_of_message(message: Mapping[str, Any], service: str) -> AgentResult:
    """The result of an agent that answers by a message, without a task."""
    usage = _object(message.get("metadata")).get("usage")
    return answer(_text(_list(message.get("parts")), service), usage)


def message_text(message: object) -> str:
    """The text of a message; files and data are left out if there is text."""
    parts = _list(_object(message).get("parts"))
    texts = [each["text"] for each in map(_object, parts) if isinstance(each.get("text"), str)]
    if texts:
        return "\n\n".join(texts)
    return "\n\n".join(
        json_text.dumps(each["data"]) for each in map(_object, parts) if "data" in each
    )


def _text(parts: list[Any], service: str) -> Any:
    """The parts as one text; the value itself if one part with data is all there is."""
    if len(parts) == 1 and "data" in _object(parts[0]):
        return _object(parts[0])["data"]
    return "\n\n".join(_written(parts, service))


def _written(parts: list[Any], service: str) -> Iterator[str]:
    for part in map(_object, parts):
        if isinstance(part.get("text"), str):
            yield part["text"]
        elif "data" in part:
            yield json_text.dumps(part["data"])
        else:
            yield json_text.dumps(_file(part, service))


def _file(part: Mapping[str, Any], service: str) -> dict[str, Any]:
    """A file as a reference; a small one may be given with its content."""
    raw = part.get("raw")
    if isinstance(raw, str) and len(raw) > MOST_INLINE:
        raise invalid_output(
            f"{service} sent a file of {len(raw)} characters in its answer; it takes {MOST_INLINE}:"
            " send a URL"
        )
    names = ("url", "raw", "filename", "mediaType")
    return {name: part[name] for name in names if isinstance(part.get(name), str)}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
