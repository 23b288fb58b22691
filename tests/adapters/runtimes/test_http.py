import hashlib
import hmac
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from ai_coordination_engine.adapters.runtimes.http import HttpRuntime
from ai_coordination_engine.adapters.runtimes.web import Web
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.runtime_ports import (
    AgentFailure,
    AgentRequest,
    AgentResult,
    Message,
    PredecessorOutput,
)
from tests.kit.fakes import FakeSecrets

Requests = Callable[..., AgentRequest]


def failure_of(runtime: HttpRuntime, request: AgentRequest) -> AgentFailure:
    with pytest.raises(AgentFailure) as failure:
        runtime.run(request)
    return failure.value


@pytest.fixture
def calling(server: Any, agent_request: Requests) -> Callable[..., AgentRequest]:
    return lambda path="/agent", **given: agent_request(
        runtime={"kind": "http", "url": server.url + path}, **given
    )


@pytest.fixture
def runtime(server: Any) -> HttpRuntime:
    return HttpRuntime([server.url])


def test_the_service_gets_the_whole_attempt_in_camel_case(
    server: Any, runtime: HttpRuntime, calling: Requests
) -> None:
    server.answers({"output": "done"})
    runtime.run(
        calling(
            instructions="Be brief.",
            user_input="yes",
            predecessors=[PredecessorOutput("agent-0", "Reader", "a \ud800 b")],
            input_files=[{"file_name": "a.txt", "myKey": json_text.loads("19.90")}],
            thread=[Message("user", "hello"), Message("assistant", "hi")],
            attempt=2,
        )
    )
    (received,) = server.received
    assert (received.method, received.path) == ("POST", "/agent")
    assert received.headers["content-type"] == "application/json"
    assert received.headers["idempotency-key"] == "operation-1"
    assert received.headers["x-ace-run"] == "run-1"
    assert b'"myKey": 19.90}' in received.body
    assert received.json() == {
        "tenant": "acme",
        "sessionUuid": "session-1",
        "sessionAgentUuid": "session-agent-1",
        "idempotencyKey": "operation-1",
        "runUuid": "run-1",
        "attempt": 2,
        "agentUuid": "agent-1",
        "agentName": "Writer",
        "instructions": "Be brief.",
        "input": "Write a line.",
        "query": "Write a line.",
        "taskQuery": "A poem",
        "userInput": "yes",
        "predecessors": [{"agentUuid": "agent-0", "agentName": "Reader", "output": "a \ud800 b"}],
        "inputFiles": [{"file_name": "a.txt", "myKey": 19.9}],
        "threadUuid": "thread-1",
        "thread": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}],
        "timeoutSeconds": 60.0,
    }


SCHEMA = {"title": "pick", "type": "object", "properties": {"who": {"type": "string"}}}


@pytest.mark.parametrize("answered", [{"who": "ann"}, {"output": {"who": "ann"}}])
def test_a_service_is_told_the_schema_and_answers_the_json_itself_or_as_its_output(
    server: Any, runtime: HttpRuntime, calling: Requests, answered: Any
) -> None:
    server.answers(answered)
    result = runtime.run(calling(output_schema=SCHEMA, correction="at /who, it is missing"))
    assert result == AgentResult('{"who": "ann"}')
    sent = server.received[0].json()
    assert (sent["outputSchema"], sent["correction"]) == (SCHEMA, "at /who, it is missing")


def test_a_json_body_without_what_the_schema_names_is_no_answer(
    server: Any, runtime: HttpRuntime, calling: Requests
) -> None:
    server.answers({"error": "down"})
    with pytest.raises(AgentFailure, match="JSON without `output`"):
        runtime.run(calling(output_schema=SCHEMA))


