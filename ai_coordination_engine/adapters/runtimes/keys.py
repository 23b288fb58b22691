"""Read a key from its secret at the time of an attempt; the `http` and `openai` runtimes
call it.
"""

from collections.abc import Callable

from ai_coordination_engine.ports import SecretUnavailable
from ai_coordination_engine.runtime_ports import AgentFailure


def read_key(read: Callable[[], str], what: str) -> str:
    """Return what `read` returns; raises `AgentFailure` when the key cannot be read.

    `what` names the key in the message. The failure is retryable when reading the secret is.
    """
    try:
        return read()
    except SecretUnavailable as error:
        raise AgentFailure(
            f"{what} cannot be read: {error}",
            retryable=error.retryable,
            error_class="unavailable" if error.retryable else "not_allowed",
        ) from error
