"""Fork a session: start a new session that copies completed agents of another one.

The agents before the point of the fork are copied with their results. The others run again, perhaps
with other input. The steps are those of a start: the session is written with a reservation and the
list of agents that it copies; then its agents are written; then it is confirmed. Reconciling does
the rest. The mutation `forkSession` calls `fork_session`.
"""

from collections.abc import Sequence
from typing import Any

from ai_coordination_engine.domain.ids import child_uuid, new_uuid
from ai_coordination_engine.engine.advance.ending import agents_of
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.reconcile import find, reconcile_session
from ai_coordination_engine.engine.planning.forked_session import Changes, Fork
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.session_controls import ControlRequest


def fork_session(  # noqa: PLR0913  # each is an argument of the mutation
    app: App,
    tenant: str,
    coordination_uuid: str,
    session_uuid: str,
    *,
    from_session_agent_uuid: str | None = None,
    task_query: str | None = None,
    subtask_query: str | None = None,
    input_files: Sequence[Any] | None = None,
    new_session_uuid: str | None = None,
    user_id: str | None = None,
    updated_by: str | None = None,
    idempotency_key: str | None = None,
    trace: str | None = None,
) -> Session:
    """Start a session that copies the completed agents of another one.

    With `from_session_agent_uuid`, that agent and its descendants run again. Changed input applies
    to all agents that run. Idempotent with a `new_session_uuid` or an idempotency key. `trace`: the
    caller's trace (`domain.trace_context`), which the new session continues. Raises
    `NotFound`, `BadUserInput`, and `Conflict` if the new session's uuid belongs to another session.
    """
    source, agents = _read(app, tenant, (coordination_uuid, session_uuid))
    start = _start(agents, from_session_agent_uuid)
    if subtask_query is not None:
        _check_subtask(agents, start)
    changes = Changes(
        start, task_query, subtask_query, list(input_files) if input_files is not None else None
    )
    request = ControlRequest.of(
        updated_by,
        idempotency_key or new_session_uuid or "",
        "fork",
        session_uuid,
        from_session_agent_uuid,
        task_query,
        subtask_query,
        repr(input_files),
        user_id,
    )
    fork_uuid = new_session_uuid or _fork_uuid(app, source, idempotency_key)
    fork = Fork(app, source, agents, changes, trace)
    return fork.write((coordination_uuid, fork_uuid), request, user_id)


def _fork_uuid(app: App, source: Session, idempotency_key: str | None) -> str:
    """The uuid of a fork that the caller did not choose: the same for the same key."""
    if not idempotency_key:
        return new_uuid(app.clock.now())
    key = "/".join(source.key)
    named = f"fork/{source.partition_key}/{key}/{idempotency_key}"
    return child_uuid(named, 0, source.created_at)


def _read(app: App, tenant: str, key: Key) -> tuple[Session, list[SessionAgent]]:
    """The session to fork, and the agents of its task. Raises as `_source`.

    With a plan, the session is read after its agents: what the steps are asked was written with
    them, perhaps just now.
    """
    source = _source(app, tenant, key)
    agents = [each for each in agents_of(app, source) if each.sink_count != 0]
    if any(each.stored("plan") is not None for each in agents):
        source = _source(app, tenant, key)
    return source, agents


def _source(app: App, tenant: str, key: Key) -> Session:
    """The session to fork, after a reset in progress is finished. Raises `NotFound` and
    `Conflict`.
    """
    source = find(app, tenant, key)
    is_set_back = source.stored("restart") is not None and source.status == "in_transit"
    if is_set_back:  # first finish the reset
        source = reconcile_session(app, tenant, *key)
    if source.plan_hash is None:
        raise Conflict(
            "The session was not started from a task; only those can be forked.",
            status=source.status,
        )
    return source


def _start(agents: Sequence[SessionAgent], uuid: str | None) -> int | None:
    if uuid is None:
        return None
    for each in agents:
        if each.session_agent_uuid == uuid:
            if each.map_ordinal is not None:
                raise BadUserInput(
                    "fromSessionAgentUuid is an element of a map; name the map, or an agent"
                    " before it."
                )
            return int(each.ordinal)
    raise (
        SESSION_AGENT.missing((agents[0].session_uuid, uuid))
        if agents
        else NotFound("The session has no agents.")
    )


def _check_subtask(agents: Sequence[SessionAgent], start: int | None) -> None:
    """Raise `BadUserInput` if the agent whose subtask is changed does not run in the fork."""
    if start is None:
        raise BadUserInput(
            "subtaskQuery changes one agent's subtask; name it with fromSessionAgentUuid."
        )
    if any(each.ordinal == start and each.stored("plan") is not None for each in agents):
        raise BadUserInput(
            "subtaskQuery cannot change a planning agent: the fork runs by its plan. Start a new"
            " session for another plan, or name a step with fromSessionAgentUuid."
        )
