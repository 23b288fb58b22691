"""The Lambda function that runs every minute: it fires due schedules and checks stalled sessions.

Its handler is `ai_coordination_engine.entrypoints.aws.sweep.handler`. When many sessions are due it
invokes itself once for each shard, with an event such as `{"shard": 3}`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from ai_coordination_engine.bootstrap import build_app, client
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.engine.scheduling.due import send_due
from ai_coordination_engine.entrypoints.aws.exporting import exporting
from ai_coordination_engine.observability import configure, logger
from ai_coordination_engine.settings import Settings

MIN_SECONDS_LEFT = 15  # needed to begin another round

Handler = Callable[[Mapping[str, Any], LambdaContext], dict[str, int]]


def invoke(function: str, shard: int) -> None:
    """Invoke the function asynchronously to sweep one shard."""
    event = json.dumps({"shard": shard}).encode()
    _client().invoke(FunctionName=function, InvocationType="Event", Payload=event)


@cache
def _client() -> Any:
    return client("lambda")


@dataclass(frozen=True)
class Sweep:
    """Runs the sweep of one event.

    `sweep` checks some sessions and returns their number, as `reconcile.sweep`. `send_due` sends a
    message for each due schedule.
    """

    sweep: Callable[..., int]
    send_due: Callable[[], int]
    invoke: Callable[[str, int], None] = invoke

    def handle(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
        """Send due schedules, then check sessions until none is left or time runs short.

        Schedules come first because they are due to the second. Returns the number of `sessions`
        checked and of `shards` handed to other invocations.
        """
        if "shard" not in event:
            self._fire()
        taken: list[int] = []

        def has_time() -> bool:
            return context.get_remaining_time_in_millis() >= MIN_SECONDS_LEFT * 1000

        def delegate(shards: Sequence[int]) -> Sequence[int]:
            taken.extend(
                each for each in shards if self._is_invoked(context.invoked_function_arn, each)
            )
            return taken

        given = {"shards": [int(event["shard"])]} if "shard" in event else {"delegate": delegate}
        total = 0
        while not taken and has_time() and (found := self.sweep(has_time=has_time, **given)):
            total += found
        if total:
            logger.info("swept", extra={"sessions": total, "shards": len(taken)})
        return {"sessions": total, "shards": len(taken)}

    def _fire(self) -> None:
        try:
            self.send_due()
        except Exception:  # the next minute tries again; sessions can still be checked
            logger.exception("could not send the due schedules")

    def _is_invoked(self, function: str, shard: int) -> bool:
        try:
            self.invoke(function, shard)
        except Exception:  # this invocation checks the shard itself
            logger.exception("could not hand over a shard", extra={"shard": shard})
            return False
        return True


def _sweep(app: App) -> Sweep:
    return Sweep(partial(sweep, app), partial(send_due, app))


def __getattr__(name: str) -> Handler:
    """Build `handler` when Lambda's runtime accesses it in the init phase.

    Importing this module creates nothing.
    """
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    settings = Settings()
    configure(settings.log_level)
    app = build_app(settings)
    globals()[name] = built = exporting(app, _sweep(app).handle)
    return built
