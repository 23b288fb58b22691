"""The embedded AWS answers as moto does and keeps its state across restarts."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.handlers import BUILTIN_HANDLERS
from moto import mock_aws
from moto.dynamodb.models.dynamo_type import Item
from moto.sqs.models import Message

from ai_coordination_engine.entrypoints.local import embedded
from ai_coordination_engine.entrypoints.local.embedded import DataDirError, EmbeddedAws
from tests.kit.embedded import CREDENTIALS, TABLE, client, item


def socket_client(service: str, aws: EmbeddedAws) -> Any:
    """Return a client as in another process, without the in-process shortcut."""
    kept = list(BUILTIN_HANDLERS)
    BUILTIN_HANDLERS[:] = [handler for handler in kept if handler[0] != "before-send"]
    try:
        return boto3.session.Session().client(service, endpoint_url=aws.endpoint_url, **CREDENTIALS)
    finally:
        BUILTIN_HANDLERS[:] = kept


def key(number: int) -> dict[str, Any]:
    return {"a": {"S": "x"}, "b": {"S": f"{number:05}"}}


@pytest.mark.parametrize("sent", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nHost: localhost\r\n"])
def test_half_a_request_is_dropped(
    sent: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(embedded._RequestHandler, "timeout", 0.2)
    with (
        EmbeddedAws() as aws,
        socket.create_connection(("127.0.0.1", int(aws.endpoint_url.split(":")[-1]))) as hung,
    ):
        hung.settimeout(5)
        hung.sendall(sent)
        assert hung.recv(1) == b""
    assert capfd.readouterr().err == ""


def rich_item() -> dict[str, Any]:
    return item(
        1,
        n={"N": "1.50"},
        s={"SS": ["p", "q"]},
        bin={"B": b"\x00\xff"},
        m={"M": {"API_KEY": {"L": [{"BOOL": True}, {"NULL": True}, {"N": "3"}]}}},
    )


def dialogue(dynamodb: Any) -> list[Any]:
    """Return the responses to one of each call that the store makes, errors included."""

    def attempt(call: Callable[..., Any], **arguments: Any) -> Any:
        try:
            answer = call(**arguments)
        except ClientError as error:
            answer = error.response
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    dynamodb.create_table(**TABLE)
    put, update = dynamodb.put_item, dynamodb.update_item
    new = {"ConditionExpression": "attribute_not_exists(a)"}
    plus = {
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
        "ReturnValues": "ALL_NEW",
    }
    transaction = [
        {"Put": {"TableName": "t", "Item": item(7)}},
        {"Update": {"TableName": "t", "Key": key(1), "UpdateExpression": "REMOVE m", **new}},
    ]
    query = {"KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": "x"}}}
    return [
        attempt(put, TableName="t", Item=rich_item(), **new),
        attempt(put, TableName="t", Item=rich_item(), **new),
        attempt(put, TableName="t", Item=item(2, n={"N": "2"}), ReturnConsumedCapacity="TOTAL"),
        attempt(update, TableName="t", Key=key(2), **plus),
        attempt(update, TableName="t", Key=key(3), **plus),
        attempt(dynamodb.get_item, TableName="t", Key=key(1)),
        attempt(dynamodb.get_item, TableName="t", Key=key(99)),
        attempt(dynamodb.get_item, TableName="none", Key=key(1)),
        attempt(dynamodb.query, TableName="t", Limit=2, **query),
        attempt(dynamodb.query, TableName="t", Select="COUNT", **query),
        attempt(dynamodb.batch_get_item, RequestItems={"t": {"Keys": [key(1), key(99)]}}),
        attempt(dynamodb.transact_write_items, TransactItems=transaction),
        attempt(dynamodb.transact_write_items, TransactItems=transaction[:1]),
        attempt(dynamodb.delete_item, TableName="t", Key=key(1), ReturnValues="ALL_OLD"),
        attempt(dynamodb.query, TableName="t", **query),
        attempt(dynamodb.scan, TableName="t"),
    ]


def test_the_answers_are_those_of_moto() -> None:
    with mock_aws():
        expected = dialogue(boto3.client("dynamodb", **CREDENTIALS))
    with EmbeddedAws() as aws:
        assert dialogue(client("dynamodb", aws)) == expected


def paged(dynamodb: Any) -> list[Any]:
    """Return the pages of a sparse index, three items each, and those of an empty partition."""
    index = {
        "IndexName": "by_colour",
        "KeySchema": [
            {"AttributeName": "colour", "KeyType": "HASH"},
            {"AttributeName": "n", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["kept"]},
    }
    types = [
        *TABLE["AttributeDefinitions"],
        *({"AttributeName": n, "AttributeType": t} for n, t in (("colour", "S"), ("n", "N"))),
    ]
    dynamodb.create_table(
        **{**TABLE, "AttributeDefinitions": types, "GlobalSecondaryIndexes": [index]}
    )
    for number in range(20):
        colour = [{"colour": {"S": "red"}}, {"colour": {"S": "blue"}}, {}][number % 3]
        more = {"n": {"N": str(-number)}, "kept": {"S": "k"}, "left_out": {"S": "l"}, **colour}
        dynamodb.put_item(TableName="t", Item={**item(number), "a": {"S": str(number % 4)}, **more})
    answers, page = [], {}
    for colour in ("red", "green"):
        values = {":c": {"S": colour}}
        query = {
            "KeyConditionExpression": "colour = :c",
            "ExpressionAttributeValues": values,
            "Limit": 3,
        }
        while True:
            answer = dynamodb.query(TableName="t", IndexName="by_colour", **query, **page)
            answers.append((answer["Items"], answer["Count"], answer.get("LastEvaluatedKey")))
            if "LastEvaluatedKey" not in answer:
                break
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        page = {}
    return answers


def test_an_index_is_paged_as_by_moto() -> None:
    with mock_aws():
        expected = paged(boto3.client("dynamodb", **CREDENTIALS))
    assert [count for _, count, _ in expected] == [3, 3, 1, 0]
    with EmbeddedAws() as aws:
        assert paged(client("dynamodb", aws)) == expected


def test_a_client_of_another_process_gets_the_same_answers_over_the_socket() -> None:
    with EmbeddedAws() as aws:
        here = dialogue(client("dynamodb", aws))
    with EmbeddedAws() as aws:
        assert dialogue(socket_client("dynamodb", aws)) == here


def test_two_servers_know_nothing_of_each_other() -> None:
    with EmbeddedAws() as one, EmbeddedAws() as two:
        client("dynamodb", one).create_table(**TABLE)
        client("sqs", one).create_queue(QueueName="q")
        client("s3", one).create_bucket(Bucket="only-in-one")
        assert client("dynamodb", two).list_tables()["TableNames"] == []
        assert "QueueUrls" not in client("sqs", two).list_queues()
        assert client("s3", two).list_buckets()["Buckets"] == []


def test_a_failed_transaction_leaves_every_item_as_it_was() -> None:
    with EmbeddedAws() as aws:
        dynamodb = client("dynamodb", aws)
        dynamodb.create_table(**TABLE)
        dynamodb.put_item(TableName="t", Item=rich_item())
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            dynamodb.transact_write_items(
                TransactItems=[
                    {"Update": {"TableName": "t", "Key": key(1), "UpdateExpression": "REMOVE m"}},
                    {"Put": {"TableName": "t", "Item": item(2)}},
                    {
                        "ConditionCheck": {
                            "TableName": "t",
                            "Key": key(3),
                            "ConditionExpression": "attribute_exists(a)",
                        }
                    },
                ]
            )
        assert dynamodb.scan(TableName="t")["Items"] == [rich_item()]


def test_of_sixteen_writers_with_one_condition_one_wins() -> None:
    with EmbeddedAws() as aws, ThreadPoolExecutor(16) as pool:
        dynamodb = socket_client("dynamodb", aws)
        dynamodb.create_table(**TABLE)

        def claim(number: int) -> int:
            try:
                dynamodb.put_item(
                    TableName="t",
                    Item=item(1, by={"N": str(number)}),
                    ConditionExpression="attribute_not_exists(a)",
                )
            except ClientError:
                return 0
            return 1

        assert sum(pool.map(claim, range(64))) == 1


@pytest.mark.parametrize("make", [client, socket_client])
def test_a_waiting_receiver_gets_a_message_at_once(make: Callable[..., Any]) -> None:
    with EmbeddedAws() as aws:
        sqs = make("sqs", aws)
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        received: list[float] = []

        def receive() -> None:
            sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)
            received.append(time.monotonic())

        waiting = threading.Thread(target=receive)
        waiting.start()
        threading.Event().wait(0.2)
        sent = time.monotonic()
        sqs.send_message(QueueUrl=url, MessageBody="now")
        waiting.join(5)
        assert received
        assert received[0] - sent < 0.2


def test_memory_holds_what_is_stored_and_nothing_of_what_was_answered_or_deleted() -> None:
    def kept(kind: type) -> int:
        gc.collect()
        return sum(type(each) is kind for each in gc.get_objects())

    with EmbeddedAws() as aws:
        dynamodb, sqs = client("dynamodb", aws), client("sqs", aws)
        dynamodb.create_table(**TABLE)
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        items, messages = kept(Item), kept(Message)
        for number in range(5):
            dynamodb.put_item(TableName="t", Item=item(number))
            dynamodb.update_item(TableName="t", Key=key(number), UpdateExpression="REMOVE n")
            dynamodb.query(
                TableName="t",
                KeyConditionExpression="a = :a",
                ExpressionAttributeValues={":a": {"S": "x"}},
            )
            sqs.send_message(QueueUrl=url, MessageBody="m")
            handle = sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)  # once more is a success
        assert (kept(Item) - items, kept(Message) - messages) == (5, 0)


def test_stopping_ends_a_long_poll() -> None:
    answers: list[Any] = []
    with EmbeddedAws() as aws:
        sqs = client("sqs", aws)
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        waiting = threading.Thread(
            target=lambda: answers.append(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))
        )
        waiting.start()
        threading.Event().wait(0.1)
    waiting.join(5)
    assert [answer.get("Messages") for answer in answers] == [None]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "Sign the request"),
        (
            {
                "Authorization": (
                    "AWS4-HMAC-SHA256 Credential=a/20200101/us-east-1/ec2/aws4_request, x"
                )
            },
            "Sign the",
        ),
        ({"Host": "evil.example:80"}, "Only loopback"),
    ],
)
def test_a_page_in_a_browser_is_refused(headers: dict[str, str], why: str) -> None:
    with EmbeddedAws() as aws:
        request = urllib.request.Request(aws.endpoint_url + "/", data=b"{}", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        with caught.value as answer:
            assert answer.code == 403
            assert why in answer.read().decode()
            assert "access-control-allow-origin" not in answer.headers


def test_items_objects_and_messages_survive_a_restart(tmp_path: Path) -> None:
    with EmbeddedAws(tmp_path) as aws:
        dynamodb, sqs, s3 = (client(name, aws) for name in ("dynamodb", "sqs", "s3"))
        before = dialogue(dynamodb)[-1]
        dynamodb.batch_write_item(
            RequestItems={
                "t": [{"PutRequest": {"Item": item(50)}}, {"DeleteRequest": {"Key": key(2)}}]
            }
        )
        before["Items"] = [
            *(each for each in before["Items"] if each["b"]["S"] != "00002"),
            item(50),
        ]
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        for body in ("done", "in flight", "waiting"):
            sqs.send_message(QueueUrl=url, MessageBody=body)
        receipt = sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=receipt)
        sqs.receive_message(QueueUrl=url)
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "batch"}])
        s3.create_bucket(Bucket="kept")
        for name in ("a/b c+ü.json", "gone", "gone-too"):
            s3.put_object(Bucket="kept", Key=name, Body=b"\x00\xff", Metadata={"k": "v"})
        s3.delete_object(Bucket="kept", Key="gone")
        s3.delete_objects(Bucket="kept", Delete={"Objects": [{"Key": "gone-too"}]})
    for _ in range(2):  # the second time from the compacted journal
        with EmbeddedAws(tmp_path) as aws:
            dynamodb, sqs, s3 = (client(name, aws) for name in ("dynamodb", "sqs", "s3"))
            assert dynamodb.scan(TableName="t")["Items"] == before["Items"]
            url = sqs.create_queue(QueueName="q")["QueueUrl"]
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
            assert sorted(message["Body"] for message in messages) == [
                "batch",
                "in flight",
                "waiting",
            ]
            assert [each["Key"] for each in s3.list_objects_v2(Bucket="kept")["Contents"]] == [
                "a/b c+ü.json"
            ]
            found = s3.get_object(Bucket="kept", Key="a/b c+ü.json")
            assert (found["Body"].read(), found["Metadata"]) == (b"\x00\xff", {"k": "v"})


def test_what_a_dropped_table_or_queue_held_stays_gone(tmp_path: Path) -> None:
    with EmbeddedAws(tmp_path) as aws:
        dynamodb, sqs = client("dynamodb", aws), client("sqs", aws)
        dynamodb.create_table(**TABLE)
        dynamodb.put_item(TableName="t", Item=item(1))
        dynamodb.delete_table(TableName="t")
        dynamodb.create_table(**TABLE)
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="old")
        sqs.delete_queue(QueueUrl=url)
    with EmbeddedAws(tmp_path) as aws:
        assert client("dynamodb", aws).scan(TableName="t")["Count"] == 0
        assert "QueueUrls" not in client("sqs", aws).list_queues()


def test_a_delayed_message_survives_a_restart_and_comes_when_it_is_due(tmp_path: Path) -> None:
    with EmbeddedAws(tmp_path) as aws:
        sqs = client("sqs", aws)
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        entries = [{"Id": "1", "MessageBody": "soon", "DelaySeconds": 1}]
        sqs.send_message_batch(
            QueueUrl=url,
            Entries=[*entries, {"Id": "2", "MessageBody": "late", "DelaySeconds": 900}],
        )
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
    with EmbeddedAws(tmp_path) as aws:
        sqs = client("sqs", aws)
        url = sqs.get_queue_url(QueueName="q")["QueueUrl"]
        came = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
        assert [message["Body"] for message in came] == ["soon"]
        assert "Messages" not in sqs.receive_message(QueueUrl=url)


def redriving(sqs: Any, most: int) -> tuple[str, str]:
    """Return a queue with a redrive policy, and its dead-letter queue."""
    dead, url = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("dead", "q"))
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": most})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    return url, dead


def take(sqs: Any, url: str) -> list[str]:
    """Return the bodies of the visible messages without deleting them."""
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get(
        "Messages", []
    )
    return [message["Body"] for message in messages]


def test_a_message_received_too_often_is_a_dead_letter_and_stays_one_after_a_restart(
    tmp_path: Path,
) -> None:
    with EmbeddedAws(tmp_path) as aws:
        sqs = client("sqs", aws)
        url, dead = redriving(sqs, 2)
        sqs.send_message(QueueUrl=url, MessageBody="bad")
        assert [take(sqs, url) for _ in range(3)] == [["bad"], ["bad"], []]
        assert take(sqs, dead) == ["bad"]
    with EmbeddedAws(tmp_path) as aws:  # in another account, so that the policy names another queue
        sqs = client("sqs", aws)
        url, dead = redriving(sqs, 2)
        assert (take(sqs, url), take(sqs, dead)) == ([], ["bad"])
        sqs.send_message(QueueUrl=url, MessageBody="worse")
        assert [take(sqs, url) for _ in range(3)] == [["worse"], ["worse"], []]
        found = sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)["Messages"]
        for message in found:
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
        assert sorted(message["Body"] for message in found) == ["bad", "worse"]
    lines = len((tmp_path / "journal.jsonl").read_text().splitlines())
    with EmbeddedAws(tmp_path) as aws:
        url, dead = redriving(client("sqs", aws), 2)
        assert (take(client("sqs", aws), url), take(client("sqs", aws), dead)) == ([], [])
    with EmbeddedAws(tmp_path):  # two queues and a policy, however often they were set up
        assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 3 < lines


WRITER = """
import sys, boto3
from pathlib import Path
from ai_coordination_engine.entrypoints.local.embedded import EmbeddedAws
with EmbeddedAws(Path(sys.argv[1])) as aws:
    options = dict(endpoint_url=aws.endpoint_url, region_name="us-east-1",
                   aws_access_key_id="local", aws_secret_access_key="local")
    dynamodb, sqs = boto3.client("dynamodb", **options), boto3.client("sqs", **options)
    dynamodb.create_table(TableName="t", KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    for number in range(100_000):
        dynamodb.put_item(TableName="t", Item={"a": {"S": str(number)}})
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout
    lines = [writer.stdout.readline() for _ in range(50)]
    os.kill(writer.pid, signal.SIGKILL)
    lines += writer.stdout.readlines()
    writer.stdout.close()
    writer.wait()
    acknowledged = int([line for line in lines if line.endswith("\n")][-1])
    with EmbeddedAws(tmp_path) as aws:
        dynamodb, sqs = client("dynamodb", aws), client("sqs", aws)
        kept = {int(each["a"]["S"]) for each in dynamodb.scan(TableName="t")["Items"]}
        assert kept.issuperset(range(acknowledged + 1))
        assert len(kept) <= acknowledged + 2
        url = sqs.get_queue_url(QueueName="q")["QueueUrl"]
        count = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert int(count["ApproximateNumberOfMessages"]) in (acknowledged + 1, acknowledged + 2)


def test_a_torn_last_line_is_dropped_and_a_damaged_one_named(tmp_path: Path) -> None:
    with EmbeddedAws(tmp_path) as aws:
        dynamodb = client("dynamodb", aws)
        dynamodb.create_table(**TABLE)
        dynamodb.put_item(TableName="t", Item=item(1))
    journal = tmp_path / "journal.jsonl"
    whole = journal.read_text()
    journal.write_text(whole + whole.splitlines()[-1][:-20])
    with EmbeddedAws(tmp_path) as aws:
        assert client("dynamodb", aws).scan(TableName="t")["Items"] == [item(1)]
    journal.write_text("{torn\n" + whole)
    with pytest.raises(DataDirError, match=r"journal.jsonl:1 is damaged"), EmbeddedAws(tmp_path):
        pass


def test_a_start_rewrites_the_journal_as_the_state_it_leads_to(tmp_path: Path) -> None:
    with EmbeddedAws(tmp_path) as aws:
        dynamodb = client("dynamodb", aws)
        dynamodb.create_table(**TABLE)
        for number in range(100):
            dynamodb.put_item(TableName="t", Item=item(1, n={"N": str(number)}))
    journal = tmp_path / "journal.jsonl"
    assert len(journal.read_text().splitlines()) == 101
    with EmbeddedAws(tmp_path):
        assert len(journal.read_text().splitlines()) == 2
    assert json.loads(journal.read_text().splitlines()[1])[0]["image"]["n"] == {"N": "99"}


def test_settings_of_a_table_are_those_said_last(tmp_path: Path) -> None:
    with EmbeddedAws(tmp_path) as aws:
        dynamodb = client("dynamodb", aws)
        dynamodb.create_table(**TABLE)
        for enabled in (True, False, True):
            dynamodb.update_time_to_live(
                TableName="t", TimeToLiveSpecification={"Enabled": enabled, "AttributeName": "ttl"}
            )
    with EmbeddedAws(tmp_path) as aws:
        found = client("dynamodb", aws).describe_time_to_live(TableName="t")[
            "TimeToLiveDescription"
        ]
        assert found == {"AttributeName": "ttl", "TimeToLiveStatus": "ENABLED"}


def test_a_port_that_is_taken_is_an_error_of_the_system() -> None:
    with EmbeddedAws() as aws, pytest.raises(OSError, match="in use"):
        EmbeddedAws(port=int(aws.endpoint_url.rpartition(":")[2])).__enter__()


def test_a_data_directory_takes_one_server(tmp_path: Path) -> None:
    with (
        EmbeddedAws(tmp_path),
        pytest.raises(DataDirError, match="in use by another server"),
        EmbeddedAws(tmp_path),
    ):
        pass
    with EmbeddedAws(tmp_path) as aws:
        assert client("dynamodb", aws).list_tables()["TableNames"] == []


def test_a_directory_of_an_earlier_layout_is_refused_in_words(tmp_path: Path) -> None:
    key = {"session_uuid": {"S": "s"}, "run_uuid": {"S": "r"}}
    change = {"item": "ace-session_runs", "region": "us-east-1", "key": key, "image": key}
    (tmp_path / "journal.jsonl").write_text(json.dumps([change]) + "\n")
    with (
        pytest.raises(DataDirError, match="has the layout of an earlier version"),
        EmbeddedAws(tmp_path),
    ):
        pass


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_is_no_data_directory(tmp_path: Path, below: str) -> None:
    file = tmp_path / "data"
    file.write_text("")
    with pytest.raises(
        DataDirError, match="is not a directory, or lies below a file; choose another"
    ):
        EmbeddedAws(file / below).__enter__()
