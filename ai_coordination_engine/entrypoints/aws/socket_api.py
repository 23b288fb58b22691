"""The Lambda function of the WebSocket API. Its handler is `socket_api.handler` of this package."""

from collections.abc import Callable, Mapping
from typing import Any

from ai_coordination_engine.entrypoints.cold_start import without_collections

Handler = Callable[[Mapping[str, Any], object], dict[str, Any]]


def __getattr__(name: str) -> Handler:
    """Build `handler` when Lambda's runtime accesses it in the init phase.

    Importing this module creates nothing.
    """
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with without_collections():
        handler = globals()[name] = _cold_start()
    return handler


def _cold_start() -> Handler:
    # Imported here because imports are most of a cold start, and must run without collections.
    from ai_coordination_engine.entrypoints.aws.socket_handler import cold_start  # noqa: PLC0415

    return cold_start()
