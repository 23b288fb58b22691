from typing import Any

import pytest

from ai_coordination_engine.domain.rules import check_rules, idle_keys, missing_people
from ai_coordination_engine.domain.shapes import parse_agent_actions, parse_agents
from ai_coordination_engine.errors import BadUserInput, TooCostly

AGENTS = parse_agents([{"agentUuid": each} for each in "abcd"])


def check(action: dict[str, Any]) -> None:
    """Agent `d`, which waits for `a` and `b`."""
    check_rules(AGENTS, parse_agent_actions({"d": {"predecessors": ["a", "b"], **action}}))


@pytest.mark.parametrize(
    "action",
    [
        {},
        {"join": "any"},
        {"predecessors": ["a", "b"] * 100},
        {"join": "quorum", "quorum": 2},
        {"join": "all_terminal"},
        {"conditions": {"a": "score > `5`"}},
        {"map": {"over": "a"}},
        {"map": {"over": "a", "items": "found[]", "join": "all_terminal"}},
        {"fallback": "c"},
        {"fallback": "a"},
        {"userInTheLoop": "ann", "answerSchema": {"type": "boolean"}, "defaultAnswer": "true"},
        {"userInTheLoop": "ann", "answerWithinSeconds": 0.5 + 0.5, "defaultAnswer": "go on"},
        {"answerWithinSeconds": 31_536_000},
    ],
)
def test_rules_that_can_work_pass(action: dict[str, Any]) -> None:
    check(action)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            {"predecessors": [str(each) for each in range(101)]},
            "predecessors names 101 agents; it takes at most 100.",
        ),
        (
            {"join": "quorum"},
            'quorum is needed for the join "quorum": how many predecessors must complete.',
        ),
        ({"quorum": 1}, 'quorum counts for the join "quorum" only; the join is "all".'),
        (
            {"join": "any", "quorum": 1},
            'quorum counts for the join "quorum" only; the join is "any".',
        ),
        ({"join": "quorum", "quorum": 0}, "quorum must be 1 or more."),
        ({"join": "quorum", "quorum": -3}, "quorum must be 1 or more."),
        (
            {"predecessors": [], "join": "quorum", "quorum": 1},
            "quorum needs predecessors; the agent has none.",
        ),
        (
            {"conditions": {"c": "a"}},
            "conditions.c is not a predecessor of this agent; name one of its predecessors.",
        ),
        (
            {"conditions": {"a": "b["}},
            "conditions.a: b[ is not a valid JMESPath expression: Incomplete expression.",
        ),
        (
            {"map": {"over": "c"}},
            "map.over is not a predecessor of this agent; name one of its predecessors.",
        ),
        ({"map": {"over": "a", "items": "]"}}, "map.items: ] is not a valid JMESPath expression: "),
        (
            {"map": {"over": "a"}, "userInTheLoop": "ann"},
            "map and userInTheLoop exclude each other; let another agent wait for the person.",
        ),
        (
            {"fallback": "d"},
            "fallback is the agent itself; name another agent of the coordination.",
        ),
        ({"fallback": "x"}, "fallback is not an agent of the coordination: 'x'."),
        ({"answerSchema": {"type": "text"}}, "answerSchema: it is not a JSON Schema: at $.type, "),
        ({"answerSchema": 5}, "answerSchema: a JSON Schema is an object."),
        (
            {"answerSchema": {"type": "boolean"}, "defaultAnswer": "perhaps"},
            (
                "defaultAnswer: the answer does not conform to the answerSchema: at $, 'perhaps' is"
                " not of type 'boolean'."
            ),
        ),
        (
            {"defaultAnswer": " "},
            "defaultAnswer is empty; leave it out, and an expired wait fails the agent.",
        ),
        ({"answerWithinSeconds": 0}, "answerWithinSeconds must be from 1 to 31536000."),
        ({"answerWithinSeconds": 31_536_001}, "answerWithinSeconds must be from 1 to 31536000."),
        ({"answerWithinSeconds": -1}, "answerWithinSeconds must be from 1 to 31536000."),
    ],
)
def test_rules_that_cannot_work_are_named_with_what_to_do(
    action: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadUserInput) as caught:
        check(action)
    assert caught.value.message.startswith(f"agentActions.d.{message}")


def test_keys_of_a_wait_for_a_person_are_idle_when_nobody_is_asked() -> None:
    given = {"answerSchema": {}, "answerWithinSeconds": 5, "defaultAnswer": "x"}
    actions = {
        "a": given,
        "b": {**given, "userInTheLoop": "ann"},
        "c": {"defaultAnswer": "x", "userInTheLoop": ""},
    }
    assert list(idle_keys(parse_agent_actions(actions))) == [
        (
            "agentActions.a: without userInTheLoop there is no effect of answerSchema,"
            " answerWithinSeconds, defaultAnswer."
        ),
        "agentActions.c: without userInTheLoop there is no effect of defaultAnswer.",
    ]


def test_an_agent_that_gives_a_persons_answer_needs_a_person() -> None:
    runtime = {"kind": "function", "name": "answer"}
    agents = parse_agents([{"agentUuid": uuid, "runtime": runtime} for uuid in "abc"])
    actions = parse_agent_actions({"b": {"userInTheLoop": "ann"}})
    assert list(missing_people(agents, actions, {"a", "b"})) == [
        "agentActions.a: the function answer gives a person's answer, but userInTheLoop names"
        " nobody; it will fail."
    ]


def test_the_expressions_and_schemas_of_a_task_share_one_budget() -> None:
    agents = parse_agents([{"agentUuid": f"a{number}"} for number in range(1_001)])
    long = " || ".join(["a"] * 190)
    actions = {
        f"a{number}": {"predecessors": ["a1000"], "conditions": {"a1000": f"{long} || b{number}"}}
        for number in range(1_000)
    }
    with pytest.raises(
        TooCostly,
        match=r"^agentActions\.a\d+\.conditions\.a1000: a \|\| a .* than can be checked at once\.$",
    ):
        check_rules(agents, parse_agent_actions(actions))
    schema = {"answerSchema": {"anyOf": [{}] * 2_000}}
    with pytest.raises(
        TooCostly,
        match=r"^agentActions\.a4\.answerSchema: it comes after more expressions and schemas",
    ):
        check_rules(agents, parse_agent_actions({f"a{number}": schema for number in range(6)}))
