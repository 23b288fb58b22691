from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from ai_coordination_engine.domain.graph import plan
from ai_coordination_engine.domain.shapes import parse_agent_actions, parse_agents
from ai_coordination_engine.domain.task_warnings import impossible

NEVER = "score > `8` && score < `5`"
HIGH, LOW = "score > `8`", "score < `5`"


def action(before: str, conditions: Mapping[str, str] | None = None, **rules: Any) -> Any:
    return {"predecessors": [*before], "conditions": conditions, **rules}


def told(actions: Mapping[str, Any]) -> list[str]:
    agents = parse_agents([{"agentUuid": name} for name in "abcdef"])
    return list(impossible(plan(agents, [], parse_agent_actions(actions))))


def together(agent: str, of: str, *conditions: str) -> str:
    return (
        f"agentActions.{agent}: {agent} never runs: what leads to it needs of {of} what can never"
        f" hold together: {', '.join(conditions)}."
    )


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (
            {"b": action("a", {"a": NEVER})},
            [f"agentActions.b.conditions.a: {NEVER} can never hold. b never runs."],
        ),
        (  # told once, where it is wrong
            {"b": action("a", {"a": NEVER}), "c": action("b"), "d": action("bc", join="any")},
            [f"agentActions.b.conditions.a: {NEVER} can never hold. b never runs."],
        ),
        (  # the other way is open
            {"c": action("ab", {"a": NEVER}, join="any")},
            [f"agentActions.c.conditions.a: {NEVER} can never hold."],
        ),
        (
            {"c": action("ab", {"a": NEVER, "b": "`false`"}, join="any")},
            [
                f"agentActions.c.conditions.a: {NEVER} can never hold. c never runs.",
                "agentActions.c.conditions.b: `false` can never hold. c never runs.",
            ],
        ),
        (  # it runs when all have ended
            {"b": action("a", {"a": NEVER}, join="all_terminal")},
            [f"agentActions.b.conditions.a: {NEVER} can never hold."],
        ),
        (  # both branches of one decision
            {"b": action("a", {"a": HIGH}), "c": action("a", {"a": LOW}), "d": action("bc")},
            [together("d", "a", LOW, HIGH)],
        ),
        (
            {"b": action("a", {"a": HIGH}), "c": action("ba", {"a": LOW}), "d": action("c")},
            [together("c", "a", LOW, HIGH)],
        ),
        (  # which is what a join any is for
            {
                "b": action("a", {"a": HIGH}),
                "c": action("a", {"a": LOW}),
                "d": action("bc", join="any"),
            },
            [],
        ),
        (  # the list of a map has no score
            {
                "b": action("a", map={"over": "a"}),
                "c": action("b", {"b": "score > `5`"}),
                "d": action("b", {"b": "[0].score > `5`"}),
            },
            ["agentActions.c.conditions.b: score > `5` can never hold. c never runs."],
        ),
        ({"b": action("a", {"a": HIGH}), "c": action("a", {"a": LOW})}, []),
        ({"c": action("ab", {"a": HIGH, "b": LOW})}, []),
    ],
)
def test_what_can_never_run_is_told(actions: Mapping[str, Any], expected: list[str]) -> None:
    assert told(actions) == expected


def test_a_chain_of_two_thousand_conditions_is_looked_through() -> None:
    names = [f"n{each}" for each in range(2_000)]
    actions: dict[str, Any] = {
        name: {"predecessors": [before], "conditions": {before: f"score > `{at}`"}}
        for at, (before, name) in enumerate(pairwise(names))
    }
    agents = parse_agents([{"agentUuid": name} for name in names])
    assert list(impossible(plan(agents, [], parse_agent_actions(actions)))) == []
