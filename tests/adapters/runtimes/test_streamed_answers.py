"""An `openai` agent whose answer is read as a stream, because somebody watches."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from ai_coordination_engine.adapters.runtimes import openai, web
from ai_coordination_engine.adapters.runtimes.completion_stream import CompletionStream
from ai_coordination_engine.adapters.runtimes.openai import OpenAIRuntime
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.runtime_settings import OpenAIEndpoint
from tests.kit.fakes import FakeSecrets

Requests = Callable[..., AgentRequest]
EVENTS = {"Content-Type": "text/event-stream; charset=utf-8"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
COUNTED = {
    "input_tokens": 9,
    "output_tokens": 3,
    "total_tokens": 12,
    "requests": 1,
    "model": "small-1",
    "provider": "127.0.0.1",
}


def chunk(delta: Any = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": None, **more}
    return {"object": "chat.completion.chunk", "model": "small-1", "choices": [choice]}


def stream(*events: Any) -> bytes:
    texts = [each if isinstance(each, str) else json.dumps(each) for each in events]
    return "".join(f"data: {each}\n\n" for each in texts).encode()


def parts(*texts: str) -> list[Any]:
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": each}) for each in texts),
    ]


END = [chunk(finish_reason="stop"), {**chunk(), "choices": [], "usage": USAGE}, "[DONE]"]


def ask(server: Any, request: AgentRequest) -> AgentResult:
    endpoints = {"default": OpenAIEndpoint(base_url=server.url, model="small")}
    return OpenAIRuntime(endpoints, FakeSecrets()).run(request)


@pytest.mark.parametrize("drip", [0, 0.000_01])
def test_the_parts_are_told_and_the_whole_is_the_answer(
    server: Any, agent_request: Requests, drip: float
) -> None:
    told: list[str] = []
    body = stream(": a comment", *parts("Grü", "ße", "."), *END)
    server.answers(body, headers=EVENTS, drip_seconds=drip)
    assert ask(server, agent_request(on_delta=told.append)) == AgentResult("Grüße.", COUNTED)
    assert told == ["Grü", "ße", "."]
    asked = server.received[0].json()
    assert (asked["stream"], asked["stream_options"]) == (True, {"include_usage": True})


def on_lines(event: Any) -> str:
    return json.dumps(event, indent=1).replace("\n", "\ndata:")


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("drip", [0, 0.000_01])
def test_lines_may_end_and_events_be_written_in_any_way(
    server: Any, agent_request: Requests, line_end: str, drip: float
) -> None:
    told: list[str] = []
    one, two, *_ = parts("Good", " day")[1:]
    events = [": hello", f"event: message\ndata: {on_lines(one)}\nid: 7", f"data:{on_lines(two)}"]
    events += [f"data: {each if each == '[DONE]' else json.dumps(each)}" for each in END]
    body = "\n\n".join(["", *events, ""]).replace("\n", line_end).encode()
    server.answers(body, headers=EVENTS, drip_seconds=drip)
    assert ask(server, agent_request(on_delta=told.append)) == AgentResult("Good day", COUNTED)
    assert told == ["Good", " day"]


@pytest.mark.parametrize("ends", ["\n", ""])
def test_empty_lines_and_the_content_type_may_be_missing(
    server: Any, agent_request: Requests, ends: str
) -> None:
    told: list[str] = []
    body = stream(*parts("Good"), *END).replace(b"\n\n", b"\n").rstrip() + ends.encode()
    server.answers(body, headers={"Content-Type": "text/plain"})
    assert ask(server, agent_request(on_delta=told.append)) == AgentResult("Good", COUNTED)
    assert told == ["Good"]


def test_a_long_line_is_read_once() -> None:
    taken = CompletionStream(lambda text: None)
    line = stream(*parts("x" * 10_000_000), *END)
    begun = time.process_time()
    for start in range(0, len(line), 4_096):
        taken.feed(line[start : start + 4_096])
    assert len(taken.body() or "") > 10_000_000
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("streams", [True, False])
def test_who_watches_does_not_change_how_long_an_answer_may_be(
    server: Any, agent_request: Requests, monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    for module in (web, openai):
        monkeypatch.setattr(module, "ANSWER_LIMIT", 3_000)
    text = "x" * 3_000
    if streams:
        server.answers(stream(*parts(text), *END), headers=EVENTS)
    else:
        server.answers({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
    with pytest.raises(AgentFailure) as failure:
        ask(server, agent_request(on_delta=lambda text: None))
    assert failure.value.error_class == "invalid_output"
    assert "more than" in failure.value.message


def test_nobody_who_watches_means_no_stream(server: Any, agent_request: Requests) -> None:
    message = {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}
    server.answers(message)
    assert ask(server, agent_request()).output == "Hello."
    assert "stream" not in server.received[0].json()


def test_an_endpoint_that_does_not_stream_answers_as_before(
    server: Any, agent_request: Requests
) -> None:
    told: list[str] = []
    server.answers({"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]})
    assert ask(server, agent_request(on_delta=told.append)).output == "Hello."
    assert told == []


def test_an_endpoint_that_refuses_to_stream_is_asked_without(
    server: Any, agent_request: Requests
) -> None:
    server.answers({"error": {"message": "Unknown parameter: stream_options"}}, status=400)
    with pytest.raises(AgentFailure) as failure:
        ask(server, agent_request(on_delta=lambda text: None))
    assert failure.value.error_class == "invalid_request"
    assert ["stream" in each.json() for each in server.received] == [True, False]


OVERLOADED = {"error": {"message": "overloaded", "code": 503}}
REFUSED = [chunk({"refusal": "I "}), chunk({"refusal": "won't"})]
FILTERED = chunk(finish_reason="content_filter")


@pytest.mark.parametrize(
    ("events", "message", "error_class"),
    [
        (parts("Good"), "was cut off", "invalid_output"),
        ([], "was cut off", "invalid_output"),
        ([*parts("Good"), OVERLOADED], "overloaded", "unavailable"),
        ([*parts(), *END], "gave no answer", "invalid_output"),
        ([*REFUSED, *END], "refused: I won't", "invalid_output"),
        ([*parts("Good"), FILTERED], "a content filter", "invalid_output"),
    ],
)
def test_errors_are_those_of_an_answer_in_one_piece(
    server: Any, agent_request: Requests, events: list[Any], message: str, error_class: str
) -> None:
    server.answers(stream(*events), headers=EVENTS)
    with pytest.raises(AgentFailure) as failure:
        ask(server, agent_request(on_delta=lambda text: None))
    assert message in failure.value.message
    assert failure.value.error_class == error_class


def test_an_answer_that_was_cut_at_its_token_limit_says_so(
    server: Any, agent_request: Requests
) -> None:
    server.answers(stream(*parts("Good"), chunk(finish_reason="length"), "[DONE]"), headers=EVENTS)
    result = ask(server, agent_request(on_delta=lambda text: None))
    assert (result.output, result.usage["finish_reason"]) == ("Good", "length")


def test_a_stream_has_the_timeout_of_its_attempt(server: Any, agent_request: Requests) -> None:
    server.answers(stream(*parts("x" * 100), *END), headers=EVENTS, drip_seconds=0.05)
    with pytest.raises(AgentFailure) as failure:
        ask(server, agent_request(on_delta=lambda text: None, timeout_seconds=0.2))
    assert failure.value.error_class == "timeout"


def test_a_stream_has_a_limit(
    server: Any, agent_request: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "STREAM_LIMIT", 1_000)
    server.answers(stream(*parts(*["word "] * 100), *END), headers=EVENTS)
    with pytest.raises(AgentFailure) as failure:
        ask(server, agent_request(on_delta=lambda text: None))
    assert failure.value.error_class == "invalid_output"
