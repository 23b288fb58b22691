"""What a session writes where other sessions are written too, and what its row leaves to its first agent to say."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.models import Session
from benchmarks import sessions
from benchmarks.backends import FUNCTIONS
from benchmarks.meter import Meter
from tests.documents import data
from tests.sessions import TENANT, Stage, stage_of
from tests.support import Api, Worker


@pytest.fixture
def settings() -> Settings:
    return Settings(auth="local", functions=FUNCTIONS)


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


@pytest.mark.parametrize(
    ("graph", "ends"),
    [({"a": [], "b": ["a"], "c": ["b"]}, 1), (sessions.diamond(), 1), ({"a": [], "b": [], "c": []}, 3 + 1)],
    ids=["chain", "diamond", "three sinks"],
)
def test_a_sessions_own_row_is_written_when_it_starts_and_when_it_ends(
    app: App, api: Api, worker: Worker, graph: dict[str, list[str]], ends: int
) -> None:
    plan, meter = sessions.Plan.of(api, graph), Meter(app)
    plan.start()
    started = meter.taken().written
    worker.drain()
    ended = meter.taken().written
    assert (started["sessions"], ended["sessions"]) == (2, ends)  # reserved, confirmed; each of several sinks, the end
    whole = started + ended
    assert (whole["sessions/by_tenant"], whole["sessions/to_watch"]) == (1, 2)


def seen(client: Api, session: Session) -> tuple[Any, list[str]]:
    """The session's status, and the statuses under which it is listed."""
    key = {"coordinationUuid": session.coordination_uuid}
    status = data(client, "session", "{ status }", **key, sessionUuid=session.session_uuid)["status"]
    every = ["dispatched", "in_progress", "paused", "completed"]
    listed = [each for each in every if data(client, "sessionList", "{ total }", **key, statuses=[each])["total"]]
    return status, listed


def test_a_session_is_in_progress_once_its_first_agent_has_begun(stage: Stage, client: Api) -> None:
    session = stage.start(stage.define({"a": "", "b": "a", "c": "b"}))
    assert seen(client, session) == ("dispatched", ["dispatched"])
    while seen(client, session)[0] != "completed":
        message = stage.queue.receive()
        run_step(stage.app, message.wake, deadline=stage.clock.now().timestamp())  # no time for a second agent
        stage.queue.delete(message)
        if not stage.queue.waiting:
            break
        assert seen(client, session) == ("in_progress", ["in_progress"])
    assert seen(client, session) == ("completed", ["completed"])
