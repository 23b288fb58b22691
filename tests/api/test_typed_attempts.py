"""Attempts as typed fields: the values in runs, and the times of session agents."""

from collections.abc import Callable
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.runtime_ports import ActionResult, AgentRequest, AgentResult
from ai_coordination_engine.store.records.entities import SESSION_RUN as SESSION_RUNS
from benchmarks.harness.api import Api
from tests.kit.api import data, leaves
from tests.kit.controls import cancel, fork_from, rerun, retry, sweep_after
from tests.kit.crashes import Crash
from tests.kit.fakes import failing
from tests.kit.records import COORDINATION, SESSION, SESSION_AGENT, SESSION_RUN
from tests.kit.stage import TENANT, Stage, stage_of

TYPED = (
    "attempt status startedAt endedAt error errorClass inputTokens outputTokens totalTokens model"
    " asyncTask sessionAgentUuid"
)
TIMES = "agentUuid state attempt startedAt endedAt"


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


def key(session: Any) -> dict[str, str]:
    return {"coordinationUuid": session.coordination_uuid, "sessionUuid": session.session_uuid}


def read(client: Api, session: Any, selection: str) -> Any:
    return data(client, "session", f"{{ {selection} }}", **key(session))


def runs(client: Api, session: Any) -> list[Any]:
    return list(read(client, session, f"sessionRuns {{ {TYPED} }}")["sessionRuns"])


def times(client: Api, session: Any) -> dict[str, tuple[Any, ...]]:
    """Return state, attempt, begin and end of each agent; times in seconds after nine o'clock."""
    found = read(client, session, f"sessionAgents {{ {TIMES} }}")["sessionAgents"]
    return {
        each["agentUuid"]: (
            each["state"],
            each["attempt"],
            seconds(each["startedAt"]),
            seconds(each["endedAt"]),
        )
        for each in found
    }


def seconds(moment: str | None) -> float | None:
    """Return the seconds after nine o'clock of a time between nine and ten."""
    if moment is None:
        return None
    assert moment.startswith("2026-11-02T09:")
    assert moment.endswith("+00:00")
    minutes, rest = moment.removeprefix("2026-11-02T09:").removesuffix("+00:00").split(":")
    return int(minutes) * 60 + float(rest)


def taking(stage: Stage, took: float, result: Any = "done") -> Callable[[AgentRequest], Any]:
    """Return the behaviour of an agent that takes some seconds."""

    def run(request: AgentRequest) -> Any:
        stage.clock.advance(took)
        return result

    return run


# Runs


def test_a_run_is_typed(stage: Stage, client: Api) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "model": "m-1"}
    stage.runtime.behaviours["a"] = taking(stage, 3, AgentResult("done", usage))
    stage.runtime.behaviours["b"] = failing("no", times=1, retryable=True, error_class="timeout")
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    first, second, third = runs(client, session)
    agents = {
        each.agent_uuid: each.session_agent_uuid for each in stage.agents(session.session_uuid)
    }
    assert (seconds(first.pop("startedAt")), seconds(first.pop("endedAt"))) == (0, 3)
    assert first.pop("asyncTask")["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "model": "m-1",
    }
    assert first == {
        "attempt": 1,
        "status": "completed",
        "error": None,
        "errorClass": None,
        "inputTokens": 5,
        "outputTokens": 2,
        "totalTokens": 7,
        "model": "m-1",
        "sessionAgentUuid": agents["a"],
    }
    told = [
        (each["attempt"], each["status"], each["error"], each["errorClass"])
        for each in (second, third)
    ]
    assert told == [(1, "failed", "no", "timeout"), (2, "completed", None, None)]
    assert second["totalTokens"] is None


def test_a_lost_attempt_is_typed(stage: Stage, client: Api) -> None:
    def die(request: AgentRequest) -> str:
        if request.attempt == 1:
            raise Crash
        return "ok"

    stage.runtime.behaviours["a"] = die
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    told = [
        (each["attempt"], each["status"], each["errorClass"], each["startedAt"])
        for each in runs(client, session)
    ]
    assert told[0] == (1, "lost", "lost", None)
    assert told[1][:3] == (2, "completed", None)


