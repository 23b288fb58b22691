"""One step: claim a session agent, run it, record the attempt, end it, hand on; then the next of the chain.

Reads top to bottom: `run_step` → `_claim` → `_attempt` → `advance.hand_on`. The message is the caller's to delete when
`run_step` returns: until then everything it owes can be found again from the agent it names (promise P4).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event
from typing import Any

from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.prompts import compose_input
from ai_coordination_engine.domain.shapes import Agent
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.engine import advance, control, runs
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.busy import Busy
from ai_coordination_engine.engine.keys import agent_key
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import (
    AgentFailure,
    AgentRequest,
    AgentResult,
    Message,
    PredecessorOutput,
    Wake,
)
from ai_coordination_engine.store.entities import COORDINATION, SESSION_AGENT
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.table import Refused
from ai_coordination_engine.store.transitions import Lease

__all__ = ["Busy", "run_step"]

MAX_TEXT = 8_000_000  # characters of an output, or of all outputs that one agent is given
_LOGGED = ("partition_key", "session_uuid", "session_agent_uuid", "agent_uuid", "attempt", "run_uuid")


@dataclass(frozen=True, slots=True)
class Turn:
    """What an agent was given and what it answered."""

    agent_uuid: str
    name: str
    given: str
    output: str


@dataclass
class Chain:
    """What one call has run so far: successors need not read it back.

    `deadline` is the last moment (epoch seconds); `stopping` is set when the process is about to end.
    """

    deadline: float | None
    stopping: Event | None
    turns: dict[int, Turn] = field(default_factory=dict)


def run_step(app: App, wake: Wake, *, deadline: float | None = None, stopping: Event | None = None) -> None:
    """Do the work that `wake` may stand for, and what follows from it as long as there is time.

    `deadline` is in epoch seconds of the clock; None is no limit. Once `stopping` is set, what follows is left to other
    workers. Returns when the message may be deleted: the work is done, was done before, or another message stands for
    it. Raises `Busy` when the message must be kept for later.
    """
    chain = Chain(deadline, stopping)
    agent = _claim(app, wake)
    while agent is not None:
        agent = _attempt(app, agent, chain)


def new_lease(app: App) -> Lease:
    """A lease for an attempt that starts now."""
    now = app.clock.now()
    run_uuid = new_uuid(now)
    return Lease(run_uuid, app.lost_before(), now.timestamp() + app.settings.lease_seconds, token=run_uuid)


def _claim(app: App, wake: Wake) -> SessionAgent | None:
    """The claimed agent, or None when nothing is left to do for this message."""
    key = (wake.session_uuid, wake.session_agent_uuid)
    lease = new_lease(app)
    agent: SessionAgent | None
    try:
        return app.transitions.claim(wake.tenant, key, replace(lease, run_uuid=wake.run_uuid or lease.run_uuid))
    except Refused as refused:
        agent = refused.old
    if agent is None:
        runs.sweep(app, wake)
        return None
    if agent.partition_key != wake.tenant:
        return None
    if _may_be_taken_over(agent, lease):
        if control.is_over(app, agent):
            control.give_up(app, agent)  # nobody waits for the result any more, and attempts cost money
            return None
        try:
            return app.transitions.take_over(agent, lease)
        except Refused as refused:
            agent = refused.old
    if agent is not None:
        _settle_unclaimed(app, agent)
    return None


def _may_be_taken_over(agent: SessionAgent, lease: Lease) -> bool:
    """Whether an earlier attempt has ended without a result. Without a lease it is not the engine's."""
    if agent.state == "executing":
        return agent.lease_until is not None and agent.lease_until < lease.lost_before
    return agent.attempt is not None and advance.is_ready(agent) and not agent.awaits_user


def _settle_unclaimed(app: App, agent: SessionAgent) -> None:
    """What a message owes that came to an agent nobody can claim now."""
    if agent.state in TERMINAL_AGENT_STATES:
        advance.recover(app, agent)
    elif agent.state == "executing" and agent.lease_until is not None:
        raise Busy(max(agent.lease_until - app.clock.now().timestamp(), 0))
    elif agent.in_degree == 0 and agent.awaits_user:
        app.transitions.wait_for_user((agent.session_uuid, agent.session_agent_uuid))


