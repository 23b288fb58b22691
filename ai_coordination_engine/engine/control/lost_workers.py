"""Free what workers held that are known to be dead: their leases, and their messages.

The leases of a worker name it. Without this, the attempts of a dead worker wait until their leases
end. It may run at any time and be repeated; a crash loses nothing, because the leases still end.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.engine.advance.ending import record_lost
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.ports import QueueMessage, Wake
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.attempts import ERROR, REFUSED, holder_of

IsLost = Callable[[str], bool]
"""Whether the worker of this name is dead."""
_Session = tuple[str, str]  # tenant, uuid


class HeldMessages(Protocol):
    """A queue that knows which worker has received a message."""

    def held(self, is_lost: IsLost) -> list[QueueMessage]:
        """The received messages of lost workers."""

    def release_held(self, is_lost: IsLost) -> None:
        """Make them visible again."""


def free(app: App, queue: HeldMessages, is_lost: IsLost, *, died: bool = True) -> int:
    """Free what lost workers held; return how many attempts that were. `died`: an attempt may have
    killed its worker; else it ended for another reason, which counts for none of them.

    First come the sessions of their messages, then all others that are watched. A worker holds
    attempts of watched sessions only (promise P4).
    """
    held = queue.held(is_lost)
    named = {each.key for each in held if isinstance(each, Wake)}
    first = dict.fromkeys((each.tenant, each.key[0]) for each in held if isinstance(each, Wake))
    freed = _free_in(app, [*first], named, is_lost, died)
    queue.release_held(is_lost)
    others = dict.fromkeys((each.partition_key, each.session_uuid) for each in app.sessions.open())
    rest = [each for each in others if each not in first]
    return freed + _free_in(app, rest, named, is_lost, died)


def _free_in(
    app: App, sessions: Sequence[_Session], named: set[tuple[str, str]], is_lost: IsLost, died: bool
) -> int:
    """Free the attempts of lost workers in these sessions. Agents get a message, except those that
    are `named` by messages.
    """
    freed = 0
    for tenant, session_uuid in sessions:
        lost = [each for each in _held(app, tenant, session_uuid) if is_lost(holder_of(each))]
        freed += len(lost)
        calls = [partial(_free_one, app, each, died) for each in lost]
        if calls:
            app.records.parallel.run(calls)
            app.queue.send([wake(each) for each in lost if each.key not in named])
    return freed


def _held(app: App, tenant: str, session_uuid: str) -> Iterator[SessionAgent]:
    """The session's agents with a lease."""
    keys = app.agents.held(tenant, session_uuid)
    yield from app.records.get_many(SESSION_AGENT, tenant, keys, consistent=True).values()


def _free_one(app: App, agent: SessionAgent, died: bool) -> None:
    """Expire the agent's lease. If the agent was ended during the attempt, record that as lost.

    A lease that its worker has expired itself stays as it is: the attempt ended before the worker.
    """
    if agent.state in TERMINAL_AGENT_STATES:
        record_lost(app, agent)
    elif agent.lease_until not in (REFUSED, ERROR):
        app.agents.expire_lease(agent, 0 if died else REFUSED)
