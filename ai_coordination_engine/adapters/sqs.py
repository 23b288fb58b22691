"""Send the engine's messages over SQS and read them from received bodies.

The engine sends through `SqsQueue`; the workers read, postpone and dead-letter with it.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ai_coordination_engine.adapters.message_bodies import body_of, delay_of, message_from_body
from ai_coordination_engine.backend import FIRST_PAUSE, pause, translated
from ai_coordination_engine.errors import NotFound, Throttled
from ai_coordination_engine.ports import QueueMessage, Wake

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

BATCH = 10  # entries of one SendMessageBatch (Amazon SQS API reference)
# For entries that SQS refuses within an accepted request; botocore retries whole requests.
ATTEMPTS = 4
LONGEST_WAIT = 43_200  # seconds, the visibility timeout's maximum
LONGEST_DELAY = 900  # seconds, of a new message (Amazon SQS API reference)
PARALLEL_BATCHES = 8
# what a MessageGroupId may be (Amazon SQS API reference, "SendMessage")
_GROUP = re.compile(r"[\x21-\x7e]{1,128}")


def group_of(tenant: str) -> str:
    """Return the message group of a tenant; a tenant that is no valid group id becomes its SHA-256.

    A standard queue delivers fairly among message groups (Amazon SQS developer guide, "Fair
    queues").
    """
    return tenant if _GROUP.fullmatch(tenant) else hashlib.sha256(tenant.encode()).hexdigest()


class SqsQueue:
    """Implements `ports.Queue` on SQS standard queues, and what their consumers need. Thread-safe.

    A message goes to the queue of the worker with the extra that its agent needs; `extras` has the
    URLs of such queues. All other messages go to `queue_url`. This process receives from the queue
    of the extra `own`.
    """

    def __init__(
        self,
        client: "SQSClient",
        queue_url: str,
        extras: Mapping[str, str] = MappingProxyType({}),
        own: str = "",
    ) -> None:
        self._client = client
        self._urls = {"": queue_url, **extras}
        self._own = self._urls[own]
        # Its threads start with the first send of more than one batch.
        self._pool = ThreadPoolExecutor(PARALLEL_BATCHES, thread_name_prefix="ace-sqs")

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        """Send all messages, batches in parallel, visible after `delay` seconds (900 at most).

        Raises `Throttled` when SQS still refuses some after retries, and `Unavailable` when SQS
        fails or times out.
        """
        seconds = min(max(math.ceil(delay), 0), LONGEST_DELAY)
        batches = [
            (url, found[start : start + BATCH])
            for url, found in self._by_queue(messages).items()
            for start in range(0, len(found), BATCH)
        ]
        if len(batches) == 1:
            self._send_batch(*batches[0], seconds)
            return
        for future in [self._pool.submit(self._send_batch, *each, seconds) for each in batches]:
            future.result()

    def dead_letter(self, wake: Wake) -> None:
        """Send a wake-up to the dead-letter queue; raises `NotFound` when there is none."""
        url = self._dead_letter_url(self._url_of(wake))
        with translated("the queue"):
            self._client.send_message(
                QueueUrl=url, MessageBody=body_of(wake), MessageGroupId=group_of(wake.tenant)
            )

    def dead_letter_urls(self) -> list[str]:
        """Return the URL of each queue's dead-letter queue; raises `NotFound` when one has none."""
        return [self._dead_letter_url(url) for url in self._urls.values()]

    def _dead_letter_url(self, url: str) -> str:
        with translated("the queue"):
            asked = self._client.get_queue_attributes(
                QueueUrl=url, AttributeNames=["RedrivePolicy"]
            )
        policy = json.loads(asked.get("Attributes", {}).get("RedrivePolicy") or "{}")
        if not policy:
            raise NotFound("The queue has no dead-letter queue.")
        _, _, _, _, account, name = policy["deadLetterTargetArn"].split(":")
        with translated("the queue"):
            return self._client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)[
                "QueueUrl"
            ]

    def delay_of(self, body: str) -> float:
        """Return the delay with which the message of a body was sent."""
        return delay_of(body)

    def read(self, body: str) -> QueueMessage:
        """Return the message in a received body; raises `BadUserInput` when it is not a valid
        message.
        """
        return message_from_body(body)

    def postpone(self, receipt: str, seconds: float) -> None:
        """Keep a received message in the queue and hide it for `seconds` from now.

        Does nothing when the message no longer exists.
        """
        wait = min(max(math.ceil(seconds), 0), LONGEST_WAIT)
        try:
            with translated("the queue"):
                self._client.change_message_visibility(
                    QueueUrl=self._own, ReceiptHandle=receipt, VisibilityTimeout=wait
                )
        except ClientError as error:
            if _code(error) not in {
                "MessageNotInflight",
                "ReceiptHandleIsInvalid",
                "InvalidParameterValue",
            }:
                raise

    def _url_of(self, message: QueueMessage) -> str:
        needs = message.needs if isinstance(message, Wake) else ""
        return self._urls.get(needs, self._urls[""])

    def _by_queue(self, messages: Sequence[QueueMessage]) -> dict[str, list[QueueMessage]]:
        found: dict[str, list[QueueMessage]] = {}
        for each in messages:
            found.setdefault(self._url_of(each), []).append(each)
        return found

    def _send_batch(self, url: str, messages: Sequence[QueueMessage], seconds: int) -> None:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {
                "Id": str(number),
                "MessageBody": body_of(message, seconds),
                "MessageGroupId": group_of(message.tenant),
            }
            for number, message in enumerate(messages)
        ]
        for entry in entries if seconds else ():
            entry["DelaySeconds"] = seconds
        refused = entries
        for tries in range(ATTEMPTS):
            if tries:
                pause(FIRST_PAUSE * 2**tries)
            refused = self._refused(url, refused)
            if not refused:
                return
        raise Throttled(
            f"the queue refused {len(refused)} of {len(messages)} messages; try again after a"
            " moment"
        )

    def _refused(
        self, url: str, entries: "list[SendMessageBatchRequestEntryTypeDef]"
    ) -> "list[SendMessageBatchRequestEntryTypeDef]":
        with translated("the queue"):
            answer = self._client.send_message_batch(QueueUrl=url, Entries=entries)
        failed = {failure["Id"] for failure in answer.get("Failed", [])}
        return [entry for entry in entries if entry["Id"] in failed]


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "").rpartition(".")[2]
