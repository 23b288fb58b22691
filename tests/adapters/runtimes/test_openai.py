from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from ai_coordination_engine.adapters.runtimes.openai import OpenAIRuntime
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult, Message
from ai_coordination_engine.runtime_settings import OpenAIEndpoint
from tests.kit.fakes import FakeSecrets

Requests = Callable[..., AgentRequest]
KEY = "sk-very-secret-0123456789"


def completion(content: Any = "Hello.", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    return {
        "object": "chat.completion",
        "model": "small-1",
        "choices": [
            {"index": 0, "message": message, "finish_reason": more.pop("finish_reason", "stop")}
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 3,
            "total_tokens": 12,
            "details": {"cached": 1},
        },
        **more,
    }


HERE = {"requests": 1, "provider": "127.0.0.1"}


def call(name: str) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": "{}"}}


def runtime_at(url: str, secrets: FakeSecrets | None = None, **endpoint: Any) -> OpenAIRuntime:
    return OpenAIRuntime(
        {"default": OpenAIEndpoint(base_url=url, **endpoint)}, secrets or FakeSecrets()
    )


def failure_of(runtime: OpenAIRuntime, request: AgentRequest) -> AgentFailure:
    with pytest.raises(AgentFailure) as failure:
        runtime.run(request)
    return failure.value


def test_instructions_thread_and_input_make_the_messages(
    server: Any, agent_request: Requests
) -> None:
    server.answers(completion())
    thread = [Message("user", "What rhymes with moon?"), Message("assistant", "June.")]
    request = agent_request(
        runtime={"model": "small"}, instructions="Be brief.", thread=thread, input="More?"
    )
    result = runtime_at(server.url + "/v1/").run(request)

    assert result == AgentResult(
        "Hello.",
        {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12, "model": "small-1", **HERE},
    )
    (received,) = server.received
    assert received.path == "/v1/chat/completions"
    assert "authorization" not in received.headers
    assert received.json() == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What rhymes with moon?"},
            {"role": "assistant", "content": "June."},
            {"role": "user", "content": "More?"},
        ],
    }


def test_a_record_sets_the_models_parameters_and_nothing_else(
    server: Any, agent_request: Requests
) -> None:
    server.answers(completion('{"Answer": 1}'))
    shape = {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": {"additionalProperties": False}},
    }
    chosen = {"temperature": 0, "max_tokens": 5, "response_format": shape, "seed": None}
    runtime_at(server.url).run(
        agent_request(
            runtime={
                "kind": "openai",
                "model": "small",
                "team": "blue",
                "n": 8,
                "stream": True,
                **chosen,
            }
        )
    )
    assert server.received[0].json() == {
        "model": "small",
        "messages": [{"role": "user", "content": "Write a line."}],
        "temperature": 0,
        "max_tokens": 5,
        "response_format": shape,
    }


@pytest.mark.parametrize(
    ("given", "provider", "sent"),
    [
        ({}, None, {"max_tokens": 40}),
        ({}, "openai", {"max_completion_tokens": 40}),
        ({}, "azure", {"max_completion_tokens": 40}),
        ({"max_tokens": 40}, "openai", {"max_tokens": 40}),
        ({"max_completion_tokens": 7}, None, {"max_completion_tokens": 7}),
        ({"max_tokens": 40, "max_completion_tokens": 7}, None, "given"),
        ({"max_tokens": -1}, None, {"max_tokens": 40}),
        ({"max_tokens": 0}, None, {"max_tokens": 40}),
        ({"max_tokens": "900"}, None, {"max_tokens": 40}),
        ({"max_tokens": True}, None, {"max_tokens": 40}),
        ({"max_tokens": 900.5}, None, {"max_tokens": 40}),
        ({"max_tokens": -1, "max_completion_tokens": 7}, None, {"max_completion_tokens": 7}),
    ],
)
def test_where_a_budget_applies_no_more_is_asked_for_than_it_has_reserved(
    server: Any, agent_request: Requests, given: Any, provider: str | None, sent: Any
) -> None:
    server.answers(completion())
    request = agent_request(runtime={"kind": "openai", "model": "small", **given}, max_tokens=40)
    runtime_at(server.url, provider=provider).run(request)
    asked = server.received[0].json()
    limits = {name: asked[name] for name in asked if "tokens" in name}
    assert limits == (given if sent == "given" else sent)


