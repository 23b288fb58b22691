"""A planning agent plans its session: its plan is checked, pinned and run."""

import json
from typing import Any

import pytest

from ai_coordination_engine.domain.plans import plan_hash
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import sharing
from ai_coordination_engine.engine.graph.definition import snapshot
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session
from tests.kit.controls import cancel, fork_from, pause, rerun, resume, retry, sweep_after
from tests.kit.fakes import failing
from tests.kit.planning import PLANNER, answering, plan, plan_of, planned, step
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "bc"}
CHAIN = {"a": "", "b": "a"}
CYCLE = plan(step("a", "b"), step("b", "a"))


def wrong(*problems: str) -> str:
    return f"The answer cannot be used: {'; '.join(problems)}."


WRONG_CYCLE = wrong("at /steps/0/after/0, these steps wait for each other: a -> b -> a")


def only_the_planner(stage: Stage, session: Session, state: str) -> None:
    """Nothing of a plan was written."""
    assert stage.states(session.session_uuid) == {PLANNER: state}
    assert set(stage.runtime.ran()) <= {PLANNER}
    found = stage.session(session)
    assert (found.subtask_queries or []) == []
    assert stage.agent(session.session_uuid, PLANNER).stored("plan") is None


# A plan


def test_a_session_starts_with_the_planning_agent_alone_and_runs_its_plan(app: App) -> None:
    stage, session = planned(app, plan_of(DIAMOND), work=lambda stage: None)
    only_the_planner(stage, session, "initial")
    stage.drain()
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    assert stage.runtime.ran() == [PLANNER, "a", "b", "c", "d"]
    asked = {each.agent_uuid: each.input for each in stage.runtime.requests}
    assert asked["a"] == "do a"
    assert asked["d"] == "Output of b:\nB\n\nOutput of c:\nC\n\ndo d"


def test_the_planning_agent_is_told_the_agents_the_limits_and_the_schema(app: App) -> None:
    described = {
        "a": {"agent_name": "Ann", "agent_description": "Finds facts", "runtime": {"kind": "http"}},
        "t": {"agent_type": "triage"},
    }
    stage, _ = planned(
        app, plan(step("a")), agents="at", described=described, plan_limits={"steps": 3}
    )
    request = stage.runtime.requests[0]
    assert request.input == "begin"
    assert "- a: Ann. Finds facts\n" in request.instructions
    assert "at most 3 steps" in request.instructions
    assert "http" not in request.instructions
    schema: Any = request.output_schema
    step_of = schema["properties"]["steps"]["items"]["properties"]
    assert step_of["agent"]["enum"] == ["a"]
    assert step_of["id"]["enum"] == ["s1", "s2", "s3"]
    assert list(step_of) == ["id", "agent", "query", "after", "join", "when", "map", "reason"]


def test_the_plan_is_pinned_with_its_hash_before_a_step_runs(app: App) -> None:
    seen: list[Any] = []
    stage, session = planned(app, plan_of(CHAIN), work=lambda stage: None)

    def look(request: AgentRequest) -> str:
        seen.append(snapshot(stage.agents(session.session_uuid)))
        return "A"

    stage.runtime.behaviours["a"] = look
    stage.drain()
    (definition,) = seen
    made = {**plan_of(CHAIN), "steps": [{**each} for each in plan_of(CHAIN)["steps"]]}
    assert definition["plan"] == made
    assert definition["planHash"] == plan_hash(made)
    assert [each["agentUuid"] for each in definition["agents"]] == [PLANNER, "a", "b"]
    assert definition["subtaskQueries"] == [
        {"agentUuid": "a", "subtaskQuery": "do a"},
        {"agentUuid": "b", "subtaskQuery": "do b"},
    ]
    assert definition["agentActions"]["b"]["predecessors"] == ["a"]
    assert json.loads(stage.agent(session.session_uuid, PLANNER).agent_output) == made


