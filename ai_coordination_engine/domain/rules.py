"""Check that the keys of an agent's action fit together. Pure.

`domain.shapes` checks the type of each key. This module checks their values and combinations when
a task is saved, when a session starts, and when the action of a session agent is set by hand.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from pydantic.alias_generators import to_camel

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import conditions
from ai_coordination_engine.domain.answers import check_answer, check_schema
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.shapes import Agent, AgentAction
from ai_coordination_engine.errors import BadUserInput

ON_FAILURE = ("fail_fast", "continue")
MAX_PREDECESSORS = 100  # agents; each may have any number of subtasks
MAX_ANSWER_SECONDS = 31_536_000
_OF_A_PERSON = ("answer_schema", "answer_within_seconds", "default_answer")


@dataclass(frozen=True)
class _Rules:
    """The context of one action's check.

    `place` is the action's path in error messages. `known` are the uuids of the coordination's
    agents; None if they are not known.
    """

    agent_uuid: str
    place: str
    known: Collection[str] | None
    budget: Budget

    def wrong(self, key: str, what: str) -> BadUserInput:
        """The error for a key; `what` says what is wrong and what to do."""
        return BadUserInput(f"{self.place}.{key} {what}")

    def run_check(self, key: str, check: Callable[..., None], *arguments: object) -> None:
        """Call `check` and put the path of `key` in front of its error's message."""
        try:
            check(*arguments)
        except BadUserInput as error:
            raise type(error)(f"{self.place}.{key}: {error.message}") from error


_Check = Callable[[_Rules, AgentAction], None]


def check_rules(agents: Sequence[Agent], actions: Mapping[str, AgentAction]) -> None:
    """Raise `BadUserInput` if the actions of a task cannot work.

    The message names `agentActions.<agent>.<key>` and says what to do. Unknown predecessors and
    cycles are found by `graph.check_actions`.
    """
    known = {agent.agent_uuid for agent in agents}
    budget = Budget()
    for agent_uuid, action in actions.items():
        _check(_Rules(agent_uuid, f"agentActions.{agent_uuid[:100]}", known, budget), action)


def check_action(agent_uuid: str, action: AgentAction) -> None:
    """Raise `BadUserInput` if the action of one session agent cannot work.

    The coordination is not read, so a fallback is not compared with its agents. The message names
    `agentAction.<key>`.
    """
    _check(_Rules(agent_uuid, "agentAction", None, Budget()), action)


def _check(rules: _Rules, action: AgentAction) -> None:
    for check in _CHECKS:
        check(rules, action)


def idle_keys(actions: Mapping[str, AgentAction]) -> Iterator[str]:
    """A warning for each action with keys for a person's answer that asks no person."""
    for agent_uuid, action in actions.items():
        idle = [to_camel(key) for key in _OF_A_PERSON if getattr(action, key) is not None]
        if idle and not action.user_in_the_loop:
            yield (
                f"agentActions.{agent_uuid[:100]}: without userInTheLoop there is no effect of"
                f" {', '.join(idle)}."
            )


def missing_people(
    agents: Sequence[Agent], actions: Mapping[str, AgentAction], asked: Collection[str]
) -> Iterator[str]:
    """A warning for each agent that outputs a person's answer, but whose action asks no person.

    `asked`: the uuids of the agents that take part.
    """
    for agent in agents:
        action = actions.get(agent.agent_uuid)
        has_nobody = action is None or not action.user_in_the_loop
        if agent.gives_answer and has_nobody and agent.agent_uuid in asked:
            place = f"agentActions.{agent.agent_uuid[:100]}"
            yield (
                f"{place}: the function answer gives a person's answer, but userInTheLoop names"
                " nobody; it will fail."
            )


def _predecessors(rules: _Rules, action: AgentAction) -> None:
    count = len(set(action.predecessors))
    if count > MAX_PREDECESSORS:
        raise rules.wrong(
            "predecessors", f"names {count} agents; it takes at most {MAX_PREDECESSORS}."
        )


def _join(rules: _Rules, action: AgentAction) -> None:
    if action.join != "quorum":
        if action.quorum is not None:
            raise rules.wrong(
                "quorum", f'counts for the join "quorum" only; the join is "{action.join}".'
            )
        return
    if action.quorum is None:
        raise rules.wrong(
            "quorum", 'is needed for the join "quorum": how many predecessors must complete.'
        )
    if action.quorum < 1:
        raise rules.wrong("quorum", "must be 1 or more.")
    # The number of predecessors is checked when a session starts: each may have several subtasks.
    if not action.predecessors:
        raise rules.wrong("quorum", "needs predecessors; the agent has none.")


def _conditions(rules: _Rules, action: AgentAction) -> None:
    predecessors = set(action.predecessors)
    for predecessor, expression in (action.conditions or {}).items():
        key = f"conditions.{predecessor[:100]}"
        if predecessor not in predecessors:
            raise rules.wrong(
                key, "is not a predecessor of this agent; name one of its predecessors."
            )
        rules.run_check(key, conditions.check, expression, rules.budget)


def _map(rules: _Rules, action: AgentAction) -> None:
    if action.map is None:
        return
    if action.map.over not in action.predecessors:
        raise rules.wrong(
            "map.over", "is not a predecessor of this agent; name one of its predecessors."
        )
    if action.user_in_the_loop:
        raise rules.wrong(
            "map", "and userInTheLoop exclude each other; let another agent wait for the person."
        )
    if action.map.items is not None:
        rules.run_check("map.items", conditions.check, action.map.items, rules.budget)


def _fallback(rules: _Rules, action: AgentAction) -> None:
    if action.fallback is None:
        return
    if action.fallback == rules.agent_uuid:
        raise rules.wrong(
            "fallback", "is the agent itself; name another agent of the coordination."
        )
    if rules.known is not None and action.fallback not in rules.known:
        raise rules.wrong(
            "fallback", f"is not an agent of the coordination: {action.fallback[:100]!r}."
        )


def _answer(rules: _Rules, action: AgentAction) -> None:
    schema, default, within = (
        action.answer_schema,
        action.default_answer,
        action.answer_within_seconds,
    )
    if schema is not None:
        rules.run_check("answerSchema", check_schema, schema, rules.budget)
    if within is not None and not 1 <= within <= MAX_ANSWER_SECONDS:
        raise rules.wrong("answerWithinSeconds", f"must be from 1 to {MAX_ANSWER_SECONDS}.")
    if default is None:
        return
    if not default.strip():
        raise rules.wrong(
            "defaultAnswer", "is empty; leave it out, and an expired wait fails the agent."
        )
    if schema is not None:
        rules.run_check("defaultAnswer", check_answer, schema, default, rules.budget)


_CHECKS: tuple[_Check, ...] = (_predecessors, _join, _conditions, _map, _fallback, _answer)
