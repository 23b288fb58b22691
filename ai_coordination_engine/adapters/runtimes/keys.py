"""Keys of the settings, read from their secret when an attempt needs them."""

from collections.abc import Callable

from ai_coordination_engine.ports import AgentFailure, SecretUnavailable


def read_key(read: Callable[[], str], what: str) -> str:
    """What `read` answers; raises `AgentFailure`, which names the key as `what`, when it cannot be
    read.
    """
    try:
        return read()
    except SecretUnavailable as error:
        raise AgentFailure(
            f"{what} cannot be read: {error}",
            retryable=error.retryable,
            error_class="unavailable" if error.retryable else "not_allowed",
        ) from error
