"""What a session has answered: the outputs of its sinks, the agents that no other waits for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.shapes import Agent
from ai_coordination_engine.engine.graph.inputs import label
from ai_coordination_engine.engine.graph.session_agents import Plan
from ai_coordination_engine.store.models import SessionAgent


@dataclass(frozen=True)
class Output:
    """The output of one sink: the uuid of its session agent, its name, and its text."""

    uuid: str
    name: str
    text: str

    @property
    def value(self) -> Any:
        """The text as JSON; None if it is not."""
        try:
            return json_text.loads(self.text)
        except json_text.NotJSON:
            return None


def outputs_of(agents: Iterable[SessionAgent]) -> list[Output]:
    """The outputs of the sinks among the agents of a session, in the order of the graph."""
    sinks = [each for each in agents if _is_sink(each) and each.state == "completed"]
    sinks.sort(key=lambda each: each.ordinal or 0)
    return [Output(each.session_agent_uuid, label(each), each.agent_output or "") for each in sinks]


def _is_sink(agent: SessionAgent) -> bool:
    """Whether the session waits for the agent, and no other agent does."""
    is_own = agent.ordinal is not None and agent.map_ordinal is None
    return is_own and bool(agent.sink_count) and not agent.successors


def schema_of(plan: Plan) -> Mapping[str, Any] | None:
    """The JSON Schema of the one output of a plan, if its agent answers objects by one."""
    sinks = [plan.agents[each] for each in plan.sinks()]
    if plan.planning is not None or len(sinks) != 1:
        return None
    (sink,) = sinks
    is_rewritten = bool(sink.action.action_function.function_name) or sink.action.map is not None
    return None if is_rewritten or sink.action.fallback else _answers_by(sink.agent)


def _answers_by(agent: Agent) -> Mapping[str, Any] | None:
    """The schema by which the agent's runtime answers; None if it is not one of objects."""
    runtime = agent.runtime.stored() if agent.runtime else {}
    schema = runtime.get("output_schema") or _at(
        runtime.get("response_format"), ("json_schema", "schema")
    )
    is_object = isinstance(schema, dict) and schema.get("type") == "object"
    return schema if is_object and isinstance(schema, dict) else None


def _at(value: object, path: Sequence[str]) -> object:
    for each in path:
        value = value.get(each) if isinstance(value, dict) else None
    return value
