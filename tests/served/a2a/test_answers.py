"""Messages with answers: a repeated one answers no later question."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.a2a import messages, wire
from ai_coordination_engine.served.a2a.errors import ProtocolError
from ai_coordination_engine.served.sessions import ServedSession
from tests.kit.fakes import asking
from tests.kit.stage import TENANT, Stage, stage_of


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def send(stage: Stage, message_id: str, text: str, **message: Any) -> ServedSession:
    """Send a message, and let the agents go on until they end or ask."""
    given = {"messageId": message_id, "role": "ROLE_USER", "parts": [{"text": text}], **message}
    seen = messages.begin(stage.app, TENANT, wire.sent({"message": given}))
    stage.drain()
    return sessions.look(stage.app, TENANT, seen.handle, "a2a")


def asked_by(stage: Stage, *questions: str, actions: Any = None) -> ServedSession:
    exposed = {"name": "ask", "as": ["a2a"]}
    stage.define({"a": ""}, expose_as=exposed, actions=actions or {})
    stage.runtime.behaviours["a"] = asking(*questions)
    return send(stage, "m1", "hello")


def test_a_message_that_is_repeated_does_not_answer_the_next_question(stage: Stage) -> None:
    begun = asked_by(stage, "Delete a?", "Delete b?")
    assert [each.text for each in begun.questions] == ["Delete a?"]
    for _ in range(2):
        seen = send(stage, "m2", "yes", taskId=begun.handle)
        assert [each.text for each in seen.questions] == ["Delete b?"]
    done = send(stage, "m3", "yes", taskId=begun.handle)
    assert [each.text for each in done.outputs] == ["yes yes"]
    assert send(stage, "m3", "yes", taskId=begun.handle).state == "completed"
    with pytest.raises(ProtocolError, match="takes no message"):
        send(stage, "m4", "yes", taskId=begun.handle)


def test_an_answer_to_the_question_of_the_task_is_none_to_that_of_the_runtime(stage: Stage) -> None:
    begun = asked_by(stage, "Delete a?", actions={"a": {"user_in_the_loop": "ann"}})
    (question,) = begun.questions
    assert question.asked_id is None
    for _ in range(2):
        seen = send(stage, "m2", "yes", taskId=begun.handle)
        assert [each.text for each in seen.questions] == ["Delete a?"]


def test_two_deliveries_of_a_message_at_once_answer_one_question(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asked_by(stage, "Delete a?", "Delete b?")
    find, nested = messages.find, list[int]()

    def meanwhile(*given: Any) -> ServedSession:
        seen = find(*given)
        if not nested:
            nested.append(1)
            send(stage, "m2", "yes", taskId=begun.handle)
        return seen

    monkeypatch.setattr(messages, "find", meanwhile)
    seen = send(stage, "m2", "yes", taskId=begun.handle)
    assert [each.text for each in seen.questions] == ["Delete b?"]