def _attempt(app: App, agent: SessionAgent, chain: Chain) -> SessionAgent | None:
    """Run a claimed agent to its end and return the successor that was claimed with it, if any."""
    started = app.clock.now()
    request = _request(app, agent, chain)
    _log("attempt started", agent)
    try:
        result = _run(app, agent, request)
    except AgentFailure as failure:
        _log("attempt failed", agent, reason=failure.message)
        runs.record(app, agent, started, outcome="failed", error=failure.message)
        _fail(app, agent, request.input, failure.message)
        return None
    _log("attempt completed", agent)
    runs.record(app, agent, started, outcome="completed", usage=result.usage)
    if not _complete(app, agent, request.input, result):
        return None
    chain.turns[agent.ordinal] = Turn(agent.agent_uuid, request.agent_name, request.input, result.output)
    lease = new_lease(app) if _time_left(app, chain) else None
    return advance.hand_on(app, agent, lease)


def _log(event: str, agent: SessionAgent, **details: str) -> None:
    """One line an event; ids only, never what an agent was given or answered."""
    logger.info(event, extra={**{name: getattr(agent, name) for name in _LOGGED}, **details})


def _run(app: App, agent: SessionAgent, request: AgentRequest) -> AgentResult:
    """The result of the runtime; raises `AgentFailure`, also for what could not be handed in or on."""
    if len(request.predecessors) < len(agent.predecessors):
        raise AgentFailure("The output of a predecessor is gone: its session agent was deleted or did not complete.")
    if sum(len(each.output) for each in request.predecessors) > MAX_TEXT:
        raise AgentFailure(f"The predecessors' outputs have more than {MAX_TEXT} characters together.")
    result = app.runtimes.find(request.runtime["kind"]).run(request)
    if len(result.output) > MAX_TEXT:
        raise AgentFailure(f"The output has {len(result.output)} characters; an agent may give {MAX_TEXT}.")
    return result


def _time_left(app: App, chain: Chain) -> bool:
    """Whether another attempt, at its longest, would end before the deadline."""
    if chain.stopping is not None and chain.stopping.is_set():
        return False
    if chain.deadline is None:
        return True
    return app.clock.now().timestamp() + app.settings.lease_seconds <= chain.deadline


def _complete(app: App, agent: SessionAgent, given: str, result: AgentResult) -> bool:
    """End the attempt well; False when it had lost its lease, so that its result changes nothing."""
    key = (agent.session_uuid, agent.session_agent_uuid)
    packed = app.records.packed(
        SESSION_AGENT, agent.partition_key, key, {"agent_input": given, "agent_output": result.output}
    )
    try:
        app.transitions.complete(key, agent.run_uuid, packed)
    except Refused as refused:
        return _is_mine(app, refused.old, agent)
    return True


def _fail(app: App, agent: SessionAgent, given: str, note: str) -> None:
    key = (agent.session_uuid, agent.session_agent_uuid)
    packed = app.records.packed(SESSION_AGENT, agent.partition_key, key, {"agent_input": given, "notes": note})
    try:
        failed = app.transitions.fail(key, agent.run_uuid, packed)
    except Refused as refused:
        if not _is_mine(app, refused.old, agent):
            return
        failed = refused.old
    advance.fail_session(app, failed)


def _is_mine(app: App, old: SessionAgent | None, agent: SessionAgent) -> bool:
    """Whether a refused end is this attempt's own: the answer of an earlier try was lost on the way.

    An agent that was deleted meanwhile takes the record of the attempt with it.
    """
    if old is None:
        runs.forget(app, agent)
        return False
    return bool(old.run_uuid == agent.run_uuid and old.state in ("completed", "failed"))


# What an agent is given


