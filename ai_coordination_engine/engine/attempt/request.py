"""One attempt: the request to the agent, and the answer of its runtime."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Event, Lock
from typing import Any, TypeVar, cast

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.ids import name_uuid
from ai_coordination_engine.domain.json_text import loads
from ai_coordination_engine.domain.runtimes import input_is_whole
from ai_coordination_engine.domain.shapes import Agent
from ai_coordination_engine.domain.structured import Structured, correction
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.app import App, Busy
from ai_coordination_engine.engine.attempt import structured
from ai_coordination_engine.engine.attempt.branches import Branches
from ai_coordination_engine.engine.graph import inputs, rules
from ai_coordination_engine.engine.graph.inputs import MAX_TEXT, AgentOutput, Given
from ai_coordination_engine.engine.graph.keys import edge_id_of, own_edge_id
from ai_coordination_engine.ports import (
    AgentFailure,
    AgentRequest,
    AgentResult,
    Message,
    PredecessorOutput,
    Resumed,
    no_delta,
)
from ai_coordination_engine.stand_ins import replaceable
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.payload import to_json
from ai_coordination_engine.store.records.entities import COORDINATION
from ai_coordination_engine.store.transitions.attempts import lost_since_set_back

T = TypeVar("T")
_LONGEST_KEPT = 10_000  # characters of a definition that is not parsed again for each attempt
ALONE_SECONDS = 5.0  # until another one that must run alone is looked at again
_ALONE = Lock()


@dataclass
class Chain:
    """What one call of `run_step` has run so far: outputs and inputs of agents, so that successors
    need not read them again.

    Both are kept by the name of the agent's edges, so that values from before a reset are not used
    after it. `notes` are remarks on attempts that go on. `deadline` is the last moment (epoch
    seconds); `stopping` is set when the process is about to end. `finish`, `stand_in` and
    `branches` as in `run_step`. `beside`: agents that were claimed beside the one that goes on;
    `taken`: threads for such ones.
    """

    deadline: float | None
    stopping: Event | None
    finish: Callable[[bool], None] | None = None
    stand_in: Callable[[SessionAgent], None] | None = None
    outputs: dict[int, AgentOutput] = field(default_factory=dict)
    given: dict[int, Given] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    alone: list[bool] = field(default_factory=list)
    branches: Branches | None = None
    beside: list[SessionAgent] = field(default_factory=list)
    taken: int = 0

    def branch(self) -> "Chain":
        """What an agent that runs beside this chain begins with."""
        outputs, given = dict(self.outputs), dict(self.given)
        until = self.deadline, self.stopping
        return Chain(*until, outputs=outputs, given=given, branches=self.branches)

    def room(self, app: App, most: int) -> int:
        """How many of `most` successors can run now: one after this chain's own agent, and others
        on threads that are taken for them.
        """
        if not most or not self.has_time(app):
            return 0
        if self.branches is not None:
            self.taken += self.branches.take(max(most - 1 - self.taken, 0))
        return 1 + min(self.taken, most - 1)

    def go_on_with(self, claimed: Sequence[SessionAgent]) -> SessionAgent | None:
        """Keep the agents that were claimed; return the one that runs in this thread."""
        self.beside = [*claimed[1:]]
        self.free(self.taken - len(self.beside))
        return claimed[0] if claimed else None

    def free(self, count: int) -> None:
        """Give back threads that were taken."""
        self.taken -= count
        if self.branches is not None and count:
            self.branches.give_back(count)

    def end(self) -> None:
        """Give back what this chain still holds."""
        self.run_beside_others()
        self.free(self.taken)

    def run_alone(self) -> None:
        """Let the next attempt run alone: no other suspect runs beside it in this process, so that
        a crash can be attributed. Raises `Busy` while another one does.
        """
        if self.alone:
            return
        if not _ALONE.acquire(blocking=False):
            raise Busy(ALONE_SECONDS)
        self.alone.append(True)

    def run_beside_others(self) -> None:
        """Let the next attempt run beside others."""
        try:
            self.alone.pop()  # another thread may go on with this chain at this moment
        except IndexError:
            return
        _ALONE.release()

    def instead_of(self, agent: SessionAgent) -> Callable[[], None] | None:
        """What another thread does if the agent takes longer than it may in this one; None: nothing
        can.
        """
        if (stand_in := self.stand_in) is None:
            return None

        def go_on() -> None:
            self.run_beside_others()
            stand_in(agent)

        return go_on

    def ending(self, successor: T | None) -> T | None:
        """The successor that was claimed; if there is none, the work of the message is done."""
        if self.finish is not None:
            self.finish(successor is None)
        return successor

    def has_time(self, app: App) -> bool:
        """Whether another attempt, at its longest, would end before the deadline."""
        return self.has(app, app.settings.lease_seconds)

    def has(self, app: App, seconds: float) -> bool:
        """Whether the process has so many seconds left."""
        if self.stopping is not None and self.stopping.is_set():
            return False
        return self.deadline is None or app.clock.now().timestamp() + seconds <= self.deadline

    def timeout(self, app: App, limit: float) -> float:
        """The seconds that an attempt which begins now may take, at most `limit`."""
        if self.deadline is None:
            return limit
        left = self.deadline - app.settings.lease_margin_seconds - app.clock.now().timestamp()
        return max(1.0, min(limit, left))


def call(app: App, request: AgentRequest, go_on: Callable[[], None] | None) -> AgentResult:
    """The result of the runtime. Raises `AgentFailure`, also for results that cannot be
    handed off. `go_on`: called by another thread, instead of a failure, if there is no result in
    time.
    """
    with traces.running(app, request), replaceable(go_on):
        result = app.runtimes.find(request.runtime["kind"]).run(request)
    traces.answered(app, request, result)
    if len(result.output) > MAX_TEXT:
        message = f"The output has {len(result.output)} characters; an agent may give {MAX_TEXT}."
        raise AgentFailure(message, error_class="invalid_output", usage=result.usage)
    return result


def request_of(app: App, agent: SessionAgent, chain: Chain, budget: Budget) -> AgentRequest:
    """The request to the agent. Raises `AgentFailure` when its inputs are missing or too large."""
    definition, its_runtime = _definition(app, agent)
    runtime = _mapping(its_runtime or to_json(app.settings.default_runtime))
    kind = str(runtime.get("kind"))
    wants_thread = app.runtimes.wants_thread(kind)
    outputs = _outputs(app, agent, chain, with_thread=wants_thread)
    before = inputs.passing(agent, outputs, budget)
    _check(agent, before)
    given = chain.given[own_edge_id(agent)] = _given(app, agent, chain, before, budget)
    wanted, unfit = structured.of(agent), agent.correction
    text = given.text(on_thread=wants_thread and not input_is_whole(kind)) or given.text()
    return AgentRequest(
        tenant=agent.partition_key,
        session_uuid=agent.session_uuid,
        session_agent_uuid=agent.session_agent_uuid,
        run_uuid=agent.run_uuid,
        idempotency_key=idempotency_key(agent),
        attempt=agent.attempt,
        agent_uuid=definition.agent_uuid,
        agent_name=definition.label,
        runtime=runtime,
        instructions=_instructions(runtime, definition, wanted),
        input=f"{text}\n\n{correction(unfit)}" if unfit else text,
        query=given.query,
        task_query=inputs.task_query(agent),
        user_input=agent.user_input,
        predecessors=[
            PredecessorOutput(each.agent_uuid, each.name, each.output) for each in before
        ],
        input_files=agent.input_files or [],
        thread_uuid=agent.thread_uuid or agent.session_agent_uuid,
        thread=_messages(app, agent, chain, outputs, budget) if wants_thread else [],
        timeout_seconds=chain.timeout(app, rules.timeout(app, agent)),
        output_schema=wanted.schema if wanted is not None else None,
        resumed=_resumed(agent),
        correction=unfit,
        lost_runs=_lost_runs(agent),
        **_trace(app, agent),
        on_delta=_on_delta(app, agent),
    )


def _lost_runs(agent: SessionAgent) -> list[str]:
    return [run for _, run in lost_since_set_back(agent)]


def _trace(app: App, agent: SessionAgent) -> Mapping[str, Any]:
    """The values of the request for the trace of the attempt."""
    trace = traces.of_attempt(app, agent)
    return {"traceparent": trace.traceparent, "tracestate": trace.state} if trace else {}


def bare_request(app: App, agent: SessionAgent, timeout_seconds: float) -> AgentRequest:
    """The request about an attempt that goes on elsewhere: who asks, and the agent's runtime."""
    definition, its_runtime = _definition(app, agent)
    trace = _trace(app, agent)
    return AgentRequest(
        tenant=agent.partition_key,
        session_uuid=agent.session_uuid,
        session_agent_uuid=agent.session_agent_uuid,
        run_uuid=agent.run_uuid or "",
        idempotency_key=idempotency_key(agent),
        attempt=agent.attempt or 1,
        agent_uuid=definition.agent_uuid,
        agent_name=definition.label,
        runtime=_mapping(its_runtime or to_json(app.settings.default_runtime)),
        thread_uuid=agent.thread_uuid or agent.session_agent_uuid,
        timeout_seconds=timeout_seconds,
        traceparent=trace.get("traceparent", ""),
        tracestate=trace.get("tracestate", ""),
    )


