import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.adapters.sqs import SqsQueue, body_of, group_of, message_from_body
from ai_coordination_engine.entrypoints.cli.dead_letters import DeadLetters, _SqsDeadLetters
from ai_coordination_engine.errors import BadUserInput, NotFound, Throttled
from ai_coordination_engine.ports import Backfill, CancelJob, Fire, QueueMessage, Wake
from ai_coordination_engine.settings import Settings

WAKE = Wake("acme#eu", "s-1", "sa-1")
FIRE = Fire("acme#eu", "t-1", "sc-1", nominal=1793610600, revision="", sent_at=1793610540.25)
BACKFILL = Backfill("acme#eu", "t-1", "sc-1")
CANCEL = CancelJob("acme#eu", "s-1", "a-1", "r-1", "job-1", '{"kind": "a2a"}', 2)
OF_A_SCHEDULE = '{"v":1,"tenant":"acme#eu","task_uuid":"t-1","schedule_uuid":"sc-1"'


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.session.Session().client("sqs", region_name="eu-central-1")


@pytest.fixture
def url(client: Any) -> str:
    return str(
        client.create_queue(QueueName="wakes", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
    )


class Recorder:
    """An SQS client that counts the entries of each request and refuses chosen ones."""

    def __init__(self, refusals: int = 0, error: str | None = None) -> None:
        self.batches: list[list[str]] = []
        self.delays: list[int | None] = []
        self.groups: list[str] = []
        self._refusals = refusals
        self._error = error

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.batches.append([entry["Id"] for entry in Entries])
        self.groups += [entry["MessageGroupId"] for entry in Entries]
        self.delays += [entry.get("DelaySeconds") for entry in Entries]
        if self._error:
            raise ClientError({"Error": {"Code": self._error, "Message": ""}}, "SendMessageBatch")
        if len(self.batches) <= self._refusals:
            return {
                "Failed": [{"Id": Entries[-1]["Id"], "SenderFault": False, "Code": "InternalError"}]
            }
        return {"Successful": []}


def received(client: Any, url: str) -> list[Wake]:
    found = []
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [message_from_body(message["Body"]) for message in messages]
    return found


@pytest.mark.parametrize("tenant", ["acme#eu", "a" * 128])
def test_a_group_is_the_tenant(tenant: str) -> None:
    assert group_of(tenant) == tenant


@pytest.mark.parametrize("tenant", ["a" * 129, "bücher", "a b"])
def test_a_tenant_that_sqs_does_not_take_is_hashed(tenant: str) -> None:
    assert group_of(tenant) == hashlib.sha256(tenant.encode()).hexdigest()


def test_messages_of_a_tenant_are_one_group() -> None:
    recorder = Recorder()
    SqsQueue(recorder, "url").send([WAKE, Wake("other", "s", "sa"), WAKE])  # type: ignore[arg-type]
    assert recorder.groups == ["acme#eu", "other", "acme#eu"]


def test_body_is_compact_versioned_json() -> None:
    assert (
        body_of(WAKE)
        == '{"v":1,"tenant":"acme#eu","session_uuid":"s-1","session_agent_uuid":"sa-1"}'
    )


def test_the_bodies_of_the_messages_of_a_schedule() -> None:
    time = ',"nominal":1793610600,"revision":"","sent_at":1793610540.25}'
    assert body_of(FIRE) == OF_A_SCHEDULE + time
    assert body_of(BACKFILL) == (
        '{"v":1,"tenant":"acme#eu","kind":"backfill","task_uuid":"t-1","schedule_uuid":"sc-1"}'
    )


@pytest.mark.parametrize(
    "message",
    [
        WAKE,
        Wake("ü" * 128, "\N{ROCKET}", '"'),
        Wake("a", "s", "sa", epoch=3),
        FIRE,
        Fire("ü", "\N{ROCKET}", '"', nominal=0, revision="x" * 40, sent_at=0.1 + 0.2),
        BACKFILL,
        CANCEL,
    ],
    ids=repr,
)
def test_a_message_survives_the_queue(message: QueueMessage) -> None:
    assert message_from_body(body_of(message)) == message


def test_the_epoch_of_what_was_set_back_travels_along() -> None:
    expected = '{"v":1,"tenant":"a","session_uuid":"s","session_agent_uuid":"sa","epoch":3}'
    assert body_of(Wake("a", "s", "sa", epoch=3)) == expected


def test_a_message_of_an_earlier_version_has_no_epoch() -> None:
    assert (
        message_from_body('{"v":1,"tenant":"a","session_uuid":"s","session_agent_uuid":"sa"}').epoch
        == 0
    )


@pytest.mark.parametrize("message", [WAKE, FIRE, BACKFILL, CANCEL], ids=repr)
def test_reader_accepts_keys_of_a_later_writer(message: QueueMessage) -> None:
    body = json.loads(body_of(message)) | {"trace": "x"}
    assert message_from_body(json.dumps(body)) == message


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        '{"v":2,"tenant":"a","session_uuid":"s","session_agent_uuid":"sa"}',
        '{"v":1,"tenant":"","session_uuid":"s","session_agent_uuid":"sa"}',
        '{"v":1,"tenant":"a","session_uuid":7,"session_agent_uuid":"sa"}',
        '{"v":1,"tenant":"a","session_uuid":"s"}',
        OF_A_SCHEDULE + "}",
        OF_A_SCHEDULE + ',"nominal":"7","revision":"","sent_at":1.0}',
        OF_A_SCHEDULE + ',"nominal":7,"revision":null,"sent_at":1.0}',
        OF_A_SCHEDULE + ',"nominal":7,"revision":"","sent_at":1e999}',
        OF_A_SCHEDULE + ',"nominal":7,"revision":"","sent_at":1.0,"v":2}',
        OF_A_SCHEDULE + ',"kind":"forefill"}',
        '{"v":1,"tenant":"a","task_uuid":"","schedule_uuid":"s","kind":"backfill"}',
    ],
    ids=lambda body: body[-40:] or "empty",
)
def test_poison_body_is_bad_user_input(body: str) -> None:
    with pytest.raises(BadUserInput, match="not a message of the engine"):
        message_from_body(body)


