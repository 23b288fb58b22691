"""Asking one agent outside a task: each question gets a session agent of its own, on a thread that
continues from question to question.

An agent for triage may choose who goes on with the question (`engine.advance.questions`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.routing import SPAN, first_route, is_router
from ai_coordination_engine.domain.shapes import Agent, AgentAction, parse_agents
from ai_coordination_engine.engine.advance import questions
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt.limits import budgets_of
from ai_coordination_engine.engine.graph.keys import FIRST_QUESTION, agent_key, edge_id
from ai_coordination_engine.engine.graph.session_agents import needs_of_agent
from ai_coordination_engine.engine.planning.threads import Thread
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records import guards, write_tokens
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION, SESSION_AGENT

_TRIES = 20
WHEN_BUSY = ("enqueue", "reject", "interrupt")
_IS_BUSY = (
    "The last question on this thread is still being answered; ask again later, or with whenBusy:"
    " enqueue or interrupt."
)


@dataclass(frozen=True)
class Question:
    """A question of a user. Without `agent_uuid` the agent that answered last on the thread is
    asked, or else the triage agent, or the first agent. A thread that is too old is not continued.

    `when_busy`: what the question does while the last one on its thread is still being answered:
    wait for that (`enqueue`, the default), `reject`, or `interrupt` it. `trace`: the caller's trace
    (`domain.trace_context`), which a new session continues.
    """

    coordination_uuid: str
    user_query: str
    user_id: str | None = None
    agent_uuid: str | None = None
    session_uuid: str | None = None
    input_files: Sequence[Any] | None = None
    receiver_email: str | None = None
    thread_uuid: str | None = None
    thread_life_minutes: int | None = None
    when_busy: str | None = None
    trace: str | None = None


@dataclass(frozen=True)
class Asked:
    """The uuids under which the answer will be found, and the session agent of the question."""

    run_uuid: str
    thread_uuid: str
    agent_uuid: str
    session_uuid: str
    coordination_uuid: str
    session_agent_uuid: str
    agent: SessionAgent


def ask(app: App, tenant: str, question: Question) -> Asked:
    """Enqueue a question and return where its answer will appear.

    Raises `NotFound` for an unknown coordination, agent or session, `BadUserInput` for an empty
    question, `Conflict` when it is to be rejected because the one before is still being answered,
    or its session was cancelled.
    """
    _check(question)
    coordination = app.records.get(
        COORDINATION, tenant, (tenant, question.coordination_uuid), consistent=True
    )
    if coordination is None:
        raise COORDINATION.missing((tenant, question.coordination_uuid))
    agents = parse_agents(coordination.agents)
    _asked_first(agents, question.agent_uuid)  # before a session is created
    session = _session(app, tenant, question)
    asked = _write_agent(app, tenant, question, session, agents, budgets_of(coordination))
    if asked.in_degree == 0:
        app.queue.send([wake(asked)])
    return Asked(
        run_uuid=asked.first_run,
        thread_uuid=asked.thread_uuid,
        agent_uuid=asked.agent_uuid,
        session_uuid=asked.session_uuid,
        coordination_uuid=question.coordination_uuid,
        session_agent_uuid=asked.session_agent_uuid,
        agent=asked,
    )


def _check(question: Question) -> None:
    if not question.user_query.strip():
        raise BadUserInput("userQuery is empty; ask something.")
    if question.when_busy is not None and question.when_busy not in WHEN_BUSY:
        raise BadUserInput(f"whenBusy must be one of {', '.join(WHEN_BUSY)}.")


def _asked_first(agents: Sequence[Agent], agent_uuid: str | None) -> Agent:
    """The agent of this uuid; without one the triage agent, or the first agent."""
    if agent_uuid is not None:
        chosen = next((agent for agent in agents if agent.agent_uuid == agent_uuid), None)
        if chosen is None:
            raise NotFound(f'There is no such agent in the coordination: "{agent_uuid[:200]}".')
        return chosen
    chosen = next(
        (agent for agent in agents if agent.agent_type == "triage"), agents[0] if agents else None
    )
    if chosen is None:
        raise BadUserInput("The coordination has no agent that could be asked.")
    return chosen


def _session(app: App, tenant: str, question: Question) -> Session:
    if question.session_uuid is not None:
        key = (question.coordination_uuid, question.session_uuid)
        found = app.records.get(SESSION, tenant, key, consistent=True)
        if found is None:
            raise SESSION.missing(key)
        if found.status == "cancelled":
            raise _ended(found)
        return found
    key = (question.coordination_uuid, new_uuid(app.clock.now()))

    def content(parent: Record | None, new: bool) -> dict[str, Any]:
        return {
            "status": "active",
            "task_query": question.user_query,
            "user_id": question.user_id,
            "iteration_count": 0,
            "updated_by": question.user_id or "engine",
            "trace": question.trace,
        }

    return app.records.create(
        SESSION, tenant, key, content, parent_key=(tenant, question.coordination_uuid)
    )


def _ended(session: Session) -> Conflict:
    return Conflict(
        f"The session is {session.status} and takes no more questions. Ask without sessionUuid,"
        " which begins another one."
    )


def _write_agent(
    app: App,
    tenant: str,
    question: Question,
    session: Session,
    agents: Sequence[Agent],
    budgets: Mapping[str, Any],
) -> SessionAgent:
    session_key = session.key
    ordinal = FIRST_QUESTION - 1  # lower ordinals belong to the plan and to elements of maps
    for _ in range(_TRIES):
        earlier = [
            each  # also those that are not confirmed: their ordinals are taken
            for each in app.records.stored_children(SESSION_AGENT, tenant, session_key)
            if each.ordinal is not None
        ]
        thread = Thread.of(app, question.thread_uuid, question.thread_life_minutes, earlier)
        app.queue.send([wake(each) for each in thread.unbegun])
        if thread.last is not None and question.when_busy == "interrupt":
            questions.interrupt(app, [each for each in thread.agents if questions.is_asked(each)])
            continue  # until nothing is left of it
        ordinal = max(ordinal, *map(_last_ordinal, earlier), 0) + 1
        if thread.last is not None and question.when_busy == "reject":
            raise Conflict(_IS_BUSY)
        record = _agent_record(app, question, session, agents, thread, budgets, ordinal=ordinal)
        if not app.agents.reserve(record):
            guards.remove_blobs(app.records, SESSION_AGENT, record)
            continue  # another question took this ordinal, or a client its uuid
        return _confirmed(app, session, record)
    raise Conflict("Too many questions reach this session at once; try again.")


def _last_ordinal(agent: SessionAgent) -> int:
    """The last ordinal that the question of the agent may take."""
    if agent.question is None:
        return int(agent.ordinal)
    return int(agent.question) + SPAN - 1


def _confirmed(app: App, session: Session, record: SessionAgent) -> SessionAgent:
    """The question, once its session is there and takes it; in one that is paused it is paused.
    One that waits for another is watched.
    """
    tenant, key = record.partition_key, record.key
    now = app.records.living_parent(SESSION, tenant, session.key)
    if now is None or now.status == "cancelled":
        app.records.release(SESSION_AGENT, tenant, key, record.unconfirmed)
        guards.remove_blobs(app.records, SESSION_AGENT, record)
        raise SESSION.missing(session.key) if now is None else _ended(now)
    if now.status == "paused" and now.pause_token is not None:
        questions.pause(app, now, record)  # before it can begin
    if record.unfinished:
        at = app.clock.now().timestamp() + app.settings.watch_seconds
        app.sessions.watch(tenant, session.key, at, lasting=True)
    confirmed = app.records.confirm(SESSION_AGENT, tenant, key, record.unconfirmed, [])
    if questions.is_waiting(confirmed):
        confirmed = questions.follow(app, confirmed) or confirmed
    confirmed.first_run = record.first_run  # though it may have begun
    return confirmed


def _chosen(
    app: App, question: Question, agents: Sequence[Agent], thread: Thread
) -> tuple[Agent, dict[str, Any] | None]:
    """The agent that is asked, and its rules, where it chooses who goes on.

    Without a name the agent that answered last on the thread goes on, where a triage agent would
    choose; while the thread is busy that is decided when the question begins.
    """
    hops = app.settings.triage_hops
    agent = _asked_first(agents, question.agent_uuid)
    if not is_router(agent, agents, hops):
        return agent, None
    route = first_route(agent, agents, hops, again=question.agent_uuid is None)
    if route.again and thread.last is None:
        known = {each.agent_uuid: each for each in route.candidates()}
        if (last := known.get(thread.answered_last or "")) is not None:
            return last, None
    return agent, {"route": route.stored()}


def _agent_record(
    app: App,
    question: Question,
    session: Session,
    agents: Sequence[Agent],
    thread: Thread,
    budgets: Mapping[str, Any],
    *,
    ordinal: int,
) -> SessionAgent:
    """The session agent of a question, with a reservation."""
    now, last, tenant = app.clock.now(), thread.last, session.partition_key
    agent, rules = _chosen(app, question, agents, thread)
    key = agent_key(session, ordinal)
    kept = {**(rules or {}), **({"budgets": budgets} if budgets else {})}
    values = {**_asked_values(question, agent), "rules": kept or None}
    nonce = write_tokens.new_nonce()
    return SessionAgent(
        *key,
        partition_key=tenant,
        nonce=nonce,
        unconfirmed=write_tokens.new_token(now),
        coordination_uuid=session.coordination_uuid,
        agent_uuid=agent.agent_uuid,
        ordinal=ordinal,
        question=ordinal if rules is not None else None,
        sink_count=0,
        in_degree=int(last is not None),
        unfinished={edge_id(last)} if last is not None else None,
        state="initial",
        thread_uuid=thread.uuid or key[1],
        thread=thread.turns or None,
        needs=needs_of_agent(app, agent),
        first_run=new_uuid(now),
        trace=session.trace,
        created_at=now,
        updated_at=now,
        updated_by=question.user_id or "engine",
        **app.records.store(SESSION_AGENT, tenant, key, values, nonce),
    )


def _asked_values(question: Question, agent: Agent) -> dict[str, Any]:
    """What the agent is asked: values of its session agent that may be large."""
    files, receiver = question.input_files, question.receiver_email
    return {
        "agent_action": AgentAction().complete(),
        "definition": agent.stored(),
        "query": question.user_query,
        "input_files": list(files) if files else None,
        "notes": f"The answer is for {receiver}." if receiver else None,
    }
