"""A person in the loop: an agent waits as a state, the other branches go on, the answer resumes
it.
"""

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.store.models import Session
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of

GRAPH = {"a": "", "b": "a", "c": "a", "d": "bc"}
ACTIONS = {"b": {"user_in_the_loop": "ann"}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def waiting(stage: Stage) -> Session:
    """A session whose agent `b` waits for Ann."""
    session = stage.start(stage.define(GRAPH, actions=ACTIONS))
    stage.drain()
    return session


def answer(
    stage: Stage, session: Session, text: str, *, agent: str = "b", tenant: str = TENANT
) -> None:
    uuid = stage.agent(session.session_uuid, agent).session_agent_uuid
    execute_for_user_input(stage.app, tenant, session.session_uuid, uuid, text)


def test_an_agent_waits_without_a_message_and_the_other_branch_goes_on(
    stage: Stage, waiting: Session
) -> None:
    assert stage.states(waiting.session_uuid) == {
        "a": "completed",
        "b": "wait_for_user_input",
        "c": "completed",
        "d": "initial",
    }
    assert stage.queue.waiting == []
    assert stage.status(waiting) == "in_progress"
    assert stage.agent(waiting.session_uuid, "d").in_degree == 1
    assert stage.runtime.ran() == ["a", "c"]


def test_the_answer_resumes_the_agent_and_reaches_its_input(stage: Stage, waiting: Session) -> None:
    answer(stage, waiting, "blue")
    assert stage.states(waiting.session_uuid)["b"] == "pending"
    stage.drain()
    check_promises(stage, waiting)
    assert stage.runtime.ran() == ["a", "c", "b", "d"]
    assert stage.runtime.requests[2].user_input == "blue"
    assert (
        stage.runtime.requests[2].input == "Output of a:\nA\n\nbegin\n\nAnswer of the user:\nblue"
    )
    check_redelivery_changes_nothing(stage, waiting)


def test_the_same_answer_again_has_no_effect(stage: Stage, waiting: Session) -> None:
    answer(stage, waiting, "blue")
    answer(stage, waiting, "blue")
    stage.drain()
    check_promises(stage, waiting)
    before = stage.everything(waiting)
    answer(stage, waiting, "blue")
    assert stage.everything(waiting) == before
    assert stage.queue.waiting == []
    assert stage.runtime.ran().count("b") == 1


def test_an_answer_that_no_agent_could_be_given_is_refused(stage: Stage, waiting: Session) -> None:
    with pytest.raises(BadUserInput) as caught:
        answer(stage, waiting, "x" * 8_000_001)
    assert caught.value.message == "userInput has 8000001 characters; it takes 8000000."
    assert stage.states(waiting.session_uuid)["b"] == "wait_for_user_input"


def test_another_answer_is_a_conflict_before_and_after_the_agent_ran(
    stage: Stage, waiting: Session
) -> None:
    answer(stage, waiting, "blue")
    with pytest.raises(Conflict):
        answer(stage, waiting, "red")
    stage.drain()
    with pytest.raises(Conflict):
        answer(stage, waiting, "red")
    assert stage.agent(waiting.session_uuid, "b").user_input == "blue"
    assert len(stage.runtime.requests) == 4


@pytest.mark.parametrize("agent", ["a", "c", "d"])
def test_an_agent_that_does_not_wait_takes_no_answer(
    stage: Stage, waiting: Session, agent: str
) -> None:
    before = stage.everything(waiting)
    with pytest.raises(Conflict, match="does not wait for an answer"):
        answer(stage, waiting, "blue", agent=agent)
    assert stage.everything(waiting) == before


def test_an_agent_whose_predecessors_are_unfinished_takes_no_answer_yet(stage: Stage) -> None:
    session = stage.start(stage.define(GRAPH, actions=ACTIONS))
    with pytest.raises(Conflict):
        answer(stage, session, "blue")
    stage.drain()
    answer(stage, session, "blue")
    stage.drain()
    check_promises(stage, session)


def test_an_agent_of_another_tenant_is_not_found(stage: Stage, waiting: Session) -> None:
    before = stage.everything(waiting)
    with pytest.raises(NotFound):
        answer(stage, waiting, "blue", tenant="other")
    with pytest.raises(NotFound):
        execute_for_user_input(stage.app, TENANT, waiting.session_uuid, "nobody", "blue")
    assert stage.everything(waiting) == before


def test_an_answer_that_dies_at_any_point_is_repeated_and_the_agent_runs_once(app: App) -> None:
    stage = stage_of(app)
    point = 1
    while True:
        stage.renew()
        session = stage.start(stage.define(GRAPH, actions=ACTIONS))
        stage.drain()
        with tripping(stage, point) as tripwire:
            stage.until_it_succeeds(lambda: answer(stage, session, "blue"))  # noqa: B023
        stage.drain()
        check_promises(stage, session)
        assert stage.runtime.ran() == ["a", "c", "b", "d"]
        if not tripwire.trips:
            break
        point += 1
    assert point == 9  # a read, the answer, the watch and a message, before and after


def test_an_answer_that_was_written_but_not_enqueued_waits_for_the_repetition(
    stage: Stage, waiting: Session
) -> None:
    with tripping(stage, 6), pytest.raises(Crash):
        answer(stage, waiting, "blue")
    stage.drain()
    assert stage.states(waiting.session_uuid)["b"] == "pending"
    answer(stage, waiting, "blue")
    stage.drain()
    check_promises(stage, waiting)


def test_several_people_answer_in_any_order(stage: Stage) -> None:
    actions = {uuid: {"user_in_the_loop": "ann"} for uuid in "abc"}
    session = stage.start(stage.define({"a": "", "b": "", "c": "ab"}, actions=actions))
    stage.drain()
    assert stage.states(session.session_uuid) == {
        "a": "wait_for_user_input",
        "b": "wait_for_user_input",
        "c": "initial",
    }
    for agent in "bac":
        answer(stage, session, agent * 2, agent=agent)
        stage.drain()
    check_promises(stage, session)
    assert [request.user_input for request in stage.runtime.requests] == ["bb", "aa", "cc"]


def test_an_answer_after_the_session_failed_is_a_conflict(stage: Stage) -> None:
    stage.runtime.behaviours["c"] = failing("no idea")
    session = stage.start(stage.define(GRAPH, actions=ACTIONS))
    stage.drain()
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "skipped",
        "c": "failed",
        "d": "skipped",
    }
    with pytest.raises(Conflict):
        answer(stage, session, "blue")
    assert stage.queue.waiting == []


def test_a_long_answer_is_kept_in_a_blob_and_recognised_again(app: App) -> None:
    stage = stage_of(app, inline_limit=1000)
    session = stage.start(stage.define({"a": ""}, actions={"a": {"user_in_the_loop": "ann"}}))
    stage.drain()
    text = "word " * 1000
    answer(stage, session, text, agent="a")
    answer(stage, session, text, agent="a")
    with pytest.raises(Conflict):
        answer(stage, session, text + "!", agent="a")
    stage.drain()
    assert stage.runtime.requests[0].user_input == text
