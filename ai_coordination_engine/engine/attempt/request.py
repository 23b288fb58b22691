"""One attempt: the request to the agent, and the answer of its runtime."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.ids import name_uuid
from ai_coordination_engine.domain.json_text import loads
from ai_coordination_engine.domain.runtimes import input_is_whole
from ai_coordination_engine.domain.shapes import Agent
from ai_coordination_engine.domain.structured import Structured, correction
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import structured
from ai_coordination_engine.engine.attempt.chain import Chain
from ai_coordination_engine.engine.graph import inputs, rules
from ai_coordination_engine.engine.graph.inputs import MAX_TEXT, AgentOutput, Given
from ai_coordination_engine.engine.graph.keys import edge_id_of, own_edge_id
from ai_coordination_engine.runtime_ports import (
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
    """What takes the text of the attempt while it is written, if somebody watches."""
    if not app.changes.is_told:
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
