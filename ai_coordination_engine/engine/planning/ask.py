"""Ask one agent a question, without a task (the query `askOperationHub`).

Each question becomes a session agent of its own. Questions with the same thread uuid continue one
conversation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ai_coordination_engine.domain.graph import MAX_THREAD_TURNS
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.shapes import Agent, AgentAction, parse_agents
from ai_coordination_engine.domain.statuses import OPEN_AGENT_STATES
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.graph.keys import FIRST_QUESTION, agent_key
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records import guards, write_tokens
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION, SESSION_AGENT

_TRIES = 20


@dataclass(frozen=True)
class Question:
    """A question of a user.

    `agent_uuid`: the agent to ask; by default the triage agent, else the first agent.
    `thread_life_minutes`: an older thread is not continued.
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

    Raises `NotFound` for an unknown coordination, agent or session, and `BadUserInput` for an empty
    question or a coordination without agents.
    """
    if not question.user_query.strip():
        raise BadUserInput("userQuery is empty; ask something.")
    coordination = app.records.get(
        COORDINATION, tenant, (tenant, question.coordination_uuid), consistent=True
    )
    if coordination is None:
        raise COORDINATION.missing((tenant, question.coordination_uuid))
    agent = _choose(parse_agents(coordination.agents), question.agent_uuid)
    session = _session(app, tenant, question)
    asked = _write_agent(app, tenant, question, session, agent)
    app.queue.send([wake(asked)])
    return Asked(
        run_uuid=asked.first_run,
        thread_uuid=asked.thread_uuid,
        agent_uuid=agent.agent_uuid,
        session_uuid=asked.session_uuid,
        coordination_uuid=question.coordination_uuid,
        session_agent_uuid=asked.session_agent_uuid,
        agent=asked,
    )


def _choose(agents: Sequence[Agent], agent_uuid: str | None) -> Agent:
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
        return found
    key = (question.coordination_uuid, new_uuid(app.clock.now()))

    def content(parent: Record | None, new: bool) -> dict[str, Any]:
        return {
            "status": "active",
            "task_query": question.user_query,
            "user_id": question.user_id,
            "iteration_count": 0,
            "updated_by": question.user_id or "engine",
        }

    return app.records.create(
        SESSION, tenant, key, content, parent_key=(tenant, question.coordination_uuid)
    )


def _write_agent(
    app: App, tenant: str, question: Question, session: Session, agent: Agent
) -> SessionAgent:
    session_key = session.key
    ordinal = FIRST_QUESTION - 1  # lower ordinals belong to the plan and to elements of maps
    for _ in range(_TRIES):
        earlier = [
            each  # also those that are not confirmed: their ordinals are taken
            for each in app.records.stored_children(SESSION_AGENT, tenant, session_key)
            if each.ordinal is not None
        ]
        ordinal = max(ordinal, *(each.ordinal for each in earlier), 0) + 1
        record = _agent_record(app, tenant, question, session, agent, earlier, ordinal=ordinal)
        if not app.agents.reserve(record):
            guards.remove_blobs(app.records, SESSION_AGENT, record)
            continue  # another question has this ordinal, or a client has used the uuid
        key = record.key
        if app.records.living_parent(SESSION, tenant, session_key) is None:
            app.records.release(SESSION_AGENT, tenant, key, record.unconfirmed)
            guards.remove_blobs(app.records, SESSION_AGENT, record)
            raise SESSION.missing(session_key)
        confirmed = app.records.confirm(SESSION_AGENT, tenant, key, record.unconfirmed, [])
        confirmed.first_run = record.first_run  # a worker that has begun has removed it
        return confirmed
    raise Conflict("Too many questions reach this session at once; try again.")


def _agent_record(
    app: App,
    tenant: str,
    question: Question,
    session: Session,
    agent: Agent,
    earlier: Sequence[SessionAgent],
    *,
    ordinal: int,
) -> SessionAgent:
    now = app.clock.now()
    session_agent_uuid = agent_key(session, ordinal)[1]
    thread_uuid, turns = _thread(question, earlier, app)
    key = (session.session_uuid, session_agent_uuid)
    values = {
        "agent_action": AgentAction().complete(),
        "definition": agent.stored(),
        "query": question.user_query,
        "input_files": list(question.input_files) if question.input_files else None,
        "notes": (
            f"The answer is for {question.receiver_email}." if question.receiver_email else None
        ),
    }
    nonce = write_tokens.new_nonce()
    return SessionAgent(
        *key,
        partition_key=tenant,
        nonce=nonce,
        unconfirmed=write_tokens.new_token(now),
        coordination_uuid=session.coordination_uuid,
        agent_uuid=agent.agent_uuid,
        ordinal=ordinal,
        sink_count=0,
        in_degree=0,
        state="initial",
        thread_uuid=thread_uuid or session_agent_uuid,
        thread=turns or None,
        first_run=new_uuid(now),
        created_at=now,
        updated_at=now,
        updated_by=question.user_id or "engine",
        **app.records.store(SESSION_AGENT, tenant, key, values, nonce),
    )


def _thread(
    question: Question, earlier: Sequence[SessionAgent], app: App
) -> tuple[str | None, list[int]]:
    """The thread that the question continues (None: a new one), and the ordinals of its turns,
    oldest first.

    A thread uuid that is unknown in this session begins a new thread. A turn that has no answer yet
    is included: it may have one when the agent of this question runs.
    """
    known = [each for each in earlier if each.unconfirmed is None and question.thread_uuid]
    turns = [each for each in known if each.thread_uuid == question.thread_uuid]
    minutes = question.thread_life_minutes
    if (
        turns
        and minutes is not None
        and (app.clock.now() - turns[-1].updated_at).total_seconds() > 60 * minutes
    ):
        return None, []
    heard = [each.ordinal for each in turns if each.state in ("completed", *OPEN_AGENT_STATES)]
    return question.thread_uuid, heard[-MAX_THREAD_TURNS:]
