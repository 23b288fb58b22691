"""Send reminders about WebSocket connections over a small SQS queue of their own."""

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from ai_coordination_engine.backend import translated
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.live_ports import Expire, Look

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_KINDS = {"look": Look, "expire": Expire}


class SqsReminders:
    """Implements `live_ports.Reminders` on an SQS standard queue. Thread-safe."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._url = queue_url

    def send(self, message: Look | Expire, delay: float = 0) -> None:
        """SendMessage."""
        kind = "look" if isinstance(message, Look) else "expire"
        with translated("the queue"):
            self._client.send_message(
                QueueUrl=self._url,
                MessageBody=json.dumps({"kind": kind, **asdict(message)}),
                DelaySeconds=math.ceil(delay),
            )

    def read(self, body: str) -> Look | Expire:
        """The message in a body."""
        try:
            values = json.loads(body)
            kind = _KINDS[values.pop("kind")]
            message: Look | Expire = kind(**values)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise BadUserInput("the message is not a reminder") from None
        return message
