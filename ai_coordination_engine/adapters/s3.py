"""Large values in S3."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ai_coordination_engine.errors import Throttled

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

THROTTLING = {"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "Throttling", "ThrottlingException"}


class S3Blobs:
    """`ports.Blobs` in one bucket. Thread-safe; the client is made on first use, since most requests need none."""

    def __init__(self, make_client: "Callable[[], S3Client]", bucket: str) -> None:
        self._make_client = make_client
        self._bucket = bucket
        self._lock = threading.Lock()
        self._made: S3Client | None = None

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`; raises `Throttled` when S3 asks to slow down."""
        try:
            self._client().put_object(Bucket=self._bucket, Key=key, Body=data)
        except ClientError as error:
            raise _translated(error, key) from error

    def get(self, key: str) -> bytes:
        """The bytes under `key`; raises `KeyError` when there are none, `Throttled` when S3 asks to slow down."""
        try:
            return self._client().get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise _translated(error, key) from error

    def delete(self, key: str) -> None:
        """Remove `key`, there or not; raises `Throttled` when S3 asks to slow down."""
        try:
            self._client().delete_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            raise _translated(error, key) from error

    def _client(self) -> "S3Client":
        with self._lock:
            if self._made is None:
                self._made = self._make_client()
            return self._made


def _translated(error: ClientError, key: str) -> Exception:
    code = error.response.get("Error", {}).get("Code", "")
    if code == "NoSuchKey":
        return KeyError(key)
    if code in THROTTLING:
        return Throttled("the storage of large values is busy; try again after a moment")
    return error
