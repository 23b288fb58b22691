"""The runtime of remote A2A agents, with an agent made by `a2a-sdk` as the other side."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ai_coordination_engine.adapters.runtimes import a2a_answers as answers
from ai_coordination_engine.adapters.runtimes.a2a import A2ARuntime
from ai_coordination_engine.adapters.runtimes.a2a_card import Interface
from ai_coordination_engine.adapters.runtimes.a2a_service import A2AService, Refused
from ai_coordination_engine.adapters.runtimes.web import Web
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult, Resumed
from ai_coordination_engine.runtime_settings import A2AAgent
from tests.kit.a2a_agent import BINDINGS, RemoteAgent, remote_agent
from tests.kit.fakes import FakeSecrets

Requests = Callable[..., AgentRequest]


@pytest.fixture(scope="module", params=BINDINGS)
def running(request: pytest.FixtureRequest) -> Iterator[RemoteAgent]:
    with remote_agent([request.param]) as agent:
        yield agent


@pytest.fixture
def remote(running: RemoteAgent) -> RemoteAgent:
    """An agent that nobody has called yet."""
    running.forget()
    return running


def runtime_of(remote: RemoteAgent, **given: Any) -> A2ARuntime:
    return A2ARuntime({"desk": A2AAgent(url=remote.url, **given)}, FakeSecrets(desk="key-1"))


@pytest.fixture
def asking(agent_request: Requests) -> Callable[..., AgentRequest]:
    return lambda text="hello", **given: agent_request(
        **{"runtime": {"kind": "a2a", "agent": "desk"}, "input": text, **given}
    )


def look_until_ended(runtime: A2ARuntime, request: AgentRequest, task: str) -> Any:
    for _ in range(500):
        found = runtime.look(request, task)
        if found is not None:
            return found
    raise AssertionError("the task has not ended")


def outcome(runtime: A2ARuntime, request: AgentRequest) -> Any:
    """The result or the failure of the attempt; a task is looked at until it has ended."""
    try:
        result = runtime.run(request)
    except AgentFailure as failure:
        return failure
    if result.async_task_uuid is None:
        return result
    return look_until_ended(runtime, request, result.async_task_uuid)


def test_a_task_becomes_a_long_job_whose_artifacts_are_the_output(
    remote: RemoteAgent, asking: Requests
) -> None:
    runtime = runtime_of(remote)
    pending = runtime.run(asking("long story"))
    assert (pending.output, pending.look_seconds) == ("", 2.0)
    assert pending.async_task_uuid
    assert runtime.look(asking(), pending.async_task_uuid) is None
    remote.let_go()
    found = look_until_ended(runtime, asking(), pending.async_task_uuid)
    assert found == AgentResult("done: long story")


def test_the_agent_gets_both_identities_the_thread_and_the_version(
    remote: RemoteAgent, asking: Requests
) -> None:
    runtime_of(remote).run(asking("hello", traceparent="00-1-2-01"))
    (message,) = remote.messages
    assert (message.message_id, message.context_id) == ("run-1", "thread-1")
    assert [each.text for each in message.parts] == ["hello"]
    *_, (_, _, headers) = remote.requests
    assert headers["a2a-version"] == "1.0"
    assert headers["idempotency-key"] == "operation-1"
    assert headers["x-ace-run"] == "run-1"
    assert headers["traceparent"] == "00-1-2-01"


def test_the_skill_is_named_in_the_message_if_the_record_has_one(
    remote: RemoteAgent, asking: Requests
) -> None:
    runtime = runtime_of(remote)
    for named in ({}, {"skill": "report"}):
        runtime.run(asking("hello", runtime={"kind": "a2a", "agent": "desk", **named}))
    assert [dict(each.metadata) for each in remote.messages] == [{}, {"skill": "report"}]
    with pytest.raises(AgentFailure, match="skill` must be a text") as caught:
        runtime.check({"kind": "a2a", "agent": "desk", "skill": ["report"]})
    assert caught.value.error_class == "invalid_request"


def test_attempts_after_lost_ones_repeat_the_first_message(
    remote: RemoteAgent, asking: Requests
) -> None:
    runtime_of(remote).run(asking(run_uuid="run-3", lost_runs=["run-1", "run-2"]))
    assert [each.message_id for each in remote.messages] == ["run-1"]


def test_a_direct_message_is_the_output(remote: RemoteAgent, asking: Requests) -> None:
    assert runtime_of(remote).run(asking("message me")) == AgentResult("a direct answer")


def test_the_data_of_a_part_is_kept(remote: RemoteAgent, asking: Requests) -> None:
    found = outcome(runtime_of(remote), asking("data please")).output
    assert json.loads(found) == {"n": 1.5, "Key": ["x"]}  # the other side has no order of keys


def test_the_text_and_the_file_of_parts_are_kept(remote: RemoteAgent, asking: Requests) -> None:
    assert outcome(runtime_of(remote), asking("files please")).output == (
        'see\n\n{"url": "https://files/x.png", "mediaType": "image/png"}'
    )


@pytest.mark.parametrize(
    ("text", "message", "error_class", "retryable"),
    [
        ("fail", "the agent 'desk' failed: no ink", "error", True),
        ("reject", "the agent 'desk' rejected the task: not my job", "invalid_request", False),
        (
            "authorize",
            "the agent 'desk' asks for an authorization, which cannot be given: log in",
            "not_allowed",
            False,
        ),
    ],
)
def test_states_of_failure_are_failures_of_a_class(
    remote: RemoteAgent,
    asking: Requests,
    text: str,
    message: str,
    error_class: str,
    retryable: bool,
) -> None:
    found = outcome(runtime_of(remote), asking(text))
    assert (found.message, found.error_class, found.retryable) == (message, error_class, retryable)


def asked(runtime: A2ARuntime, request: AgentRequest) -> Any:
    """The question of the task that the request begins."""
    question = outcome(runtime, request).question
    assert question is not None
    return question


def test_a_task_that_asks_becomes_a_question_whose_answer_goes_to_it(
    remote: RemoteAgent, asking: Requests
) -> None:
    runtime = runtime_of(remote)
    question = asked(runtime, asking("ask me"))
    assert question.text == "Which colour?"
    resumed = asking("ask me", run_uuid="run-2", resumed=Resumed(question.state, "red"))
    assert outcome(runtime, resumed).output == "done: red"
    first, second = remote.messages
    assert (second.message_id, second.task_id) == ("run-2", question.state["async_task_uuid"])
    assert (second.context_id, first.task_id) == (first.context_id, second.task_id)


def test_an_answer_that_an_attempt_gave_before_it_was_lost_is_not_needed(
    remote: RemoteAgent, asking: Requests
) -> None:
    runtime = runtime_of(remote)
    question = asked(runtime, asking("ask me"))
    given = {"resumed": Resumed(question.state, "red")}
    assert outcome(runtime, asking(run_uuid="run-2", **given)).output == "done: red"
    again = asking(run_uuid="run-3", lost_runs=["run-2"], **given)
    assert outcome(runtime, again).output == "done: red"


def test_a_task_that_failed_after_the_answer_is_begun_anew(
    remote: RemoteAgent, asking: Requests
) -> None:
    runtime = runtime_of(remote)
    question = asked(runtime, asking("ask me"))
    failed = asking(run_uuid="run-2", resumed=Resumed(question.state, "fail"))
    assert outcome(runtime, failed).error_class == "error"
    anew = asked(runtime, asking("ask me", run_uuid="run-3", resumed=failed.resumed))
    assert anew.state != question.state
    forgotten = Resumed({"async_task_uuid": "no-such-task"}, "red")
    assert asked(runtime, asking("ask me", run_uuid="run-4", resumed=forgotten)).text


def test_the_usage_in_the_metadata_is_that_of_the_attempt() -> None:
    usage = {"metadata": {"usage": {"inputTokens": 7, "model": "m", "nested": {}}}}
    done = {**usage, "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": []}
    assert answers.result_of(done, "desk").usage == {"input_tokens": 7, "model": "m"}
    failed = answers.failure_of({**usage, "status": {"state": "TASK_STATE_FAILED"}}, "desk")
    assert failed is not None
    assert failed.usage == {"input_tokens": 7, "model": "m"}


def test_cancel_is_passed_on_and_may_be_repeated(remote: RemoteAgent, asking: Requests) -> None:
    runtime = runtime_of(remote)
    task = runtime.run(asking("long")).async_task_uuid
    assert task is not None
    runtime.cancel(asking(), task)
    runtime.cancel(asking(), task)
    runtime.cancel(asking(), "no-such-task")
    assert remote.executor.cancelled == [task]
    found = look_until_ended(runtime, asking(), task)
    assert (found.message, found.retryable) == ("the agent 'desk' cancelled the task", False)


def test_a_task_that_the_agent_has_forgotten_is_lost(remote: RemoteAgent, asking: Requests) -> None:
    found = runtime_of(remote).look(asking(), "no-such-task")
    assert isinstance(found, AgentFailure)
    assert (found.error_class, found.retryable) == ("lost", True)


def test_the_key_is_sent_and_never_shown(asking: Requests) -> None:
    with remote_agent(key="key-1") as remote:
        assert outcome(runtime_of(remote, api_key_secret="desk"), asking()).output == "done: hello"
        with pytest.raises(
            AgentFailure, match=r"the card of the agent 'desk' answered 401: not \*"
        ):
            runtime_of(remote, api_key="key-1", api_key_header="X-Key").run(asking())


def test_the_card_is_read_once(remote: RemoteAgent, asking: Requests) -> None:
    runtime = runtime_of(remote)
    for _ in range(3):
        runtime.run(asking())
    assert len([each for _, each, _ in remote.requests if "agent-card" in each]) == 1


def test_an_agent_that_is_down_may_be_tried_again(asking: Requests) -> None:
    with remote_agent() as remote:
        pass
    with pytest.raises(AgentFailure, match="cannot be reached") as caught:
        runtime_of(remote).run(asking())
    assert (caught.value.error_class, caught.value.retryable) == ("unavailable", True)
    with pytest.raises(AgentFailure, match="cannot be reached") as caught:
        runtime_of(remote).look(asking(), "task")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ([], "has no `supportedInterfaces`"),
        ({"supportedInterfaces": [{"url": "x", "protocolBinding": "GRPC"}]}, "must be JSONRPC or"),
        (
            {
                "supportedInterfaces": [
                    {"url": "URL", "protocolBinding": "JSONRPC", "protocolVersion": "0.3"}
                ]
            },
            "of version 1.0",
        ),
        (
            {
                "supportedInterfaces": [
                    {
                        "url": "https://elsewhere.example/rpc",
                        "protocolBinding": "JSONRPC",
                        "protocolVersion": "1.0",
                    }
                ]
            },
            "elsewhere.example, which is not the host of the card",
        ),
    ],
)
def test_cards_that_cannot_be_used(server: Any, asking: Requests, card: Any, message: str) -> None:
    server.answers(card)
    with pytest.raises(AgentFailure, match=message):
        A2ARuntime({"desk": A2AAgent(url=server.url)}, FakeSecrets()).run(asking())


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        ({"agent": "other"}, r"'other' is not among the agents of the settings \(desk\)"),
        ({}, "'None' is not among"),
        ({"agent": ["desk"]}, "is not among"),
    ],
)
def test_only_agents_of_the_settings_are_called(runtime: dict[str, Any], message: str) -> None:
    desk = A2ARuntime({"desk": A2AAgent(url="https://x")}, FakeSecrets())
    with pytest.raises(AgentFailure, match=message) as caught:
        desk.check({"kind": "a2a", **runtime})
    assert caught.value.error_class == "not_allowed"


def test_other_machines_are_called_by_https() -> None:
    desk = A2ARuntime({"desk": A2AAgent(url="http://example.com")}, FakeSecrets())
    with pytest.raises(AgentFailure, match="must be called by https"):
        desk.check({"kind": "a2a", "agent": "desk"})


class Strict(A2AService):
    """An agent that keeps no secret of its callers."""

    def send(self, request: Mapping[str, Any]) -> dict[str, Any]:
        ASKED.append(request)
        if "taskPushNotificationConfig" in request["configuration"]:
            failure = AgentFailure("token: is not stored", error_class="invalid_request")
            raise Refused("INVALID_PARAMS", failure)
        return {"task": {"id": "t-1", "status": {"state": "TASK_STATE_WORKING"}}}


ASKED: list[Mapping[str, Any]] = []


def test_an_agent_that_refuses_the_place_of_notices_is_looked_at(asking: Requests) -> None:
    notices = {"url": "https://here.example", "token": "t"}
    runtime = A2ARuntime({}, FakeSecrets(), notices=lambda request: notices)
    interface = Interface("https://desk.example", "JSONRPC", "", pushes=True)
    service = Strict(interface, "desk", Web(), {}, lambda: 1.0)
    pending = runtime._sent(asking(), service)
    assert (pending.async_task_uuid, pending.look_seconds) == ("t-1", 2.0)
    first, second = ASKED
    assert first["configuration"].pop("taskPushNotificationConfig") == notices
    assert first == second
