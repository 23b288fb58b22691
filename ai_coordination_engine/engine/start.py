"""Starting a session: the task becomes session agents with their edges, and the roots go to the queue.

The order is what makes it safe. The session is written unconfirmed, so nobody sees it and no guard lets go of its
coordination; then its agents, and the coordination is read again; then the roots are enqueued; last the session is
confirmed. A start that dies on the way leaves an invisible session, and one with a `session_uuid` chosen by the client
goes on where it stopped when it is sent again.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from ai_coordination_engine.domain.graph import plan
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.rules import check_rules
from ai_coordination_engine.domain.shapes import (
    Agent,
    AgentAction,
    SubtaskQuery,
    parse_agent_actions,
    parse_agents,
    parse_subtask_queries,
)
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.planned import (
    Plan,
    fill_subtasks,
    open_sinks,
    plan_hash,
    session_agents,
    session_tallies,
)
from ai_coordination_engine.engine.verdicts import COUNTED
from ai_coordination_engine.errors import BadUserInput, Conflict
from ai_coordination_engine.store import marks
from ai_coordination_engine.store.attempts import key_of
from ai_coordination_engine.store.entities import COORDINATION, SESSION, SESSION_AGENT, TASK
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.session_transitions import watch_shard
from ai_coordination_engine.store.table import BATCH_WRITE_LIMIT, Refused


@dataclass(frozen=True)
class Start:
    """What a session is started with."""

    coordination_uuid: str
    task_uuid: str
    task_query: str | None = None
    user_id: str | None = None
    session_uuid: str | None = None
    input_files: Sequence[Any] | None = None


def execute_procedure(
    app: App, tenant: str, start: Start, warn: Callable[[str], None] = lambda warning: None
) -> Session:
    """Start a session of a task and return it, dispatched; idempotent when the client chose `session_uuid`.

    `warn` is told what is odd. Raises `NotFound` for a coordination or task that does not exist, `BadUserInput` for a
    task that cannot run, `Conflict` when the session uuid stands for another session.
    """
    task_key = (start.coordination_uuid, start.task_uuid)
    coordination, task = app.records.parallel.pair(
        partial(app.records.get, COORDINATION, tenant, (tenant, start.coordination_uuid), consistent=True),
        partial(app.records.get, TASK, tenant, task_key, consistent=True),
    )
    if coordination is None:
        raise COORDINATION.missing((tenant, start.coordination_uuid))
    if task is None:
        raise TASK.missing(task_key)
    app.records.open_record(coordination)
    app.records.open_record(task)
    planned = _plan(coordination, task)
    query = task.initial_task_query if start.task_query is None else start.task_query
    subtasks = fill_subtasks(planned, query or "")
    for warning in dict.fromkeys(warning for each in subtasks for warning in each.warnings):
        warn(warning)
    session = _session(app, tenant, start, planned, task.subtask_queries, query or "")
    agents = session_agents(app, session, planned, subtasks)
    _pack(app, session)
    stored = _write_session(app, tenant, session, asked=start.task_query is not None)
    if stored.unconfirmed is None:
        return stored
    if stored is not session:  # an earlier try has made it: its agents have the uuids that follow from it
        agents = session_agents(
            app, stored, planned, fill_subtasks(planned, app.records.opened(stored.task_query) or "")
        )
    records = [*session_tallies(stored, planned), *agents]
    write_agents(app, tenant, stored, records, session.unconfirmed, chosen=start.session_uuid is not None)
    app.queue.send([wake(agent) for agent in agents if agent.in_degree == 0])
    return confirm(app, stored, records)


def _plan(coordination: Any, task: Any) -> Plan:
    agents, actions = parse_agents(coordination.agents), parse_agent_actions(task.agent_actions)
    subtasks = parse_subtask_queries(task.subtask_queries)
    _check_agents(agents, subtasks, actions, task)  # the coordination may have changed since the task was written
    check_rules(agents, actions)
    planned = plan(agents, subtasks, actions)
    return Plan(planned, {agent.agent_uuid: agent for agent in agents}, task.on_failure, task.placeholders)


def _check_agents(
    agents: Sequence[Agent], subtasks: Sequence[SubtaskQuery], actions: Mapping[str, AgentAction], task: Any
) -> None:
    """Raises `BadUserInput` that names the agents of a task which its coordination does not have any more."""
    known = {agent.agent_uuid for agent in agents}
    after = [uuid for action in actions.values() for uuid in action.predecessors]
    named = dict.fromkeys([*(each.agent_uuid for each in subtasks), *actions, *after])
    if gone := [uuid[:100] for uuid in named if uuid not in known]:
        names = f"the agent {gone[0]!r}" if len(gone) == 1 else f"the agents {', '.join(map(repr, gone[:5]))}"
        raise BadUserInput(
            f"The task {(task.task_name or task.task_uuid)[:100]!r} names {names}, which its coordination does not "
            "have. Add what is missing to the coordination, or save the task without it."
        )


def _session(app: App, tenant: str, start: Start, planned: Plan, subtask_queries: Any, query: str) -> Session:
    """The session to be: nobody sees it until its mark is taken off, so its status is what it will be then."""
    now = app.clock.now()
    key = (start.coordination_uuid, start.session_uuid or new_uuid(now))
    values = {
        "task_uuid": start.task_uuid,
        "user_id": start.user_id,
        "task_query": query,
        "input_files": list(start.input_files) if start.input_files is not None else None,
        "iteration_count": 0,
        "subtask_queries": subtask_queries,
        "status": "dispatched",
        "updated_by": start.user_id or "engine",
    }
    return Session(
        *key,
        partition_key=tenant,
        created_at=now,
        updated_at=now,
        unconfirmed=marks.new_mark(now),
        open_sinks=open_sinks(planned),
        open_sink_count=len(planned.sinks()),
        early=any(each.action.join in COUNTED for each in planned.agents) or None,
        plan_hash=plan_hash(planned.agents, planned.on_failure),
        watch=watch_shard(tenant, key[1]),
        watch_at=now.timestamp() + app.settings.watch_seconds,
        **values,
    )


def _pack(app: App, session: Session) -> None:
    """Move what is large of the session to blobs, once it is certain that it can be started."""
    values = {name: getattr(session, name) for name in Session.payload_names()}
    key = (session.coordination_uuid, session.session_uuid)
    for name, value in app.records.packed(SESSION, session.partition_key, key, values).items():
        setattr(session, name, value)


def _write_session(app: App, tenant: str, session: Session, *, asked: bool) -> Session:
    """The session as it is stored now: this one, or the one that an earlier, equal start has written."""
    try:
        app.records.table(SESSION).put(session, Session.session_uuid.does_not_exist())
    except Refused as refused:
        return _started_before(app, tenant, refused.old, session, asked=asked)
    return session


def _started_before(app: App, tenant: str, old: Any, new: Session, *, asked: bool) -> Session:
    """The session of an earlier, equal start; its mark is renewed when that start seems dead.

    The query counts when it was `asked` with the start; the task's own may have changed since.
    """
    if old is None or old.partition_key != tenant:
        raise SESSION.missing((new.coordination_uuid, new.session_uuid))
    same = ["task_uuid", "user_id", "input_files", *(["task_query"] if asked else [])]
    if old.deleting is not None:
        raise Conflict("The session is being deleted; choose a new sessionUuid.")
    if old.plan_hash is None or any(getattr(old, name) != getattr(new, name) for name in same):
        raise Conflict("This sessionUuid stands for another session; choose a new one.")
    if old.unconfirmed is None:
        return cast(Session, old)
    if old.plan_hash != new.plan_hash:
        raise Conflict("The task changed since this sessionUuid was first used; choose a new one.")
    if marks.is_live(old.unconfirmed, app.clock.now()):
        return cast(Session, old)
    table = app.records.table(SESSION)
    try:
        return table.update(  # type: ignore[no-any-return]
            tenant,
            (old.coordination_uuid, old.session_uuid),
            [Session.unconfirmed.set(new.unconfirmed)],
            Session.unconfirmed == old.unconfirmed,
        )
    except Refused as refused:
        return _started_before(app, tenant, refused.old, new, asked=asked)


def write_agents(
    app: App, tenant: str, session: Session, agents: Sequence[SessionAgent], mark: str, *, chosen: bool
) -> None:
    """Write agents and tallies, and read the coordination again; what this start wrote is taken back when it is gone.

    `mark` is this start's own; the session bears another while another start is at work on it.
    """
    table = app.records.table(SESSION_AGENT)
    # Nobody else can know a uuid that was made here, so that these may be written without a condition.
    writes: list[Any] = (
        [
            partial(table.put_new, agent) for agent in agents
        ]  # an earlier start may have written it, and it may be running
        if chosen
        else [
            partial(table.put_many, agents[index : index + BATCH_WRITE_LIMIT])
            for index in range(0, len(agents), BATCH_WRITE_LIMIT)
        ]
    )
    parent_key = (tenant, session.coordination_uuid)
    reads = partial(app.records.living_parent, COORDINATION, tenant, parent_key)
    try:
        parent = app.records.parallel.run([reads, *writes])[0]
    except Refused as refused:
        _undo(app, session, agents, mark)
        text = (
            "Another record stands under the uuid of one of the session's agents; choose another uuid for the session."
        )
        raise Conflict(text) from refused
    if parent is None:
        _undo(app, session, agents, mark)
        raise COORDINATION.missing(parent_key)


def _undo(app: App, session: Session, agents: Sequence[SessionAgent], mark: str) -> None:
    """Take back what was written, unless the session is another start's to confirm or to take back.

    The session goes first, so that such a start, writing its agents after this one removed them, finds it gone.
    """
    key = (session.coordination_uuid, session.session_uuid)
    if session.unconfirmed == mark:
        app.records.release(SESSION, session.partition_key, key, mark)
    if app.records.table(SESSION).get(session.partition_key, key, consistent=True) is None:
        _remove(app, agents)


def _remove(app: App, agents: Sequence[SessionAgent]) -> None:
    table = app.records.table(SESSION_AGENT)
    for agent in agents:
        with suppress(Refused):
            own = (SessionAgent.ordinal == agent.ordinal) & (SessionAgent.coordination_uuid == agent.coordination_uuid)
            unused = own & ((SessionAgent.state == "initial") | SessionAgent.width.exists())
            table.delete(agent.partition_key, key_of(agent), unused)


def confirm(app: App, session: Session, agents: Sequence[SessionAgent]) -> Session:
    """Make a session visible whose roots are enqueued; raises `Conflict` when it was taken away."""
    key = (session.coordination_uuid, session.session_uuid)
    now = app.transitions.session.dispatch(session.partition_key, key, session.unconfirmed)
    if now is None:
        _remove(app, agents)
    if now is None or now.unconfirmed is not None:
        raise Conflict("Starting the session took too long and was undone; try again.")
    return now
