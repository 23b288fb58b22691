"""What the actions of a task must agree on, beyond their shapes. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from pydantic.alias_generators import to_camel

from ai_coordination_engine.domain import conditions
from ai_coordination_engine.domain.answers import check_answer, check_schema
from ai_coordination_engine.domain.shapes import Agent, AgentAction
from ai_coordination_engine.errors import BadUserInput

ON_FAILURE = ("fail_fast", "continue")
MAX_ANSWER_SECONDS = 31_536_000
_OF_A_PERSON = ("answer_schema", "answer_within_seconds", "default_answer")
_Check = Callable[[str, AgentAction, set[str]], None]


def check_rules(agents: Sequence[Agent], actions: Mapping[str, AgentAction]) -> None:
    """Raises `BadUserInput`, which names `agentActions.<agent>.<key>` and what to do, for rules that cannot work.

    Predecessors and cycles are `graph.check_actions`.
    """
    known = {agent.agent_uuid for agent in agents}
    for agent_uuid, action in actions.items():
        for check in _CHECKS:
            check(agent_uuid, action, known)


def idle_keys(actions: Mapping[str, AgentAction]) -> Iterator[str]:
    """Words on the keys of each action that have no effect, because nobody is asked."""
    for agent_uuid, action in actions.items():
        idle = [to_camel(key) for key in _OF_A_PERSON if getattr(action, key) is not None]
        if idle and not action.user_in_the_loop:
            yield f"agentActions.{agent_uuid[:100]}: without userInTheLoop there is no effect of {', '.join(idle)}."


def unasked(agents: Sequence[Agent], actions: Mapping[str, AgentAction], asked: Collection[str]) -> Iterator[str]:
    """Words on each agent of `asked` (uuids) whose output is to be a person's answer, but who has nobody to ask."""
    for agent in agents:
        runtime = agent.runtime.stored() if agent.runtime else {}
        action = actions.get(agent.agent_uuid)
        is_answer = (runtime.get("kind"), runtime.get("name")) == ("function", "answer")
        if is_answer and agent.agent_uuid in asked and not (action and action.user_in_the_loop):
            place = f"agentActions.{agent.agent_uuid[:100]}"
            yield f"{place}: the function answer gives a person's answer, but userInTheLoop names nobody; it will fail."


def _join(agent_uuid: str, action: AgentAction, known: set[str]) -> None:
    if action.join != "quorum":
        if action.quorum is not None:
            raise _wrong(agent_uuid, "quorum", f'counts for the join "quorum" only; the join is "{action.join}".')
        return
    if action.quorum is None:
        raise _wrong(agent_uuid, "quorum", 'is needed for the join "quorum": how many predecessors must complete.')
    if action.quorum < 1:
        raise _wrong(agent_uuid, "quorum", "must be 1 or more.")
    if not action.predecessors:  # how many there are is seen when a session starts: an agent may have several subtasks
        raise _wrong(agent_uuid, "quorum", "needs predecessors; the agent has none.")


def _conditions(agent_uuid: str, action: AgentAction, known: set[str]) -> None:
    for predecessor, expression in (action.conditions or {}).items():
        key = f"conditions.{predecessor[:100]}"
        if predecessor not in action.predecessors:
            raise _wrong(agent_uuid, key, "is no predecessor of this agent; name one of its predecessors.")
        _within(agent_uuid, key, lambda: conditions.check(expression))  # noqa: B023  # called at once


def _map(agent_uuid: str, action: AgentAction, known: set[str]) -> None:
    if action.map is None:
        return
    if action.map.over not in action.predecessors:
        raise _wrong(agent_uuid, "map.over", "is no predecessor of this agent; name one of its predecessors.")
    if action.user_in_the_loop:
        raise _wrong(agent_uuid, "map", "and userInTheLoop exclude each other; let another agent wait for the person.")
    if (items := action.map.items) is not None:
        _within(agent_uuid, "map.items", lambda: conditions.check(items))


def _fallback(agent_uuid: str, action: AgentAction, known: set[str]) -> None:
    if action.fallback is None:
        return
    if action.fallback == agent_uuid:
        raise _wrong(agent_uuid, "fallback", "is the agent itself; name another agent of the coordination.")
    if action.fallback not in known:
        raise _wrong(agent_uuid, "fallback", "is not an agent of the coordination.")


def _answer(agent_uuid: str, action: AgentAction, known: set[str]) -> None:
    schema, default, within = action.answer_schema, action.default_answer, action.answer_within_seconds
    if schema is not None:
        _within(agent_uuid, "answerSchema", lambda: check_schema(schema))
    if within is not None and not 1 <= within <= MAX_ANSWER_SECONDS:
        raise _wrong(agent_uuid, "answerWithinSeconds", f"must be from 1 to {MAX_ANSWER_SECONDS}.")
    if default is None:
        return
    if not default.strip():
        raise _wrong(agent_uuid, "defaultAnswer", "is empty; leave it out, and an expired wait fails the agent.")
    if schema is not None:
        _within(agent_uuid, "defaultAnswer", lambda: check_answer(schema, default))


_CHECKS: tuple[_Check, ...] = (_join, _conditions, _map, _fallback, _answer)


def _wrong(agent_uuid: str, key: str, what: str) -> BadUserInput:
    return BadUserInput(f"agentActions.{agent_uuid[:100]}.{key} {what}")


def _within(agent_uuid: str, key: str, check: Callable[[], None]) -> None:
    try:
        check()
    except BadUserInput as error:
        raise BadUserInput(f"agentActions.{agent_uuid[:100]}.{key}: {error.message}") from error
