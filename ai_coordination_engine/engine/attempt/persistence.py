"""Store the result of an attempt, with retries while the database or the blob store refuses it.

The result is kept in memory meanwhile, so the agent is not called again.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from ai_coordination_engine.backend import backoff
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.chain import Chain
from ai_coordination_engine.engine.attempt.leases import new_lease
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.observability import logger
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.transitions.outcome import applied

LONGEST_WAIT = 20.0  # seconds between two tries, at most
_SPARE = 2.0  # seconds, for expiring the agent's lease at the end
T = TypeVar("T")


def persist(app: App, agent: SessionAgent, chain: Chain, write: Callable[[], T]) -> T:
    """Call `write` until it succeeds, and return its result; `write` must be repeatable.

    The lease is renewed between the tries. Raises the last `Throttled` or `Unavailable` when the
    process has no time left.
    """
    if app.records.parallel.in_transaction:
        return write()  # the whole transaction is repeated, by `persist_together`
    refusals, longest = 0, 0.0
    while True:
        began = app.clock.now().timestamp()
        try:
            return write()
        except Throttled as error:
            longest = max(longest, app.clock.now().timestamp() - began)
            seconds = backoff(refusals, min(LONGEST_WAIT, _lease_seconds(app, agent) / 4))
            # one more try, and expiring the lease, may take as long
            if not chain.has(app, seconds + 2 * longest + _SPARE):
                raise
            reason = f"{type(error).__name__}: {error}"
        refusals += 1
        logger.warning(
            "result held", extra={"session_agent_uuid": agent.session_agent_uuid, "reason": reason}
        )
        _stay(app, agent, seconds)
        app.clock.wait(seconds, chain.stopping)


def persist_together(app: App, agent: SessionAgent, chain: Chain, writes: Callable[[], T]) -> T:
    """Call `writes`, which may contain calls of `persist`. Where there are transactions, it is one:
    until it succeeds, all of it is repeated.
    """
    in_one = partial(app.records.parallel.together, writes)
    return persist(app, agent, chain, in_one) if app.records.parallel.has_transactions else writes()


def _stay(app: App, agent: SessionAgent, seconds: float) -> None:
    """Renew the lease if less than half of it would be left after `seconds`."""
    lease = new_lease(app)
    if (
        agent.lease_until is None
        or agent.lease_until - lease.now - seconds >= _lease_seconds(app, agent) / 2
    ):
        return
    # if it fails, the next try renews it; without a lease, the result is still recorded (P2)
    with suppress(Throttled):
        if (renewed := applied(app.agents.renew(agent, lease))) is not None:
            agent.lease_until = renewed.lease_until


def _lease_seconds(app: App, agent: SessionAgent) -> float:
    return agent.lease_seconds or app.settings.lease_seconds