@pytest.mark.parametrize(
    ("answered", "result"),
    [
        ({"output": "fine"}, AgentResult("fine")),
        (
            {"output": "fine", "usage": {"inputTokens": 1, "model": "m"}},
            AgentResult("fine", {"input_tokens": 1, "model": "m"}),
        ),
        ({"output": "fine", "usage": ["odd"]}, AgentResult("fine")),
        ({"output": {"a": [1]}}, AgentResult('{"a": [1]}')),
        ({"output": ""}, AgentResult("")),
        ({"output": "\ufefffine"}, AgentResult("fine")),
        ({"output": "part", "errors": [{"message": "the rest is missing"}]}, AgentResult("part")),
        ("\ufeff".encode() + b'{"output": "fine"}', AgentResult("fine")),
        (b'{"output": "half \\ud800"}', AgentResult("half ?")),
    ],
)
def test_a_json_answer_carries_output_and_usage(
    server: Any, runtime: HttpRuntime, calling: Requests, answered: Any, result: AgentResult
) -> None:
    server.answers(answered)
    assert runtime.run(calling()) == result


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/plain; charset=utf-8", "", "text/html"]
)
def test_any_other_answer_is_the_output_itself(
    server: Any, runtime: HttpRuntime, calling: Requests, content_type: str
) -> None:
    server.answers("naïve".encode(), headers={"Content-Type": content_type})
    assert runtime.run(calling()) == AgentResult("naïve")


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        ({"result": "fine"}, "answered JSON without `output` or `asyncTaskUuid`"),
        (["output"], "answered JSON without `output` or `asyncTaskUuid`"),
        (b'{"output": ', "answered with a body that is not valid JSON"),
        (b"", "answered with a body that is not valid JSON"),
        (b"[" * 200_000, "answered with a body that is not valid JSON"),
        (b'{"output": {"a": NaN}}', "answered with a body that is not valid JSON"),
    ],
)
def test_a_json_answer_of_another_shape_is_a_failure_that_may_pass(
    server: Any, runtime: HttpRuntime, calling: Requests, answered: Any, reason: str
) -> None:
    server.answers(answered)
    failure = failure_of(runtime, calling())
    assert (failure.message, failure.error_class) == (
        f"the agent at 127.0.0.1 {reason}",
        "invalid_output",
    )
    assert failure.retryable


@pytest.mark.parametrize(
    ("answered", "error_class", "retryable", "words"),
    [
        (
            {"errors": [{"message": "quota used up"}], "output": None},
            "invalid_output",
            True,
            "quota used up",
        ),
        ({"output": None}, "invalid_output", True, ""),
        ({"output": None, "message": "no idea"}, "invalid_output", True, "no idea"),
        (
            {"error": {"code": 429, "message": "too fast"}, "output": None},
            "rate_limit",
            True,
            "too fast",
        ),
        (
            {"error": {"code": -32601, "message": "Method not found"}},
            "invalid_output",
            True,
            "Method not found",
        ),
        (
            {"errors": [{"message": "m", "extensions": {"code": "FORBIDDEN"}}]},
            "invalid_request",
            False,
            "m",
        ),
    ],
)
def test_an_error_in_a_successful_answer_is_a_failure_with_its_words(
    server: Any,
    runtime: HttpRuntime,
    calling: Requests,
    *,
    answered: Any,
    error_class: str,
    retryable: bool,
    words: str,
) -> None:
    server.answers(answered, headers={"Retry-After": "2"})
    failure = failure_of(runtime, calling())
    problem = (
        "an `output` of null"
        if "output" in answered
        else "JSON without `output` or `asyncTaskUuid`"
    )
    assert (
        failure.message
        == f"the agent at 127.0.0.1 answered {problem}{': ' if words else ''}{words}"
    )
    assert (failure.error_class, failure.retryable, failure.retry_after) == (
        error_class,
        retryable,
        2,
    )


@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("content_type", ["", "text/plain"])
def test_an_empty_body_is_no_output(
    server: Any, runtime: HttpRuntime, calling: Requests, status: int, content_type: str
) -> None:
    server.answers(b"", status, headers={"Content-Type": content_type})
    failure = failure_of(runtime, calling())
    assert (
        failure.message
        == f"the agent at 127.0.0.1 answered {status} with an empty body; send an output"
    )
    assert (failure.error_class, failure.retryable) == ("invalid_output", True)


def test_a_service_that_quotes_the_signing_key_does_not_reveal_it(
    server: Any, calling: Requests
) -> None:
    server.answers({"error": "not signed with hush-hush-hush"}, 401)
    failure = failure_of(HttpRuntime([server.url], signing_key=lambda: "hush-hush-hush"), calling())
    assert failure.message == "the agent at 127.0.0.1 answered 401: not signed with ***"


