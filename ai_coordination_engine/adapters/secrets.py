"""Read the secrets that settings name from AWS Secrets Manager."""

import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

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
    """Implements `ports.Secrets`. Keeps each value in memory for `keep_seconds`. Thread-safe.

    A rotated secret is therefore noticed after `keep_seconds` at most. The client is created on
    first use, because most processes need no secret.
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
        """Return the text of a secret, at most `keep_seconds` or `max_age` seconds old.

        `previous` reads the stage AWSPREVIOUS (AWS Secrets Manager user guide, "What's in a Secrets
        Manager secret?"). Raises `SecretUnavailable`.
        """
        stage = "AWSPREVIOUS" if previous else "AWSCURRENT"
        oldest = self._keep_seconds if max_age is None else min(max_age, self._keep_seconds)
        # Held while reading, so that agents that start together cause one call.
        with self._lock:
            read_at, text = self._kept.get((name, stage), (float("-inf"), ""))
            if self._now() - read_at >= oldest:
                text = self._read(name, stage)
                self._kept[name, stage] = (self._now(), text)
            return text

    def _read(self, name: str, stage: str) -> str:
        try:
            if self._client is None:
                self._client = _made_client()
            answer = self._client.get_secret_value(SecretId=name, VersionStage=stage)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise SecretUnavailable(code, retryable=code not in _FINAL_CODES) from error
        except BotoCoreError as error:
            raise SecretUnavailable(type(error).__name__, retryable=True) from error
        if "SecretString" not in answer:
            raise SecretUnavailable("it is binary, not text", retryable=False)
        return str(answer["SecretString"])


def _made_client() -> Any:
    # Imported here because a process without AWS reads no secret; botocore takes 95 ms.
    from botocore.session import get_session  # noqa: PLC0415

    from ai_coordination_engine.adapters.client_config import client_config  # noqa: PLC0415

    return get_session().create_client("secretsmanager", config=client_config())