def _resumed(agent: SessionAgent) -> Resumed | None:
    """The question that the agent's runtime has asked, once it is answered."""
    if agent.stored("asks") is None or (reply := agent.reply) is None:
        return None
    return Resumed(agent.asks.get("state"), reply)


def _mapping(text: str) -> Mapping[str, Any]:
    """The value of its own that each attempt gets: a function may change what it is given."""
    value: Any = loads(text)
    return cast(Mapping[str, Any], value)


def _on_delta(app: App, agent: SessionAgent) -> Callable[[str], None]:
    """What takes the text of the attempt while it is written, if somebody watches here."""
    if not app.changes.is_watched:
        return no_delta
    key = agent.partition_key, agent.session_uuid, agent.session_agent_uuid
    return app.outputs.writing(*key, agent.attempt or 1)


def _instructions(runtime: Mapping[str, Any], definition: Agent, wanted: Structured | None) -> str:
    """The agent's own, and what it has to answer, where that is not any text."""
    own = str(runtime.get("instructions") or definition.agent_description or "")
    return "\n\n".join(filter(None, (own, wanted.instructions()))) if wanted is not None else own


def _given(
    app: App, agent: SessionAgent, chain: Chain, before: list[AgentOutput], budget: Budget
) -> Given:
    """The inputs of the agent. Raises `AgentFailure` when they cannot be read, or a strict task has
    a placeholder without a value.
    """
    traces.handed_off(app, agent, before)
    given = inputs.composed(app, agent, before, budget)
    chain.notes.pop(agent.ordinal, None)
    if given.missing:
        names = ", ".join(each[:200] for each in given.missing[:5])
        note = f"These placeholders found nothing in the outputs of the predecessors: {names}."
        if rules.of(agent).get("strict"):
            raise AgentFailure(note, error_class="invalid_output")
        chain.notes[agent.ordinal] = note
    return given


