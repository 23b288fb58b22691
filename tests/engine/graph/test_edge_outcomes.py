"""Joins and conditional edges: who runs after whom, who is skipped, and what each is given."""

import json
import re
from typing import Any

import pytest

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.conditions import holds
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import edge_outcomes
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Session
from tests.kit.controls import rerun
from tests.kit.fakes import Behaviour, failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import Graph, Stage, crowd, stage_of


def ran(
    app: App, graph: Graph, behaviours: dict[str, Behaviour], **actions: Any
) -> tuple[Stage, Session]:
    stage = stage_of(app, behaviours=behaviours)
    session = stage.start(stage.define(graph, actions=actions, on_failure="continue"))
    stage.drain()
    return stage, session


def says(text: str) -> Behaviour:
    return lambda request: text


def given(stage: Stage, agent_uuid: str) -> list[str]:
    (request,) = [each for each in stage.runtime.requests if each.agent_uuid == agent_uuid]
    return [each.agent_uuid for each in request.predecessors]


def test_a_false_condition_skips_and_the_skip_goes_on_to_the_end(app: App) -> None:
    stage, session = ran(
        app,
        {"a": "", "yes": "a", "no": "a", "after": ("no",)},
        {"a": says('{"score": 7}')},
        yes={"conditions": {"a": "score > `5`"}},
        no={"conditions": {"a": "score <= `5`"}},
    )
    states = {"a": "completed", "yes": "completed", "no": "skipped", "after": "skipped"}
    check_promises(stage, session, states=states)
    check_redelivery_changes_nothing(stage, session)


def test_branches_meet_again_in_a_join_of_any(app: App) -> None:
    stage, session = ran(
        app,
        {"a": "", "b": "a", "c": "a", "d": "bc"},
        {"a": says('"left"')},
        b={"conditions": {"a": "@ == 'left'"}},
        c={"conditions": {"a": "@ == 'right'"}},
        d={"join": "any"},
    )
    check_promises(
        stage,
        session,
        states={"a": "completed", "b": "completed", "c": "skipped", "d": "completed"},
    )
    assert given(stage, "d") == ["b"]


def test_any_runs_at_the_first_and_only_once(app: App) -> None:
    stage = stage_of(app)
    session = stage.start(
        stage.define({"a": "", "b": "", "c": "", "d": "abc"}, actions={"d": {"join": "any"}})
    )
    stage.drain(deadline=stage.clock.now().timestamp() + 200)
    check_promises(stage, session)
    assert stage.runtime.ran().count("d") == 1
    assert stage.runtime.ran().index("d") < 3
    assert given(stage, "d") == [stage.runtime.ran()[0]]


@pytest.mark.parametrize(
    ("quorum", "states"),
    [
        (2, {"a": "completed", "b": "failed", "c": "completed", "d": "completed"}),
        # nobody waits for c any more
        (3, {"a": "completed", "b": "failed", "c": "skipped", "d": "skipped"}),
    ],
)
def test_a_quorum_is_reached_or_can_no_longer_be(
    app: App, quorum: int, states: dict[str, str]
) -> None:
    graph = {"a": "", "b": "", "c": "", "d": "abc"}
    stage, session = ran(app, graph, {"b": failing("no")}, d={"join": "quorum", "quorum": quorum})
    status = "completed" if states["d"] == "completed" else "failed"
    check_promises(stage, session, status=status, states=states)
    check_redelivery_changes_nothing(stage, session)


def test_all_terminal_runs_whatever_became_of_the_others(app: App) -> None:
    stage, session = ran(
        app,
        {"a": "", "b": "a", "c": "a", "d": "abc"},
        {"a": says("{}"), "b": failing("no")},
        c={"conditions": {"a": "missing"}},
        d={"join": "all_terminal"},
    )
    check_promises(
        stage, session, states={"a": "completed", "b": "failed", "c": "skipped", "d": "completed"}
    )
    assert given(stage, "d") == ["a"]


