"""The settings, read once from the environment, validated and immutable.

The entrypoints create `Settings` and pass it on. Only this module reads `os.environ`.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal, get_origin

from pydantic import BaseModel, Field, SecretStr, field_validator

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.runtime_settings import RuntimeSettings

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_PREFIX = "ACE_"
_OF_SERVERS = ("ACE_URL", "ACE_TENANT", "ACE_TOKEN")

ClientKind = Literal["lean", "botocore"]


class NotJson(ValueError):
    """A structured variable is not valid JSON; the message names it."""


class Settings(RuntimeSettings):
    """The settings that an operator can set, each by the environment variable `ACE_<NAME>`.

    Structured values are JSON. AWS clients use the standard variables (`AWS_REGION`,
    `AWS_ENDPOINT_URL`, …). Raises pydantic's `ValidationError`, which names the variable and the
    accepted values, and `NotJson`.
    """

    def __init__(self, **given: Any) -> None:
        """Settings that are not `given` are those of the environment, or the defaults."""
        super().__init__(**{**dict(_of_environment(type(self))), **given})

    table_prefix: str = Field(
        "ace", pattern=r"^[A-Za-z0-9_.-]{1,100}$", description="prefix of the table names"
    )
    queue_url: str = Field("", description="URL of the SQS queue of the workers")
    agents_queue_url: str = Field(
        "",
        description="URL of the SQS queue of the worker with the extra `agents`; empty without one",
    )
    worker_extra: Literal["", "agents"] = Field(
        "", description="the extra of this worker, which receives from the queue of that extra"
    )
    bucket: str = Field("", description="S3 bucket for values that are too large for an item")
    inline_limit: int = Field(
        48_000, ge=256, le=60_000, description="bytes above which a value goes to the bucket"
    )
    http_api_url: str = Field(
        "", description="URL of the HTTP API; its authorizer verifies the tokens of WebSockets, too"
    )
    socket_api_url: str = Field(
        "", description="URL of the WebSocket API's stage; messages to clients are posted below it"
    )
    socket_queue_url: str = Field(
        "", description="URL of the SQS queue that reminds of WebSocket connections and watchers"
    )
    aws_client: ClientKind = Field(
        "lean",
        description=(
            "how DynamoDB and SQS are called: `lean` skips what botocore repeats in every call;"
            " `botocore` leaves its clients as they are"
        ),
    )

    auth: Literal["jwt", "iam", "local"] = Field(
        "jwt",
        description="how callers prove their tenant; `local` takes the tenant from the path",
    )
    tenant_claim: str = Field(
        "tenant", description="claim of the JWT that lists the allowed tenants"
    )
    iam_tenants: dict[str, list[str]] = Field({}, description="IAM principal ARN → allowed tenants")
    cors_origins: list[str] = Field(
        [], description="origins of web pages that may call the API; none when empty"
    )

    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#@]+[^\s?#@]*)?$",
        description=(
            "URL at which other systems reach this server: A2A agents report to it, and its own"
            " card shows it; without it `ACE_HTTP_API_URL`"
        ),
    )

    secrets_dir: str = Field(
        "",
        description=(
            "directory with the secrets that settings name, a file each; without it they are in AWS"
            " Secrets Manager, and one machine has none"
        ),
    )

    task_position: Literal["last", "first"] = Field(
        "last",
        description=(
            "position of the task in an agent's input: after the outputs of its predecessors"
            " (`last`) or before (`first`)"
        ),
    )
    agent_timeout_seconds: float = Field(
        120, gt=0, le=840, description="timeout of one attempt of an agent"
    )
    agent_attempts: int = Field(
        3, ge=1, le=100, description="most attempts of an agent, retries included"
    )
    backoff_seconds: float = Field(
        1, ge=0, le=900, description="wait before the second attempt; it doubles with each one"
    )
    max_backoff_seconds: float = Field(
        60, ge=0, le=900, description="upper limit of the wait between two attempts"
    )
    triage_hops: int = Field(
        3,
        ge=0,
        le=10,
        description="how often `triage` agents may hand one question on; 0: they answer themselves",
    )
    heartbeat_seconds: float = Field(
        3600, ge=1, le=2_592_000, description="a long job must send a heartbeat within this time"
    )
    webhook_key: SecretStr | None = Field(
        None, description="master key for the signatures on requests to `/async-tasks`"
    )
    webhook_key_secret: str | None = Field(
        None, description="ARN or name of the secret that holds that key, read at run time"
    )
    watch_seconds: float = Field(
        900,
        ge=10,
        le=86_400,
        description="the sweep checks sessions that have not changed for this long",
    )
    lease_margin_seconds: float = Field(
        15, gt=0, le=300, description="time beyond the timeout that a lease lasts"
    )
    worker_concurrency: int = Field(
        16, ge=1, le=256, description="steps that one worker process runs concurrently"
    )
    metrics_emf: bool = Field(
        False,
        description="write metrics on stdout in CloudWatch's embedded metric format (on Lambda)",
    )
    metrics_by_tenant: bool = Field(
        False, description="metrics of sessions and attempts have the tenant as a label"
    )
    log_level: str = Field(
        "INFO",
        description="level of the log on stderr; when unset, `ace` shows `WARNING` and above",
    )

    @field_validator("log_level")
    @classmethod
    def _is_level(cls, level: str) -> str:
        if level.upper() not in LOG_LEVELS:
            raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
        return level.upper()

    @property
    def queue_urls(self) -> dict[str, str]:
        """The URL of each worker's queue, by the extra of that worker; "" is the one without."""
        extra = {"agents": self.agents_queue_url} if self.agents_queue_url else {}
        return {"": self.queue_url, **extra}

    @property
    def own_queue_url(self) -> str:
        """The URL of the queue from which this worker receives."""
        return self.queue_urls[self.worker_extra]

    def worker_of(self, needs: str | None) -> str:
        """The extra of the worker that runs agents which need this one; "" without such a worker,
        and on one machine.
        """
        return needs if needs and needs in self.queue_urls else ""

    @cached_property
    def base_url(self) -> str:
        """The URL at which other systems reach this server, without a slash at the end; "" if none
        is known.
        """
        return (self.public_url or self.http_api_url).rstrip("/")

    @cached_property
    def lease_seconds(self) -> float:
        """How long a lease lasts, in seconds: the timeout of an attempt plus the margin to write
        its result.
        """
        return self.agent_timeout_seconds + self.lease_margin_seconds


