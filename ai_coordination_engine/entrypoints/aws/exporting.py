"""Send spans and metrics before Lambda freezes the process, which may be for ever."""

from collections.abc import Callable
from typing import TypeVar

from ai_coordination_engine.engine.app import App

FLUSH_SECONDS = 2.0  # that an invocation waits for a collector, at most
E = TypeVar("E")
C = TypeVar("C")
A = TypeVar("A")


def exporting(app: App, handler: Callable[[E, C], A]) -> Callable[[E, C], A]:
    """The handler, which sends at the end what its invocation has left to be exported."""
    telemetry = app.telemetry
    if telemetry is None:
        return handler

    def handle(event: E, context: C) -> A:
        try:
            return handler(event, context)
        finally:
            telemetry.flush(FLUSH_SECONDS)

    return handle