def test_a_session_whose_only_sink_a_condition_skips_is_completed_and_says_that_nothing_came_out(
    app: App,
) -> None:
    stage, session = ran(app, {"a": "", "b": "a"}, {"a": says("[]")}, b={"conditions": {"a": "@"}})
    check_promises(stage, session, states={"a": "completed", "b": "skipped"})
    words = "There is no result: agent b was skipped, because no condition or choice led to it."
    assert stage.session(session).logs == words
    stage.runtime.behaviours["a"] = says("[1]")
    rerun(stage, session, "a")
    stage.drain()
    assert (stage.session(session).status, stage.session(session).logs) == ("completed", None)


@pytest.mark.parametrize(("output", "logs"), [("[]", True), ("[1]", False), ("[1, 2]", False)])
def test_of_several_sinks_one_result_is_enough(app: App, output: str, logs: bool) -> None:
    conditions = {
        name: {"conditions": {"a": f"length(@) > `{least}`"}}
        for name, least in (("b", 0), ("c", 1))
    }
    stage, session = ran(app, {"a": "", "b": "a", "c": "a"}, {"a": says(output)}, **conditions)
    assert stage.session(session).status == "completed"
    assert bool(stage.session(session).logs) is logs


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("no json", 'is not valid JSON, but CONDITION; it begins: "no json"'),
        ("", 'is not valid JSON, but CONDITION; it begins: ""'),
        ('{"open": ', 'is not valid JSON, but CONDITION; it begins: "{\\"open\\":"'),
        ("x" * 81, 'is not valid JSON, but CONDITION; it begins: "' + "x" * 80 + '"'),
        ("{} or []", 'holds more than one JSON document, but CONDITION; it begins: "{} or []"'),
    ],
)
def test_an_output_that_is_no_json_fails_the_attempt_when_a_condition_needs_it(
    app: App, output: str, what: str
) -> None:
    stage = stage_of(app, behaviours={"a": says(output)})
    policy = {"policy": {"attempts": 2}}
    session = stage.start(
        stage.define({"a": "", "b": "a"}, actions={"a": policy, "b": {"conditions": {"a": "x"}}})
    )
    stage.drain()
    check_promises(stage, session, status="failed")
    tasks = [run.async_task for run in stage.runs(session.session_uuid)]
    assert [(task["status"], task["error_class"]) for task in tasks] == [
        ("failed", "invalid_output")
    ] * 2
    note = f"The output {what.replace('CONDITION', 'the condition x of a successor needs JSON')}."
    assert stage.agent(session.session_uuid, "a").notes == note


def test_a_condition_reads_the_json_in_what_a_model_answers(app: App) -> None:
    answer = '<think>7 > 5 [sic]</think>Here you are:\n```json\n{"score": 7.0}\n```\nAnything else?'
    stage, session = ran(
        app, {"a": "", "b": "a"}, {"a": says(answer)}, b={"conditions": {"a": "score > `5`"}}
    )
    check_promises(stage, session, states={"a": "completed", "b": "completed"})
    check_redelivery_changes_nothing(stage, session)
    assert stage.agent(session.session_uuid, "a").agent_output == answer


def test_a_number_is_a_number_to_a_condition(app: App) -> None:
    stage, session = ran(
        app, {"a": "", "b": "a"}, {"a": says(" 4.0\n")}, b={"conditions": {"a": "@ == `4`"}}
    )
    check_promises(stage, session, states={"a": "completed", "b": "completed"})