def test_a_request_is_signed_over_its_time_and_its_bytes(server: Any, calling: Requests) -> None:
    server.answers({"output": "ok"})
    HttpRuntime([server.url], signing_key=lambda: "schlüssel", now=lambda: 1_700_000_000.9).run(
        calling()
    )
    (received,) = server.received
    assert received.headers["x-ace-timestamp"] == "1700000000"
    expected = hmac.new(
        "schlüssel".encode(), b"1700000000." + received.body, hashlib.sha256
    ).hexdigest()
    assert received.headers["x-ace-signature"] == f"v1={expected}"


def test_a_key_that_cannot_be_read_sends_nothing(server: Any, calling: Requests) -> None:
    failure = failure_of(
        HttpRuntime([server.url], signing_key=partial(FakeSecrets().value, "key")), calling()
    )
    assert (
        failure.message == "the key that signs the requests of http agents cannot be read:"
        " ResourceNotFoundException"
    )
    assert (failure.error_class, failure.retryable) == ("not_allowed", False)
    assert server.received == []


def test_without_a_key_nothing_is_signed(
    server: Any, runtime: HttpRuntime, calling: Requests
) -> None:
    server.answers({"output": "ok"})
    runtime.run(calling())
    assert [name for name in server.received[0].headers if name.startswith("x-ace")] == [
        "x-ace-run"
    ]


@pytest.mark.parametrize(
    ("allowed", "path", "calls"),
    [
        ("", "/any/thing?a=../b", 1),
        ("/", "/any", 1),
        ("/agents", "/agents", 1),
        ("/agents", "/agents/writer?x=1", 1),
        ("/agents/", "/agents/writer", 1),
        ("/agents", "/agents-of-others", 0),
        ("/agents", "/Agents", 0),
        ("/agents", "/agents%2Fwriter", 0),
        ("/agents", "/other", 0),
        ("/agents", "", 0),
        ("/agents", "/agents/../other", 0),
        ("/agents", "/agents/./writer", 0),
        ("/agents", "/agents/%2e%2e/other", 0),
        ("/agents", "/agents/%252e%252e/other", 0),
        ("/agents", "/agents/%2525252e%2525252e/other", 0),
        ("/agents", "/agents/..%2fother", 0),
        ("/agents", "/agents/..\\other", 0),
        ("/agents", "/agents/..;/other", 0),
        ("/agents", "/agents/..", 0),
        ("/agents", "/agents/\r\nX-Injected: 1", 0),
    ],
)
def test_a_url_is_called_only_under_an_allowed_one(
    server: Any, calling: Requests, allowed: str, path: str, calls: int
) -> None:
    server.answers({"output": "ok"})
    runtime = HttpRuntime([server.url + allowed])
    if calls:
        runtime.run(calling(path))
    else:
        assert not failure_of(runtime, calling(path)).retryable
    assert len(server.received) == calls


@pytest.mark.parametrize(
    "url",
    [
        None,
        17,
        "",
        "/relative",
        "agent.example/x",
        "ftp://agent.example/",
        "file:///etc/passwd",
        "https://",
        "https://user@agent.example/",
        "https://agent.example:secret@evil.example/",
        "https://agent.example@evil.example/",
        "https://agent.example\x00/",
        "https://xn--\u2603.example/",
    ],
)
def test_what_is_no_plain_absolute_url_is_refused(agent_request: Requests, url: object) -> None:
    failure = failure_of(
        HttpRuntime(["https://agent.example"]), agent_request(runtime={"url": url})
    )
    assert (
        failure.message
        == "`runtime.url` must be an absolute http(s) URL without credentials or `..`"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://agent.example.evil.example/",
        "https://agent.example:8443/",
        "https://agent.example:99999/",
        "https://agent.example./",
        "https://evil.example/https://agent.example/",
        "https://agent-example/",
        "https://evil.example/#https://agent.example/",
        "https://evil.example/?https://agent.example/",
        "https://evil.example\\@agent.example/",
        "http://localhost/",
    ],
)
def test_another_host_or_port_is_refused(agent_request: Requests, url: str) -> None:
    failure = failure_of(
        HttpRuntime(["https://agent.example", "not a url"]), agent_request(runtime={"url": url})
    )
    assert not failure.retryable


