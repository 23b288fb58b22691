"""The Lambda function of the API. Its handler is `graphql_api.handler` of this package."""

from collections.abc import Callable

from ai_coordination_engine.entrypoints.cold_start import without_collections

Handler = Callable[[object, object], dict[str, object]]


def __getattr__(name: str) -> Handler:
    """Build `handler` on first access.

    Lambda's runtime accesses it in the init phase, so that a SnapStart snapshot contains the
    clients. Importing the module elsewhere reads no settings and creates no clients.
    """
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with without_collections():
        handler = globals()[name] = _cold_start()
    return handler


def _cold_start() -> Handler:
    # Imported here because imports are most of a cold start, and must run without collections.
    from ai_coordination_engine.entrypoints.aws.api_handler import cold_start  # noqa: PLC0415

    return cold_start()
