"""Settings: read once from the environment, validated, frozen. `os.environ` lives here alone."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_PREFIX = "ACE_"


class OpenAIEndpoint(BaseModel):
    """An OpenAI-compatible endpoint that agents may name in `runtime.endpoint`.

    `api_key_secret` names a Secrets Manager secret (an ARN or a name) and is read when the first
    agent needs it.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    base_url: str
    api_key: SecretStr | None = None
    api_key_secret: str | None = None
    model: str | None = None

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL that begins with https:// and a host")
        if "@" in parts.netloc or "#" in url:
            raise ValueError("must have no credentials (api_key takes them) and no fragment (#)")
        return url


class Settings(BaseSettings):
    """Everything that an operator can set, each from the environment variable `ACE_<NAME>`.

    Structured values are JSON. AWS itself is configured by the standard variables (`AWS_REGION`,
    `AWS_ENDPOINT_URL`…). Raises pydantic's `ValidationError`, which names the variable and what it
    takes.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    table_prefix: str = Field(
        "ace", pattern=r"^[A-Za-z0-9_.-]{1,100}$", description="prefix of the six table names"
    )
    queue_url: str = Field("", description="URL of the SQS queue that carries wake-ups")
    bucket: str = Field("", description="S3 bucket for values that are too large for an item")
    inline_limit: int = Field(
        48_000, ge=256, le=60_000, description="bytes above which a value goes to the bucket"
    )

    auth: Literal["jwt", "iam", "local"] = Field(
        "jwt", description="how a tenant is proven; `local` trusts the path"
    )
    tenant_claim: str = Field(
        "tenant", description="claim of the JWT that carries the allowed tenants"
    )
    iam_tenants: dict[str, list[str]] = Field({}, description="IAM principal ARN → allowed tenants")
    cors_origins: list[str] = Field(
        [], description="origins that browsers may call from; none when empty"
    )

    default_runtime: dict[str, object] = Field(
        {"kind": "function", "name": "echo"}, description="runtime of an agent that names none"
    )
    functions: dict[str, str] = Field(
        {}, description="allow-list: function name → `package.module:attribute`"
    )
    http_allowed_urls: list[str] = Field([], description="URL prefixes that `http` agents may call")
    http_signing_key: SecretStr | None = Field(
        None, description="key of the HMAC signature on `http` agent requests"
    )
    http_signing_key_secret: str | None = Field(
        None, description="ARN or name of the secret that holds that key, read at run time"
    )
    openai_endpoints: dict[str, OpenAIEndpoint] = Field(
        {},
        description=(
            'name → `{"base_url", "model", "api_key" or "api_key_secret"}` of an OpenAI-compatible'
            " endpoint"
        ),
    )

    task_position: Literal["last", "first"] = Field(
        "last",
        description=(
            "where an agent's input holds the task: after the outputs of its predecessors, or"
            " before"
        ),
    )
    agent_timeout_seconds: float = Field(
        120, gt=0, le=840, description="how long one attempt of an agent may take"
    )
    agent_attempts: int = Field(
        3, ge=1, le=100, description="attempts of an agent whose failures may be retried"
    )
    backoff_seconds: float = Field(
        1, ge=0, le=900, description="wait before the second attempt; then it doubles"
    )
    max_backoff_seconds: float = Field(
        60, ge=0, le=900, description="longest wait between two attempts"
    )
    heartbeat_seconds: float = Field(
        3600, ge=1, le=2_592_000, description="a long job must send a heartbeat within this time"
    )
    action_functions: dict[str, str] = Field(
        {}, description="allow-list: `module.function` of an action → `package.module:attribute`"
    )
    webhook_key: SecretStr | None = Field(
        None, description="master key of the signatures on `/async-tasks`"
    )
    webhook_key_secret: str | None = Field(
        None, description="ARN or name of the secret that holds that key, read at run time"
    )
    watch_seconds: float = Field(
        900, ge=10, le=86_400, description="the sweep looks after sessions that take longer"
    )
    lease_margin_seconds: float = Field(
        15, gt=0, le=300, description="added to the timeout to get the lease"
    )
    worker_concurrency: int = Field(
        16, ge=1, le=256, description="steps that one worker process runs at once"
    )
    log_level: str = Field(
        "INFO",
        description="level of the structured log on stderr; unset, `ace` shows `WARNING` and above",
    )

    @field_validator("default_runtime")
    @classmethod
    def _has_kind(cls, runtime: dict[str, object]) -> dict[str, object]:
        if not isinstance(runtime.get("kind"), str):
            raise ValueError('must have a kind, for example {"kind": "function", "name": "echo"}')
        return runtime

    @field_validator("log_level")
    @classmethod
    def _is_level(cls, level: str) -> str:
        if level.upper() not in LOG_LEVELS:
            raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
        return level.upper()

    @field_validator("http_allowed_urls")
    @classmethod
    def _are_urls(cls, prefixes: list[str]) -> list[str]:
        for prefix in prefixes:
            parts = urlsplit(prefix)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{prefix!r} is no URL prefix; it begins with https:// and a host")
            if "@" in parts.netloc or parts.query or parts.fragment:
                raise ValueError(
                    f"the prefix for {parts.hostname} must have no credentials, query or fragment"
                )
        return prefixes

    @cached_property
    def lease_seconds(self) -> float:
        """How long a claim holds, in seconds: the attempt's timeout and a margin for writing its
        result.
        """
        return self.agent_timeout_seconds + self.lease_margin_seconds


def unknown_variables() -> Iterator[tuple[str, str | None]]:
    """The variables `ACE_…` that are no setting, each with the setting that may have been meant."""
    known = [_PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.upper().startswith(_PREFIX) and name.upper() not in known:
            yield name, next(iter(get_close_matches(name.upper(), known, n=1, cutoff=0.8)), None)


@dataclass(frozen=True)
class Proxies:
    """The proxies of the environment: (scheme, variable) in the order in which they count, the URL
    of each variable, and the entries of NO_PROXY.
    """

    variables: list[tuple[str, str]]
    urls: dict[str, SecretStr]
    bypassed: list[str]


def proxies() -> Proxies:
    """What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say; the names in lower case
    win.
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
    """Add loopback to `NO_PROXY`, for the AWS libraries: whatever proxy there is, it is not for
    this machine.
    """
    for name in [each for each in _proxy_names("no") if each in os.environ] or ["NO_PROXY"]:
        entries = os.environ.get(name, "").split(",")
        os.environ[name] = ",".join(
            dict.fromkeys([*filter(None, entries), "localhost", "127.0.0.1", "::1"])
        )


def _proxy_names(scheme: str) -> tuple[str, str]:
    return f"{scheme}_proxy", f"{scheme}_proxy".upper()


def aws_region() -> str | None:
    """The region of `AWS_REGION`, which Lambda sets and botocore does not read; None leaves
    botocore's own order.
    """
    return os.environ.get("AWS_REGION") or None
