"""Secrets by reference: settings name a secret, this reads it when it is first needed."""

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

KEEP_SECONDS = 300.0
_FINAL_CODES = {
    "AccessDeniedException",
    "DecryptionFailure",
    "InvalidParameterException",
    "InvalidRequestException",
    "ResourceNotFoundException",
    "UnrecognizedClientException",
}


class SecretUnavailable(Exception):
    """A secret cannot be read. The message names the reason and never the secret's value."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class Secrets(Protocol):
    """Reads secrets. Thread-safe."""

    def value(self, name: str) -> str:
        """The current text of the secret called `name`; raises `SecretUnavailable`."""


class SecretsManager:
    """Secrets from AWS Secrets Manager, each kept in memory for `keep_seconds` so that a rotation is noticed.

    The client is made with the first read, since most processes need no secret.
    """

    def __init__(self, *, keep_seconds: float = KEEP_SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        self._keep_seconds = keep_seconds
        self._now = now
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, str]] = {}
        self._client: Any = None

    def value(self, name: str) -> str:
        """The secret's text, at most `keep_seconds` old. `name` may be an ARN; raises `SecretUnavailable`."""
        with self._lock:  # held while reading: agents that start together need one call, not one each
            read_at, text = self._kept.get(name, (float("-inf"), ""))
            if self._now() - read_at >= self._keep_seconds:
                text = self._read(name)
                self._kept[name] = (self._now(), text)
            return text

    def _read(self, name: str) -> str:
        try:
            if self._client is None:
                config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard"})
                session = botocore.session.get_session()
                self._client = session.create_client("secretsmanager", config=config)
            answer = self._client.get_secret_value(SecretId=name)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise SecretUnavailable(code, retryable=code not in _FINAL_CODES) from error
        except BotoCoreError as error:
            raise SecretUnavailable(type(error).__name__, retryable=True) from error
        if "SecretString" not in answer:
            raise SecretUnavailable("it is binary, not text", retryable=False)
        return str(answer["SecretString"])
