"""The Lambda function that a schedule starts: looks after sessions that have not moved for a while.

Its handler is `ai_coordination_engine.entrypoints.sweep.handler`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from ai_coordination_engine.bootstrap import build_app
from ai_coordination_engine.engine.reconcile import sweep
from ai_coordination_engine.observability import configure, logger
from ai_coordination_engine.settings import Settings

ENOUGH_SECONDS = 15  # for another round

Handler = Callable[[Mapping[str, Any], LambdaContext], dict[str, int]]


@dataclass(frozen=True)
class Sweep:
    """Turns a schedule's event into rounds; `sweep` looks after some sessions and answers how many."""

    sweep: Callable[[], int]

    def handle(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
        """Go on until nothing is left or the time is short; answers how many `sessions` were looked after."""
        total = 0
        while context.get_remaining_time_in_millis() >= ENOUGH_SECONDS * 1000 and (found := self.sweep()):
            total += found
        if total:
            logger.info("swept", extra={"sessions": total})
        return {"sessions": total}


def __getattr__(name: str) -> Handler:
    """Build `handler` when Lambda's runtime looks it up, in the init phase; importing this module creates nothing."""
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    settings = Settings()
    configure(settings.log_level)
    globals()[name] = built = Sweep(partial(sweep, build_app(settings))).handle
    return built
