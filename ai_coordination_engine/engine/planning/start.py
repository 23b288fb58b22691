"""Start a session of a task: plan its agents, write them, and enqueue those without predecessors.

The mutation `executeProcedureTaskSession` and task schedules call `execute_procedure`. The order of
the steps makes a crash harmless:

1. The session is written with a reservation. It is invisible, and its coordination cannot be
   deleted.
2. All agents except agent 0 are written in batches, and the coordination is read again.
3. Agent 0 is written, which confirms the session (`store.transitions.starts`).
4. The agents without predecessors are enqueued.

If the worker dies before step 3, an invisible session remains whose agents never run. The sweep
fences and removes it. A start with a `session_uuid` of the client may be repeated: each try writes
agents with uuids of its own, and the agents of the first try that confirms the session count. A try
that finds the session's row already written confirms in that row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.graph import plan as plan_agents
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
from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES
from ai_coordination_engine.domain.subtasks import Subtask
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt.limits import budgets_of
from ai_coordination_engine.engine.control.reconcile import reconcile_session
from ai_coordination_engine.engine.graph.edge_outcomes import COUNTED
from ai_coordination_engine.engine.graph.session_agents import (
    Plan,
    fill_subtasks,
    open_sinks,
    plan_hash,
    session_agents,
    session_counter_shards,
)
from ai_coordination_engine.engine.planning.planned import Planned
from ai_coordination_engine.engine.planning.planners import plan_to_be
from ai_coordination_engine.engine.planning.writing import (
    Item,
    is_same,
    reserve,
    write_and_begin,
    write_and_confirm,
)
from ai_coordination_engine.errors import BadUserInput, Conflict
from ai_coordination_engine.store.models import Coordination, Session, SessionAgent, Task
from ai_coordination_engine.store.records import write_tokens
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION, SESSION_AGENT, TASK
from ai_coordination_engine.store.records.session_status import status_key
from ai_coordination_engine.store.transitions.session_writes import watch_shard

_PLANNED = Planned()


@dataclass(frozen=True)
class Start:
    """The arguments of a start."""

    coordination_uuid: str
    task_uuid: str
    task_query: str | None = None
    user_id: str | None = None
    session_uuid: str | None = None
    input_files: Sequence[Any] | None = None


@dataclass(frozen=True)
class ServedStart(Start):
    """A start by another system. `served`: what its protocol keeps; no client of the API may give
    it.
    """

    served: Mapping[str, Any] | None = None


def execute_procedure(
    app: App,
    tenant: str,
    start: Start,
    warn: Callable[[str], None] = lambda warning: None,
    trace: str | None = None,
) -> Session:
    """Start a session of a task and return it with the status `dispatched`.

    Idempotent if the client chose `session_uuid`. `warn` is called with each warning. `trace`: the
    caller's trace (`domain.trace_context`), which the session continues. Raises
    `NotFound` if the coordination or the task does not exist, `BadUserInput` if the task cannot
    run, and `Conflict` if the session uuid belongs to another session.
    """
    coordination, task, is_used = _read(app, tenant, start)
    plan = plan_of(coordination, task)
    query = _query(start, task)
    subtasks = fill_subtasks(plan, query)
    _pass_on_warnings(subtasks, warn)
    session = _session(app, tenant, start, plan, _subtasks_of(plan, task), query)
    session.strays, session.trace = 0 if is_used else None, trace
    agents = session_agents(app, session, plan, subtasks)
    write = partial(_write, app, start, session, plan, agents)
    stored, confirmed = app.records.parallel.together(write)
    if confirmed is None:  # another try has fenced this one, and may be working or dead
        again = replace(start, session_uuid=session.session_uuid)
        return execute_procedure(app, tenant, again, warn, trace)
    is_own = stored.unconfirmed is not None and confirmed.incarnation == stored.incarnation
    return confirmed if is_own else _looked_after(app, confirmed)  # another try was faster


def _write(
    app: App, start: Start, session: Session, plan: Plan, agents: Sequence[SessionAgent]
) -> tuple[Session, Session | None]:
    """Write a session with its agents, and send its first messages.

    Returns the session as it was reserved or found, and as it was confirmed (None: see
    `write_and_begin`).
    """
    _store_large(app, session)
    stored = _write_session(app, session, asked=start.task_query is not None)
    if stored.unconfirmed is None:
        return stored, stored
    if stored is not session:  # an earlier try with the same uuid has written it
        stored.incarnation = session.nonce
        subtasks = fill_subtasks(plan, stored.task_query or "")
        agents = session_agents(app, stored, plan, subtasks)
    first, *others = agents
    beside: list[Item] = [*session_counter_shards(stored, plan), *others]
    confirmed = (
        write_and_confirm(app, stored, [first, *beside])
        if stored.incarnation is not None
        else write_and_begin(app, stored, first, beside)
    )
    if confirmed is not None and confirmed.incarnation == stored.incarnation:
        app.queue.send([wake(each) for each in agents if each.in_degree == 0])
    return stored, confirmed


def _read(app: App, tenant: str, start: Start) -> tuple[Coordination, Task, bool]:
    """Read the coordination and the task, and check for agents of an earlier session with this
    uuid.

    Raises `NotFound`.
    """
    coordination_key = (tenant, start.coordination_uuid)
    task_key = (start.coordination_uuid, start.task_uuid)
    get = partial(app.records.get, consistent=True)
    reads: list[Callable[[], Any]] = [
        partial(get, COORDINATION, tenant, coordination_key),
        partial(get, TASK, tenant, task_key),
    ]
    if start.session_uuid is not None:  # the client may have used it before
        reads.append(partial(app.records.is_any_below, SESSION_AGENT, tenant, start.session_uuid))
    coordination, task, *used = app.records.parallel.run(reads)
    if coordination is None:
        raise COORDINATION.missing(coordination_key)
    if task is None:
        raise TASK.missing(task_key)
    return coordination, task, any(used)


def _query(start: Start, task: Task) -> str:
    """The query of the start, else the one of the task, else empty."""
    query = task.initial_task_query if start.task_query is None else start.task_query
    return query or ""


def _subtasks_of(plan: Plan, task: Task) -> Any:
    """The subtasks with which the session begins; those of a planned session come with its plan."""
    if plan.planning is None:
        return task.subtask_queries
    return [
        {"agent_uuid": each.agent.agent_uuid, "subtask_query": each.subtask_query}
        for each in plan.agents
        if each.subtask_query
    ]


def _pass_on_warnings(subtasks: Sequence[Subtask], warn: Callable[[str], None]) -> None:
    """Call `warn` with each different warning once."""
    for warning in dict.fromkeys(warning for each in subtasks for warning in each.warnings):
        warn(warning)


def _looked_after(app: App, session: Session) -> Session:
    """Finish what a session still owes that another try has confirmed: that try may have died."""
    if session.status not in OPEN_SESSION_STATUSES and session.strays is None:
        return session
    return reconcile_session(
        app, session.partition_key, session.coordination_uuid, session.session_uuid
    )


def plan_of(coordination: Coordination, task: Task) -> Plan:
    """Return the plan of a task; raises `BadUserInput` if the task cannot run."""
    return _PLANNED.get(coordination, task, partial(_plan, coordination, task))


def _plan(coordination: Coordination, task: Task) -> Plan:
    agents, actions = parse_agents(coordination.agents), parse_agent_actions(task.agent_actions)
    subtasks = parse_subtask_queries(task.subtask_queries)
    # the coordination may have changed since the task was written
    _check_agents(agents, subtasks, actions, task)
    check_rules(agents, actions)
    if task.plan:
        planned = plan_to_be(agents, subtasks, actions, task)
        return replace(planned, budgets=budgets_of(coordination, task))
    planned_agents = plan_agents(agents, subtasks, actions)
    return Plan(
        planned_agents,
        {agent.agent_uuid: agent for agent in agents},
        task.on_failure,
        task.placeholders,
        budgets=budgets_of(coordination, task),
    )


def _check_agents(
    agents: Sequence[Agent],
    subtasks: Sequence[SubtaskQuery],
    actions: Mapping[str, AgentAction],
    task: Task,
) -> None:
    """Raise `BadUserInput` if the task names agents that its coordination no longer has."""
    known = {agent.agent_uuid for agent in agents}
    after = [uuid for action in actions.values() for uuid in action.predecessors]
    named = dict.fromkeys([*(each.agent_uuid for each in subtasks), *actions, *after])
    if gone := [uuid[:100] for uuid in named if uuid not in known]:
        names = (
            f"the agent {gone[0]!r}"
            if len(gone) == 1
            else f"the agents {', '.join(map(repr, gone[:5]))}"
        )
        raise BadUserInput(
            f"The task {(task.task_name or task.task_uuid)[:100]!r} names {names}, which its"
            " coordination does not have. Add what is missing to the coordination, or save the"
            " task without it."
        )


def _session(
    app: App, tenant: str, start: Start, plan: Plan, subtask_queries: Any, query: str
) -> Session:
    """The session record to write. It is invisible until it is confirmed, so it has its later
    status from the start.
    """
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
        "served": _served(start),
    }
    return Session(
        *key,
        partition_key=tenant,
        created_at=now,
        updated_at=now,
        unconfirmed=write_tokens.new_token(now),
        nonce=write_tokens.new_nonce(),
        open_sinks=open_sinks(plan),
        open_sink_count=len(plan.sinks()),
        early=any(each.action.join in COUNTED for each in plan.agents) or None,
        plan_hash=plan_hash(plan),
        by_status=status_key(tenant, key[1], values["status"]),
        watch=watch_shard(tenant, key[1]),
        watch_at=now.timestamp() + app.settings.watch_seconds,
        **values,
    )


def _served(start: Start) -> dict[str, Any] | None:
    given = start.served if isinstance(start, ServedStart) else None
    return None if given is None else dict(given)


def _store_large(app: App, session: Session) -> None:
    """Move large values of the session to blobs. Called once it is certain that it can start."""
    values = {name: session.stored(name) for name in Session.payload_names()}
    key = session.key
    for name, value in app.records.store(
        SESSION, session.partition_key, key, values, session.nonce
    ).items():
        setattr(session, name, value)


def _write_session(app: App, session: Session, *, asked: bool) -> Session:
    """Write the session, or find the one that an earlier try with the same uuid has written.

    `asked`: the start has its own query, so both queries must be equal. The task's query is not
    compared: it may have changed between the tries.
    """

    def check(old: Session) -> None:
        same = ["task_uuid", "user_id", "input_files", "served", *(["task_query"] if asked else [])]
        is_fork = old.unconfirmed is not None and old.stored("restart") is not None
        if (
            is_fork
            or old.plan_hash is None
            or any(not is_same(old, session, name) for name in same)
        ):
            raise Conflict("This sessionUuid stands for another session; choose a new one.")
        if old.unconfirmed is not None and old.plan_hash != session.plan_hash:
            raise Conflict(
                "The task changed since this sessionUuid was first used; choose a new one."
            )

    return reserve(app, session, check)