def test_the_run_of_a_long_job_says_what_has_become_of_it(stage: Stage, client: Api) -> None:
    stage.runtime.behaviours["a"] = lambda request: AgentResult(
        "", {"model": "slow"}, async_task_uuid=request.session_agent_uuid, heartbeat_seconds=60
    )
    session = stage.start(stage.define({"a": ""}, agents={"a": {"policy": {"attempts": 1}}}))
    wake = stage.queue.receive()
    assert wake is not None
    run_step(stage.app, wake.wake)
    job = stage.agent(session.session_uuid, "a").async_task_uuid
    (run,) = runs(client, session)
    assert (run["status"], run["endedAt"], run["model"]) == ("pending", None, "slow")
    assert times(client, session) == {"a": ("pending", 1, 0, None)}
    stage.clock.advance(30)
    usage = {"inputTokens": 1, "outputTokens": 2, "model": "m"}
    assert data(
        client, "completeAsyncTask", "{ ok }", asyncTaskUuid=job, result="yes", usage=usage
    ) == {"ok": True}
    (run,) = runs(client, session)
    assert (run["status"], seconds(run["endedAt"]), run["totalTokens"], run["model"]) == (
        "completed",
        30,
        3,
        "m",
    )
    stage.clock.advance(5)
    stage.drain()
    assert times(client, session) == {"a": ("completed", 1, 0, 35)}


def test_a_long_job_that_is_not_heard_of_expires_in_its_run(stage: Stage, client: Api) -> None:
    stage.runtime.behaviours["a"] = lambda request: AgentResult(
        "", async_task_uuid=request.session_agent_uuid, heartbeat_seconds=60
    )
    session = stage.start(stage.define({"a": ""}, agents={"a": {"policy": {"attempts": 1}}}))
    stage.drain()
    (run,) = runs(client, session)
    assert (run["status"], run["errorClass"]) == ("expired", "timeout")
    assert (
        run["error"]
        == run["asyncTask"]["error"]
        == "The long job sent no heartbeat for 60 seconds."
    )
    state, attempt, started, ended = times(client, session)["a"]
    assert (state, attempt, started) == ("failed", 1, 0)
    assert ended is not None
    assert ended >= 60


def test_a_run_that_a_client_wrote_is_typed_with_nulls(api: Api, tenant: str) -> None:
    api = api.as_tenant(tenant)
    above = {"coordinationUuid": COORDINATION.put(api, {})["coordinationUuid"]}
    above["sessionUuid"] = SESSION.put(api, above)["sessionUuid"]
    SESSION_RUN.put(api, above, runUuid="mine", sessionAgentUuid="sa")
    found = data(
        api, "sessionRun", f"{{ {TYPED} }}", sessionUuid=above["sessionUuid"], runUuid="mine"
    )
    assert found == {**dict.fromkeys(TYPED.split()), "sessionAgentUuid": "sa"}


def test_details_of_any_shape_and_size_never_fail_a_query(stage: Stage, client: Api) -> None:
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    table = stage.app.records.table(SESSION_RUNS)
    (run,) = stage.runs(session.session_uuid)
    shapes: list[tuple[Any, Any]] = [
        (
            {
                "status": 7,
                "attempt": "x",
                "started_at": "soon",
                "usage": {"input_tokens": 2**40, "model": 1},
            },
            None,
        ),
        ({"status": "completed", "usage": [1]}, "completed"),
        ({"status": "failed", "error": "x" * 500_000}, "failed"),
    ]
    for details, status in shapes:
        values = stage.app.records.store(
            SESSION_RUNS, TENANT, (run.session_uuid, run.run_uuid), {"async_task": details}
        )
        run.async_task = values["async_task"]
        table.put(run, SESSION_RUNS.model.run_uuid.exists())
        (found,) = read(
            client, session, "sessionRuns { status attempt startedAt error inputTokens model }"
        )["sessionRuns"]
        assert found == {
            **dict.fromkeys(("attempt", "startedAt", "inputTokens", "model")),
            "status": status,
            "error": details.get("error"),
        }


# Session agents: their times


def test_a_running_attempt_shows_when_it_began(stage: Stage, client: Api) -> None:
    seen: list[Any] = []
    session: Any = None

    def look(request: AgentRequest) -> str:
        stage.clock.advance(2)
        seen.append(dict(stage.agent(session.session_uuid, "a").attribute_values))
        return "done"

    stage.runtime.behaviours["a"] = look
    session = stage.start(stage.define({"a": "", "b": "a"}))
    assert times(client, session) == {
        "a": ("initial", None, None, None),
        "b": ("initial", None, None, None),
    }
    stage.clock.advance(1)
    stage.drain()
    assert (seen[0]["state"], seen[0]["started_at"], "ended_at" in seen[0]) == (
        "executing",
        session.created_at.timestamp() + 1,
        False,
    )
    assert times(client, session) == {"a": ("completed", 1, 1, 3), "b": ("completed", 1, 3, 3)}
    first, *_ = runs(client, session)
    assert (seconds(first["startedAt"]), seconds(first["endedAt"])) == (1, 3)