def test_an_agent_may_have_several_steps_each_with_its_own_edges_and_outputs(app: App) -> None:
    steps = [
        step("s1", agent="a", query="heat"),
        step("s2", agent="a", query="cold"),
        step("s3", ["s1"], agent="a", query="on {s1}"),
        step("s4", ["s1", "s2", "s3"], agent="b", query="{s2} and {s3}; about {topic}"),
    ]
    stage, session = planned(
        app,
        plan(*steps),
        behaviours={"a": lambda request: f"<{request.query}>"},
        query='{"topic": "pumps"}',
    )
    check_promises(stage, session)
    asked = {
        each.query: each.input for each in stage.runtime.requests if each.agent_uuid != PLANNER
    }
    last = "<cold> and <on <heat>>; about pumps"
    assert list(asked) == ["heat", "on <heat>", "cold", last]
    assert asked[last] == f"Output of a:\n<heat>\n\n{last}"
    agents = stage.agents(session.session_uuid)
    assert [each.agent_uuid for each in agents] == [PLANNER, "a", "a", "a", "b"]
    assert [each.predecessors for each in agents] == [None, None, None, [1], [1, 2, 3]]


def test_the_same_text_in_two_steps_of_an_agent_is_filled_for_each(app: App) -> None:
    steps = [
        step("s1", agent="a", query="one"),
        step("s2", agent="b", query="two"),
        step("s3", ["s1"], agent="c", query="{s1}{s2}"),
        step("s4", ["s2"], agent="c", query="{s1}{s2}"),
        step("s5", ["s3", "s4"], agent="c", map={"over": "s3"}, query="{s1}{s2}"),
    ]
    stage, session = planned(
        app, plan(*steps), behaviours={"a": lambda request: "A", "b": lambda request: "B"}
    )
    asked = [each.query for each in stage.runtime.requests if each.agent_uuid == "c"]
    assert sorted(asked) == ["A{s2}", "{s1}B"]
    agents = stage.agents(session.session_uuid)
    assert [each.agent_action["predecessors"] for each in agents[3:]] == [["a"], ["b"], ["c"]]
    assert agents[5].notes.startswith("The output of c is not valid JSON")


def test_joins_conditions_and_maps_of_a_plan_work_as_those_of_a_task(app: App) -> None:
    steps = [
        step("list", agent="a", query="list"),
        step(
            "each", ["list"], agent="b", query="look at {item}", map={"over": "list", "items": "x"}
        ),
        step("never", ["list"], agent="c", when="stop"),
        step("end", ["never", "each"], agent="d", join="any"),
    ]
    stage, session = planned(
        app, plan(*steps), behaviours={"a": lambda request: '{"x": ["u", "v"], "stop": false}'}
    )
    states = {
        each.agent_uuid: each.state
        for each in stage.agents(session.session_uuid)
        if each.map_ordinal is None
    }
    assert states == {
        PLANNER: "completed",
        "a": "completed",
        "b": "completed",
        "c": "skipped",
        "d": "completed",
    }
    assert stage.status(session) == "completed"
    assert stage.agent(session.session_uuid, "d").agent_output == "D"
    assert sorted(each.query for each in stage.runtime.requests if each.agent_uuid == "b") == [
        "look at u",
        "look at v",
    ]


def test_a_map_is_over_its_own_step_and_takes_as_many_elements_as_the_plan_may(app: App) -> None:
    steps = [
        step("s1", agent="a", query="one"),
        step("s2", agent="a", query="two"),
        step("s3", ["s1", "s2"], agent="b", query="{item} of {s2}", map={"over": "s1"}),
    ]
    lists = {"one": '["u", "v"]', "two": '["w"]'}
    given: Any = {"behaviours": {"a": lambda request: lists[request.query]}, "query": ""}
    stage, session = planned(app, plan(*steps), plan_limits={"map": 2}, **given)
    asked = [each.query for each in stage.runtime.requests if each.agent_uuid == "b"]
    assert sorted(asked) == ['u of ["w"]', 'v of ["w"]']
    assert stage.status(session) == "completed"
    stage, session = planned(app, plan(*steps), plan_limits={"map": 1}, **given)
    (failed,) = [each for each in stage.agents(session.session_uuid) if each.state == "failed"]
    assert failed.notes == "The map is over 2 elements; it takes at most 1."


def test_what_the_task_says_of_an_agent_holds_for_its_steps(app: App) -> None:
    """A plan cannot spare the person whom the task names, nor the policy."""
    actions = {
        "b": {
            "user_in_the_loop": "ann",
            "policy": {"attempts": 7},
            "predecessors": ["c"],
            "join": "any",
        }
    }
    stage, session = planned(app, plan_of(CHAIN), actions=actions)
    waiting = stage.agent(session.session_uuid, "b")
    assert waiting.state == "wait_for_user_input"
    assert waiting.rules["policy"] == {"attempts": 7}
    assert waiting.agent_action["predecessors"] == ["a"]
    assert "join" not in waiting.agent_action
    answer(stage, session, "yes", "b")
    stage.drain()
    check_promises(stage, session)