def test_https_is_required_beyond_loopback(agent_request: Requests) -> None:
    runtime = HttpRuntime(["http://agent.example"])
    failure = failure_of(runtime, agent_request(runtime={"url": "http://agent.example/"}))
    assert failure.message == "the agent at agent.example must be called by https"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    server: Any, runtime: HttpRuntime, calling: Requests, status: int
) -> None:
    server.answers(b"", status, headers={"Location": server.url + "/elsewhere"})
    failure = failure_of(runtime, calling())
    assert (
        failure.message
        == f"the agent at 127.0.0.1 answered {status}, a redirect, which is not followed"
    )
    assert not failure.retryable
    assert [each.path for each in server.received] == ["/agent"]


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False),
        (401, False),
        (403, False),
        (408, True),
        (409, True),
        (422, False),
        (429, True),
        (500, True),
        (503, True),
    ],
)
def test_the_status_says_whether_a_retry_makes_sense(
    server: Any, runtime: HttpRuntime, calling: Requests, status: int, retryable: bool
) -> None:
    server.answers({"error": {"message": "no\n  luck"}}, status)
    failure = failure_of(runtime, calling())
    assert failure.message == f"the agent at 127.0.0.1 answered {status}: no luck"
    assert (failure.retryable, failure.retry_after) == (retryable, None)


@pytest.mark.parametrize("seconds", [0.3])
def test_the_deadline_holds_for_a_silent_service(
    server: Any, runtime: HttpRuntime, calling: Requests, seconds: float
) -> None:
    server.answers(b"", silent=True)
    started = time.monotonic()
    failure = failure_of(runtime, calling(timeout_seconds=seconds))
    assert time.monotonic() - started < 9
    assert (failure.message, failure.retryable) == (
        "the agent at 127.0.0.1 did not answer within 0.3 s",
        True,
    )


def test_the_deadline_holds_for_a_service_that_drips(
    server: Any, runtime: HttpRuntime, calling: Requests
) -> None:
    server.answers(b"x" * 1000, drip_seconds=0.05)
    started = time.monotonic()
    failure = failure_of(runtime, calling(timeout_seconds=0.3))
    assert time.monotonic() - started < 9
    assert (failure.message, failure.retryable) == (
        "the agent at 127.0.0.1 did not answer within 0.3 s",
        True,
    )


def test_nobody_there_is_worth_a_retry(agent_request: Requests, dead_url: str) -> None:
    failure = failure_of(HttpRuntime([dead_url]), agent_request(runtime={"url": dead_url}))
    assert (
        failure.message
        == "the agent at 127.0.0.1 cannot be reached: [Errno 111] Connection refused"
    )
    assert failure.retryable


def test_one_agents_cookie_does_not_travel_with_the_next_request(
    server: Any, runtime: HttpRuntime, calling: Requests
) -> None:
    server.answers({"output": "ok"}, headers={"Set-Cookie": "who=acme; Path=/"})
    runtime.run(calling(tenant="acme"))
    runtime.run(calling(tenant="globex"))
    assert ["cookie" in each.headers for each in server.received] == [False, False]


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize(
    ("answered", "result"),
    [
        ({"asyncTaskUuid": "job-1"}, AgentResult("", async_task_uuid="job-1")),
        ({"asyncTaskUuid": "job-1", "output": None}, AgentResult("", async_task_uuid="job-1")),
        (
            {"asyncTaskUuid": "ü" * 128, "heartbeatSeconds": 30},
            AgentResult("", async_task_uuid="ü" * 128, heartbeat_seconds=30),
        ),
    ],
)
def test_a_long_job_is_answered_by_its_uuid(
    server: Any,
    runtime: HttpRuntime,
    calling: Requests,
    status: int,
    answered: Any,
    result: AgentResult,
) -> None:
    server.answers(answered, status)
    assert runtime.run(calling()) == result