def test_a_failed_attempt_has_ended_and_the_next_one_begins_anew(stage: Stage, client: Api) -> None:
    stage.runtime.behaviours["a"] = failing("no", times=1, retryable=True)
    session = stage.start(
        stage.define({"a": ""}, agents={"a": {"policy": {"backoff_seconds": 10}}})
    )
    wake = stage.queue.receive()
    assert wake is not None
    run_step(stage.app, wake.wake)
    assert times(client, session) == {"a": ("pending", 1, 0, 0)}
    stage.runtime.behaviours["a"] = taking(stage, 2)
    stage.drain()
    state, attempt, started, ended = times(client, session)["a"]
    assert (state, attempt) == ("completed", 2)
    assert started is not None
    assert started > 5  # the backoff, with its jitter
    assert ended == pytest.approx(started + 2)


def test_a_lost_attempt_is_followed_by_one_with_its_own_beginning(
    stage: Stage, client: Api
) -> None:
    def die(request: AgentRequest) -> str:
        if request.attempt == 1:
            raise Crash
        return "ok"

    stage.runtime.behaviours["a"] = die
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    state, attempt, started, ended = times(client, session)["a"]
    assert (state, attempt) == ("completed", 2)
    assert started == ended
    assert started is not None
    assert started > 1


def test_an_action_function_belongs_to_the_attempt(stage: Stage, client: Api) -> None:
    def act(request: Any) -> ActionResult:
        stage.clock.advance(4)
        return ActionResult(output="rewritten")

    stage.actions.functions["m.f"] = act
    action = {"a": {"action_function": {"module_name": "m", "function_name": "f"}}}
    session = stage.start(stage.define({"a": ""}, actions=action))
    stage.drain()
    assert times(client, session) == {"a": ("completed", 1, 0, 4)}


def test_what_never_began_has_neither_beginning_nor_end(stage: Stage, client: Api) -> None:
    stage.runtime.behaviours["a"] = failing("no")
    graph = {"a": "", "b": "a", "c": ""}
    session = stage.start(stage.define(graph, actions={"c": {"user_in_the_loop": "ann"}}))
    stage.drain()
    found = times(client, session)
    assert found["a"][:2] == ("failed", 1)
    assert found["b"] == ("skipped", None, None, None)
    assert found["c"][1:] == (None, None, None)


def test_waiting_for_a_person_is_no_attempt(stage: Stage, client: Api) -> None:
    session = stage.start(stage.define({"a": ""}, actions={"a": {"user_in_the_loop": "ann"}}))
    stage.drain()
    assert times(client, session) == {"a": ("wait_for_user_input", None, None, None)}
    stage.clock.advance(60)
    agent = stage.agent(session.session_uuid, "a")
    execute_for_user_input(stage.app, TENANT, session.session_uuid, agent.session_agent_uuid, "yes")
    stage.clock.advance(5)
    stage.drain()
    assert times(client, session) == {"a": ("completed", 1, 65, 65)}


def test_a_map_begins_when_its_elements_have_ended(stage: Stage, client: Api) -> None:
    stage.runtime.behaviours["list"] = lambda request: "[1, 2]"
    stage.runtime.behaviours["each"] = taking(stage, 2)
    session = stage.start(
        stage.define({"list": "", "each": ["list"]}, actions={"each": {"map": {"over": "list"}}})
    )
    wake = stage.queue.receive()
    assert wake is not None
    run_step(stage.app, wake.wake, deadline=stage.clock.now().timestamp() + 1)
    expanding = stage.queue.receive()
    assert expanding is not None
    run_step(stage.app, expanding.wake, deadline=stage.clock.now().timestamp() + 1)
    waiting = stage.agents(session.session_uuid)[1]
    assert (waiting.state, waiting.mapped, waiting.started_at, waiting.ended_at) == (
        "pending",
        2,
        None,
        None,
    )
    stage.drain()
    found = read(client, session, "sessionAgents { mapIndex agentUuid startedAt endedAt }")[
        "sessionAgents"
    ]
    told = [
        (each["mapIndex"], seconds(each["startedAt"]), seconds(each["endedAt"])) for each in found
    ]
    assert told == [(None, 0, 0), (None, 4, 4), (0, 0, 2), (1, 2, 4)]


