"""Secrets by reference: settings name a secret, this reads it when it is first needed."""

import threading
import time
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

from ai_coordination_engine.backend import client_config
from ai_coordination_engine.ports import SecretUnavailable

KEEP_SECONDS = 300.0
_FINAL_CODES = {
    "AccessDeniedException",
    "DecryptionFailure",
    "InvalidParameterException",
    "InvalidRequestException",
    "ResourceNotFoundException",
    "UnrecognizedClientException",
}


class SecretsManager:
    """Secrets from AWS Secrets Manager, each kept in memory for `keep_seconds` so that a rotation
    is noticed.

    The client is made with the first read, since most processes need no secret.
    """

    def __init__(
        self, *, keep_seconds: float = KEEP_SECONDS, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep_seconds = keep_seconds
        self._now = now
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], tuple[float, str]] = {}
        self._client: Any = None

    def value(self, name: str, *, previous: bool = False, max_age: float | None = None) -> str:
        """As `ports.Secrets` says; without a `max_age` the text is at most `keep_seconds` old.

        The one before is AWSPREVIOUS (AWS Secrets Manager user guide, "What's in a Secrets Manager
        secret?").
        """
        stage = "AWSPREVIOUS" if previous else "AWSCURRENT"
        oldest = self._keep_seconds if max_age is None else min(max_age, self._keep_seconds)
        # held while reading: agents that start together need one call, not one each
        with self._lock:
            read_at, text = self._kept.get((name, stage), (float("-inf"), ""))
            if self._now() - read_at >= oldest:
                text = self._read(name, stage)
                self._kept[name, stage] = (self._now(), text)
            return text

    def _read(self, name: str, stage: str) -> str:
        try:
            if self._client is None:
                session = botocore.session.get_session()
                self._client = session.create_client("secretsmanager", config=client_config())
            answer = self._client.get_secret_value(SecretId=name, VersionStage=stage)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise SecretUnavailable(code, retryable=code not in _FINAL_CODES) from error
        except BotoCoreError as error:
            raise SecretUnavailable(type(error).__name__, retryable=True) from error
        if "SecretString" not in answer:
            raise SecretUnavailable("it is binary, not text", retryable=False)
        return str(answer["SecretString"])