def test_a_schema_is_asked_for_unless_the_record_says_another_form(
    server: Any, agent_request: Requests
) -> None:
    schema = {"title": "pick", "type": "object"}
    for own in ({}, {"response_format": {"type": "json_object"}}):
        server.answers(completion())
        runtime_at(server.url).run(
            agent_request(runtime={"model": "small", **own}, output_schema=schema)
        )
    asked = {"name": "pick", "strict": True, "schema": schema}
    assert [each.json()["response_format"] for each in server.received] == [
        {"type": "json_schema", "json_schema": asked},
        {"type": "json_object"},
    ]


def test_an_endpoint_may_have_a_model_of_its_own(server: Any, agent_request: Requests) -> None:
    server.answers(completion())
    runtime_at(server.url, model="house").run(agent_request())
    assert server.received[0].json()["model"] == "house"


@pytest.mark.parametrize("model", [None, "", 4, ["small"]])
def test_no_model_is_a_readable_failure(
    agent_request: Requests, dead_url: str, model: object
) -> None:
    failure = failure_of(runtime_at(dead_url), agent_request(runtime={"model": model}))
    assert failure.message == "`runtime.model` must name a model: the endpoint has no default model"


def test_an_agent_names_its_endpoint(server: Any, agent_request: Requests, dead_url: str) -> None:
    server.answers(completion())
    endpoints = {
        "default": OpenAIEndpoint(base_url=dead_url),
        "house": OpenAIEndpoint(base_url=server.url),
    }
    runtime = OpenAIRuntime(endpoints, FakeSecrets())
    assert (
        runtime.run(agent_request(runtime={"model": "m", "endpoint": "house"})).output == "Hello."
    )
    failure = failure_of(runtime, agent_request(runtime={"model": "m", "endpoint": "moon"}))
    assert (
        failure.message == "the model endpoint 'moon' is not configured; configured: default, house"
    )
    failure = failure_of(OpenAIRuntime({}, FakeSecrets()), agent_request(runtime={"model": "m"}))
    assert failure.message == "the model endpoint 'default' is not configured; configured: none"


@pytest.mark.parametrize(
    "key", ["api_key", "apiKey", "API-Key", "base_url", "headers", "api_key_secret", "url"]
)
def test_a_record_with_an_address_or_a_key_is_refused(
    server: Any, agent_request: Requests, key: str
) -> None:
    failure = failure_of(runtime_at(server.url), agent_request(runtime={"model": "m", key: KEY}))
    assert (
        failure.message == f"`runtime.{key}` is not allowed in a record: set addresses and keys in "
        "ACE_OPENAI_ENDPOINTS and name the endpoint in `runtime.endpoint`"
    )
    assert server.received == []


@pytest.mark.parametrize(
    "how",
    [
        {"api_key": SecretStr(KEY)},
        {"api_key": SecretStr(KEY + "\n")},
        {"api_key_secret": "prod/openai"},
    ],
)
def test_the_key_comes_from_settings_or_a_secret(
    server: Any, agent_request: Requests, how: dict[str, Any]
) -> None:
    server.answers(completion())
    runtime_at(server.url, FakeSecrets(**{"prod/openai": KEY}), **how).run(
        agent_request(runtime={"model": "m"})
    )
    assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_secret_that_cannot_be_read_is_a_readable_failure(
    server: Any, agent_request: Requests
) -> None:
    failure = failure_of(
        runtime_at(server.url, api_key_secret="gone"), agent_request(runtime={"model": "m"})
    )
    assert (
        failure.message
        == "the key of the model endpoint 'default' cannot be read: ResourceNotFoundException"
    )
    assert server.received == []


