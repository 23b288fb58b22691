"""What each control does in each status of a session: the table of docs/controls.md, cell by
cell.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ai_coordination_engine.domain.statuses import SESSION_STATUSES
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import controls as control
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import CoordinationError
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import SESSION
from ai_coordination_engine.store.transitions.session_controls import ControlRequest
from tests.kit.controls import cancel, fork_from, names, pause, put_right, rerun, resume, retry
from tests.kit.stage import TENANT, Stage, stage_of

LINES = (Path(__file__).parents[3] / "docs/controls.md").read_text().splitlines()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in LINES if line.startswith("| ")
]
START = next(number for number, row in enumerate(ROWS) if row[0] == "status")
HEAD, TABLE = ROWS[START], ROWS[START + 2 :][: len(SESSION_STATUSES)]
CELLS = [
    (row[0], column, cell) for row in TABLE for column, cell in zip(HEAD[1:], row[1:], strict=True)
]


def answer(stage: Stage, session: Session) -> None:
    uuid = stage.agent(session.session_uuid, "person").session_agent_uuid
    execute_for_user_input(stage.app, TENANT, session.session_uuid, uuid, "a new answer")


def finish_job(stage: Stage, session: Session) -> None:
    complete_async_task(stage.app, TENANT, f"job-{session.session_uuid}", result="a new result")


CONTROLS: dict[str, Callable[[Stage, Session], Any]] = {
    "cancelSession": cancel,
    "pauseSession": pause,
    "resumeSession": resume,
    "retrySession": retry,
    "rerunSessionAgent": lambda stage, session: rerun(stage, session, "person"),
    "forkSession": fork_from,
    "reconcileSession": put_right,
    "executeForUserInput": answer,
    "completeAsyncTask": finish_job,
}
MOVED = {"executeForUserInput": "person", "completeAsyncTask": "job"}


@pytest.fixture(scope="module")
def stage(shared_app: App) -> Stage:
    """One stage for all cells: their sessions have nothing in common."""
    found = stage_of(shared_app)
    found.runtime.behaviours["job"] = pending
    return found


def pending(request: AgentRequest) -> AgentResult:
    return AgentResult("", async_task_uuid=f"job-{request.session_uuid}")


def by_hand(stage: Stage, session: Session, status: str) -> None:
    table = stage.app.records.table(SESSION)
    key, actions = names(session), [Session.status.set(status)]
    ended = table.update(session.partition_key, key, actions, Session.session_uuid.exists())
    if status in ("failed", "timeout"):
        control.session_ended(stage.app, ended)


def shown(stage: Stage, session: Session, put_into: str) -> str:
    """The session's status; one that was put by hand into `dispatched` is not asked whether it has
    begun.
    """
    return str(stage.session(session).status) if put_into == "dispatched" else stage.status(session)


def put_into(stage: Stage, status: str) -> Session:
    """A session of that status in which a person is asked and a long job goes on, if it can be."""
    stage.queue.waiting.clear()
    graph = {"first": "", "person": ["first"], "job": ["first"], "last": ["person", "job"]}
    session = stage.start(stage.define(graph, actions={"person": {"user_in_the_loop": "ann"}}))
    work(stage)
    if status in ("cancelled", "in_transit"):
        cancel(stage, session)
    if status == "in_transit":
        stored_values = {"restart": {"from": None}}
        stage.app.sessions.set_back(
            stage.session(session),
            ControlRequest(),
            stored_values,
            1,
            stage.clock.now().timestamp() + 60,
        )
    elif status == "paused":
        pause(stage, session)
    elif status == "completed":
        uuid = stage.agent(session.session_uuid, "person").session_agent_uuid
        execute_for_user_input(stage.app, TENANT, session.session_uuid, uuid, "yes")
        complete_async_task(stage.app, TENANT, f"job-{session.session_uuid}", result="done")
        work(stage)
    elif status not in ("cancelled", "in_progress"):
        by_hand(stage, session, status)
    assert shown(stage, session, status) == status
    return session


def work(stage: Stage) -> None:
    """A worker takes what is in sight; the deadline of the job is not."""
    while delivery := stage.queue.receive():
        run_step(stage.app, delivery.wake)
        stage.queue.delete(delivery)


@pytest.mark.parametrize(
    ("status", "column", "cell"), CELLS, ids=[f"{status}-{column}" for status, column, _ in CELLS]
)
def test_a_control_does_what_the_table_says(
    stage: Stage, status: str, column: str, cell: str
) -> None:
    session = put_into(stage, status)
    before = stage.states(session.session_uuid)
    try:
        answered = CONTROLS[column](stage, session)
    except CoordinationError as error:
        assert (error.code, shown(stage, session, status)) == (cell, status)
        assert stage.states(session.session_uuid) == before
        return
    if cell == "new":
        assert answered.session_uuid != session.session_uuid
        if status == "in_transit":  # it is set back first, as a whole
            assert shown(stage, session, status) == "in_progress"
        else:
            assert (shown(stage, session, status), stage.states(session.session_uuid)) == (
                status,
                before,
            )
    elif column in MOVED:
        if status == "paused":
            resume(stage, session)
        work(stage)
        after = stage.states(session.session_uuid)[MOVED[column]]
        assert cell == ("kept" if after == before[MOVED[column]] else "taken")
        assert after == ("completed" if cell == "taken" else before[MOVED[column]])
    else:
        assert shown(stage, session, status) == cell


def test_the_table_is_whole() -> None:
    assert HEAD[1:] == list(CONTROLS)
    assert [row[0] for row in TABLE] == list(SESSION_STATUSES)
