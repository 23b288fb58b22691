"""Call an AWS service within the deadline of an attempt, and translate its errors; the `bedrock`,
`lambda` and `agentcore` runtimes share it.
"""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)
from botocore.session import get_session

from ai_coordination_engine.adapters.runtimes.deadline import DeadlinePassed, run_within
from ai_coordination_engine.adapters.runtimes.error_documents import one_line
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.settings import aws_region

T = TypeVar("T")
CONNECT_SECONDS = 5.0
_WAITS = (15, 60, 300, 900)  # seconds without a byte; a client's calls share one
_CONNECTIONS = 64

# The class of an error by its code. Of codes that are not here, the status decides.
_CLASSES = {
    "AccessDenied": "not_allowed",
    "AccessDeniedException": "not_allowed",
    "ExpiredTokenException": "not_allowed",
    "IncompleteSignature": "not_allowed",
    "InvalidClientTokenId": "not_allowed",
    "InvalidSignatureException": "not_allowed",
    "MissingAuthenticationTokenException": "not_allowed",
    "UnrecognizedClientException": "not_allowed",
    "ConflictException": "unavailable",
    "InternalServerException": "unavailable",
    "ModelErrorException": "unavailable",
    "ModelNotReadyException": "unavailable",
    "ModelStreamErrorException": "unavailable",
    "ResourceConflictException": "unavailable",
    "RetryableConflictException": "unavailable",
    "ServiceUnavailableException": "unavailable",
    "SnapStartNotReadyException": "unavailable",
    "ModelTimeoutException": "timeout",
    "RequestTimeout": "timeout",
    "SnapStartTimeoutException": "timeout",
    "EC2ThrottledException": "rate_limit",
    "ServiceQuotaExceededException": "rate_limit",
    "ThrottlingException": "rate_limit",
    "TooManyRequestsException": "rate_limit",
    "RuntimeClientError": "error",  # of the agent that the service runs
}
_BY_STATUS = {
    HTTPStatus.REQUEST_TIMEOUT: "timeout",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit",
    HTTPStatus.FORBIDDEN: "not_allowed",
    HTTPStatus.UNAUTHORIZED: "not_allowed",
}
_RETRYABLE = ("timeout", "rate_limit", "unavailable")
_NO_ACCESS = (NoCredentialsError, PartialCredentialsError, NoAuthTokenError, NoRegionError)


@dataclass(frozen=True, slots=True)
class Called:
    """What is called: `name` begins messages; `permission` is what its call needs, and `setting`
    the one that names it.
    """

    name: str
    permission: str
    setting: str


def chosen(offered: Mapping[str, T], runtime: Mapping[str, object], key: str, what: str) -> T:
    """Return what the `runtime` names under its `key`; raises `AgentFailure` if it is not
    offered.
    """
    name = runtime.get(key)
    if not isinstance(name, str) or name not in offered:
        known = ", ".join(sorted(offered)) or "none"
        hint = did_you_mean(name, offered) or ";"
        message = f"{what} {name!r:.100} is not offered{hint} `runtime.{key}` is one of: {known}"
        raise AgentFailure(message, error_class="not_allowed")
    return offered[name]


class AwsService:
    """Clients of one AWS service, by region. Thread-safe.

    Nothing is sent twice: the engine decides what is tried again. Endpoints, credentials and the
    region come from the standard AWS variables.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str | None, int], Any] = {}

    def call(
        self, call: Callable[[Any], T], called: Called, *, seconds: float, region: str | None = None
    ) -> T:
        """Return what `call` returns for a client, within `seconds`; raises `AgentFailure`."""
        try:
            return run_within(seconds, lambda: call(self._client(seconds, region)))
        except (DeadlinePassed, ReadTimeoutError) as error:
            message = f"{called.name} did not answer within {max(seconds, 0):.3g} s"
            raise AgentFailure(message, retryable=True, error_class="timeout") from error
        except ClientError as error:
            raise _failure(error, called) from error
        except _NO_ACCESS as error:
            message = f"{called.name} cannot be called: {one_line(str(error))}"
            raise AgentFailure(message, error_class="not_allowed") from error
        except ParamValidationError as error:
            message = f"{called.name} cannot be asked so: {one_line(str(error))}"
            raise AgentFailure(message, error_class="invalid_request") from error
        except BotoCoreError as error:
            message = f"{called.name} cannot be reached: {type(error).__name__}"
            raise AgentFailure(message, retryable=True, error_class="unavailable") from error

    def _client(self, seconds: float, region: str | None) -> Any:
        """A client that waits at least `seconds` for a byte. botocore creates clients one at a
        time.
        """
        wait = next((each for each in _WAITS if each >= seconds), _WAITS[-1])
        with self._lock:
            if (region, wait) not in self._clients:
                self._session = self._session or get_session()
                create = partial(self._session.create_client, self._service)
                made = create(region or aws_region(), config=_config(wait))
                self._clients[region, wait] = made
            return self._clients[region, wait]


def _config(wait: int) -> Config:
    return Config(
        max_pool_connections=_CONNECTIONS,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=wait,
        retries={"mode": "standard", "total_max_attempts": 1},
        tcp_keepalive=True,  # a function may take minutes
    )


def _failure(error: ClientError, called: Called) -> AgentFailure:
    details: Any = error.response.get("Error", {})
    metadata: Any = error.response.get("ResponseMetadata", {})
    code = str(details.get("Code", "")).rpartition("#")[2]
    code = code[:1].upper() + code[1:]  # in a stream of events it is the name of a member
    error_class = _class_of(code, metadata.get("HTTPStatusCode", 0))
    text = one_line(str(details.get("Message") or code))
    if error_class == "not_allowed":
        text += f"; the worker's role needs {called.permission} for what {called.setting} names"
    return AgentFailure(
        f"{called.name} refused the request: {text}",
        retryable=error_class in _RETRYABLE,
        retry_after=_seconds(metadata.get("HTTPHeaders", {}).get("retry-after")),
        error_class=error_class,
    )


def _class_of(code: str, status: int) -> str:
    if code in _CLASSES:
        return _CLASSES[code]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "unavailable"
    return _BY_STATUS.get(HTTPStatus(status), "invalid_request") if status else "unavailable"


def _seconds(text: object) -> float | None:
    is_number = isinstance(text, str) and text.isascii() and text.isdecimal()
    return min(float(str(text)), 86_400.0) if is_number else None