@pytest.mark.parametrize("key", ['{"api_key": "sk"}', "two\nlines", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_never_shown(
    server: Any, agent_request: Requests, key: str
) -> None:
    failure = failure_of(
        runtime_at(server.url, api_key=SecretStr(key)), agent_request(runtime={"model": "m"})
    )
    assert (
        failure.message == "the key of the model endpoint 'default' is not one line of plain text"
    )


def test_an_endpoint_that_quotes_the_key_does_not_reveal_it(
    server: Any, agent_request: Requests
) -> None:
    server.answers({"error": {"message": f"Incorrect API key provided: {KEY}."}}, 401)
    failure = failure_of(
        runtime_at(server.url, api_key=SecretStr(KEY)), agent_request(runtime={"model": "m"})
    )
    assert str(failure) == failure.message
    assert (
        failure.message
        == "the model endpoint 'default' answered 401: Incorrect API key provided: ***."
    )
    assert not failure.retryable


def test_a_rate_limit_says_when_to_come_back(server: Any, agent_request: Requests) -> None:
    server.answers({"error": {"message": "slow down"}}, 429, headers={"Retry-After": "21"})
    failure = failure_of(runtime_at(server.url), agent_request(runtime={"model": "m"}))
    assert failure.message == "the model endpoint 'default' answered 429: slow down"
    assert (failure.retryable, failure.retry_after) == (True, 21)


def test_a_model_that_takes_too_long_fails_on_time(server: Any, agent_request: Requests) -> None:
    server.answers(b"", silent=True)
    failure = failure_of(
        runtime_at(server.url), agent_request(runtime={"model": "m"}, timeout_seconds=0.2)
    )
    assert failure.message == "the model endpoint 'default' did not answer within 0.2 s"
    assert failure.retryable


@pytest.mark.parametrize(
    ("answered", "message"),
    [
        (completion(""), "the model gave no answer (finish_reason: stop)"),
        (completion(" \n"), "the model gave no answer (finish_reason: stop)"),
        (
            completion(None, finish_reason="tool_calls"),
            "the model gave no answer (finish_reason: tool_calls)",
        ),
        (
            completion(
                None,
                finish_reason="tool_calls",
                message={"tool_calls": [call("web.search"), call("a")]},
            ),
            (
                "the model called tools, which an `openai` agent does not offer, and gave no"
                " answer: a, web.search"
            ),
        ),
        (
            completion(None, message={"function_call": {"name": "lookup", "arguments": "{}"}}),
            (
                "the model called tools, which an `openai` agent does not offer, and gave no"
                " answer: lookup"
            ),
        ),
        (
            completion("", message={"reasoning_content": "Let me think."}),
            "the model reasoned but gave no answer (finish_reason: stop)",
        ),
        (
            completion([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]),
            "the model reasoned but gave no answer (finish_reason: stop)",
        ),
        (
            completion("", finish_reason="length"),
            "the model reached its token limit before it had answered: raise `runtime.max_tokens`",
        ),
    ],
)
def test_an_answer_without_content_is_a_failure_that_may_pass(
    server: Any, agent_request: Requests, answered: Any, message: str
) -> None:
    server.answers(answered)
    failure = failure_of(runtime_at(server.url), agent_request(runtime={"model": "m"}))
    assert (failure.message, failure.error_class, failure.retryable) == (
        message,
        "invalid_output",
        True,
    )


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        (completion(None, message={"refusal": "I will not."}), "I will not."),
        (completion([{"type": "refusal", "refusal": "Not\n that."}]), "Not that."),
        (
            completion([{"type": "text", "text": "Well."}, {"type": "refusal", "refusal": "No."}]),
            "No.",
        ),
        (completion("", finish_reason="content_filter"), "a content filter blocked it"),
        (completion("Half of", finish_reason="content_filter"), "a content filter blocked it"),
        (completion("", finish_reason="SAFETY"), "a content filter blocked it"),
        (
            {"choices": [{"index": 0, "finish_reason": "content_filter"}]},
            "a content filter blocked it",
        ),
        (
            {"choices": [{"message": None, "finish_reason": "safety"}]},
            "a content filter blocked it",
        ),
    ],
)
def test_a_refusal_is_not_paid_for_again(
    server: Any, agent_request: Requests, answered: Any, words: str
) -> None:
    server.answers(answered)
    failure = failure_of(runtime_at(server.url), agent_request(runtime={"model": "m"}))
    assert (failure.message, failure.error_class) == (
        f"the model refused: {words}",
        "invalid_output",
    )
    assert not failure.retryable


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            [{"type": "text", "text": "Part one, "}, {"type": "text", "text": "part two."}],
            "Part one, part two.",
        ),
        ([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}], "Yes."),
        ([{"type": "reasoning", "text": "Hm."}, {"type": "output_text", "text": "Yes."}], "Yes."),
        ([{"thought": True, "text": "Hm."}, {"text": "Yes."}], "Yes."),
        (
            [
                {"type": "text", "text": {"value": "Yes.", "annotations": []}},
                {"type": "reference", "ids": [1]},
            ],
            "Yes.",
        ),
        (["Yes", ".", None, 7, {"type": "text", "text": None}], "Yes."),
        ({"type": "text", "text": "Yes."}, "Yes."),
        ("\ufeffYes.", "Yes."),
    ],
)
def test_the_text_parts_of_a_content_are_the_answer(
    server: Any, agent_request: Requests, content: Any, text: str
) -> None:
    server.answers(completion(content, message={"reasoning_content": "Hm."}))
    assert runtime_at(server.url).run(agent_request(runtime={"model": "m"})).output == text


