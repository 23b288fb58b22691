"""Sessions of exposed tasks, as another system starts, sees, answers and cancels them."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.controls import pause_session
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.sessions import Question, ServedSession
from ai_coordination_engine.served.tasks import served_task, served_tasks
from ai_coordination_engine.store.records.entities import SESSION, TASK
from ai_coordination_engine.store.records.lists import read_page
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import asking, failing
from tests.kit.stage import TENANT, Stage, stage_of

GRAPH = {"a": "", "b": "a", "c": "a"}
SUBTASKS = [{"agent_uuid": "a", "subtask_query": "On {topic}"}]
ASK = {"b": {"user_in_the_loop": "ann", "answer_schema": {"enum": ["yes", "no"]}}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def expose(stage: Stage, name: str = "report", **given: Any) -> None:
    stage.define(GRAPH, subtasks=SUBTASKS, **{"expose_as": {"name": name, "as": ["mcp"]}, **given})


def begin(stage: Stage, topic: str = "x", name: str = "report", **given: Any) -> ServedSession:
    task = served_task(stage.app, TENANT, "mcp", name)
    return sessions.start(stage.app, TENANT, task, {"topic": topic}, protocol="mcp", **given)


def look(stage: Stage, begun: ServedSession) -> ServedSession:
    return sessions.look(stage.app, TENANT, begun.handle, "mcp")


def test_a_session_is_seen_from_its_start_to_its_outputs(stage: Stage) -> None:
    expose(stage)
    begun = begin(stage)
    assert (begun.state, begun.outputs, begun.has_ended) == ("working", [], False)
    stage.drain()
    assert stage.runtime.requests[0].input == "On x"
    ended = look(stage, begun)
    assert (ended.state, ended.has_ended, ended.handle) == ("completed", True, begun.handle)
    assert [(each.name, each.text, each.value) for each in ended.outputs] == [
        ("b", "B", None),
        ("c", "C", None),
    ]


def test_the_same_key_finds_the_session_in_whatever_state_it_is(stage: Stage) -> None:
    expose(stage)
    begun = begin(stage, idempotency_key="k")
    stage.drain()
    again = begin(stage, idempotency_key="k")
    assert (again.handle, again.state) == (begun.handle, "completed")
    assert len(stage.runtime.requests) == 3
    other = begin(stage, idempotency_key="l")
    assert other.handle != begun.handle


def test_a_call_that_died_is_repeated_by_its_key(stage: Stage) -> None:
    expose(stage)
    died, point = 0, 1
    while True:
        with tripping(stage, point) as trips:
            try:
                begin(stage, idempotency_key=f"k{point}")
            except Crash:
                died += 1
        stage.clock.advance(61)
        begun = begin(stage, idempotency_key=f"k{point}")
        stage.drain()
        assert look(stage, begun).state == "completed"
        if not trips.trips:
            break
        point += 1
    assert died == point - 1 > 5
    page = read_page(stage.app.records, SESSION, TENANT, {}, limit=100)
    assert len(page.records) == point


def test_the_same_key_for_other_arguments_is_a_conflict(stage: Stage) -> None:
    expose(stage)
    begin(stage, idempotency_key="k")
    with pytest.raises(Conflict, match=r"^This idempotency key stands for a call with other arg"):
        begin(stage, "y", idempotency_key="k")


def test_a_key_that_is_none_is_refused(stage: Stage) -> None:
    expose(stage)
    for key in ("", "x" * 257, "a\nb"):
        refuse_key(stage, key)


def refuse_key(stage: Stage, key: str) -> None:
    with pytest.raises(BadUserInput, match=r"^An idempotency key has 1 to 256 printable charact"):
        begin(stage, idempotency_key=key)


def test_a_start_without_a_key_is_another_session_each_time(stage: Stage) -> None:
    expose(stage)
    assert begin(stage).handle != begin(stage).handle


def test_a_question_shows_its_text_and_schema_and_is_answered(stage: Stage) -> None:
    expose(stage, actions=ASK)
    begun = begin(stage)
    stage.drain()
    asking = look(stage, begun)
    assert asking.state == "input_required"
    (question,) = asking.questions
    assert (question.agent, question.person, question.schema) == (
        "b",
        "ann",
        ASK["b"]["answer_schema"],
    )
    assert "Output of a:\nA" in question.text
    with pytest.raises(BadUserInput, match="does not conform"):
        sessions.answer(stage.app, TENANT, begun.handle, "mcp", "maybe")
    answered = sessions.answer(stage.app, TENANT, begun.handle, "mcp", "yes")
    assert answered.state == "working"
    repeated = sessions.answer(stage.app, TENANT, begun.handle, "mcp", "yes", question.uuid)
    assert repeated.state == "working"
    stage.drain()
    assert look(stage, begun).state == "completed"
    with pytest.raises(Conflict, match=r"^The session asks nothing: it is completed"):
        sessions.answer(stage.app, TENANT, begun.handle, "mcp", "yes")


def test_one_of_several_questions_must_be_named(stage: Stage) -> None:
    expose(stage, actions={**ASK, "c": {"user_in_the_loop": "bo"}})
    begun = begin(stage)
    stage.drain()
    first, second = look(stage, begun).questions
    with pytest.raises(BadUserInput, match=rf"several questions.*{first.uuid}, {second.uuid}"):
        sessions.answer(stage.app, TENANT, begun.handle, "mcp", "yes")
    left = sessions.answer(stage.app, TENANT, begun.handle, "mcp", "yes", first.uuid)
    assert [each.uuid for each in left.questions] == [second.uuid]


def reply(stage: Stage, begun: ServedSession, text: str, to: Question) -> None:
    of = (stage.app, TENANT, begun.handle, "mcp")
    sessions.answer(*of, text, to.uuid, asked_id=to.asked_id)


def test_an_answer_to_an_earlier_question_of_a_runtime_is_no_answer_to_the_next(
    stage: Stage,
) -> None:
    expose(stage)
    stage.runtime.behaviours["a"] = asking("One?", "Two?")
    begun = begin(stage)
    stage.drain()
    (first,) = look(stage, begun).questions
    assert (first.text, first.asked_id is None) == ("One?", False)
    reply(stage, begun, "1", first)
    stage.drain()
    (second,) = look(stage, begun).questions
    assert (second.text, second.uuid == first.uuid, second.key == first.key) == (
        "Two?",
        True,
        False,
    )
    with pytest.raises(Conflict, match=r"asks another question"):
        reply(stage, begun, "x", first)
    sessions.answer(stage.app, TENANT, begun.handle, "mcp", "2")
    stage.drain()
    assert look(stage, begun).state == "completed"


def test_a_cancelled_session_stays_so_and_one_that_has_ended_is_not_cancelled(stage: Stage) -> None:
    expose(stage)
    begun = begin(stage)
    for _ in range(2):
        assert sessions.cancel(stage.app, TENANT, begun.handle, "mcp").state == "cancelled"
    done = begin(stage)
    stage.drain()
    with pytest.raises(Conflict, match=r"^The session has ended"):
        sessions.cancel(stage.app, TENANT, done.handle, "mcp")


def test_a_failure_says_why(stage: Stage) -> None:
    expose(stage)
    stage.runtime.behaviours["a"] = failing("no such model", retryable=False)
    begun = begin(stage)
    stage.drain()
    failed = look(stage, begun)
    assert (failed.state, failed.outputs) == ("failed", [])
    assert "no such model" in failed.message


def test_a_paused_session_is_working_and_says_so(stage: Stage) -> None:
    expose(stage)
    begun = begin(stage)
    pause_session(stage.app, TENANT, *begun.session.key)
    seen = look(stage, begun)
    assert (seen.state, seen.message) == ("working", "The session is paused.")


def test_a_session_is_seen_by_those_to_whom_its_task_is_exposed(stage: Stage) -> None:
    expose(stage)
    begun = begin(stage)
    hide(stage, begun, "other", "mcp")
    hide(stage, begun, TENANT, "a2a")
    write(stage, begun, None)
    hide(stage, begun, TENANT, "mcp")


def hide(stage: Stage, begun: ServedSession, tenant: str, protocol: str) -> None:
    """Show that nothing of the session can be seen or changed."""
    for call in (sessions.look, sessions.cancel):
        with pytest.raises(NotFound, match=r"^There is no such session"):
            call(stage.app, tenant, begun.handle, protocol)
    with pytest.raises(NotFound):
        sessions.answer(stage.app, tenant, begun.handle, protocol, "yes")
    with pytest.raises(NotFound, match=r'^Nothing is exposed as "report"'):
        served_task(stage.app, tenant, protocol, "report")


def write(stage: Stage, begun: ServedSession, expose_as: object) -> None:
    key = (begun.session.coordination_uuid, begun.session.task_uuid)
    stage.app.records.write(TASK, TENANT, key, lambda *_: {"expose_as": expose_as}, parent_key=None)


def test_what_is_no_handle_finds_nothing(stage: Stage) -> None:
    for handle in ("", "x", "é", "Y29vcmRpbmF0aW9u", "a" * 5000, "Yx9h"):
        with pytest.raises(NotFound, match=r"^There is no such session"):
            sessions.look(stage.app, TENANT, handle, "mcp")


def test_tasks_are_listed_by_name_and_protocol_in_pages(stage: Stage) -> None:
    for name in ("b", "a", "c.x", "a-1"):
        expose(stage, name)
    expose(stage, "for-agents", expose_as={"name": "for-agents", "as": ["a2a"]})
    stage.define(GRAPH)  # not exposed
    found, cursor = [], None
    for _ in range(5):
        page, cursor = served_tasks(stage.app, TENANT, "mcp", cursor, 1)
        found += [each.name for each in page]
    assert found == ["a", "a-1", "b", "c.x"]
    assert served_tasks(stage.app, TENANT, "mcp", cursor, 1) == ([], None) or cursor is None
    names = [each.name for each in served_tasks(stage.app, TENANT, "a2a")[0]]
    assert names == ["for-agents"]
    assert served_tasks(stage.app, "other", "mcp") == ([], None)


def test_a_schema_of_ones_own_is_the_tools(stage: Stage) -> None:
    schema = {"type": "object", "properties": {"topic": {"enum": ["x"]}}}
    expose(stage, expose_as={"name": "report", "description": "d", "input_schema": schema})
    task = served_task(stage.app, TENANT, "mcp", "report")
    assert (task.input_schema, task.description, task.title) == (schema, "d", "t")
    with pytest.raises(BadUserInput, match="do not conform"):
        begin(stage, "y")
    assert begin(stage, "x").state == "working"