# No plan


def test_an_unfit_answer_goes_back_with_the_exact_errors(app: App) -> None:
    stage, session = planned(app, CYCLE, plan_of(CHAIN))
    check_promises(stage, session)
    assert stage.runtime.ran() == [PLANNER, PLANNER, "a", "b"]
    first, second, *_ = stage.runtime.requests
    assert (first.correction, second.correction) == (None, WRONG_CYCLE)
    assert WRONG_CYCLE in second.input
    runs = [
        each.async_task for each in stage.runs(session.session_uuid) if each.agent_uuid == PLANNER
    ]
    assert sorted((each["attempt"], each["status"], each.get("error")) for each in runs) == [
        (1, "failed", WRONG_CYCLE),
        (2, "completed", None),
    ]


@pytest.mark.parametrize("attempts", [1, 3])
def test_after_its_attempts_the_session_fails_with_the_errors(app: App, attempts: int) -> None:
    limits = {"attempts": attempts} if attempts != 3 else None
    stage, session = planned(app, CYCLE, plan_limits=limits)
    only_the_planner(stage, session, "failed")
    assert stage.runtime.ran() == [PLANNER] * attempts
    assert stage.session(session).logs == f"Agent {PLANNER} failed: {WRONG_CYCLE}"
    check_promises(stage, session, status="failed")
    check_redelivery_changes_nothing(stage, session)


def hostile() -> dict[str, tuple[Any, str]]:
    twenty = [step(f"s{number}", agent="a") for number in range(1, 21)]
    linked = [step(f"s{number}", [f"s{number - 1}"], agent="a") for number in range(2, 21)]
    foreign = [step("s1", agent="a"), *linked[:-1], step("s20", ["s19"], agent="mallory")]
    return {
        "a foreign agent": (
            plan(*foreign),
            "at /steps/19/agent, 'mallory' is not one of the agents: a, b, c, d",
        ),
        "a cycle": (CYCLE, "at /steps/0/after/0, these steps wait for each other: a -> b -> a"),
        "10,000 steps": (
            plan(*(step(f"s{number}", agent="a", query="", reason="") for number in range(1_500))),
            "at /steps, has 1500 steps; a plan takes at most 20",
        ),
        "5 MB": (
            plan(step("a", query="x" * 5_000_000)),
            "at /, it has 5000208 characters; it may have 262144",
        ),
        "too deep": (
            plan(twenty[0], *linked[:6]),
            "at /steps/6/after, 's7' is number 7 in a row of steps; a plan takes 6",
        ),
        "orphans": (
            plan(*twenty[:2]),
            "at /steps/0, nothing needs 's1': it does not lead to 's2'",
        ),
        "a runtime": (
            plan(step("a", runtime={"kind": "http", "url": "http://169.254.169.254"})),
            "at /steps/0/runtime, is not a key of a step; it has id, agent, query, after, join,"
            " when, map, reason",
        ),
        "a policy": (
            plan(step("a"), policy={"attempts": 99}),
            "at /policy, is not a key of a plan; it has schema, goal, steps, final, cannotDo",
        ),
        "the planner itself": (
            plan(step("p", agent=PLANNER)),
            f"at /steps/0/agent, '{PLANNER}' is not one of the agents: a, b, c, d",
        ),
        "no JSON": ("I will do it.", 'it is not valid JSON; it begins: "I will do it."'),
        "two documents": (f"{json.dumps(plan(step('a')))} {json.dumps(plan(step('b')))}", ""),
        "nested": ("[" * 100_000, ""),
    }


@pytest.mark.parametrize("name", hostile())
def test_nothing_of_a_hostile_answer_is_written(app: App, name: str) -> None:
    answered, why = hostile()[name]
    stage, session = planned(app, answered, plan_limits={"attempts": 1})
    only_the_planner(stage, session, "failed")
    notes = str(stage.agent(session.session_uuid, PLANNER).notes)
    assert notes == wrong(why) or (not why and notes.startswith("The answer cannot be used: it "))
    assert stage.status(session) == "failed"


@pytest.mark.parametrize(
    "around", ["{}", "```json\n{}\n```", "Here is my plan:\n{}\nGood luck!", "<think>a</think>{}"]
)
def test_a_fence_or_prose_around_the_plan_does_not_count(app: App, around: str) -> None:
    answered = around.replace("{}", json.dumps(plan_of(CHAIN)))
    stage, session = planned(app, answered)
    check_promises(stage, session)
    assert stage.runtime.ran() == [PLANNER, "a", "b"]