def _of_environment(settings: type[BaseModel]) -> Iterator[tuple[str, object]]:
    """Yield the settings that the environment has, lists and objects decoded; JSON's null is
    none.
    """
    variables = {name.upper(): value for name, value in os.environ.items()}
    for name, field in settings.model_fields.items():
        variable = _PREFIX + name.upper()
        value: object = variables.get(variable)
        if isinstance(value, str) and get_origin(field.annotation) in (dict, list):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise NotJson(f"{variable}: it is not valid JSON: {error}") from error
        if value is not None:
            yield name, value


@dataclass(frozen=True)
class ServerVariables:
    """Which server the commands of `ace` ask: `ACE_URL`, `ACE_TENANT` and `ACE_TOKEN`."""

    url: str | None
    tenant: str | None
    token: SecretStr | None


def server_variables() -> ServerVariables:
    """Read the variables; an empty one is None."""
    url, tenant, token = (os.environ.get(each, "").strip() or None for each in _OF_SERVERS)
    return ServerVariables(url, tenant, None if token is None else SecretStr(token))


def unknown_variables() -> Iterator[tuple[str, str | None]]:
    """Yield each environment variable `ACE_…` that is not a setting, with the most similar setting.

    The second value is None when no setting is similar.
    """
    known = [*_OF_SERVERS, *(_PREFIX + name.upper() for name in Settings.model_fields)]
    for name in sorted(os.environ):
        if name.upper().startswith(_PREFIX) and name.upper() not in known:
            yield name, next(iter(get_close_matches(name.upper(), known, n=1, cutoff=0.8)), None)


@dataclass(frozen=True)
class OtelVariables:
    """What OpenTelemetry's standard variables say. Values of headers are not among it.

    `traces` and `metrics`: an endpoint is set for them. `captures_content`: inputs and outputs of
    agents are exported, too.
    """

    traces: bool
    metrics: bool
    protocol: str
    disabled: bool
    captures_content: bool


def otel_variables() -> OtelVariables:
    """Read the variables `OTEL_…` (OpenTelemetry specification, "Environment variables")."""

    def said(name: str) -> str:
        return os.environ.get(f"OTEL_{name}", "").strip().lower()

    def exports(signal: str) -> bool:
        has_endpoint = any(
            said(name) for name in ("EXPORTER_OTLP_ENDPOINT", f"EXPORTER_OTLP_{signal}_ENDPOINT")
        )
        return has_endpoint and said(f"{signal}_EXPORTER") != "none"

    return OtelVariables(
        exports("TRACES"),
        exports("METRICS"),
        said("EXPORTER_OTLP_PROTOCOL") or "http/protobuf",
        said("SDK_DISABLED") == "true",
        said("INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT")
        in ("true", "span_only", "span_and_event"),
    )


@dataclass(frozen=True)
class Proxies:
    """The proxies of the environment.

    `variables` holds pairs (scheme, variable name) in order of precedence; `urls` the URL of each
    variable; `bypassed` the entries of `NO_PROXY`.
    """

    variables: list[tuple[str, str]]
    urls: dict[str, SecretStr]
    bypassed: list[str]


def proxies() -> Proxies:
    """Read `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; lower-case names take
    precedence.
    """
    variables, urls = [], {}
    for scheme in ("http", "https", "all"):
        name = next((each for each in _proxy_names(scheme) if each in os.environ), "")
        if value := os.environ.get(name, "").strip():
            variables.append((scheme, name))
            urls[name] = SecretStr(value if "://" in value else f"http://{value}")
    bypassed = next((os.environ[each] for each in _proxy_names("no") if each in os.environ), "")
    return Proxies(variables, urls, bypassed.replace(",", " ").lower().split())


def keep_loopback_from_proxies() -> None:
    """Add the loopback addresses to `NO_PROXY`, so that AWS libraries reach local services
    directly.
    """
    for name in [each for each in _proxy_names("no") if each in os.environ] or ["NO_PROXY"]:
        entries = os.environ.get(name, "").split(",")
        os.environ[name] = ",".join(
            dict.fromkeys([*filter(None, entries), "localhost", "127.0.0.1", "::1"])
        )


def _proxy_names(scheme: str) -> tuple[str, str]:
    return f"{scheme}_proxy", f"{scheme}_proxy".upper()


def provider_keys(models: Iterable[str]) -> list[str]:
    """The variables that hold keys of the providers of models (`openai:gpt-5`), if they are set."""
    names = {f"{re.split('[:-]', each)[0].upper()}_API_KEY" for each in models}
    return sorted(name for name in names if os.environ.get(name, "").strip())


def aws_region() -> str | None:
    """Return the value of `AWS_REGION`, or None to let botocore find the region its own way.

    Lambda sets `AWS_REGION`, which botocore does not read.
    """
    return os.environ.get("AWS_REGION") or None