def test_a_cancelled_attempt_ends_with_its_session(stage: Stage, client: Api) -> None:
    session: Any = None

    def run(request: AgentRequest) -> str:
        stage.clock.advance(1)
        cancel(stage, session)
        stage.clock.advance(5)
        return "late"

    stage.runtime.behaviours["a"] = run
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    assert times(client, session) == {
        "a": ("cancelled", 1, 0, 1),
        "b": ("cancelled", None, None, None),
    }
    (late,) = runs(client, session)
    assert (late["status"], seconds(late["endedAt"])) == ("completed", 6)


def test_what_is_set_back_has_no_times_until_it_runs_again(stage: Stage, client: Api) -> None:
    stage.runtime.behaviours["b"] = failing("no", times=1)
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    stage.clock.advance(100)
    retry(stage, session)
    assert times(client, session) == {"a": ("completed", 1, 0, 0), "b": ("initial", 1, None, None)}
    stage.drain()
    assert times(client, session) == {"a": ("completed", 1, 0, 0), "b": ("completed", 2, 100, 100)}
    stage.clock.advance(100)
    rerun(stage, session, "a")
    stage.drain()
    assert times(client, session) == {
        "a": ("completed", 2, 200, 200),
        "b": ("completed", 3, 200, 200),
    }


def test_a_fork_takes_over_no_attempt(stage: Stage, client: Api) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    stage.clock.advance(10)
    fork = fork_from(stage, session, "b")
    stage.drain()
    assert times(client, fork) == {
        "a": ("completed", None, None, None),
        "b": ("completed", 1, 10, 10),
    }


def test_an_agent_that_ends_its_workers_has_ended(stage: Stage, client: Api) -> None:
    def die(request: AgentRequest) -> str:
        raise Crash

    stage.runtime.behaviours["a"] = die
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    sweep_after(stage, 1)
    state, attempt, started, ended = times(client, session)["a"]
    assert (state, attempt) == ("failed", 5)
    assert started is not None
    assert ended is not None
    assert ended > started


def test_a_client_that_drives_an_agent_by_hand_sets_its_times(stage: Stage, client: Api) -> None:
    above = {"coordinationUuid": COORDINATION.put(client, {})["coordinationUuid"]}
    above["sessionUuid"] = SESSION.put(client, above)["sessionUuid"]

    def put(state: str, at: float, **more: Any) -> tuple[Any, Any]:
        stage.clock.advance(at - stage.clock.now().timestamp() % 3600)
        made = SESSION_AGENT.put(client, above, sessionAgentUuid="sa", state=state, **more)
        return seconds(made["startedAt"]), seconds(made["endedAt"])

    assert put("initial", 0) == (None, None)
    assert put("executing", 5) == (5, None)
    assert put("executing", 6, notes="still") == (5, None)
    assert put("pending", 7) == (None, None)
    assert put("executing", 8) == (8, None)
    assert put("completed", 9) == (8, 9)
    assert put("completed", 10) == (8, 9)
    made = SESSION_AGENT.put(client, above, state="completed")
    assert (made["startedAt"], made["endedAt"]) == (None, None)


# What is always there


def test_whatever_writes_a_record_sets_what_is_never_null(stage: Stage, client: Api) -> None:
    """Maps, questions, forks, retries and clients' writes all set the fields that are
    never null.
    """
    stage.runtime.behaviours["list"] = lambda request: "[1, 2]"
    stage.runtime.behaviours["late"] = failing("no", times=1)
    graph = {"list": "", "each": ["list"], "late": ["each"]}
    definition = stage.define(graph, actions={"each": {"map": {"over": "list"}}})
    session = stage.start(definition)
    stage.drain()
    retry(stage, session)
    stage.drain()
    fork_from(stage, session, "late")
    data(client, "askOperationHub", "{ runUuid }", coordinationUuid=definition[0], userQuery="why?")
    stage.drain()
    above = {"coordinationUuid": definition[0]}
    by_hand = {**above, "sessionUuid": SESSION.put(client, above)["sessionUuid"]}
    SESSION_AGENT.put(client, by_hand)
    SESSION_RUN.put(client, by_hand, runUuid="mine")
    nested = (
        f"sessionAgents {{ {leaves('SessionAgentType')} }} sessionRuns {{"
        f" {leaves('SessionRunType')} }}"
    )
    found = data(
        client, "sessionList", f"{{ sessionList {{ {leaves('SessionType')} {nested} }} }}", **above
    )
    assert sorted(len(each["sessionAgents"]) for each in found["sessionList"]) == [1, 1, 5, 5]
    assert sorted(len(each["sessionRuns"]) for each in found["sessionList"]) == [1, 1, 1, 6]