@pytest.mark.parametrize(
    ("answered", "message"),
    [
        ({"asyncTaskUuid": ""}, "asyncTaskUuid must have 1 to 256 bytes"),
        ({"asyncTaskUuid": "ü" * 129}, "asyncTaskUuid must have 1 to 256 bytes"),
        ({"asyncTaskUuid": "a\nb"}, "asyncTaskUuid must be printable text"),
        ({"asyncTaskUuid": 7}, "asyncTaskUuid must be printable text"),
        ({"asyncTaskUuid": "j", "heartbeatSeconds": "30"}, "heartbeatSeconds must be a number"),
        ({"asyncTaskUuid": "j", "heartbeatSeconds": True}, "heartbeatSeconds must be a number"),
        (
            {"asyncTaskUuid": "j", "heartbeatSeconds": 0},
            "heartbeatSeconds must be from 1 to 2592000",
        ),
        (
            {"asyncTaskUuid": "j", "heartbeatSeconds": 1e300},
            "heartbeatSeconds must be from 1 to 2592000",
        ),
    ],
)
def test_a_long_job_with_an_unfit_uuid_or_heartbeat_is_a_failure_that_may_pass(
    server: Any, runtime: HttpRuntime, calling: Requests, answered: Any, message: str
) -> None:
    server.answers(answered, 202)
    failure = failure_of(runtime, calling())
    assert (failure.message, failure.error_class) == (
        f"the agent at 127.0.0.1 answered: {message}",
        "invalid_output",
    )
    assert failure.retryable


@pytest.mark.parametrize("content_type", ["", "text/plain", "text/html; charset=utf-8"])
def test_202_is_a_long_job_whatever_its_content_type(
    server: Any, runtime: HttpRuntime, calling: Requests, content_type: str
) -> None:
    server.answers({"asyncTaskUuid": "job-1"}, 202, headers={"Content-Type": content_type})
    assert runtime.run(calling()) == AgentResult("", async_task_uuid="job-1")


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json"])
@pytest.mark.parametrize(
    "answered", [b"", b"accepted", [], {"output": "done"}, {"asyncTaskUuid": None, "output": "d"}]
)
def test_202_without_a_long_job_is_a_failure_that_says_what_to_send(
    server: Any, runtime: HttpRuntime, calling: Requests, answered: Any, content_type: str
) -> None:
    server.answers(answered, 202, headers={"Content-Type": content_type})
    failure = failure_of(runtime, calling())
    assert (
        failure.message
        == 'the agent at 127.0.0.1 answered 202 without {"asyncTaskUuid": "…"} of a long job;'
        " send an output with 200"
    )
    assert (failure.error_class, failure.retryable) == ("invalid_output", True)


@pytest.mark.parametrize(
    ("content_type", "answered", "result"),
    [
        ("", {"output": "fine", "usage": {"model": "m"}}, AgentResult("fine", {"model": "m"})),
        ("", {"asyncTaskUuid": "job-1"}, AgentResult("", async_task_uuid="job-1")),
        ("", {"result": 1}, AgentResult('{"result": 1}')),
        ("", ["output"], AgentResult('["output"]')),
        ("", b'{"output": ', AgentResult('{"output": ')),
        ("text/plain", {"output": "fine"}, AgentResult('{"output": "fine"}')),
        ("application/problem+json", {"output": "fine"}, AgentResult("fine")),
        ("application/json", {"asyncTaskUuid": None, "output": "done"}, AgentResult("done")),
    ],
)
def test_an_answer_that_does_not_say_what_it_is_counts_as_json_where_it_is_an_answer(
    server: Any,
    runtime: HttpRuntime,
    calling: Requests,
    content_type: str,
    answered: Any,
    result: AgentResult,
) -> None:
    server.answers(answered, headers={"Content-Type": content_type})
    assert runtime.run(calling()) == result


def test_an_answer_without_a_content_type_is_one_that_does_not_say_what_it_is(
    agent_request: Requests,
) -> None:
    bare = httpx.MockTransport(lambda request: httpx.Response(200, content=b'{"output": "fine"}'))
    runtime = HttpRuntime(["http://127.0.0.1"], web=Web(bare))
    assert runtime.run(agent_request(runtime={"url": "http://127.0.0.1/agent"})) == AgentResult(
        "fine"
    )


def test_what_the_settings_do_not_allow_has_a_class_of_its_own(agent_request: Requests) -> None:
    request = agent_request(runtime={"kind": "http", "url": "https://elsewhere.example/agent"})
    assert failure_of(HttpRuntime([]), request).error_class == "not_allowed"
    nothing = agent_request(runtime={"kind": "http", "url": None})
    assert failure_of(HttpRuntime([]), nothing).error_class == "invalid_request"
