"""Read the parameters of the protocol's methods; what is unknown is ignored (section 5.7)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.a2a import USER, Reason, TaskState
from ai_coordination_engine.domain.ids import MAX_ID, is_id
from ai_coordination_engine.served.a2a.errors import ProtocolError, invalid

DEFAULT_PAGE, MAX_PAGE = 50, 100
OUTPUT_MODES = ("text/plain", "application/json")
_MOST_PARTS = 1_000
_CONTENTS = ("text", "raw", "url", "data")
_PUSH = "taskPushNotificationConfig"
_LONGEST_URL = 2_000
_INTEGER = re.compile(r"-?[0-9]{1,10}")
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Push:
    """Where a client wants to be told of a task. `id`: None if it gives none. `place`: of the
    parameter with the URL.
    """

    url: str
    id: str | None
    place: str


@dataclass(frozen=True)
class Sent:
    """The parameters of SendMessage.

    `texts`, `data` and `files` are the contents of the parts. `metadata`: of the request and of the
    message. `push`: where its client wants to be told of the task.
    """

    message_id: str
    context_id: str | None
    task_id: str | None
    texts: Sequence[str]
    data: Sequence[Any]
    files: Sequence[Mapping[str, Any]]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    history_length: int | None = None
    is_waiting: bool = True
    push: Push | None = None


@dataclass(frozen=True)
class Listing:
    """The parameters of ListTasks."""

    context_id: str | None
    state: TaskState | None
    size: int
    token: str
    history_length: int | None
    after: datetime | None
    with_artifacts: bool


def sent(params: Params) -> Sent:
    """The parameters of SendMessage; raises `ProtocolError`."""
    message = _object(params, "message", "message")
    if message is None:
        raise invalid("message", "is needed")
    if message.get("role") != USER:
        raise invalid("message.role", f"must be {USER}")
    configuration = _object(params, "configuration", "configuration") or {}
    place = f"configuration.{_PUSH}"
    _check_modes(configuration.get("acceptedOutputModes"))
    parts = _parts(message.get("parts"))
    return Sent(
        _id(message, "messageId", "message.messageId", needed=True) or "",
        _id(message, "contextId", "message.contextId"),
        _id(message, "taskId", "message.taskId"),
        [each["text"] for each in parts if "text" in each],
        [each["data"] for each in parts if "data" in each],
        [_file(each) for each in parts if "url" in each or "raw" in each],
        {
            **(_object(params, "metadata", "metadata") or {}),
            **(_object(message, "metadata", "message.metadata") or {}),
        },
        history_length(configuration, "configuration.historyLength"),
        not _flag(configuration, "returnImmediately", "configuration.returnImmediately"),
        None if (given := _object(configuration, _PUSH, place)) is None else push(given, place),
    )


def listing(params: Params) -> Listing:
    """The parameters of ListTasks; raises `ProtocolError`."""
    size = _whole(params, "pageSize", "pageSize")
    if size is not None and not 1 <= size <= MAX_PAGE:
        raise invalid("pageSize", f"must be from 1 to {MAX_PAGE}")
    token = params.get("pageToken") or ""
    if not isinstance(token, str):
        raise invalid("pageToken", "must be a text")
    return Listing(
        _id(params, "contextId", "contextId"),
        _state(params.get("status")),
        size or DEFAULT_PAGE,
        token,
        history_length(params, "historyLength"),
        _time(params.get("statusTimestampAfter")),
        _flag(params, "includeArtifacts", "includeArtifacts"),
    )


def push(params: Params, place: str = "") -> Push:
    """A push configuration, whose parameters are at `place`; raises `ProtocolError`.

    Secrets are refused, because none is stored: the operator sets what a receiver is sent.
    """
    at = f"{place}." if place else ""
    sign_in = _object(params, "authentication", f"{at}authentication") or {}
    for name, given in (("token", params.get("token")), ("authentication", any(sign_in.values()))):
        if given:
            raise invalid(
                f"{at}{name}",
                "is not stored: leave it out; the operator of this server sets the headers that"
                " the receiver gets (ACE_A2A_PUSH)",
            )
    url = params.get("url")
    if not isinstance(url, str) or not 1 <= len(url) <= _LONGEST_URL:
        raise invalid(f"{at}url", f"must be a URL of at most {_LONGEST_URL} characters")
    return Push(url, _id(params, "id", f"{at}id"), f"{at}url")


def task_id(params: Params, name: str = "id") -> str:
    """The id of a task; raises `ProtocolError`."""
    return _id(params, name, name, needed=True) or ""


def history_length(params: Params, place: str = "historyLength") -> int | None:
    """How many messages are wanted; None for all. Raises `ProtocolError`."""
    length = _whole(params, "historyLength", place)
    if length is not None and length < 0:
        raise invalid(place, "must not be negative")
    return length


def _id(params: Params, name: str, place: str, *, needed: bool = False) -> str | None:
    value = params.get(name)
    if value is None or value == "":
        if needed:
            raise invalid(place, "is needed")
        return None
    if not isinstance(value, str) or not is_id(value):
        raise invalid(place, f"must be a text of 1 to {MAX_ID} printable bytes")
    return value


def _object(params: Params, name: str, place: str) -> Mapping[str, Any] | None:
    value = params.get(name)
    if value is not None and not isinstance(value, dict):
        raise invalid(place, "must be an object")
    return value


def _flag(params: Params, name: str, place: str) -> bool:
    value = params.get(name)
    if isinstance(value, str) and value in ("true", "false"):  # of a URL
        return value == "true"
    if value is not None and not isinstance(value, bool):
        raise invalid(place, "must be true or false")
    return bool(value)


def _whole(params: Params, name: str, place: str) -> int | None:
    value = params.get(name)
    if isinstance(value, str) and _INTEGER.fullmatch(value):  # of a URL, or of ProtoJSON
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and (not is_whole or abs(value) >= 2**31):
        raise invalid(place, "must be a whole number")
    return value


def _state(value: object) -> TaskState | None:
    if value in (None, "", "TASK_STATE_UNSPECIFIED"):
        return None
    if not isinstance(value, str) or value not in list(TaskState):
        raise invalid("status", f"must be one of {', '.join(TaskState)}")
    return TaskState(value)


def _time(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None:
        raise invalid("statusTimestampAfter", "must be a time, for example 2026-01-31T10:00:00Z")
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _check_modes(modes: object) -> None:
    if modes is None:
        return
    place = "configuration.acceptedOutputModes"
    if not isinstance(modes, list) or not all(isinstance(each, str) for each in modes):
        raise invalid(place, "must be a list of media types")
    taken = {each.partition(";")[0].strip().lower() for each in modes}
    if taken and not taken & {*OUTPUT_MODES, "*/*", "text/*", "application/*", "text"}:
        raise ProtocolError(
            Reason.CONTENT_TYPE_NOT_SUPPORTED,
            f"{place}: the outputs are {' or '.join(OUTPUT_MODES)}",
            field=place,
        )


def _parts(value: object) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not value:
        raise invalid("message.parts", "must be a list with at least one part")
    if len(value) > _MOST_PARTS:
        raise invalid("message.parts", f"has {len(value)} parts; it takes {_MOST_PARTS}")
    return [_part(each, f"message.parts[{index}]") for index, each in enumerate(value)]


def _part(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise invalid(place, "must be an object")
    # null is a value of `data`, and nothing elsewhere
    given = [name for name in _CONTENTS if name in value]
    found = [name for name in given if name == "data" or value[name] is not None]
    if len(found) != 1:
        raise invalid(place, f"must have one of {', '.join(_CONTENTS)}")
    (name,) = found
    if name != "data" and not isinstance(value[name], str):
        raise invalid(f"{place}.{name}", "must be a text")
    return {name: value[name], **_described(value, place)}


def _described(value: Mapping[str, Any], place: str) -> dict[str, str]:
    described = {}
    for name in ("filename", "mediaType"):
        if (text := value.get(name)) is None:
            continue
        if not isinstance(text, str):
            raise invalid(f"{place}.{name}", "must be a text")
        if text:
            described[name] = text
    return described


def _file(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part with a file, as an input file of a session."""
    return dict(part)