# Session agents: their names and runs


def test_an_agent_is_called_what_it_was_called_at_the_start(stage: Stage, client: Api) -> None:
    names = stage.define({"a": "", "b": ""}, agents={"a": {"agent_name": "Ada"}})
    session = stage.start(names)
    arguments = {"coordinationUuid": names[0], "agents": [{"agentUuid": "a", "agentName": "Eve"}]}
    COORDINATION.put(client, {}, **arguments)
    found = read(client, session, "sessionAgents { agentUuid agentName }")["sessionAgents"]
    assert found == [{"agentUuid": "a", "agentName": "Ada"}, {"agentUuid": "b", "agentName": None}]


def test_an_agent_made_by_hand_is_called_what_its_coordination_says(
    stage: Stage, client: Api
) -> None:
    agents = [
        {"agentUuid": "a", "agentName": "Ada"},
        {"agentUuid": "b", "agentDescription": "x" * 400_000},
    ]
    above = {"coordinationUuid": COORDINATION.put(client, {}, agents=agents)["coordinationUuid"]}
    sessions = [
        {**above, "sessionUuid": SESSION.put(client, above)["sessionUuid"]} for _ in range(2)
    ]
    for session in sessions:
        for uuid in ("a", "b", "ghost"):
            SESSION_AGENT.put(client, session, sessionAgentUuid=uuid, agentUuid=uuid)
    stage.requests.clear()
    found = data(
        client, "sessionList", "{ sessionList { sessionAgents { agentUuid agentName } } }", **above
    )
    # two shards, and the agents of each session
    assert stage.requests == {"Query": 4, "BatchGetItem": 1}
    expected = [
        {"agentUuid": "a", "agentName": "Ada"},
        *({"agentUuid": u, "agentName": None} for u in ("b", "ghost")),
    ]
    assert found == {"sessionList": [{"sessionAgents": expected}] * 2}


def test_an_agent_has_its_own_runs_and_all_of_them_cost_one_query_a_session(
    stage: Stage, client: Api
) -> None:
    stage.runtime.behaviours["b"] = failing("no", times=2, retryable=True)
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    stage.requests.clear()
    found = read(
        client,
        session,
        "sessionAgents { agentUuid sessionRuns { attempt status } } sessionRuns { runUuid }",
    )
    assert stage.requests == {"GetItem": 1, "Query": 2}
    assert len(found["sessionRuns"]) == 4
    assert found["sessionAgents"] == [
        {"agentUuid": "a", "sessionRuns": [{"attempt": 1, "status": "completed"}]},
        {
            "agentUuid": "b",
            "sessionRuns": [
                {"attempt": 1, "status": "failed"},
                {"attempt": 2, "status": "failed"},
                {"attempt": 3, "status": "completed"},
            ],
        },
    ]


def test_agents_of_the_same_uuid_in_two_sessions_have_each_their_own_runs(
    stage: Stage, client: Api
) -> None:
    above = {"coordinationUuid": COORDINATION.put(client, {})["coordinationUuid"]}
    for session in "123":
        keys = {**above, "sessionUuid": f"{above['coordinationUuid']}-{session}"}
        SESSION.put(client, above, sessionUuid=keys["sessionUuid"])
        SESSION_AGENT.put(client, keys, sessionAgentUuid="sa")
        if session != "3":
            SESSION_RUN.put(client, keys, runUuid="run", sessionAgentUuid="sa", threadUuid=session)
    found = data(
        client,
        "sessionList",
        "{ sessionList { sessionAgents { sessionRuns { runUuid threadUuid } } } }",
        **above,
    )
    assert [each["sessionAgents"][0]["sessionRuns"] for each in found["sessionList"]] == [
        [],
        [{"runUuid": "run", "threadUuid": "2"}],
        [{"runUuid": "run", "threadUuid": "1"}],
    ]