def idempotency_key(agent: SessionAgent) -> str:
    """The same for all attempts of an agent, until it is reset, its fallback takes its place, it
    is asked again because of what it answered, or goes on with the answer of a person.
    """
    answered = [["asked", agent.asks["number"]]] if agent.stored("asks") is not None else []
    names = (
        agent.partition_key,
        agent.session_uuid,
        agent.session_agent_uuid,
        agent.set_back,
        agent.on_fallback,
        *([agent.corrections] if agent.corrections else []),
        *answered,
    )
    return name_uuid(json.dumps(names))


def _check(agent: SessionAgent, before: list[AgentOutput]) -> None:
    """Raises `AgentFailure` when a required output is missing, or the outputs are too large
    together.
    """
    join = (agent.agent_action or {}).get("join", "all")
    if join == "all" and agent.map_ordinal is None and len(before) < len(agent.predecessors or ()):
        raise AgentFailure(
            "The output of a predecessor is gone: its session agent was deleted or did not"
            " complete."
        )
    if sum(len(each.output) for each in before) > MAX_TEXT:
        raise AgentFailure(
            f"The predecessors' outputs have more than {MAX_TEXT} characters together."
        )


def _definition(app: App, agent: SessionAgent) -> tuple[Agent, str | None]:
    """The definition of the agent, or of its fallback, from the start of the session; for an agent
    that a client made, the current one. And its runtime as JSON.
    """
    text = None if agent.on_fallback else agent.json_of("definition")
    if text is None:
        text = to_json(_stored_definition(app, agent) or {"agent_uuid": agent.agent_uuid})
    return (_parsed if len(text) <= _LONGEST_KEPT else _parsed.__wrapped__)(text)


