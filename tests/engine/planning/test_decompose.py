"""A decompose agent writes what each agent of the task's own graph is asked."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import restart
from ai_coordination_engine.engine.graph.definition import snapshot
from ai_coordination_engine.engine.planning.fork import fork_session
from ai_coordination_engine.engine.planning.preview import plan_session
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Session
from tests.kit.crashes import tripping
from tests.kit.planning import answering
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of

DIVIDER = "divider"
DIAMOND = {"a": "", "b": "a", "c": "a", "d": "bc"}
ASKING = {**DIAMOND, DIVIDER: ""}
ASKED = ["ask a", "ask b", "ask c", "ask d"]


def subtasks(**texts: str | Sequence[str]) -> dict[str, Any]:
    """An answer with these subtasks, by agent."""
    return {
        "subtaskQueries": [
            {"agentUuid": uuid, "subtaskQuery": text}
            for uuid, each in texts.items()
            for text in ([each] if isinstance(each, str) else each)
        ]
    }


ANSWER = subtasks(a="ask a", b="ask b", c="ask c", d="ask d")


def define(
    stage: Stage, graph: Mapping[str, Any] = DIAMOND, *, plan: bool = True, **task: Any
) -> tuple[str, str]:
    agents = {DIVIDER: {"agent_type": "decompose"}}
    return stage.define(graph, agents=agents, **{"plan": plan, **task})


def begun(app: App, *answers: Any, **task: Any) -> tuple[Stage, Session]:
    """A session whose decompose agent gives one answer after the other."""
    stage = stage_of(app, behaviours={DIVIDER: answering(*answers)})
    return stage, stage.start(define(stage, **task))


def ended(app: App, *answers: Any, **task: Any) -> tuple[Stage, Session]:
    stage, session = begun(app, *answers, **task)
    stage.drain()
    return stage, session


def queries(stage: Stage) -> list[str]:
    return [each.query for each in stage.runtime.requests if each.agent_uuid != DIVIDER]


def test_a_session_starts_with_the_decompose_agent_alone_and_runs_the_graph_of_its_task(
    app: App,
) -> None:
    stage, session = begun(app, ANSWER)
    assert stage.states(session.session_uuid) == {DIVIDER: "initial"}
    stage.drain()
    assert stage.runtime.ran() == [DIVIDER, "a", "b", "c", "d"]
    assert queries(stage) == ASKED
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)


def test_the_agents_have_the_edges_of_the_task(app: App) -> None:
    stage, session = ended(app, ANSWER)
    agents = stage.agents(session.session_uuid)
    assert [(each.agent_uuid, each.predecessors) for each in agents] == [
        (DIVIDER, None),
        ("a", None),
        ("b", [1]),
        ("c", [1]),
        ("d", [2, 3]),
    ]
    last = stage.runtime.requests[-1]
    assert [each.agent_uuid for each in last.predecessors] == ["b", "c"]


def test_what_was_written_is_pinned_where_people_see_it(app: App) -> None:
    stage, session = ended(app, f"Sure!\n```\n{json.dumps(ANSWER)}\n```")
    agents = stage.agents(session.session_uuid)
    definition = snapshot(agents)
    assert definition is not None
    assert definition["subtaskQueries"] == ANSWER["subtaskQueries"]
    pinned = {"schema": "ace.subtasks/1", **ANSWER, "cannotDo": None}
    assert json.loads(agents[0].agent_output) == pinned
    assert agents[0].plan["plan"] == pinned


def test_it_is_asked_with_the_schema_and_told_who_runs(app: App) -> None:
    stage, _ = ended(app, ANSWER, query="Write about bees")
    request = stage.runtime.requests[0]
    assert request.input == "Write about bees"
    assert request.output_schema is not None
    assert request.output_schema["title"] == "subtasks"
    assert "- d: no description. It waits for b, c\n" in request.instructions


def test_placeholders_of_what_it_wrote_are_filled(app: App) -> None:
    answer = subtasks(a="about {topic}", b="go on with {a}", c="c", d="d")
    stage, _ = ended(app, answer, query='{"topic": "bees"}')
    assert queries(stage)[:2] == ["about bees", "go on with A"]


@pytest.mark.parametrize("strict", [True, False])
def test_a_placeholder_without_a_value_is_wrong_where_the_task_is_strict(
    app: App, strict: bool
) -> None:
    wrong = {**ANSWER, **subtasks(a="about {topc}", b="b", c="c", d="d")}
    rule = {"placeholders": "strict"} if strict else {}
    stage, session = ended(app, wrong, ANSWER, query='{"topic": "bees"}', **rule)
    assert stage.status(session) == "completed"
    assert queries(stage) == (ASKED if strict else ["about {topc}", "b", "c", "d"])


def test_an_agent_of_several_subtasks_and_a_map_are_asked_what_was_written(app: App) -> None:
    graph = {"a": "", "b": "a"}
    stage = stage_of(
        app,
        behaviours={
            "a": lambda _: '["x", "y"]',
            DIVIDER: answering(subtasks(a=["one", "two"], b="visit {item}")),
        },
    )
    own = [{"agent_uuid": "a"}, {"agent_uuid": "a", "subtask_query": "draft"}, {"agent_uuid": "b"}]
    names = define(stage, graph, subtasks=own, actions={"b": {"map": {"over": "a"}}})
    session = stage.start(names)
    stage.drain()
    assert queries(stage) == ["one", "two", "visit x", "visit y", "visit x", "visit y"]
    check_promises(stage, session)


def test_an_agent_that_names_the_decompose_agent_waits_for_it_anyway(app: App) -> None:
    stage, session = ended(app, subtasks(a="1", b="2"), graph={"a": [DIVIDER], "b": "a"})
    assert stage.status(session) == "completed"
    assert queries(stage) == ["1", "2"]


# An answer that cannot be used


WRONG = "The answer cannot be used: at /subtaskQueries, d has 0 entries; it needs 1."


def test_it_is_asked_once_more_with_the_exact_error(app: App) -> None:
    stage, session = ended(app, subtasks(a="1", b="2", c="3"), ANSWER)
    assert stage.status(session) == "completed"
    first, second = stage.runtime.requests[:2]
    assert (first.correction, second.correction) == (None, WRONG)
    assert queries(stage) == ASKED
    check_promises(stage, session)


def test_it_fails_with_a_note_when_it_is_wrong_again_and_nobody_else_runs(app: App) -> None:
    stage, session = ended(app, subtasks(a="1", b="2", c="3"))
    assert stage.status(session) == "failed"
    assert stage.runtime.ran() == [DIVIDER, DIVIDER]
    (agent,) = stage.agents(session.session_uuid)
    assert (agent.state, agent.notes) == ("failed", WRONG)


def test_the_task_says_how_often_it_is_asked(app: App) -> None:
    stage, _ = ended(app, "no", plan_limits={"attempts": 1})
    assert stage.runtime.ran() == [DIVIDER]


def test_the_subtasks_of_the_task_run_instead_where_it_says_so(app: App) -> None:
    own = [{"agent_uuid": name, "subtask_query": f"own {name}"} for name in "abcd"]
    stage, session = ended(app, "no", plan_fallback="static", subtasks=own)
    assert stage.status(session) == "completed"
    assert queries(stage) == ["own a", "own b", "own c", "own d"]


@pytest.mark.parametrize(
    "answer", [{**ANSWER, "cannotDo": "\ud800"}, subtasks(a="\ud800", b="", c="", d="")]
)
def test_what_cannot_be_stored_is_asked_for_once_more(app: App, answer: dict[str, Any]) -> None:
    stage, session = ended(app, answer, ANSWER)
    assert (queries(stage), stage.session(session).status) == (ASKED, "completed")


def test_the_session_fails_with_why_it_cannot_be_done(app: App) -> None:
    stage, session = ended(app, {"cannotDo": "There are no bees."})
    assert stage.status(session) == "failed"
    assert stage.runtime.ran() == [DIVIDER]
    assert stage.agent(session.session_uuid, DIVIDER).notes == "There are no bees."


# A person, and what people do later


def test_a_person_may_change_what_was_written(app: App) -> None:
    stage, session = ended(
        app, ANSWER, graph=ASKING, actions={DIVIDER: {"user_in_the_loop": "ann"}}
    )
    waiting = stage.agent(session.session_uuid, DIVIDER)
    assert waiting.state == "wait_for_user_input"
    key = session.session_uuid, waiting.session_agent_uuid
    with pytest.raises(BadUserInput, match="a has 0 entries; it needs 1"):
        execute_for_user_input(stage.app, TENANT, *key, "{}")
    edited = subtasks(a="1", b="2", c="3", d="4")
    execute_for_user_input(stage.app, TENANT, *key, json.dumps(edited))
    stage.drain()
    assert queries(stage) == ["1", "2", "3", "4"]


def test_an_agent_that_runs_again_is_asked_the_same(app: App) -> None:
    stage, session = ended(app, ANSWER)
    first = stage.agent(session.session_uuid, "a")
    key = session.session_uuid, first.session_agent_uuid
    restart.rerun_session_agent(stage.app, TENANT, *key)
    stage.drain()
    assert queries(stage) == ASKED * 2
    assert stage.runtime.ran().count(DIVIDER) == 1


def test_a_fork_fills_what_was_written_with_its_own_query(app: App) -> None:
    answer = subtasks(a="about {topic}", b="b", c="c", d="d")
    stage, session = ended(app, answer, query='{"topic": "bees"}')
    first = stage.agent(session.session_uuid, "a")
    fork_session(
        stage.app,
        TENANT,
        *session.key,
        from_session_agent_uuid=first.session_agent_uuid,
        task_query='{"topic": "ants"}',
    )
    stage.drain()
    assert queries(stage) == ["about bees", "b", "c", "d", "about ants", "b", "c", "d"]
    assert stage.runtime.ran().count(DIVIDER) == 1


# What is refused


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            {"graph": {"a": "", "b": ["a", DIVIDER]}, "actions": {"b": {"map": {"over": DIVIDER}}}},
            "agentActions.b: the agent 'divider' plans the session",
        ),
        (
            {"graph": {"b": [DIVIDER]}, "actions": {"b": {"conditions": {DIVIDER: "@"}}}},
            "agentActions.b: the agent 'divider' plans the session",
        ),
        (
            {"graph": ASKING, "actions": {DIVIDER: {"answer_schema": {}, "predecessors": ["a"]}}},
            "agentActions.divider.predecessors: the planning agent starts the session alone",
        ),
        ({"subtasks": [{"agent_uuid": "a"}] * 91}, "has 94 subtasks to run"),
    ],
)
def test_a_graph_that_cannot_be_written_at_once_or_looks_at_the_answer_is_refused(
    app: App, task: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadUserInput, match=message):
        begun(app, ANSWER, **task)


def test_without_plan_a_decompose_agent_has_no_effect(app: App) -> None:
    stage, session = ended(app, ANSWER, plan=False)
    assert stage.status(session) == "completed"
    assert stage.runtime.ran() == ["a", "b", "c", "d"]


# Before it runs


def test_a_dry_run_knows_the_graph(app: App) -> None:
    stage = stage_of(app)
    found = plan_session(stage.app, TENANT, *define(stage))
    assert found is not None
    assert found.layers == [[DIVIDER], ["a"], ["b", "c"], ["d"]]
    assert found.critical_path == [DIVIDER, "a", "b", "d"]
    assert found.agent_calls == dict.fromkeys([DIVIDER, "a", "b", "c", "d"], 1)
    assert found.warnings == []


def test_a_dry_run_of_a_plan_to_be_knows_who_plans(app: App) -> None:
    stage = stage_of(app)
    names = stage.define({"a": "", "p": ""}, agents={"p": {"agent_type": "planning"}}, plan=True)
    found = plan_session(stage.app, TENANT, *names)
    assert found is not None
    assert (found.layers, found.agent_calls) == ([["p"]], {"p": 1})
    assert found.warnings == ["plan: p plans each session; what follows it is not known before."]


# Crashes


def test_a_worker_may_die_at_any_point_and_what_was_written_stays(app: App) -> None:
    wrong = subtasks(a="1")
    stage = stage_of(app, behaviours={DIVIDER: answering(wrong, ANSWER)})
    names = define(stage, {"a": "", "b": "a"})
    behaviours = {DIVIDER: _changing}
    point = 0
    while True:
        point += 1
        stage.renew(behaviours=behaviours)
        session = stage.start(names)
        with tripping(stage, point) as tripwire:
            stage.drain()
        check_promises(stage, session)
        check_redelivery_changes_nothing(stage, session)
        pinned = json.loads(stage.agent(session.session_uuid, DIVIDER).agent_output)
        written = {each["agentUuid"]: each["subtaskQuery"] for each in pinned["subtaskQueries"]}
        assert {each.agent_uuid: each.query for each in stage.runtime.requests} == {
            DIVIDER: "begin",
            **written,
        }
        if not tripwire.trips:
            break
    assert point > 20


def _changing(request: Any) -> str:
    """What is wrong at first, and another text at each later attempt."""
    if request.correction is None:
        return json.dumps(subtasks(a="1"))
    return json.dumps(subtasks(a=f"ask a {request.attempt}", b=f"ask b {request.attempt}"))
