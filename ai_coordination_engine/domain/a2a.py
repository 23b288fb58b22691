"""The words of the Agent2Agent protocol (A2A) 1.0 that both sides of it need. Pure.

Source: "Agent2Agent (A2A) Protocol Specification", sections 3.6, 4.1 and 5.4, and its `a2a.proto`.
"""

from enum import StrEnum

VERSION = "1.0"
VERSION_HEADER = "A2A-Version"
MEDIA_TYPE = "application/a2a+json"
CARD_PATH = "/.well-known/agent-card.json"
TOKEN_HEADER = "X-A2A-Notification-Token"  # noqa: S105 (the name of a header)
JSON_RPC = "JSONRPC"
HTTP_JSON = "HTTP+JSON"
USER, AGENT = "ROLE_USER", "ROLE_AGENT"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
DOMAIN = "a2a-protocol.org"


class TaskState(StrEnum):
    """The states of a task."""

    SUBMITTED = "TASK_STATE_SUBMITTED"
    WORKING = "TASK_STATE_WORKING"
    COMPLETED = "TASK_STATE_COMPLETED"
    FAILED = "TASK_STATE_FAILED"
    CANCELED = "TASK_STATE_CANCELED"
    INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"
    REJECTED = "TASK_STATE_REJECTED"
    AUTH_REQUIRED = "TASK_STATE_AUTH_REQUIRED"


TERMINAL_STATES = frozenset(
    {TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED}
)
INTERRUPTED_STATES = frozenset({TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})


class Reason(StrEnum):
    """Why a request was refused: the reason of its `google.rpc.ErrorInfo`."""

    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    TASK_NOT_CANCELABLE = "TASK_NOT_CANCELABLE"
    PUSH_NOTIFICATION_NOT_SUPPORTED = "PUSH_NOTIFICATION_NOT_SUPPORTED"
    UNSUPPORTED_OPERATION = "UNSUPPORTED_OPERATION"
    CONTENT_TYPE_NOT_SUPPORTED = "CONTENT_TYPE_NOT_SUPPORTED"
    INVALID_AGENT_RESPONSE = "INVALID_AGENT_RESPONSE"
    EXTENDED_AGENT_CARD_NOT_CONFIGURED = "EXTENDED_AGENT_CARD_NOT_CONFIGURED"
    EXTENSION_SUPPORT_REQUIRED = "EXTENSION_SUPPORT_REQUIRED"
    VERSION_NOT_SUPPORTED = "VERSION_NOT_SUPPORTED"
    INVALID_PARAMS = "INVALID_PARAMS"
    INVALID_REQUEST = "INVALID_REQUEST"
    METHOD_NOT_FOUND = "METHOD_NOT_FOUND"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    PARSE_ERROR = "PARSE_ERROR"


CODES = {
    Reason.TASK_NOT_FOUND: -32001,
    Reason.TASK_NOT_CANCELABLE: -32002,
    Reason.PUSH_NOTIFICATION_NOT_SUPPORTED: -32003,
    Reason.UNSUPPORTED_OPERATION: -32004,
    Reason.CONTENT_TYPE_NOT_SUPPORTED: -32005,
    Reason.INVALID_AGENT_RESPONSE: -32006,
    Reason.EXTENDED_AGENT_CARD_NOT_CONFIGURED: -32007,
    Reason.EXTENSION_SUPPORT_REQUIRED: -32008,
    Reason.VERSION_NOT_SUPPORTED: -32009,
    Reason.INVALID_PARAMS: -32602,
    Reason.INVALID_REQUEST: -32600,
    Reason.METHOD_NOT_FOUND: -32601,
    Reason.INTERNAL_ERROR: -32603,
    Reason.PARSE_ERROR: -32700,
}
"""The code of each reason in the JSON-RPC binding."""


def is_supported(version: str) -> bool:
    """Whether a version is this one; the number of a patch does not matter (section 3.6)."""
    major_minor = ".".join(version.strip().split(".")[:2])
    return major_minor == VERSION