def _stored_definition(app: App, agent: SessionAgent) -> Any:
    stored = rules.of(agent)["fallback"] if agent.on_fallback else agent.definition
    if stored is None:
        key = (agent.partition_key, agent.coordination_uuid)
        coordination = app.records.get(COORDINATION, agent.partition_key, key)
        agents = coordination.agents if coordination else None
        stored = next(
            (each for each in agents or () if each["agent_uuid"] == agent.agent_uuid), None
        )
    return stored


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[Agent, str | None]:
    agent = Agent.model_validate(loads(text))
    return agent, to_json(agent.runtime.stored()) if agent.runtime else None


def _outputs(
    app: App, agent: SessionAgent, chain: Chain, *, with_thread: bool
) -> dict[int, AgentOutput]:
    """The outputs of predecessors and thread, from the chain's memory and at most one batch
    read.
    """
    thread = (agent.thread or ()) if with_thread else ()
    wanted = dict.fromkeys([*(agent.predecessors or ()), *thread])
    known = _remembered(agent, wanted, chain.outputs)
    missing = [ordinal for ordinal in wanted if ordinal not in known]
    return {**known, **(inputs.read_outputs(app, agent, missing) if missing else {})}


def read_for_all(app: App, agents: Sequence[SessionAgent], chain: Chain) -> None:
    """Read what agents that begin at the same time all need, once."""
    wanted = {(each.epoch, tuple(each.predecessors or ())) for each in agents}
    if len(wanted) > 1 or len(agents) < 2:
        return
    ((epoch, ordinals),) = wanted
    known = _remembered(agents[0], ordinals, chain.outputs)
    missing = [each for each in ordinals if each not in known]
    if missing:
        try:
            found = inputs.read_outputs(app, agents[0], missing)
        except AgentFailure:  # each of them meets it itself
            return
        chain.outputs |= {edge_id_of(each, epoch): found[each] for each in found}


def _remembered(
    agent: SessionAgent, ordinals: Iterable[int], memory: Mapping[int, T]
) -> dict[int, T]:
    """What a chain remembers of agents that were reset as often as this one."""
    names = {ordinal: edge_id_of(ordinal, agent.epoch) for ordinal in ordinals}
    return {ordinal: memory[name] for ordinal, name in names.items() if name in memory}


def _messages(
    app: App, agent: SessionAgent, chain: Chain, outputs: Mapping[int, AgentOutput], budget: Budget
) -> list[Message]:
    """The earlier outputs of the agent's thread: what each was given, and what it answered."""
    thread = [each for each in agent.thread or () if each in outputs]
    remembered = _remembered(agent, thread, chain.given)
    questions = {ordinal: given.text(on_thread=True) for ordinal, given in remembered.items()}
    if missing := [each for each in thread if each not in questions]:
        found = inputs.read(app, agent, missing)
        given = inputs.given(app, found, budget, on_thread=True)
        questions |= {each.ordinal: given[each.session_agent_uuid] for each in found}
    return [
        message
        for each in thread
        for message in (
            Message("user", questions.get(each, "")),
            Message("assistant", outputs[each].output),
        )
    ]