def test_with_strict_placeholders_one_without_a_value_goes_back(app: App) -> None:
    unfit = plan(step("a", query="about {topic}"))
    stage, _ = planned(app, unfit, plan(step("a")), placeholders="strict")
    assert stage.runtime.ran() == [PLANNER, PLANNER, "a"]
    assert "{topic} of agent a" in str(stage.runtime.requests[1].correction)


def test_a_placeholder_without_a_value_is_noted_at_the_planning_agent(app: App) -> None:
    made = plan(step("a", query="about {topic}"), step("b", ["a"], query="{a} and {topic}"))
    stage, session = planned(app, made)
    why = (
        "has no value: the query is not a JSON object with values, and no predecessor is called so."
    )
    assert stage.agent(session.session_uuid, PLANNER).notes == (
        f"{{topic}} of agent a {why} {{topic}} of agent b {why}"
    )


def test_a_note_names_five_placeholders_without_a_value(app: App) -> None:
    stage, session = planned(app, plan(step("a", query=" ".join(f"{{k{n}}}" for n in range(7)))))
    notes = stage.agent(session.session_uuid, PLANNER).notes
    assert notes.count("has no value") == 5
    assert notes.endswith("And 2 more.")


def test_what_cannot_be_done_fails_the_session_with_that_text(app: App) -> None:
    stage, session = planned(app, plan(cannotDo="nobody speaks Latin", final=None))
    only_the_planner(stage, session, "failed")
    assert stage.runtime.ran() == [PLANNER]
    assert stage.session(session).logs == f"Agent {PLANNER} failed: nobody speaks Latin"


@pytest.mark.parametrize("failure", ["unfit", "down"])
def test_the_tasks_own_graph_runs_if_it_says_so_and_no_plan_comes(app: App, failure: str) -> None:
    own: dict[str, Any] = {
        "actions": {"b": {"predecessors": ["a"]}, "c": {"predecessors": ["a"]}},
        "subtasks": [{"agent_uuid": "a", "subtask_query": "own"}, {"agent_uuid": "b"}],
        "plan_fallback": "static",
    }
    down = failing("no model", error_class="unavailable")
    behaviours = {PLANNER: down} if failure == "down" else {}
    stage, session = planned(app, CYCLE, behaviours=behaviours, **own)
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    assert stage.runtime.ran()[-3:] == ["a", "b", "c"]
    planner = stage.agent(session.session_uuid, PLANNER)
    why = "no model" if failure == "down" else WRONG_CYCLE
    assert planner.notes == f"The task's own graph runs, because there is no plan: {why}"
    assert "plan" not in (snapshot(stage.agents(session.session_uuid)) or {})


def test_the_own_graph_may_name_the_planning_agent(app: App) -> None:
    actions = {"a": {"predecessors": [PLANNER]}, "b": {"predecessors": [PLANNER, "a"]}}
    stage, session = planned(app, "no plan", agents="ab", actions=actions, plan_fallback="static")
    assert stage.runtime.ran()[-2:] == ["a", "b"]
    check_promises(stage, session)


def test_a_step_may_fall_back_to_the_planning_agent(app: App) -> None:
    stage, session = planned(
        app,
        plan(step("a")),
        "instead",
        behaviours={"a": failing("no")},
        actions={"a": {"fallback": PLANNER}},
    )
    assert stage.session(session).status == "completed"
    assert stage.agent(session.session_uuid, "a").agent_output == "instead"


def test_steps_that_are_too_large_together_fail_the_session(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "MAX_WRITTEN", 3_000)
    stage, session = planned(app, plan(step("a", query="\u00e4" * 1_600)))
    only_the_planner(stage, session, "failed")
    assert "would take more than 3000 bytes together" in stage.session(session).logs


@pytest.mark.parametrize("own", [{}, {"subtasks": [{"agent_uuid": PLANNER}]}])
def test_a_task_without_a_graph_of_its_own_has_nothing_to_fall_back_on(
    app: App, own: dict[str, Any]
) -> None:
    stage, session = planned(app, CYCLE, plan_fallback="static", **own)
    only_the_planner(stage, session, "failed")
    assert stage.agent(session.session_uuid, PLANNER).notes == WRONG_CYCLE


