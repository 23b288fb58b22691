"""Turn an agent's answer into an `AgentResult` that can be stored and sent to clients.

The runtimes and `action_functions` call it.
"""

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.charsets import without_bom
from ai_coordination_engine.domain.usage import plain_usage
from ai_coordination_engine.runtime_ports import AgentFailure, AgentResult

_UUID_BYTES = 256
_LONGEST_HEARTBEAT = 2_592_000  # seconds, 30 days, as the setting


def answer(output: object, usage: object = None) -> AgentResult:
    """Return the result for `output`: a text as it is, an empty text for None, other values as
    JSON.

    `usage` is reduced to numbers and short texts with snake_case names. A byte order mark at the
    beginning is removed. Lone surrogates, which UTF-8 cannot encode, become `?` in a text and are
    escaped in JSON. Numbers in JSON keep all their digits. Raises `ValueError` or `TypeError` when
    JSON cannot hold the output.
    """
    return AgentResult(_text(output), plain_usage(usage))


def pending(async_task_uuid: object, heartbeat_seconds: object = None) -> AgentResult:
    """Return the result of a long job whose output comes later; raises `ValueError`.

    `async_task_uuid` identifies the job. `heartbeat_seconds` is a number or None.
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
    """Return the failure for an answer that cannot be used; retryable, since the next may be
    better.
    """
    return AgentFailure(message, retryable=True, error_class="invalid_output")


def _text(output: object) -> str:
    if output is None:
        return ""
    text = without_bom(output) if isinstance(output, str) else json_text.dumps(output)
    return text.encode("utf-8", "replace").decode()