def test_messages_of_all_kinds_travel_in_one_batch(client: Any, url: str) -> None:
    recorder = Recorder()
    SqsQueue(recorder, "url").send([FIRE, WAKE, BACKFILL], delay=26.2)  # type: ignore[arg-type]
    assert (recorder.groups, recorder.delays) == (["acme#eu"] * 3, [27] * 3)
    SqsQueue(client, url).send([FIRE, WAKE, BACKFILL])
    found: list[QueueMessage] = [*received(client, url)]
    assert sorted(found, key=repr) == sorted([FIRE, WAKE, BACKFILL], key=repr)


def test_every_wake_arrives_once(client: Any, url: str) -> None:
    wakes = [Wake("a", "s", f"sa-{number}") for number in range(25)]
    SqsQueue(client, url).send(wakes)
    assert sorted(wake.session_agent_uuid for wake in received(client, url)) == sorted(
        wake.session_agent_uuid for wake in wakes
    )


def test_sending_nothing_calls_nothing() -> None:
    client = Recorder()
    SqsQueue(client, "url").send([])  # type: ignore[arg-type]
    assert client.batches == []


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [(0, None), (-3, None), (0.1, 1), (7, 7), (899.5, 900), (900, 900), (86_400, 900)],
)
def test_a_delay_is_whole_seconds_up_to_what_sqs_takes(delay: float, seconds: int | None) -> None:
    client = Recorder()
    SqsQueue(client, "url").send([WAKE] * 11, delay=delay)  # type: ignore[arg-type]
    assert client.delays == [seconds] * 11


def test_a_delayed_message_is_not_seen_at_once(client: Any, url: str) -> None:
    SqsQueue(client, url).send([WAKE], delay=900)
    assert received(client, url) == []
    counted = client.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesDelayed"]
    )
    assert counted["Attributes"] == {"ApproximateNumberOfMessagesDelayed": "1"}


def test_batches_hold_ten() -> None:
    client = Recorder()
    SqsQueue(client, "url").send([WAKE] * 23)  # type: ignore[arg-type]
    assert sorted(len(batch) for batch in client.batches) == [3, 10, 10]


def test_only_refused_entries_are_sent_again() -> None:
    client = Recorder(refusals=2)
    SqsQueue(client, "url").send([WAKE] * 3)  # type: ignore[arg-type]
    assert client.batches == [["0", "1", "2"], ["2"], ["2"]]


def test_entries_refused_to_the_end_are_throttled() -> None:
    client = Recorder(refusals=99)
    with pytest.raises(Throttled, match="refused 1 of 3 messages"):
        SqsQueue(client, "url").send([WAKE] * 3)  # type: ignore[arg-type]
    assert len(client.batches) == 4