def test_cannot_do_does_not_fall_back(app: App) -> None:
    stage, session = planned(app, plan(cannotDo="no", final=None), plan_fallback="static")
    only_the_planner(stage, session, "failed")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"planner": {"predecessors": ["a"]}}, "agentActions.planner.predecessors: the planning"),
        (
            {"planner": {"user_in_the_loop": "ann", "default_answer": "perhaps"}},
            "agentActions.planner.defaultAnswer: userInput is about a plan.",
        ),
        ({"agents": ""}, "The coordination has no agent to plan with"),
        (
            {"subtasks": [{"agent_uuid": PLANNER}] * 2},
            "subtaskQueries: the planning agent 'planner' has 2 subtasks",
        ),
        ({"described": {PLANNER: {"agent_type": "task"}}}, "has no agent with agentType"),
        (
            {"plan_fallback": "static", "subtasks": [{"agent_uuid": "a"}] * 91},
            "planFallback: the task's own graph has 91 subtasks to run",
        ),
    ],
)
def test_a_task_that_cannot_be_planned_is_not_started(
    app: App, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadUserInput, match=message.replace("(", r"\(")):
        planned(app, plan(step("a")), **given)


# Its person


def answer(stage: Stage, session: Session, text: str, agent: str = PLANNER) -> None:
    uuid = stage.agent(session.session_uuid, agent).session_agent_uuid
    execute_for_user_input(stage.app, TENANT, session.session_uuid, uuid, text)


def proposed(app: App, **more: Any) -> tuple[Stage, Session]:
    """A session whose plan waits for Ann."""
    return planned(app, plan_of(CHAIN), planner={"user_in_the_loop": "ann", **more})


def test_a_person_sees_the_plan_before_anything_of_it_is_written(app: App) -> None:
    stage, session = proposed(app)
    only_the_planner(stage, session, "wait_for_user_input")
    waiting = stage.agent(session.session_uuid, PLANNER)
    assert json.loads(waiting.agent_output) == plan_of(CHAIN)
    assert waiting.inbox == TENANT
    assert [each.async_task["status"] for each in stage.runs(session.session_uuid)] == ["completed"]
    assert stage.queue.waiting == []


@pytest.mark.parametrize("words", ["approve", "Approved.", ' "yes" '])
def test_a_person_approves(app: App, words: str) -> None:
    stage, session = proposed(app)
    answer(stage, session, words)
    stage.drain()
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    assert stage.runtime.ran() == [PLANNER, "a", "b"]


def test_a_person_edits_the_plan_and_the_edited_one_is_pinned(app: App) -> None:
    stage, session = proposed(app)
    edited = plan(step("c", query="else"), final="c")
    answer(stage, session, f"```json\n{json.dumps(edited)}\n```")
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == [PLANNER, "c"]
    assert (snapshot(stage.agents(session.session_uuid)) or {})["plan"] == edited


@pytest.mark.parametrize(
    ("words", "why"),
    [("reject", "no reason was given"), ("Reject: too dear", "too dear"), ("no, later", "later")],
)
def test_a_person_rejects(app: App, words: str, why: str) -> None:
    stage, session = proposed(app)
    answer(stage, session, words)
    stage.drain()
    only_the_planner(stage, session, "failed")
    assert stage.session(session).logs == f"Agent {PLANNER} failed: The plan was rejected: {why}"


@pytest.mark.parametrize("words", ["perhaps", json.dumps(CYCLE), "{", "nobody", "{}"])
def test_what_is_no_review_is_refused_and_changes_nothing(app: App, words: str) -> None:
    stage, session = proposed(app)
    before = stage.everything(session)
    with pytest.raises(BadUserInput, match=r"approve, reject .* or the plan as it should be"):
        answer(stage, session, words)
    assert stage.everything(session) == before


def test_a_review_is_given_once(app: App) -> None:
    stage, session = proposed(app)
    answer(stage, session, "approve")
    answer(stage, session, "approve")
    stage.drain()
    check_promises(stage, session)


@pytest.mark.parametrize(
    ("default", "status"), [("approve", "completed"), ("reject", "failed"), (None, "failed")]
)
def test_a_review_that_does_not_come_is_the_default_or_fails(
    app: App, default: str | None, status: str
) -> None:
    more = {"answer_within_seconds": 60, **({"default_answer": default} if default else {})}
    stage, session = proposed(app, **more)
    assert stage.status(session) == status
    assert stage.runtime.ran() == [PLANNER, *(["a", "b"] if status == "completed" else [])]


