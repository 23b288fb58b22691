from itertools import pairwise

import pytest

from ai_coordination_engine.domain import graph
from ai_coordination_engine.domain.graph import PlannedAgent, check_actions, find_cycle, plan
from ai_coordination_engine.domain.shapes import (
    parse_agent_actions,
    parse_agents,
    parse_subtask_queries,
)
from ai_coordination_engine.errors import BadUserInput


def planned(
    agents: str, edges: dict[str, str], subtasks: str = "", **flags: bool
) -> list[PlannedAgent]:
    """`edges` maps an agent to its predecessors, one letter each; `flags` set `primaryPath`."""
    actions = {agent: {"predecessors": list(before)} for agent, before in edges.items()}
    for agent, primary in flags.items():
        actions.setdefault(agent, {})["primaryPath"] = primary  # type: ignore[assignment]
    return plan(
        parse_agents([{"agentUuid": agent} for agent in agents]),
        parse_subtask_queries(
            [
                {"agentUuid": agent, "subtaskQuery": f"{agent}{index}"}
                for index, agent in enumerate(subtasks)
            ]
        ),
        parse_agent_actions(actions),
    )


def edges_of(rows: list[PlannedAgent]) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    return [(row.agent.agent_uuid, row.predecessors, row.successors) for row in rows]


@pytest.mark.parametrize(
    ("predecessors", "cycle"),
    [
        ({}, []),
        ({"a": ["b"], "b": ["c"]}, []),
        ({"d": ["b", "c"], "b": ["a"], "c": ["a"]}, []),
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"a": ["c"], "b": ["a"], "c": ["b"]}, ["a", "b", "c", "a"]),
        ({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["b"]}, ["b", "c", "b"]),
    ],
)
def test_a_cycle_is_found_and_reads_in_the_order_of_execution(
    predecessors: dict[str, list[str]], cycle: list[str]
) -> None:
    assert find_cycle(predecessors) == cycle


def test_a_cycle_among_a_hundred_thousand_agents_needs_no_stack() -> None:
    chain = {str(each): [str(each + 1)] for each in range(100_000)}
    assert find_cycle(chain) == []
    assert len(find_cycle({**chain, "100000": ["0"]})) == 100_002


def test_an_unknown_predecessor_is_named() -> None:
    with pytest.raises(BadUserInput, match=r"agentActions\.a: predecessor 'ghost' is not an agent"):
        check_actions(
            parse_agents([{"agentUuid": "a"}]),
            parse_agent_actions({"a": {"predecessors": ["ghost"]}}),
        )


def test_a_cycle_is_named_in_the_message_and_in_the_extensions() -> None:
    with pytest.raises(BadUserInput, match="wait for each other: a -> b -> a") as caught:
        planned("ab", {"a": "b", "b": "a"})
    assert caught.value.extensions == {"cycle": ["a", "b", "a"]}


def test_a_diamond_is_planned_in_topological_order_whatever_the_order_of_its_agents() -> None:
    assert edges_of(planned("dcba", {"d": "bc", "b": "a", "c": "a"})) == [
        ("a", (), (1, 2)),
        ("c", (0,), (3,)),
        ("b", (0,), (3,)),
        ("d", (2, 1), ()),
    ]


def test_several_subtasks_of_one_agent_are_several_session_agents_and_successors_wait_for_all() -> (
    None
):
    rows = planned("ab", {"b": "a"}, "aab")
    assert edges_of(rows) == [("a", (), (2,)), ("a", (), (2,)), ("b", (0, 1), ())]
    assert [row.subtask_query for row in rows] == ["a0", "a1", "b2"]


def test_a_predecessor_named_twice_is_one_edge() -> None:
    assert edges_of(planned("ab", {"b": "aa"})) == [("a", (), (1,)), ("b", (0,), ())]


def test_an_agent_takes_part_when_it_is_only_waited_for() -> None:
    assert [row.agent.agent_uuid for row in planned("abc", {"b": "a"})] == ["a", "b"]


def test_without_names_every_agent_of_type_task_takes_part() -> None:
    agents = parse_agents(
        [
            {"agentUuid": "a"},
            {"agentUuid": "b", "agentType": "triage"},
            {"agentUuid": "c", "agentType": "task"},
        ]
    )
    assert [row.agent.agent_uuid for row in plan(agents, [], {})] == ["a", "c"]


def test_nobody_to_run_is_an_error() -> None:
    with pytest.raises(BadUserInput) as caught:
        plan(parse_agents([{"agentUuid": "a", "agentType": "planning"}]), [], {})
    assert (
        caught.value.message
        == 'The coordination has no agent that could run; it needs one with agentType: "task" (the'
        " default)."
    )


def test_the_thread_follows_the_first_predecessor_on_the_primary_path() -> None:
    rows = planned("abcd", {"b": "a", "c": "b", "d": "c"})
    assert [(row.thread, row.thread_root) for row in rows] == [
        ((), 0),
        ((0,), 0),
        ((0, 1), 0),
        ((0, 1, 2), 0),
    ]


def test_an_agent_off_the_primary_path_opens_its_own_thread_and_hands_none_on() -> None:
    rows = planned("abcd", {"c": "ba", "d": "b"}, b=False, d=False)
    threads = {row.agent.agent_uuid: (row.thread, row.thread_root) for row in rows}
    ordinals = {row.agent.agent_uuid: row.ordinal for row in rows}
    assert threads["c"] == ((ordinals["a"],), ordinals["a"])
    assert threads["d"] == ((), ordinals["d"])


def test_a_thread_keeps_its_latest_turns() -> None:
    agents = [f"{each:03}" for each in range(60)]
    actions = {agent: {"predecessors": [before]} for before, agent in pairwise(agents)}
    rows = plan(
        parse_agents([{"agentUuid": each} for each in agents]), [], parse_agent_actions(actions)
    )
    assert rows[-1].thread == tuple(range(9, 59))
    assert rows[-1].thread_root == 0


@pytest.mark.parametrize(
    ("limit", "words"),
    [("MAX_AGENTS", "takes at most 3"), ("MAX_EDGES", "4 edges .* takes at most 3")],
)
def test_a_session_has_a_largest_size(
    limit: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, limit, 3)  # a constant: the real one takes seconds to reach
    with pytest.raises(BadUserInput, match=words):
        planned("abcd", {"c": "ab", "d": "ab"}, "")
