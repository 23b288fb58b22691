"""Turns what an agent answered into an `AgentResult` that every store and every client can
carry.
"""

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.charsets import without_bom
from ai_coordination_engine.domain.usage import plain_usage
from ai_coordination_engine.ports import AgentFailure, AgentResult

_UUID_BYTES = 256
_LONGEST_HEARTBEAT = 2_592_000  # seconds, 30 days, as the setting


def answer(output: object, usage: object = None) -> AgentResult:
    """The result for `output`: text as it is, nothing for None, anything else as JSON.

    Of `usage` only numbers and short texts are kept, under snake_case names. Half surrogates of a
    text, which UTF-8 cannot carry, become `?`; those of JSON are escaped, and its numbers keep the
    digits that were written. A byte order mark at the beginning, which is no letter, is taken off.
    Raises `ValueError` or `TypeError` if it is no JSON.
    """
    return AgentResult(_text(output), plain_usage(usage))


def pending(async_task_uuid: object, heartbeat_seconds: object = None) -> AgentResult:
    """The result that says: the output comes later, from the long job of this uuid. Raises
    `ValueError`.
    """
    if not isinstance(async_task_uuid, str) or not async_task_uuid.isprintable():
        raise ValueError("asyncTaskUuid must be printable text")
    if not 1 <= len(async_task_uuid.encode("utf-8", "replace")) <= _UUID_BYTES:
        raise ValueError(f"asyncTaskUuid must have 1 to {_UUID_BYTES} bytes")
    if heartbeat_seconds is None:
        return AgentResult("", async_task_uuid=async_task_uuid)
    if not isinstance(heartbeat_seconds, int | float) or isinstance(heartbeat_seconds, bool):
        raise ValueError("heartbeatSeconds must be a number")
    if not 1 <= heartbeat_seconds <= _LONGEST_HEARTBEAT:
        raise ValueError(f"heartbeatSeconds must be from 1 to {_LONGEST_HEARTBEAT}")
    return AgentResult(
        "", async_task_uuid=async_task_uuid, heartbeat_seconds=float(heartbeat_seconds)
    )


def invalid_output(message: str) -> AgentFailure:
    """The failure that says: the answer cannot be used, and another attempt may bring a better
    one.
    """
    return AgentFailure(message, retryable=True, error_class="invalid_output")


def _text(output: object) -> str:
    if output is None:
        return ""
    text = without_bom(output) if isinstance(output, str) else json_text.dumps(output)
    return text.encode("utf-8", "replace").decode()
