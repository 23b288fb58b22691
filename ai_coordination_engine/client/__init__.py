"""Call the API from Python: `Client`, and `AsyncClient` for code with `async`.

See docs/clients.md. Importing it loads httpx and pydantic, and nothing that only the server needs.
"""

from ai_coordination_engine.client import operations
from ai_coordination_engine.client.async_client import AsyncClient
from ai_coordination_engine.client.errors import (
    ApiError,
    BadUserInput,
    Conflict,
    Forbidden,
    HasDependents,
    Immutable,
    Internal,
    NotFound,
    NotOffered,
    Problem,
    Throttled,
    TooComplex,
    Unauthenticated,
    UnexpectedAnswer,
    Unreachable,
)
from ai_coordination_engine.client.keys import AgentKey, SessionKey
from ai_coordination_engine.client.operation import UNSET, Operation, Unset
from ai_coordination_engine.client.retries import NO_RETRIES, Retries
from ai_coordination_engine.client.sync_client import Client
from ai_coordination_engine.client.views import ENDED, Question, SessionView

__all__ = [
    "ENDED",
    "NO_RETRIES",
    "UNSET",
    "AgentKey",
    "ApiError",
    "AsyncClient",
    "BadUserInput",
    "Client",
    "Conflict",
    "Forbidden",
    "HasDependents",
    "Immutable",
    "Internal",
    "NotFound",
    "NotOffered",
    "Operation",
    "Problem",
    "Question",
    "Retries",
    "SessionKey",
    "SessionView",
    "Throttled",
    "TooComplex",
    "Unauthenticated",
    "UnexpectedAnswer",
    "Unreachable",
    "Unset",
    "operations",
]