def test_a_text_beside_tool_calls_is_the_answer(server: Any, agent_request: Requests) -> None:
    server.answers(completion("Yes.", message={"tool_calls": [call("f")], "function_call": None}))
    assert runtime_at(server.url).run(agent_request(runtime={"model": "m"})).output == "Yes."


@pytest.mark.parametrize(
    ("answered", "words", "error_class", "retryable"),
    [
        (
            {"error": {"message": "No credits left", "code": 402}},
            "No credits left",
            "invalid_request",
            False,
        ),
        ({"error": {"message": "Slow down", "code": "429"}}, "Slow down", "rate_limit", True),
        (
            {"error": {"message": "Broken", "code": 502}, "choices": []},
            "Broken",
            "unavailable",
            True,
        ),
        (
            [{"error": {"message": "Full", "status": "RESOURCE_EXHAUSTED"}}],
            "Full",
            "rate_limit",
            True,
        ),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}},
            "Busy",
            "unavailable",
            True,
        ),
        ({"error": "out of memory"}, "out of memory", "invalid_output", True),
        ({"detail": "no such deployment"}, "no such deployment", "invalid_output", True),
        (
            {**completion("Half"), "error": {"message": "Broke off", "code": 500}},
            "Broke off",
            "unavailable",
            True,
        ),
        (
            {"choices": [{"error": {"message": "Gone", "code": 404}}]},
            "Gone",
            "invalid_request",
            False,
        ),
    ],
)
def test_an_error_in_a_successful_answer_keeps_its_words_and_its_class(
    server: Any,
    agent_request: Requests,
    *,
    answered: Any,
    words: str,
    error_class: str,
    retryable: bool,
) -> None:
    server.answers(answered, headers={"Retry-After": "2"})
    failure = failure_of(runtime_at(server.url), agent_request(runtime={"model": "m"}))
    assert (
        failure.message
        == f"the answer of the model endpoint 'default' is not a chat completion: {words}"
    )
    assert (failure.error_class, failure.retryable, failure.retry_after) == (
        error_class,
        retryable,
        2,
    )


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1//", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/dep?api-version=2024-10-21", "/dep/chat/completions?api-version=2024-10-21"),
        ("/dep/?api-version=1&x=%2F", "/dep/chat/completions?api-version=1&x=%2F"),
        ("?key=k", "/chat/completions?key=k"),
        ("/dep/chat/completions?v=1", "/dep/chat/completions?v=1"),
    ],
)
def test_the_path_goes_before_the_query_of_a_base_url(
    server: Any, agent_request: Requests, path: str, asked: str
) -> None:
    server.answers(completion())
    runtime_at(server.url + path).run(agent_request(runtime={"model": "m"}))
    assert [each.path for each in server.received] == [asked]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example/v1",
        "ftp://api.example",
        "https://",
        "https://me:pw@api.example",
        "https://a.example/#v1",
    ],
)
def test_a_base_url_that_cannot_be_called_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="base_url") as error:
        OpenAIEndpoint(base_url=url)
    assert "pw" not in str(error.value)


def test_what_the_query_of_a_base_url_hides_is_not_shown(
    server: Any, agent_request: Requests
) -> None:
    server.answers({"error": {"message": "wrong key 0123456789abc"}}, 404)
    runtime = runtime_at(server.url + "/dep?api-key=0123456789abc&v=1")
    failure = failure_of(runtime, agent_request(runtime={"model": "m"}))
    place = f"{server.url}/dep/chat/completions"
    assert (
        failure.message == f"the model endpoint 'default' answered 404 for {place}: wrong key ***"
    )


def test_a_text_cut_short_is_kept_and_marked(server: Any, agent_request: Requests) -> None:
    server.answers(completion("Once upon", finish_reason="length"))
    result = runtime_at(server.url).run(agent_request(runtime={"model": "m"}))
    assert (result.output, result.usage["finish_reason"]) == ("Once upon", "length")


def test_a_json_document_cut_short_is_a_failure(server: Any, agent_request: Requests) -> None:
    server.answers(completion('{"a": ', finish_reason="length"))
    request = agent_request(runtime={"model": "m", "response_format": {"type": "json_object"}})
    assert "token limit" in failure_of(runtime_at(server.url), request).message


