"""Reads that are not consistent come from a replica that lags behind: here always, by one change of each item."""

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import HasDependents
from ai_coordination_engine.store.entities import SESSION, TASK
from ai_coordination_engine.store.guards import delete
from tests.crashes import SHAPES, Shape, work
from tests.memory import databases
from tests.sessions import TENANT, Stage, check_promises, check_redelivery_changes_nothing, stage_of
from tests.steered import cancel, pause, put_right, rerun, resume, retry


@pytest.fixture
def stage(app: App) -> Stage:
    databases[-1].lags = lambda: True
    return stage_of(app)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_session_ends_as_it_must(stage: Stage, shape: Shape) -> None:
    stage.runtime.behaviours = dict(shape.behaviours)
    names = stage.define(shape.graph, actions=shape.actions, agents=shape.agents, on_failure=shape.on_failure)
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