def _request(app: App, agent: SessionAgent, chain: Chain) -> AgentRequest:
    agent.predecessors = app.records.opened(agent.predecessors) or []  # read once: of a wide join they are a blob
    definition = _definition(app, agent)
    runtime: Mapping[str, Any] = definition.runtime.stored() if definition.runtime else app.settings.default_runtime
    wants_thread = app.runtimes.wants_thread(str(runtime.get("kind")))
    turns = _turns(app, agent, chain, with_thread=wants_thread)
    before = [turns[ordinal] for ordinal in agent.predecessors if ordinal in turns]
    outputs = [(turn.name, turn.output) for turn in before]
    if sum(len(output) for _, output in outputs) > MAX_TEXT:
        outputs = []  # too much to be composed; `_run` says so
    task_query = app.records.opened(agent.task_query) or ""
    query = app.records.opened(agent.query) or task_query
    user_input = app.records.opened(agent.user_input)
    thread = [turns[ordinal] for ordinal in agent.thread or () if ordinal in turns] if wants_thread else []
    return AgentRequest(
        tenant=agent.partition_key,
        session_uuid=agent.session_uuid,
        session_agent_uuid=agent.session_agent_uuid,
        run_uuid=agent.run_uuid,
        attempt=agent.attempt,
        agent_uuid=agent.agent_uuid,
        agent_name=definition.label,
        runtime=runtime,
        instructions=str(runtime.get("instructions") or definition.agent_description or ""),
        input=compose_input(query, outputs, user_input),
        query=query,
        task_query=task_query,
        user_input=user_input,
        predecessors=[PredecessorOutput(turn.agent_uuid, turn.name, turn.output) for turn in before],
        input_files=app.records.opened(agent.input_files) or [],
        thread_uuid=agent.thread_uuid or agent.session_agent_uuid,
        thread=[message for turn in thread for message in _messages(turn)],
        timeout_seconds=_timeout(app, chain),
    )


def _definition(app: App, agent: SessionAgent) -> Agent:
    """What the agent was when its session started; for one that a client made, what it is now."""
    stored = app.records.opened(agent.definition)
    if stored is None:
        key = (agent.partition_key, agent.coordination_uuid)
        coordination = app.records.get(COORDINATION, agent.partition_key, key)
        agents = app.records.opened(coordination.agents) if coordination else None
        stored = next((each for each in agents or () if each["agent_uuid"] == agent.agent_uuid), None)
    return Agent.model_validate(stored or {"agent_uuid": agent.agent_uuid})


def _messages(turn: Turn) -> tuple[Message, Message]:
    return Message("user", turn.given), Message("assistant", turn.output)


def _timeout(app: App, chain: Chain) -> float:
    limit = app.settings.agent_timeout_seconds
    if chain.deadline is None:
        return limit
    left = chain.deadline - app.settings.lease_margin_seconds - app.clock.now().timestamp()
    return max(1.0, min(limit, left))


def _turns(app: App, agent: SessionAgent, chain: Chain, *, with_thread: bool) -> dict[int, Turn]:
    """The turns of predecessors and thread, from the chain's memory and at most one batch read.

    What else a claim owes is done at the same time: a first agent begins its session.
    """
    wanted = dict.fromkeys([*agent.predecessors, *((agent.thread or ()) if with_thread else ())])
    missing = [ordinal for ordinal in wanted if ordinal not in chain.turns]
    calls: list[Callable[[], Any]] = [partial(_read_turns, app, agent, missing)] if missing else []
    if agent.ordinal == 0 and agent.sink_count != 0:
        calls.append(partial(app.transitions.begin, (agent.coordination_uuid, agent.session_uuid)))
    results = app.records.parallel.run(calls) if calls else []
    read: dict[int, Turn] = results[0] if missing else {}
    return {**chain.turns, **read}


def _read_turns(app: App, agent: SessionAgent, ordinals: list[int]) -> dict[int, Turn]:
    keys = {agent_key(agent, each): each for each in ordinals}
    found = app.records.get_many(SESSION_AGENT, agent.partition_key, list(keys), consistent=True)
    return {keys[key]: _turn(app, record) for key, record in found.items() if record.state == "completed"}


def _turn(app: App, record: SessionAgent) -> Turn:
    definition = app.records.opened(record.definition) or {}
    return Turn(
        record.agent_uuid,
        definition.get("agent_name") or record.agent_uuid,
        app.records.opened(record.agent_input) or "",
        app.records.opened(record.agent_output) or "",
    )
