"""Models of Bedrock over real HTTP: requests and responses fit the model of the service."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest

from ai_coordination_engine.adapters.runtimes.bedrock import BedrockRuntime
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, Message
from ai_coordination_engine.runtime_settings import BedrockModel
from tests.kit.aws_answers import asked, checked, error, stream

MODEL = "eu.amazon.nova-lite-v1:0"
MODELS = {
    "default": BedrockModel(model_id=MODEL, region="eu-central-1"),
    "guarded": BedrockModel(model_id=MODEL, region="eu-central-1", guardrail="gr-1"),
}
COUNTED = {"inputTokens": 7, "outputTokens": 2, "totalTokens": 9}
USED = {"requests": 1, "model": MODEL, "provider": "aws"}
Requests = Callable[..., AgentRequest]


@pytest.fixture
def runtime(server: Any, monkeypatch: pytest.MonkeyPatch) -> BedrockRuntime:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    return BedrockRuntime(MODELS)


@pytest.fixture
def calling(agent_request: Requests) -> Requests:
    return partial(agent_request, runtime={"kind": "bedrock"})


def converse(text: str = "A line.", reason: str = "end_turn", **more: Any) -> dict[str, Any]:
    blocks = [
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        *([{"text": text}] if text else []),
    ]
    answer = {
        "output": {"message": {"role": "assistant", "content": blocks}},
        "stopReason": reason,
        "usage": COUNTED,
        "metrics": {"latencyMs": 3},
        **more,
    }
    return dict(checked("bedrock-runtime", "Converse", answer))


def refused(runtime: BedrockRuntime, request: AgentRequest) -> tuple[str, str, bool]:
    with pytest.raises(AgentFailure) as raised:
        runtime.run(request)
    failure = raised.value
    return failure.message, failure.error_class, failure.retryable


def test_a_model_gets_the_conversation_and_its_parameters(
    server: Any, runtime: BedrockRuntime, calling: Requests
) -> None:
    server.answers(converse())
    request = calling(
        instructions="Be brief.",
        thread=[
            Message("assistant", "hi"),
            Message("user", "first"),
            Message("user", " "),
            Message("user", "second"),
            Message("assistant", "yes"),
        ],
        runtime={
            "kind": "bedrock",
            "model": "guarded",
            "max_tokens": 50,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": "END",
            "additional_model_request_fields": {"top_k": 5},
        },
    )
    result = runtime.run(request)
    assert result.output == "A line."
    assert result.usage == {"input_tokens": 7, "output_tokens": 2, **USED}
    (received,) = server.received
    assert unquote(received.path) == f"/model/{MODEL}/converse"
    assert "/eu-central-1/bedrock/" in received.headers["authorization"]
    body = received.json()
    asked("bedrock-runtime", "Converse", {"modelId": MODEL, **body})
    assert body == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "(The conversation begins with your answer.)"}]},
            {"role": "assistant", "content": [{"text": "hi"}]},
            {"role": "user", "content": [{"text": "first"}, {"text": "second"}]},
            {"role": "assistant", "content": [{"text": "yes"}]},
            {"role": "user", "content": [{"text": "Write a line."}]},
        ],
        "inferenceConfig": {
            "maxTokens": 50,
            "temperature": 0.5,
            "topP": 0.9,
            "stopSequences": ["END"],
        },
        "additionalModelRequestFields": {"top_k": 5},
        "guardrailConfig": {"guardrailIdentifier": "gr-1", "guardrailVersion": "DRAFT"},
    }


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, 40),
        ({"max_tokens": 7}, 7),
        ({"max_tokens": 0}, 40),
        ({"max_tokens": "900"}, 40),
        ({"max_completion_tokens": 7}, 40),  # no key of this kind
    ],
)
def test_where_a_budget_applies_no_more_is_asked_for_than_it_has_reserved(
    server: Any, runtime: BedrockRuntime, agent_request: Requests, given: Any, sent: int
) -> None:
    server.answers(converse())
    runtime.run(agent_request(runtime={"kind": "bedrock", **given}, max_tokens=40))
    assert server.received[0].json()["inferenceConfig"] == {"maxTokens": sent}


def test_the_tokens_of_a_cache_are_input_too(
    server: Any, runtime: BedrockRuntime, calling: Requests
) -> None:
    counted = {**COUNTED, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 20}
    server.answers(converse(usage=counted))
    assert runtime.run(calling()).usage == {
        "input_tokens": 127,
        "output_tokens": 2,
        "cached_tokens": 100,
        "cache_write_tokens": 20,
        **USED,
    }


def test_a_text_that_was_cut_off_is_kept_but_not_where_json_is_needed(
    server: Any, runtime: BedrockRuntime, calling: Requests
) -> None:
    server.answers(converse(reason="max_tokens"))
    assert runtime.run(calling()).usage["finish_reason"] == "length"
    limit = "the model reached its token limit before it had answered: raise `runtime.max_tokens`"
    assert refused(runtime, calling(output_schema={})) == (limit, "invalid_output", True)
    server.answers(converse("", reason="max_tokens"))
    assert refused(runtime, calling()) == (limit, "invalid_output", True)


@pytest.mark.parametrize(
    ("reason", "message", "retryable"),
    [
        ("guardrail_intervened", "the model refused: a guardrail blocked it", False),
        ("content_filtered", "the model refused: a content filter blocked it", False),
        ("refusal", "the model refused: it gave no reason", False),
        ("tool_use", "the model gave no answer (stopReason: tool_use)", True),
        ("end_turn", "the model gave no answer (stopReason: end_turn)", True),
    ],
)
def test_what_is_no_answer_is_unfit_and_its_usage_counts(
    server: Any,
    runtime: BedrockRuntime,
    calling: Requests,
    reason: str,
    message: str,
    retryable: bool,
) -> None:
    server.answers(converse("", reason=reason))
    with pytest.raises(AgentFailure, match="model") as raised:
        runtime.run(calling())
    found = raised.value
    assert (found.message, found.error_class) == (message, "invalid_output")
    assert found.retryable is retryable
    assert found.usage == {"input_tokens": 7, "output_tokens": 2, **USED}


@pytest.mark.parametrize(
    ("code", "error_class", "retryable"),
    [
        ("ThrottlingException", "rate_limit", True),
        ("ModelNotReadyException", "unavailable", True),
        ("ModelErrorException", "unavailable", True),
        ("ModelTimeoutException", "timeout", True),
        ("InternalServerException", "unavailable", True),
        ("ServiceUnavailableException", "unavailable", True),
        ("ValidationException", "invalid_request", False),
        ("ResourceNotFoundException", "invalid_request", False),
    ],
)
def test_errors_have_their_class_and_are_not_repeated_unseen(
    server: Any,
    runtime: BedrockRuntime,
    calling: Requests,
    code: str,
    error_class: str,
    retryable: bool,
) -> None:
    server.answers(**error("bedrock-runtime", "Converse", code, "Input is too long"))
    message = "the Bedrock model 'default' refused the request: Input is too long"
    assert refused(runtime, calling()) == (message, error_class, retryable)
    assert len(server.received) == 1


def test_who_lacks_a_permission_is_told_which(
    server: Any, runtime: BedrockRuntime, calling: Requests
) -> None:
    server.answers(**error("bedrock-runtime", "Converse", "AccessDeniedException", "no"))
    assert refused(runtime, calling()) == (
        "the Bedrock model 'default' refused the request: no; the worker's role needs"
        " bedrock:InvokeModel* for what ACE_BEDROCK_MODELS names",
        "not_allowed",
        False,
    )


def test_a_silent_model_times_out_in_time(
    server: Any, runtime: BedrockRuntime, calling: Requests
) -> None:
    server.answers(b"", silent=True)
    message = "the Bedrock model 'default' did not answer within 0.3 s"
    assert refused(runtime, calling(timeout_seconds=0.3)) == (message, "timeout", True)


@pytest.mark.parametrize(
    ("runtime_object", "message", "error_class"),
    [
        (
            {"model": "gpt"},
            "the Bedrock model 'gpt' is not offered; `runtime.model` is one of: default, guarded",
            "not_allowed",
        ),
        (
            {"additional_model_request_fields": [1]},
            "`runtime.additionalModelRequestFields` must be an object",
            "invalid_request",
        ),
        (
            {"temperature": "hot"},
            "the Bedrock model 'default' cannot be asked so: Parameter validation failed: Invalid"
            " type for parameter inferenceConfig.temperature, value: hot, type: <class 'str'>,"
            " valid types: <class 'float'>, <class 'decimal.Decimal'>, <class 'int'>",
            "invalid_request",
        ),
    ],
)
def test_what_cannot_be_asked_is_not_sent(
    server: Any,
    runtime: BedrockRuntime,
    calling: Requests,
    runtime_object: dict[str, Any],
    message: str,
    error_class: str,
) -> None:
    request = calling(runtime={"kind": "bedrock", **runtime_object})
    assert refused(runtime, request) == (message, error_class, False)
    assert server.received == []


def test_an_empty_input_is_not_sent(
    server: Any, runtime: BedrockRuntime, calling: Requests
) -> None:
    message = "the agent has no input, and Bedrock takes no empty message"
    assert refused(runtime, calling(input=" \n")) == (message, "invalid_request", False)


# While somebody watches

START: dict[str, Any] = {"messageStart": {"role": "assistant"}}
TEXTS: list[dict[str, Any]] = [
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": each}}}
    for each in ("A ", "line.")
]
STOP: dict[str, Any] = {"messageStop": {"stopReason": "end_turn"}}
METADATA: dict[str, Any] = {"metadata": {"usage": COUNTED, "metrics": {"latencyMs": 3}}}


def test_an_answer_that_is_watched_is_read_as_a_stream(
    server: Any, runtime: BedrockRuntime, calling: Requests
) -> None:
    events = START, *TEXTS, {"contentBlockStop": {"contentBlockIndex": 0}}, STOP, METADATA
    server.answers(**stream("bedrock-runtime", "ConverseStream", *events))
    seen: list[str] = []
    result = runtime.run(calling(on_delta=seen.append))
    assert (result.output, seen) == ("A line.", ["A ", "line."])
    assert result.usage == {"input_tokens": 7, "output_tokens": 2, **USED}
    assert unquote(server.received[0].path) == f"/model/{MODEL}/converse-stream"


def test_a_stream_that_breaks_off_is_no_answer(
    server: Any, runtime: BedrockRuntime, calling: Requests
) -> None:
    server.answers(**stream("bedrock-runtime", "ConverseStream", START, *TEXTS))
    message = "the answer of the model was cut off"
    assert refused(runtime, calling(on_delta=print)) == (message, "invalid_output", True)


def test_an_error_in_a_stream_has_its_class(
    server: Any, runtime: BedrockRuntime, calling: Requests
) -> None:
    slow_down: dict[str, Any] = {"throttlingException": {"message": "slow down"}}
    server.answers(**stream("bedrock-runtime", "ConverseStream", START, *TEXTS, slow_down))
    message = "the Bedrock model 'default' refused the request: slow down"
    assert refused(runtime, calling(on_delta=print)) == (message, "rate_limit", True)


def test_a_model_without_streams_is_asked_for_the_whole(
    server: Any, runtime: BedrockRuntime, calling: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "The model is unsupported for streaming"
    server.answers(**error("bedrock-runtime", "Converse", "ValidationException", told))
    with pytest.raises(AgentFailure, match="streaming"):
        runtime.run(calling(on_delta=print))
    paths = [unquote(each.path).rpartition("/")[2] for each in server.received]
    assert paths == ["converse-stream", "converse"]
    assert json.loads(server.received[0].body) == json.loads(server.received[1].body)
