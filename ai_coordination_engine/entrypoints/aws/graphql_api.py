"""The Lambda function behind the API; Lambda finds it as `….graphql_api.handler`."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Handler = Callable[[object, object], dict[str, object]]


def __getattr__(name: str) -> Handler:
    """Build `handler` when it is first looked up.

    Lambda's runtime does that in the init phase, so that SnapStart's snapshot holds the clients;
    importing this module elsewhere reads no settings and creates nothing.
    """
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _without_collections():
        handler = globals()[name] = _cold_start()
    return handler


def _cold_start() -> Handler:
    # The import is most of a cold start, and so belongs to what runs without collections.
    from ai_coordination_engine.entrypoints.aws.api_handler import cold_start  # noqa: PLC0415

    return cold_start()


@contextmanager
def _without_collections() -> Iterator[None]:
    """What a cold start makes stays for good: looking for garbage in it takes an eighth of the time
    and finds none.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