def test_every_condition_of_a_step_is_evaluated_once(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[str] = []

    def counted(expression: str, value: Any, budget: Budget) -> bool:
        evaluated.append(expression)
        return holds(expression, value, budget)

    monkeypatch.setattr(edge_outcomes, "holds", counted)
    same = {"conditions": {"a": "n > `1`"}}
    actions = {"b": same, "c": same, "d": {"conditions": {"a": "n > `2`", "b": "n > `3`"}}}
    says_n = dict.fromkeys("abc", says('{"n": 5}'))
    stage, session = ran(app, {"a": "", "b": "a", "c": "a", "d": "ab"}, says_n, **actions)
    check_promises(stage, session)
    # a: each condition once; b, c and d find out about a again unless they run in its chain; d
    # about b
    assert evaluated[:2] == ["n > `1`", "n > `2`"]
    assert len(evaluated) <= 2 + 1 + 2 + 2


def test_all_conditions_of_an_agent_share_one_budget(app: App) -> None:
    many = {f"s{number}": "a" for number in range(30)}
    stage = stage_of(app, behaviours={"a": says(json.dumps([0] * 300_000))})
    policy = {"a": {"policy": {"attempts": 3}}}
    graph = {"a": "", **many}
    slow = {
        name: {"conditions": {"a": f"[?@ == `{name[1:]}`] | [0] == `{name[1:]}`"}} for name in many
    }
    session = stage.start(stage.define(graph, actions={**policy, **slow}))
    stage.drain()
    assert stage.session(session).status == "failed"
    (run,) = stage.runs(session.session_uuid)  # it would be the same again
    assert (run.async_task["status"], run.async_task["error_class"]) == ("failed", "invalid_output")
    notes = stage.agent(session.session_uuid, "a").notes
    assert re.fullmatch(
        r"The condition \[\?@ == `\d`\] \| \[0\] == `\d` takes too long, or makes too much, of so"
        r" large a value\.",
        notes,
    )


def test_a_condition_that_does_not_apply_fails_the_attempt(app: App) -> None:
    stage, session = ran(
        app, {"a": "", "b": "a"}, {"a": says("5")}, b={"conditions": {"a": "length(@) > `1`"}}
    )
    check_promises(stage, session, status="failed", states={"a": "failed", "b": "skipped"})


def test_the_skip_of_a_whole_layer_reaches_a_wide_join(app: App) -> None:
    middle, subtasks = crowd(120)
    graph = {"a": "", **dict.fromkeys(middle, "a"), "z": middle}
    actions = {name: {"conditions": {"a": "go"}} for name in middle[:3]}
    stage = stage_of(app, behaviours={"a": says('{"go": false}')})
    session = stage.start(stage.define(graph, actions=actions, subtasks=subtasks))
    stage.drain()
    states = dict.fromkeys(graph, "completed") | dict.fromkeys([*middle[:3], "z"], "skipped")
    found = stage.states(session.session_uuid)
    assert {name: state for name, state in found.items() if states[name] != state} == {}
    assert stage.session(session).status == "completed"


def test_a_wide_join_is_counted_in_counter_shards_and_runs_once(app: App) -> None:
    middle, subtasks = crowd(250)
    stage = stage_of(app, threads=8)
    session = stage.start(
        stage.define({"a": "", **dict.fromkeys(middle, "a"), "z": middle}, subtasks=subtasks)
    )
    join = stage.agent(session.session_uuid, "z")
    assert (join.in_degree, join.unfinished, join.counter_shards) == (250, {0, 1, 2}, 3)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran().count("z") == 1
    assert len(given(stage, "z")) == 250


def test_many_sinks_are_counted_in_counter_shards_too(app: App) -> None:
    leaves = [f"m{number}" for number in range(130)]
    stage = stage_of(app, behaviours={"m7": failing("no")}, threads=8)
    session = stage.start(
        stage.define({"a": "", **dict.fromkeys(leaves, "a")}, on_failure="continue")
    )
    assert (session.open_sink_count, session.open_sinks) == (130, {0, 1})
    stage.drain()
    assert stage.session(session).status == "failed"
    assert (stage.session(session).open_sink_count, stage.session(session).open_sinks) == (0, None)


def test_a_quorum_that_can_never_be_reached_is_refused_when_the_session_starts(app: App) -> None:
    stage = stage_of(app)
    names = stage.define({"a": "", "b": "a"}, actions={"b": {"join": "quorum", "quorum": 2}})
    with pytest.raises(BadUserInput, match=r"agentActions.b.quorum: 2 of 1 can never be reached."):
        stage.start(names)
