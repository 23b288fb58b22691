"""The Lambda function that starts every minute: sends the schedules that are due, and looks after
sessions that have not moved for a while.

Its handler is `ai_coordination_engine.entrypoints.aws.sweep.handler`. When there is much to do it
invokes itself, once for each shard of the sessions: the event is then `{"shard": 3}`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from ai_coordination_engine.bootstrap import build_app, client
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.engine.scheduling.due import send_due
from ai_coordination_engine.observability import configure, logger
from ai_coordination_engine.settings import Settings

ENOUGH_SECONDS = 15  # for another session

Handler = Callable[[Mapping[str, Any], LambdaContext], dict[str, int]]


def invoke(function: str, shard: int) -> None:
    """Have another invocation of the function sweep a shard."""
    event = json.dumps({"shard": shard}).encode()
    _client().invoke(FunctionName=function, InvocationType="Event", Payload=event)


@cache
def _client() -> Any:
    return client("lambda")


@dataclass(frozen=True)
class Sweep:
    """Turns an event into rounds; `sweep` looks after some sessions and answers how many, as
    `reconcile.sweep`; `send_due` sends the schedules that are due.
    """

    sweep: Callable[..., int]
    send_due: Callable[[], int]
    invoke: Callable[[str, int], None] = invoke

    def handle(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
        """Go on until nothing is left or the time is short; answers how many `sessions` were looked
        after, and how many `shards` were left to other invocations. Schedules come first: they are
        due to the second.
        """
        if "shard" not in event:
            self._fire()
        taken: list[int] = []

        def has_time() -> bool:
            return context.get_remaining_time_in_millis() >= ENOUGH_SECONDS * 1000

        def hand_out(shards: Sequence[int]) -> Sequence[int]:
            taken.extend(
                each for each in shards if self._is_invoked(context.invoked_function_arn, each)
            )
            return taken

        given = {"shards": [int(event["shard"])]} if "shard" in event else {"hand_out": hand_out}
        total = 0
        while not taken and has_time() and (found := self.sweep(has_time=has_time, **given)):
            total += found
        if total:
            logger.info("swept", extra={"sessions": total, "shards": len(taken)})
        return {"sessions": total, "shards": len(taken)}

    def _fire(self) -> None:
        try:
            self.send_due()
        except Exception:  # the next minute may do better, and sessions can be looked after
            logger.exception("could not send what is due")

    def _is_invoked(self, function: str, shard: int) -> bool:
        try:
            self.invoke(function, shard)
        except Exception:  # then this invocation does what it can
            logger.exception("could not hand out", extra={"shard": shard})
            return False
        return True


def _sweep(app: App) -> Sweep:
    return Sweep(partial(sweep, app), partial(send_due, app))


def __getattr__(name: str) -> Handler:
    """Build `handler` when Lambda's runtime looks it up, in the init phase; importing this module
    creates nothing.
    """
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    settings = Settings()
    configure(settings.log_level)
    globals()[name] = built = _sweep(build_app(settings)).handle
    return built