# Its controls


def test_the_steps_of_a_plan_that_comes_in_a_paused_session_wait(app: App) -> None:
    stage, session = planned(app, plan_of(DIAMOND), work=lambda stage: None)

    def plans(request: AgentRequest) -> str:
        pause(stage, session)
        return json.dumps(plan_of(DIAMOND))

    stage.runtime.behaviours[PLANNER] = plans
    stage.drain()
    assert stage.states(session.session_uuid) == {
        PLANNER: "completed",
        **dict.fromkeys("abcd", "initial"),
    }
    assert stage.runtime.ran() == [PLANNER]
    resume(stage, session)
    stage.drain()
    check_promises(stage, session)


@pytest.mark.parametrize("when", ["planning", "waiting"])
def test_a_session_may_be_cancelled_before_its_plan_runs(app: App, when: str) -> None:
    person = {"planner": {"user_in_the_loop": "ann"}} if when == "waiting" else {}
    stage, session = planned(app, plan_of(CHAIN), work=lambda stage: None, **person)

    def plans(request: AgentRequest) -> str:
        if when == "planning":
            cancel(stage, session)
        return json.dumps(plan_of(CHAIN))

    stage.runtime.behaviours[PLANNER] = plans
    stage.drain()
    if when == "waiting":
        cancel(stage, session)
        stage.drain()
    only_the_planner(stage, session, "cancelled")
    assert stage.status(session) == "cancelled"
    retry(stage, session)
    stage.runtime.behaviours[PLANNER] = answering(plan_of(CHAIN))
    stage.drain()
    if when == "waiting":
        answer(stage, session, "approve")
        stage.drain()
    assert stage.status(session) == "completed"
    assert stage.runtime.ran()[-2:] == ["a", "b"]


def test_a_retry_after_no_plan_asks_for_one_anew_and_the_steps_are_of_its_epoch(app: App) -> None:
    stage, session = planned(app, CYCLE)
    stage.runtime.behaviours[PLANNER] = answering(plan_of(DIAMOND))
    retry(stage, session)
    stage.drain()
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    assert stage.runtime.requests[3].correction is None
    assert stage.runtime.ran()[3:] == [PLANNER, "a", "b", "c", "d"]


def test_a_retry_after_a_step_has_failed_keeps_the_plan(app: App) -> None:
    stage, session = planned(app, plan_of(DIAMOND), behaviours={"c": failing("no idea")})
    assert stage.status(session) == "failed"
    del stage.runtime.behaviours["c"]
    retry(stage, session)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran().count(PLANNER) == 1


@pytest.mark.parametrize(
    ("start", "again"),
    [(PLANNER, ["a", "b", "c", "d"]), ("a", ["a", "b", "c", "d"]), ("c", ["c", "d"])],
)
def test_a_rerun_runs_the_pinned_plan_from_there(app: App, start: str, again: list[str]) -> None:
    stage, session = planned(app, plan_of(DIAMOND))
    before = len(stage.runtime.requests)
    rerun(stage, session, start)
    stage.drain()
    check_promises(stage, session)
    assert sorted(stage.runtime.ran()[before:]) == again


@pytest.mark.parametrize("start", [PLANNER, "c", None])
def test_a_fork_has_the_plan_and_asks_the_steps_anew(app: App, start: str | None) -> None:
    made = plan_of(DIAMOND)
    made["steps"][2]["query"] = "about {topic}"
    stage, session = planned(app, made, query='{"topic": "pumps"}')
    before = len(stage.runtime.requests)
    fork = fork_from(stage, session, start, task_query='{"topic": "stoves"}')
    stage.drain()
    check_promises(stage, fork)
    asked = {each.agent_uuid: each.query for each in stage.runtime.requests[before:]}
    assert PLANNER not in asked
    assert asked.get("c", "about stoves") == "about stoves"
    assert set(asked) == {PLANNER: set("abcd"), "c": set("cd"), None: set()}[start]
    definition = snapshot(stage.agents(fork.session_uuid)) or {}
    assert definition["plan"] == made


def test_a_lost_message_is_found_by_the_sweep(app: App) -> None:
    stage, session = planned(app, plan_of(DIAMOND), work=lambda stage: None)
    stage.queue.waiting.clear()
    for _ in range(3):
        sweep_after(stage, 10_000)
        stage.drain()
    check_promises(stage, session)
