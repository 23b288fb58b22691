"""What an HTTP response stands for: data, or one error of the tree."""

import inspect
from typing import Any

import httpx
import pytest

from ai_coordination_engine import client as package
from ai_coordination_engine import errors as server_errors
from ai_coordination_engine.client import ApiError, Client, UnexpectedAnswer, operations
from ai_coordination_engine.client import errors as client_errors
from ai_coordination_engine.client.answers import data_of


def classes(module: Any, base: type) -> dict[str, type]:
    return {
        name: each
        for name, each in vars(module).items()
        if inspect.isclass(each) and issubclass(each, base) and each is not base
    }


def test_each_code_of_the_server_has_a_class_of_its_name() -> None:
    ours = {each.code: name for name, each in classes(client_errors, ApiError).items()}
    theirs = classes(server_errors, server_errors.CoordinationError)
    codes = {each.code: name for name, each in theirs.items() if each.__base__.code != each.code}
    codes.pop("PERSISTED_QUERY_NOT_SUPPORTED")  # of requests that the client does not send
    assert len(codes) >= 8
    assert {code: ours.get(code) for code in codes} == codes
    assert set(ours.values()) <= set(package.__all__)


def answer(body: object, status: int = 200) -> httpx.Response:
    request = httpx.Request("POST", "http://h/graphql?token=secret")
    if isinstance(body, bytes):
        return httpx.Response(status, content=body, request=request)
    return httpx.Response(status, json=body, request=request)


def problem(response: httpx.Response) -> ApiError:
    with pytest.raises(ApiError) as raised:
        data_of(response, lambda _: None)
    assert "secret" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    ("errors", "code", "message"),
    [
        ([{"message": "no", "extensions": {"code": "CONFLICT"}}], "CONFLICT", "no"),
        ([{"message": "no", "extensions": {"code": "NEW_CODE"}}], "NEW_CODE", "no"),
        ([{"message": "no"}], "UNEXPECTED_ANSWER", "no"),
        ([{"message": "no", "extensions": None}], "UNEXPECTED_ANSWER", "no"),
        ([{"message": "no", "extensions": {"code": 7}}], "UNEXPECTED_ANSWER", "no"),
        (["no"], "UNEXPECTED_ANSWER", '"no"'),
        ("no", "UNEXPECTED_ANSWER", '"no"'),
        ({"message": "no"}, "UNEXPECTED_ANSWER", "no"),
        ([None], "UNEXPECTED_ANSWER", "null"),
        ([{"message": "no", "path": ["a", 0]}, {"message": "no"}], "UNEXPECTED_ANSWER", "no"),
    ],
)
def test_errors_have_the_code_of_the_first(errors: object, code: str, message: str) -> None:
    error = problem(answer({"errors": errors, "data": None}))
    assert (error.code, error.message, str(error)) == (code, message, message)
    assert type(error) is package.Conflict or code != "CONFLICT"


def test_an_error_keeps_the_data_beside_it_and_all_of_its_values() -> None:
    errors = [
        {
            "message": "2 tasks",
            "path": ["deleteCoordination"],
            "extensions": {"code": "HAS_DEPENDENTS", "dependents": {"task": 2}},
        }
    ]
    error = problem(answer({"errors": errors, "data": {"a": 1}}))
    assert type(error) is package.HasDependents
    assert error.data == {"a": 1}
    (only,) = error.problems
    assert (only.path, only.extensions["dependents"]) == (("deleteCoordination",), {"task": 2})


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (200, "UNEXPECTED_ANSWER", False),
        (302, "UNEXPECTED_ANSWER", False),
        (400, "BAD_USER_INPUT", False),
        (401, "UNAUTHENTICATED", False),
        (403, "FORBIDDEN", False),
        (404, "UNEXPECTED_ANSWER", False),
        (413, "TOO_COMPLEX", False),
        (429, "THROTTLED", True),
        (500, "THROTTLED", True),
        (503, "THROTTLED", True),
        (599, "UNEXPECTED_ANSWER", False),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"null",
        b'{"message": "x"}',
        b'{"errors": []}',
    ],
)
def test_an_answer_that_is_not_of_the_api(
    body: bytes, status: int, code: str, retryable: bool
) -> None:
    error = problem(answer(body, status))
    assert (error.code, error.retryable) == (code, retryable)
    assert "from http://h/graphql" in error.message


@pytest.mark.parametrize("data", [None, [], "x", 1])
def test_data_that_is_no_object_is_an_error(data: object) -> None:
    assert type(problem(answer({"data": data}))) is UnexpectedAnswer


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ({"warnings": ["a", "b"]}, ["a", "b"]),
        ({"warnings": "ab"}, ["ab"]),
        ({"warnings": None}, []),
        ({}, []),
        ([], []),
        (None, []),
    ],
)
def test_warnings_are_told(extensions: object, expected: list[str]) -> None:
    told: list[str] = []
    assert data_of(answer({"data": {"a": 1}, "extensions": extensions}), told.append) == {"a": 1}
    assert told == expected


def test_warnings_go_to_the_log_by_default(caplog: pytest.LogCaptureFixture) -> None:
    body = {"data": {"ping": "Hello"}, "extensions": {"warnings": ["old"]}}
    with Client("http://h", transport=httpx.MockTransport(lambda _: answer(body))) as client:
        client.send(operations.ping())
    (record,) = (each for each in caplog.records if each.levelname == "WARNING")
    assert (record.name, record.message) == ("ai_coordination_engine.client", "old")


@pytest.mark.parametrize(
    "data", [{}, {"session": {"status": "completed"}}, {"session": []}, {"session": {"id": 1}}]
)
def test_a_result_that_does_not_fit_names_what_does_not(data: object) -> None:
    reply = httpx.MockTransport(lambda _: answer({"data": data}))
    operation = operations.cancel_session(coordination_uuid="c", session_uuid="s")
    with (
        Client("http://h", transport=reply) as client,
        pytest.raises(UnexpectedAnswer, match="cancelSession does not fit"),
    ):
        client.send(operation)


def test_a_status_that_the_client_does_not_know_is_no_error() -> None:
    fields = dict.fromkeys(
        ("logs", "taskUuid", "userId", "taskQuery", "inputFiles", "iterationCount")
    )
    times = {"createdAt": "2026-11-26T12:00:00+00:00", "updatedAt": "2026-11-26T12:00:00+00:00"}
    texts = dict.fromkeys(
        ("id", "sessionUuid", "coordinationUuid", "endpointId", "partitionKey"), "x"
    )
    more = {"subtaskQueries": [], "updatedBy": "me", "aNewField": 1, "status": "hibernating"}
    record = {**fields, **times, **texts, **more}
    read = operations.session(coordination_uuid="c", session_uuid="s").read({"session": record})
    assert read is not None
    assert read.status == "hibernating"
    assert read.created_at.isoformat() == "2026-11-26T12:00:00+00:00"
