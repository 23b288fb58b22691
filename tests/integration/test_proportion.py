"""Work in proportion: what messages cost in a session that has ended, or whose fan-out is under way."""

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.step import Busy, run_step
from tests.fakes import failing
from tests.sessions import TENANT, Stage, check_promises, stage_of
from tests.steered import cancel

COUNT = 30
NAMES = [f"m{number:02d}" for number in range(COUNT)]


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def handle_all(stage: Stage) -> int:
    """Every message in sight, once each; how many there were."""
    handled = 0
    while delivery := stage.queue.receive():
        run_step(stage.app, delivery.wake)
        stage.queue.delete(delivery)
        handled += 1
    return handled


def test_a_message_to_an_agent_of_a_cancelled_session_settles_that_agent_alone(stage: Stage) -> None:
    session = stage.start(stage.define(dict.fromkeys(NAMES, "")))
    stage.requests.clear()
    cancel(stage, session)
    assert stage.requests["Query"] <= 3  # however many agents there are
    stage.requests.clear()
    assert handle_all(stage) == COUNT
    assert stage.requests == {"UpdateItem": COUNT, "GetItem": COUNT}  # a claim that is refused, and the session
    assert set(stage.states(session.session_uuid).values()) == {"cancelled"}


def test_agents_that_fail_with_their_session_read_it_once_together(stage: Stage) -> None:
    stage.runtime.behaviours.update(dict.fromkeys(NAMES, failing("no")))
    session = stage.start(stage.define({**dict.fromkeys(NAMES, ""), "z": NAMES}))
    stage.requests.clear()
    assert handle_all(stage) == COUNT
    assert stage.requests["Query"] == 1
    assert stage.session(session).status == "failed"
    assert set(stage.states(session.session_uuid).values()) == {"failed", "skipped"}
