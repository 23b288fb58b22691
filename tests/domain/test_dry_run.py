from collections.abc import Mapping
from typing import Any

import pytest

from ai_coordination_engine.domain import dry_run as dry_runs
from ai_coordination_engine.domain.dry_run import DryRun
from ai_coordination_engine.domain.graph import plan
from ai_coordination_engine.domain.shapes import (
    Agent,
    parse_agent_actions,
    parse_agents,
    parse_subtask_queries,
)
from ai_coordination_engine.domain.subtasks import Subtask

MODELS = {"a": "small", "b": "small", "c": "large"}


def dry_run(names: str, edges: Mapping[str, Any], subtasks: str = "", **given: bool) -> DryRun:
    """`edges` maps an agent to its predecessors, one letter each, or to its action; `subtasks` has
    a letter for each.
    """
    agents = parse_agents([{"agentUuid": name} for name in names])
    actions = parse_agent_actions(
        {
            name: {"predecessors": [*each]} if isinstance(each, str) else each
            for name, each in edges.items()
        }
    )
    queries = parse_subtask_queries(
        [{"agentUuid": name, "subtaskQuery": f"{name} {at}"} for at, name in enumerate(subtasks)]
    )
    planned = plan(agents, queries, actions)
    filled = [
        Subtask("", ("{x}",), (f"subtaskQueries: {{x}} of agent {each.agent.label}.",))
        if each.subtask_query in given.get("unfilled", ())  # type: ignore[operator]
        else Subtask("")
        for each in planned
    ]

    def model_of(agent: Agent) -> str | None:
        return MODELS.get(agent.agent_uuid)

    return dry_runs.dry_run(
        agents, queries, planned, filled, model_of, is_strict=given.get("is_strict", False)
    )


@pytest.mark.parametrize(
    ("found", "layers", "width", "path"),
    [
        (dry_run("a", {}), [["a"]], 1, ["a"]),
        (dry_run("cab", {}), [["c", "a", "b"]], 3, ["c"]),
        (dry_run("cba", {"b": "a", "c": "b"}), [["a"], ["b"], ["c"]], 1, ["a", "b", "c"]),
        (
            dry_run("abcd", {"b": "a", "c": "a", "d": "bc"}),
            [["a"], ["b", "c"], ["d"]],
            2,
            ["a", "b", "d"],
        ),
        # a short way around does not count
        (dry_run("abc", {"b": "a", "c": "ab"}), [["a"], ["b"], ["c"]], 1, ["a", "b", "c"]),
        (
            dry_run("abx", {"b": "a", "x": ""}, "aabx"),
            [["x", "a", "a"], ["b"]],
            3,
            ["a", "b"],
        ),
    ],
)
def test_an_agent_stands_in_the_layer_after_its_last_predecessor(
    found: DryRun, layers: list[list[str]], width: int, path: list[str]
) -> None:
    assert [sorted(each) for each in found.layers] == [sorted(each) for each in layers]
    assert (found.width, found.critical_path) == (width, path)


def test_calls_are_counted_by_agent_and_by_model() -> None:
    found = dry_run("abcd", {"d": "abc"}, "aabcd")
    assert found.agent_calls == {"a": 2, "b": 1, "c": 1, "d": 1}
    assert found.model_calls == {"small": 3, "large": 1}


def test_nobody_knows_yet_how_often_a_map_calls() -> None:
    found = dry_run("abe", {"b": {"predecessors": ["a"], "map": {"over": "a"}}, "e": "b"})
    assert found.agent_calls == {"a": 1, "b": None, "e": 1}
    assert found.model_calls == {"small": None}


def test_a_good_task_has_no_warnings() -> None:
    assert dry_run("abcd", {"b": "a", "c": "a", "d": "bc"}, "abcd").warnings == []
    assert dry_run("abcd", {"b": "a", "c": "a", "d": "bc"}).warnings == []
    assert dry_run("abc", {}, "abc").warnings == []


def test_a_placeholder_without_a_value_is_told_at_its_subtask() -> None:
    given: Any = {"unfilled": ("b 1",)}
    place = "subtaskQueries[1].subtaskQuery: {x} of agent b."
    assert dry_run("ab", {"b": "a"}, "ab", **given).warnings == [place]
    refused = "placeholders are strict: a start with this query is refused."
    assert dry_run("ab", {"b": "a"}, "ab", **given, is_strict=True).warnings == [place, refused]
    assert dry_run("ab", {"b": "a"}, "ab", is_strict=True).warnings == []


def test_an_agent_without_a_subtask_is_told_where_others_have_one() -> None:
    assert dry_run("abc", {"b": "a", "c": "b"}, "ac").warnings == [
        'agents[1]: the agent "b" has no subtask, so it gets the query itself.'
    ]
    mapped = {"b": {"predecessors": ["a"], "map": {"over": "a"}}}
    assert dry_run("ab", mapped, "a").warnings == []


def test_an_agent_nobody_needs_is_told() -> None:
    assert dry_run("abcd", {"b": {"predecessors": ["a"], "fallback": "d"}}, "ab").warnings == [
        'agents[2]: the agent "c" does not run: it has no subtask and no action, and nobody waits'
        " for it."
    ]
    assert dry_run("abc", {"b": "a", "c": ""}, "abc").warnings == [
        'agents[2]: the agent "c" stands alone: it waits for nobody, and nobody waits for it.'
    ]


def test_what_a_task_is_warned_of_when_it_is_saved_is_told_again() -> None:
    action = {"predecessors": ["a"], "conditions": {"a": "ok == true"}, "defaultAnswer": "x"}
    assert dry_run("ab", {"b": action}).warnings == [
        "agentActions.b.conditions.a: ok == true compares with a field that is called true; the"
        " literal takes backticks: `true`.",
        "agentActions.b: without userInTheLoop there is no effect of defaultAnswer.",
    ]


def test_of_each_kind_a_few_are_told() -> None:
    agents = [chr(ord("A") + each) for each in range(58) if chr(ord("A") + each).isalpha()]
    found = dry_run("".join(agents), {"b": "a"})
    assert len(found.warnings) == 20
