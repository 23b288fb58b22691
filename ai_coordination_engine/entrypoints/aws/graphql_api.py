"""The Lambda function of the API. Its handler is `graphql_api.handler` of this package."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Handler = Callable[[object, object], dict[str, object]]


def __getattr__(name: str) -> Handler:
    """Build `handler` on first access.

    Lambda's runtime accesses it in the init phase, so that a SnapStart snapshot contains the
    clients. Importing the module elsewhere reads no settings and creates no clients.
    """
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _without_collections():
        handler = globals()[name] = _cold_start()
    return handler


def _cold_start() -> Handler:
    # Imported here because imports are most of a cold start, and must run without collections.
    from ai_coordination_engine.entrypoints.aws.api_handler import cold_start  # noqa: PLC0415

    return cold_start()


@contextmanager
def _without_collections() -> Iterator[None]:
    """Disable garbage collection during a cold start and then exempt all objects from it.

    The objects of a cold start live as long as the process. Collections find no garbage among them
    and take an eighth of its time.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