@pytest.mark.parametrize(
    ("usage", "kept"),
    [
        (None, {}),
        ({}, {}),
        ([1], {}),
        ({"prompt_tokens": 4, "completion_tokens": "many"}, {"input_tokens": 4}),
        (
            {
                "prompt_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
                "completion_tokens": 3,
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            {
                "input_tokens": 9,
                "cached_tokens": 8,
                "output_tokens": 3,
                "reasoning_tokens": 2,
                "total_tokens": 12,
            },
        ),
        ({"prompt_tokens": -1, "completion_tokens": 2**40, "total_tokens": True}, {}),
    ],
)
def test_usage_holds_only_what_was_counted(
    server: Any, agent_request: Requests, usage: Any, kept: dict[str, int]
) -> None:
    server.answers(completion(usage=usage, model=None))
    result = runtime_at(server.url).run(agent_request(runtime={"model": "asked"}))
    assert result.usage == {**kept, "model": "asked", **HERE}


@pytest.mark.parametrize(
    "answered",
    [
        completion("", finish_reason="length"),
        completion(message={"refusal": "no"}),
        completion(None),
        {**completion(), "choices": []},
    ],
)
def test_an_answer_that_cannot_be_used_has_cost_what_it_says(
    server: Any, agent_request: Requests, answered: Any
) -> None:
    server.answers(answered)
    failure = failure_of(runtime_at(server.url), agent_request(runtime={"model": "m"}))
    assert (failure.usage["input_tokens"], failure.usage["output_tokens"]) == (9, 3)
    assert (failure.usage["model"], failure.usage["provider"]) == ("small-1", "127.0.0.1")


def test_an_answer_that_never_came_has_no_usage(server: Any, agent_request: Requests) -> None:
    server.answers(b"", status=503)
    failure = failure_of(runtime_at(server.url), agent_request(runtime={"model": "m"}))
    assert failure.usage == {}


def test_an_endpoint_may_say_who_is_paid(server: Any, agent_request: Requests) -> None:
    server.answers(completion())
    runtime = runtime_at(server.url, provider="openrouter")
    assert runtime.run(agent_request(runtime={"model": "m"})).usage["provider"] == "openrouter"


@pytest.mark.parametrize(
    "answered",
    [
        b"",
        b"<html>",
        b"[" * 200_000,
        [],
        {},
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": "no"},
    ],
)
def test_what_is_no_chat_completion_is_a_failure_that_may_pass(
    server: Any, agent_request: Requests, answered: Any
) -> None:
    server.answers(answered)
    failure = failure_of(runtime_at(server.url), agent_request(runtime={"model": "m"}))
    assert failure.message == "the answer of the model endpoint 'default' is not a chat completion"
    assert failure.retryable


def test_a_page_instead_of_a_completion_is_named(server: Any, agent_request: Requests) -> None:
    server.answers(b"<!doctype html><title>Open\nConsole</title><p>Welcome")
    failure = failure_of(runtime_at(server.url), agent_request(runtime={"model": "m"}))
    assert failure.message.endswith("is not a chat completion: Open Console")


@pytest.mark.parametrize(
    ("runtime", "endpoint", "error_class"),
    [
        ({"model": "m", "endpoint": "other"}, {}, "not_allowed"),
        ({"model": "m", "api_key": "k"}, {}, "not_allowed"),
        ({"model": "m"}, {"api_key_secret": "unknown"}, "not_allowed"),
        ({"model": "m"}, {"api_key": SecretStr("two\nlines")}, "not_allowed"),
        ({}, {}, "invalid_request"),
    ],
)
def test_what_cannot_be_asked_says_of_which_class_it_is(
    server: Any, agent_request: Requests, runtime: Any, endpoint: Any, error_class: str
) -> None:
    failure = failure_of(runtime_at(server.url, **endpoint), agent_request(runtime=runtime))
    assert (failure.error_class, failure.retryable, server.received) == (error_class, False, [])


@pytest.mark.parametrize(
    ("answered", "status", "error_class"),
    [
        (completion(None), 200, "invalid_output"),
        (completion(message={"refusal": "no"}), 200, "invalid_output"),
        ([], 200, "invalid_output"),
        ({}, 400, "invalid_request"),
        ({}, 500, "unavailable"),
    ],
)
def test_what_was_answered_says_of_which_class_it_is(
    server: Any, agent_request: Requests, answered: Any, status: int, error_class: str
) -> None:
    server.answers(answered, status)
    assert (
        failure_of(runtime_at(server.url), agent_request(runtime={"model": "m"})).error_class
        == error_class
    )


def test_a_model_that_is_asked_too_often_says_when_to_come_back(
    server: Any, agent_request: Requests
) -> None:
    server.answers({"error": {"message": "slow down"}}, 429, headers={"Retry-After": "20"})
    failure = failure_of(runtime_at(server.url), agent_request(runtime={"model": "m"}))
    assert (failure.error_class, failure.retryable, failure.retry_after) == ("rate_limit", True, 20)
