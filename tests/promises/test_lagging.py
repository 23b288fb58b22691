"""Eventually consistent reads are stale: in these tests always, by one change of each item."""

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.errors import HasDependents
from ai_coordination_engine.runtime_ports import AgentResult
from ai_coordination_engine.store.records.entities import SESSION, TASK
from ai_coordination_engine.store.records.guards import delete
from benchmarks.harness.api import Api
from benchmarks.harness.memory import databases
from tests.kit.api import data
from tests.kit.controls import cancel, pause, put_right, rerun, resume, retry
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.shapes import SHAPES, Shape, work
from tests.kit.stage import TENANT, Stage, stage_of

pytestmark = pytest.mark.only_on("dynamodb")  # SQLite has no replicas


@pytest.fixture
def stage(app: App) -> Stage:
    databases[-1].lags = lambda: True
    return stage_of(app)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_session_ends_as_it_must(stage: Stage, shape: Shape) -> None:
    stage.runtime.behaviours = dict(shape.behaviours)
    names = stage.define(
        shape.graph, actions=shape.actions, agents=shape.agents, on_failure=shape.on_failure
    )
    session = stage.start(names)
    work(stage, session)
    check_promises(stage, session, status=shape.status, states=shape.states)
    check_redelivery_changes_nothing(stage, session)


def test_controls_see_what_they_change(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    assert pause(stage, session).status == "paused"
    assert resume(stage, session).status == "dispatched"
    stage.drain()
    rerun(stage, session, "a")
    assert cancel(stage, session).status == "cancelled"
    assert put_right(stage, session).status == "cancelled"
    retry(stage, session)
    stage.drain()
    check_promises(stage, session)


def test_a_guard_sees_the_child_that_was_just_written(stage: Stage) -> None:
    coordination, task = stage.define({"a": ""})
    session = stage.start((coordination, task))
    with pytest.raises(HasDependents):
        delete(stage.app.records, SESSION, TENANT, (coordination, session.session_uuid))
    delete(stage.app.records, TASK, TENANT, (coordination, task))


# What a request has written it shows, and so do the next


def test_a_session_that_was_just_started_is_shown_and_so_is_what_hangs_below_it(
    app: App, api: Api
) -> None:
    task = stage_of(app).define({"a": "", "b": "a"})
    databases[-1].lags = lambda: True
    started = data(
        api,
        "executeProcedureTaskSession",
        "{ procedureTaskSession { session { status sessionAgents { agentUuid whyNotRunning { code }"
        " } } } }",
        coordinationUuid=task[0],
        taskUuid=task[1],
    )
    assert started["procedureTaskSession"]["session"] == {
        "status": "dispatched",
        "sessionAgents": [
            {"agentUuid": "a", "whyNotRunning": {"code": "WAITS_FOR_WORKER"}},
            {"agentUuid": "b", "whyNotRunning": {"code": "WAITS_FOR_PREDECESSORS"}},
        ],
    }


def test_a_follow_up_question_finds_its_session_and_its_thread(app: App, api: Api) -> None:
    coordination = {"coordinationUuid": stage_of(app).define({"a": ""})[0]}
    databases[-1].lags = lambda: True
    selection = "{ sessionUuid threadUuid session { status sessionAgents { state } } }"
    asked = data(api, "askOperationHub", selection, **coordination, userQuery="who?")
    assert asked["session"] == {"status": "active", "sessionAgents": [{"state": "initial"}]}
    thread = {"sessionUuid": asked["sessionUuid"], "threadUuid": asked["threadUuid"]}
    further = data(
        api, "askOperationHub", selection, **coordination, **thread, userQuery="and then?"
    )
    assert further == {
        **asked,
        "session": {"status": "active", "sessionAgents": [{"state": "initial"}] * 2},
    }


def test_what_a_person_or_a_job_has_just_done_is_shown(app: App, api: Api) -> None:
    stage = stage_of(app, behaviours={"a": lambda request: AgentResult("", async_task_uuid="job")})
    stage.start(stage.define({"a": "", "b": "a"}))
    stage.queue.waiting.pop()
    run_step(stage.app, stage.queue.sent[0])
    databases[-1].lags = lambda: True
    told = (
        "{ sessionAgent { state sessionRuns { status outputTokens } session { sessionRuns { status"
        " } } } }"
    )
    usage = {"outputTokens": 3}
    done = data(api, "completeAsyncTask", told, asyncTaskUuid="job", result="done", usage=usage)
    completed = {"status": "completed"}
    assert done["sessionAgent"] == {
        "state": "pending",
        "sessionRuns": [{**completed, "outputTokens": 3}],
        "session": {"sessionRuns": [completed]},
    }
