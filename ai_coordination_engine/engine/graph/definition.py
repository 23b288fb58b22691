"""The definition with which a session was started, read from its session agents.

The API fields `definition` and `agentName` use it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ai_coordination_engine.domain.shapes import Agent, AgentAction
from ai_coordination_engine.domain.text_parts import written
from ai_coordination_engine.store.models import Coordination, SessionAgent
from ai_coordination_engine.store.payload import ReadOnce


def snapshot(agents: Iterable[SessionAgent]) -> dict[str, Any] | None:
    """The definition in wire form: `agents`, `agentActions`, `subtaskQueries` and `onFailure`.

    A session that an agent has planned also has its pinned `plan` and `planHash`. In
    `subtaskQueries`, the placeholders for keys of the query are filled. None if the engine
    planned none of these agents. Elements of maps are left out. A blob that many agents share is
    read once.
    """
    read = ReadOnce()
    with_definition = [each for each in agents if _is_planned(each)]
    if not with_definition:
        return None
    found: dict[str, Any] = {}
    actions: dict[str, Any] = {}
    subtasks: list[dict[str, Any]] = []
    on_failure = "fail_fast"
    for each in with_definition:
        if each.agent_uuid not in actions:
            rules = read(each, "rules") or {}
            on_failure = rules.get("on_failure") or on_failure
            found[each.agent_uuid] = Agent.model_validate(read(each, "definition")).wire()
            actions[each.agent_uuid] = AgentAction.model_validate(
                read(each, "agent_action") or {}
            ).wire()
            if fallback := rules.get("fallback"):
                found.setdefault(fallback["agent_uuid"], Agent.model_validate(fallback).wire())
        if (query := read(each, "query")) is not None:
            subtasks.append({"agentUuid": each.agent_uuid, "subtaskQuery": written(query)})
    return {
        "agents": list(found.values()),
        "agentActions": actions,
        "subtaskQueries": subtasks,
        "onFailure": on_failure,
        **_pinned(with_definition),
    }


def _pinned(agents: Iterable[SessionAgent]) -> dict[str, Any]:
    """The plan that was pinned, and its hash; nothing in a session without one."""
    plans = (each.read("plan") for each in agents if each.stored("plan") is not None)
    return {
        name: value
        for each in plans
        for name, value in (("plan", each["plan"]), ("planHash", each["hash"]))
        if each["plan"] is not None
    }


def _is_planned(agent: SessionAgent) -> bool:
    """Whether the engine planned the agent; false for elements of maps."""
    return agent.stored("definition") is not None and agent.map_ordinal is None


def agent_names(
    agents: Sequence[SessionAgent], coordinations: Mapping[str, Coordination | None]
) -> list[str | None]:
    """The names of these agents, in order; None for an agent without a name.

    A name comes from the session agent's definition, else from the present coordination, which
    `coordinations` has by uuid. A blob that many agents share is read once.
    """
    read = ReadOnce()
    known = {
        uuid: {each["agent_uuid"]: each for each in read(found, "agents") or ()}
        for uuid, found in coordinations.items()
        if found is not None
    }
    return [
        (
            read(each, "definition")
            or known.get(each.coordination_uuid, {}).get(each.agent_uuid)
            or {}
        ).get("agent_name")
        for each in agents
    ]
