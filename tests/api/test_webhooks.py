"""Long jobs report by signed requests, to the local server and to the Lambda handler."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from ai_coordination_engine.api.limits import Limits
from ai_coordination_engine.api.webhooks import answer_webhook, signature
from ai_coordination_engine.domain.webhooks import tenant_key
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws.api_handler import build_handler
from ai_coordination_engine.entrypoints.local.asgi import asgi_app
from ai_coordination_engine.http_messages import Request
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.store.models import SessionAgent
from tests.kit.fakes import FakeClock, FakeQueue, FakeSecrets

MASTER = "the operator's key"


@dataclass
class Jobs:
    """An application that accepts reports, and jobs that it waits for."""

    app: App
    clock: FakeClock
    queue: FakeQueue
    tenant: str

    def open(self) -> str:
        """Return the uuid of a job for which an agent waits."""
        job = str(uuid4())
        agent = SessionAgent(
            f"s-{job}", "a", partition_key=self.tenant, coordination_uuid="c", run_uuid="r"
        )
        self.app.records.tables[SessionAgent].put(agent, SessionAgent.session_uuid.does_not_exist())
        self.app.jobs.open(agent, job, 60)
        return job

    def status(self, job: str) -> Any:
        task = self.app.jobs.get(self.tenant, job)
        assert task is not None
        return task.status

    def body(self, job: str, **says: Any) -> bytes:
        return json.dumps({"tenant": self.tenant, "asyncTaskUuid": job, **says}).encode()

    def headers(self, body: bytes, *, age: float = 0, key: str | None = None) -> dict[str, str]:
        timestamp = str(int(self.clock.now().timestamp() - age))
        signed = signature(key or tenant_key(MASTER, self.tenant), timestamp, body)
        return {
            "x-ace-timestamp": timestamp,
            "x-ace-signature": signed,
            "content-type": "application/json",
        }

    def send(self, body: bytes, method: str = "POST", **headers: str) -> tuple[int, Any]:
        """Send a report, signed unless headers are given; return status and body of the
        response.
        """
        request = Request(method, headers or self.headers(body), (), body)
        answered = asyncio.run(answer_webhook(request, self.app))
        return answered.status, json.loads(answered.body)

    def report(self, job: str, **says: Any) -> tuple[int, Any]:
        return self.send(self.body(job, **says))


def refused(answer: tuple[int, Any]) -> tuple[int, str, str]:
    """Return status, code and message of a refusal."""
    status, body = answer
    (error,) = body["errors"]
    return status, error["extensions"]["code"], error["message"]


@pytest.fixture
def jobs(shared_app: App, tenant: str) -> Iterator[Jobs]:
    clock = FakeClock()
    queue = FakeQueue(clock=clock)
    settings = shared_app.settings.model_copy(update={"webhook_key": SecretStr(MASTER)})
    made = replace(shared_app, settings=settings, clock=clock, queue=queue)
    records = made.records
    before, records.clock = records.clock, clock
    yield Jobs(made, clock, queue, tenant)
    records.clock = before


OK = (200, {"ok": True})


def test_a_signature_is_what_the_documentation_says() -> None:
    key = hmac.new(b"master", b"async-tasks/acme#eu", hashlib.sha256).hexdigest()
    assert tenant_key("master", "acme#eu") == key
    digest = hmac.new(key.encode(), b"1790000000.{}", hashlib.sha256).hexdigest()
    assert signature(key, "1790000000", b"{}") == f"v1={digest}"


@pytest.mark.parametrize("result", ["done", {"a": [1]}, [], 5, False, ""])
def test_a_result_ends_the_job_and_wakes_its_agent(jobs: Jobs, result: Any) -> None:
    job = jobs.open()
    assert jobs.report(job, result=result, usage={"inputTokens": 3}) == OK
    assert jobs.status(job) == "completed"
    (wake,) = jobs.queue.sent
    assert wake == Wake(jobs.tenant, f"s-{job}", "a")


@pytest.mark.parametrize(
    ("codec", "content_type"),
    [
        ("utf-8-sig", "application/json"),
        ("utf-16", ""),
        ("latin-1", "application/json; charset=ISO-8859-1"),
    ],
)
def test_a_report_is_read_by_its_mark_or_charset(jobs: Jobs, codec: str, content_type: str) -> None:
    job = jobs.open()
    report = {
        "tenant": jobs.tenant,
        "asyncTaskUuid": job,
        "result": "\ufeffZürich" if codec == "utf-16" else "Zürich",
    }
    body = json.dumps(report, ensure_ascii=False).encode(codec)
    assert jobs.send(body, **jobs.headers(body) | {"content-type": content_type}) == OK
    task = jobs.app.jobs.get(jobs.tenant, job)
    assert task is not None
    assert task.agent_output == "Zürich"


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        ("", "the request body holds bytes that are not UTF-8"),
        (
            "application/json; charset=zip",
            "the request body names the charset 'zip', which is not known",
        ),
    ],
)
def test_a_report_that_cannot_be_read_is_refused(
    jobs: Jobs, content_type: str, message: str
) -> None:
    body = '{"result": "Zürich"}'.encode("latin-1")
    headers = jobs.headers(body) | {"content-type": content_type}
    assert refused(jobs.send(body, **headers)) == (400, "BAD_USER_INPUT", message)


def test_an_error_ends_the_job(jobs: Jobs) -> None:
    job = jobs.open()
    assert jobs.report(job, error="the disk is full") == OK
    assert jobs.status(job) == "failed"


def test_a_heartbeat_moves_the_deadline(jobs: Jobs) -> None:
    job = jobs.open()
    jobs.clock.advance(50)
    assert jobs.report(job, heartbeat=True) == OK
    jobs.clock.advance(50)
    assert jobs.report(job, result="done") == OK


def test_a_repetition_is_a_success_and_another_content_a_conflict(jobs: Jobs) -> None:
    job = jobs.open()
    assert jobs.report(job, result="done") == OK
    assert jobs.report(job, result="done") == OK
    conflict = (409, "CONFLICT", "The async task has completed already.")
    assert refused(jobs.report(job, result="other")) == conflict
    assert refused(jobs.report(job, error="late")) == conflict
    assert refused(jobs.report(job, heartbeat=True)) == conflict


def test_an_unknown_job_and_another_tenants_are_not_found(jobs: Jobs) -> None:
    job = jobs.open()
    other = replace(jobs, tenant=f"{jobs.tenant}-2")
    for uuid, sender in (("nobody", jobs), (job, other)):
        missing = (404, "NOT_FOUND", f'There is no such async task: "{uuid}".')
        assert refused(sender.report(uuid, result="x")) == missing
    assert jobs.status(job) == "pending"


def test_only_the_tenants_own_key_signs(jobs: Jobs) -> None:
    job = jobs.open()
    body = jobs.body(job, result="x")
    good = jobs.headers(body)
    wrong = (
        401,
        "UNAUTHENTICATED",
        "X-Ace-Signature does not match the body, the timestamp and the tenant's key",
    )
    for headers in (
        jobs.headers(body, key=tenant_key(MASTER, "other")),
        jobs.headers(body, key=MASTER),
        {**good, "x-ace-signature": good["x-ace-signature"].removeprefix("v1=")},
        {**good, "x-ace-signature": "v1=ß\ud800"},
        {**good, "x-ace-timestamp": str(int(good["x-ace-timestamp"]) + 1)},
        {name: value for name, value in good.items() if name != "x-ace-signature"},
    ):
        assert refused(jobs.send(body, **headers)) == wrong
    assert refused(jobs.send(body + b" ", **good)) == wrong
    assert jobs.status(job) == "pending"
    assert jobs.queue.sent == []


@pytest.mark.parametrize("age", [301, -302])
def test_an_old_signature_is_worth_nothing(jobs: Jobs, age: float) -> None:
    job = jobs.open()
    body = jobs.body(job, result="x")
    late = (
        401,
        "UNAUTHENTICATED",
        "X-Ace-Timestamp is missing or not within 300 seconds of this server's clock",
    )
    assert refused(jobs.send(body, **jobs.headers(body, age=age))) == late
    assert jobs.send(body, **jobs.headers(body, age=299)) == OK


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1e9", "٣", "9" * 5_000])
def test_a_timestamp_that_is_no_number_of_seconds_is_refused(jobs: Jobs, timestamp: str) -> None:
    body = jobs.body("job", result="x")
    headers = {**jobs.headers(body), "x-ace-timestamp": timestamp}
    assert refused(jobs.send(body, **headers))[:2] == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({}, "give one of `result`, `error` and `heartbeat`"),
        ({"result": "x", "error": "y"}, "give one of `result`, `error` and `heartbeat`"),
        ({"result": "x", "heartbeat": True}, "give one of `result`, `error` and `heartbeat`"),
        ({"result": None}, "give one of `result`, `error` and `heartbeat`"),
        ({"heartbeat": "yes"}, "`heartbeat` must be true"),
        ({"error": {"a": 1}}, "`error` must be a string"),
        ({"error": " "}, "error is empty; it says why the job failed."),
        ({"result": "x", "usage": 5}, "`usage` must be an object or null"),
        ({"asyncTaskUuid": 5, "result": "x"}, "`asyncTaskUuid` must be a string"),
        (
            {"asyncTaskUuid": "a\x00", "result": "x"},
            (
                "asyncTaskUuid must have 1 to 256 bytes of printable characters, and no space at"
                " its ends."
            ),
        ),
    ],
)
def test_a_body_that_says_nothing_useful_is_refused(
    jobs: Jobs, says: dict[str, Any], message: str
) -> None:
    job = jobs.open()
    assert refused(jobs.report(job, **says)) == (400, "BAD_USER_INPUT", message)
    assert jobs.status(job) == "pending"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'"text"',
        b"\xff",
        b'{"tenant": 5}',
        b'{"tenant": ""}',
        b'{"tenant": "a#b#c"}',
        b'{"tenant": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"tenant": "\\ud800"}',
    ],
)
def test_a_body_that_names_no_tenant_is_refused(jobs: Jobs, body: bytes) -> None:
    assert refused(jobs.send(body))[:2] == (400, "BAD_USER_INPUT")
    assert (
        refused(jobs.send(body, **{**jobs.headers(body), "x-ace-signature": "v1=00"}))[:2]
        == UNAUTHENTICATED
    )


UNAUTHENTICATED = (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b', "tenant": "other"}',
        b', "result": NaN}',
        b', "result": \xff}',
        b', "result": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b', "result": ' + b"1" * 5_000 + b"}",
    ],
)
@pytest.mark.parametrize("header", [False, True])
def test_a_body_is_parsed_only_when_its_signature_is_good(
    jobs: Jobs, rest: bytes, header: bool
) -> None:
    body = b'{"tenant": "%s"' % jobs.tenant.encode() + rest
    named = {"x-ace-tenant": jobs.tenant} if header else {}
    assert refused(jobs.send(body, **jobs.headers(body), **named))[:2] == (400, "BAD_USER_INPUT")
    forged = jobs.headers(body, key=tenant_key(MASTER, "nobody"))
    if header or b"\xff" not in body:  # without the header the text is searched
        assert refused(jobs.send(body, **forged, **named))[:2] == UNAUTHENTICATED


def test_the_tenant_that_counts_is_the_one_that_the_report_is_for(jobs: Jobs) -> None:
    job = jobs.open()
    body = json.dumps(
        {"result": {"tenant": jobs.tenant}, "tenant": "other", "asyncTaskUuid": job}
    ).encode()
    assert refused(jobs.send(body, **jobs.headers(body)))[:2] == UNAUTHENTICATED
    elsewhere = [{"tenant": name} for name in ("a", "", "b#c#d", 'q"\\', "ä")]
    body = json.dumps({"result": elsewhere, "asyncTaskUuid": job, "tenant": jobs.tenant}).encode()
    assert jobs.send(body, **jobs.headers(body)) == OK
    assert jobs.status(job) == "completed"


def test_the_header_names_the_tenant_of_a_body_that_names_many(jobs: Jobs) -> None:
    job = jobs.open()
    rows = [{"tenant": f"t{number}"} for number in range(100)]
    body = json.dumps({"result": rows, "asyncTaskUuid": job, "tenant": jobs.tenant}).encode()
    assert refused(jobs.send(body, **jobs.headers(body)))[:2] == UNAUTHENTICATED
    assert jobs.send(body, **jobs.headers(body), **{"x-ace-tenant": jobs.tenant}) == OK
    assert refused(jobs.send(body, **jobs.headers(body), **{"x-ace-tenant": "a#b#c"}))[:2] == (
        400,
        "BAD_USER_INPUT",
    )


def test_a_body_beyond_the_limit_is_refused(jobs: Jobs) -> None:
    body = b" " * (Limits().body_bytes + 1)
    assert refused(jobs.send(body))[:2] == (413, "TOO_COMPLEX")


def test_other_methods_are_refused(jobs: Jobs) -> None:
    body = jobs.body("job", heartbeat=True)
    assert refused(jobs.send(body, "GET"))[:2] == (405, "BAD_USER_INPUT")


def test_a_server_without_a_key_takes_no_reports(jobs: Jobs) -> None:
    settings = jobs.app.settings.model_copy(update={"webhook_key": None})
    closed = replace(jobs, app=replace(jobs.app, settings=settings))
    assert refused(closed.report("job", heartbeat=True)) == (
        404,
        "NOT_FOUND",
        "this server accepts no reports: its operator must set ACE_WEBHOOK_KEY",
    )


async def test_the_local_server_has_the_route(jobs: Jobs) -> None:
    job = jobs.open()
    body = jobs.body(job, result="done")
    made = httpx.ASGITransport(asgi_app(jobs.app))
    async with httpx.AsyncClient(transport=made, base_url="http://test") as client:
        accepted = await client.post("/async-tasks", content=body, headers=jobs.headers(body))
        unsigned = await client.post("/async-tasks", content=body)
        too_large = await client.post("/async-tasks", content=b" " * 10_000_001)
    assert (accepted.status_code, accepted.json()) == OK
    assert (unsigned.status_code, too_large.status_code) == (401, 413)
    assert jobs.status(job) == "completed"


def test_the_lambda_takes_the_tenant_from_the_signed_body_alone(jobs: Jobs) -> None:
    job = jobs.open()
    body = jobs.body(job, result="done")
    app = replace(jobs.app, settings=jobs.app.settings.model_copy(update={"auth": "jwt"}))
    event = {
        "version": "2.0",
        "rawPath": "/async-tasks",
        "rawQueryString": "",
        "headers": {**jobs.headers(body), "part-id": "other"},
        "requestContext": {"http": {"method": "POST"}, "stage": "$default"},
        "body": body.decode(),
        "isBase64Encoded": False,
    }
    with asyncio.Runner() as runner:
        answered = build_handler(app, runner)(event, None)
    assert (answered["statusCode"], json.loads(answered["body"])) == OK
    assert jobs.status(job) == "completed"


def test_a_rotated_key_counts_at_once_and_so_does_the_one_before(jobs: Jobs) -> None:
    secrets = FakeSecrets(master=["oldest", MASTER])
    settings = jobs.app.settings.model_copy(
        update={"webhook_key": None, "webhook_key_secret": "master"}
    )
    jobs.app = replace(jobs.app, settings=settings, secrets=secrets)
    assert jobs.report(jobs.open(), result="1") == OK
    secrets.texts["master"].append("newest")
    assert jobs.report(jobs.open(), result="2") == OK  # a job that began before the rotation
    body = jobs.body(jobs.open(), result="3")
    assert jobs.send(body, **jobs.headers(body, key=tenant_key("newest", jobs.tenant))) == OK
    body = jobs.body(jobs.open(), result="4")
    answer = jobs.send(body, **jobs.headers(body, key=tenant_key("oldest", jobs.tenant)))
    assert refused(answer)[:2] == (401, "UNAUTHENTICATED")


def test_a_key_that_cannot_be_read_is_tried_again_later(jobs: Jobs) -> None:
    settings = jobs.app.settings.model_copy(
        update={"webhook_key": None, "webhook_key_secret": "master"}
    )
    jobs.app = replace(jobs.app, settings=settings, secrets=FakeSecrets())
    status, code, message = refused(jobs.report(jobs.open(), result="1"))
    assert (status, code) == (503, "THROTTLED")
    assert message == "The key for signatures cannot be read now; try again later."