@pytest.mark.parametrize(
    "code", ["RequestThrottled", "AWS.SimpleQueueService.RequestThrottled", "OverLimit"]
)
def test_throttled_request_is_throttled(code: str) -> None:
    with pytest.raises(Throttled):
        SqsQueue(Recorder(error=code), "url").send([WAKE])  # type: ignore[arg-type]


def test_unknown_queue_is_not_hidden(client: Any, url: str) -> None:
    with pytest.raises(ClientError, match="NonExistentQueue"):
        SqsQueue(client, url + "-other").send([WAKE])


def test_postponed_message_stays_hidden_and_comes_back(client: Any, url: str) -> None:
    queue = SqsQueue(client, url)
    queue.send([WAKE])
    receipt = client.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    queue.postpone(receipt, 30.2)
    assert received(client, url) == []
    queue.postpone(receipt, -1)
    assert received(client, url) == [WAKE]


def test_postponing_a_message_that_is_gone_is_harmless(client: Any, url: str) -> None:
    queue = SqsQueue(client, url)
    queue.send([WAKE])
    receipt = client.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    client.delete_message(QueueUrl=url, ReceiptHandle=receipt)
    queue.postpone(receipt, 1)
    assert received(client, url) == []


def test_what_is_dead_lettered_is_in_the_dead_letter_queue(client: Any, url: str) -> None:
    with pytest.raises(NotFound, match="no dead-letter queue"):
        SqsQueue(client, url).dead_letter(WAKE)
    dead = _dead_letters_of(client, url, "dead")
    SqsQueue(client, url).dead_letter(WAKE)
    assert (received(client, dead), received(client, url)) == ([WAKE], [])


def test_a_message_goes_to_the_queue_of_the_extra_that_its_agent_needs(
    client: Any, url: str
) -> None:
    other = client.create_queue(QueueName="agents")["QueueUrl"]
    needs, unknown = replace(WAKE, needs="agents"), replace(WAKE, needs="more")
    queue = SqsQueue(client, url, {"agents": other}, "agents")
    queue.send([WAKE, needs, FIRE, unknown])
    assert received(client, url) == [WAKE, FIRE, unknown]
    message = client.receive_message(QueueUrl=other)["Messages"][0]
    assert message_from_body(message["Body"]) == needs
    queue.postpone(message["ReceiptHandle"], 0)  # it receives from its own queue
    assert received(client, other) == [needs]


def test_a_process_without_the_queue_of_an_extra_sends_all_to_the_one(
    client: Any, url: str
) -> None:
    needs = replace(WAKE, needs="agents")
    SqsQueue(client, url).send([needs])
    assert received(client, url) == [needs]


def test_each_queue_has_its_own_dead_letters(client: Any, url: str) -> None:
    other = client.create_queue(QueueName="agents")["QueueUrl"]
    dead = [_dead_letters_of(client, each, name) for each, name in ((url, "d1"), (other, "d2"))]
    queue, needs = SqsQueue(client, url, {"agents": other}), replace(WAKE, needs="agents")
    queue.dead_letter(WAKE)
    queue.dead_letter(needs)
    assert queue.dead_letter_urls() == dead
    assert [received(client, each) for each in dead] == [[WAKE], [needs]]


def test_all_dead_letters_are_read_and_each_is_deleted_where_it_is(client: Any, url: str) -> None:
    other = client.create_queue(QueueName="agents")["QueueUrl"]
    dead = [_dead_letters_of(client, each, name) for each, name in ((url, "d1"), (other, "d2"))]
    for each in dead:
        client.send_message(QueueUrl=each, MessageBody=body_of(WAKE))
    letters = DeadLetters(_SqsDeadLetters(client, dead, 0), message_from_body)
    first, second = letters.all()
    letters.delete(first)
    letters.put_back(second)
    assert [received(client, each) for each in dead] == [[], [WAKE]]


def test_a_worker_of_an_extra_without_its_queue_does_not_start() -> None:
    settings = Settings(auth="local", queue_url="q", worker_extra="agents")
    with pytest.raises(BadUserInput, match="ACE_WORKER_EXTRA needs ACE_AGENTS_QUEUE_URL"):
        bootstrap.dead_letter_queues(settings)


def _dead_letters_of(client: Any, url: str, name: str) -> str:
    dead = str(client.create_queue(QueueName=name)["QueueUrl"])
    asked = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": asked["Attributes"]["QueueArn"], "maxReceiveCount": 10}
    given = {"RedrivePolicy": json.dumps(policy)}
    client.set_queue_attributes(QueueUrl=url, Attributes=given)
    return dead
