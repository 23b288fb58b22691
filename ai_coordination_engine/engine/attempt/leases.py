"""Create leases, claim agents, and expire a lease when its worker meets an unexpected error."""

import secrets

from ai_coordination_engine.backend import passing
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.transitions.attempts import ERROR, REFUSED, Lease, token_of
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome


def new_lease(app: App) -> Lease:
    """A lease for an attempt that starts now."""
    now = app.clock.now()
    return Lease(
        run_uuid=new_uuid(now),
        now=now.timestamp(),
        seconds=app.settings.lease_seconds,
        token=token_of(app.process, secrets.token_hex(4)),
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of the claim of a message's agent, and the lease that it asked for."""

    lease: Lease
    outcome: Outcome[SessionAgent]


def claim(app: App, wake: Wake) -> Claim:
    """Claim the agent of a message, if it is ready. One write."""
    lease = new_lease(app)
    return Claim(lease, app.agents.claim(wake.tenant, wake.key, lease))


def claimed(app: App, agent: SessionAgent) -> Claim:
    """The claim of an agent that this process has claimed before."""
    return Claim(new_lease(app), Applied(agent))


class ExpiringOnError:
    """A context that expires the agent's lease if an unexpected error leaves it.

    The next delivery of the message then need not wait for the lease. If a backend refused a
    request or did not answer, the message only waits; any other error counts as a failed try.
    Neither counts as an attempt whose worker died, unless `died` is set.
    """

    def __init__(self, app: App, agent: SessionAgent, *, died: bool = False) -> None:
        self._app, self._agent, self._died = app, agent, died

    def __enter__(self) -> None:
        """Do nothing: the lease is held already."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if not isinstance(error, Exception):
            return
        try:
            ended = ERROR if passing(error) is None else REFUSED
            self._app.agents.expire_lease(self._agent, 0 if self._died else ended)
        except Exception as another:  # the lease expires by itself; the first error is raised
            if passing(another) is None:
                raise
            logger.warning(
                "could not expire lease",
                extra={"session_agent_uuid": self._agent.session_agent_uuid},
            )
