"""What agents may run with: runtimes, models, tools, MCP servers, prices and budgets.

`Settings` (`settings`) has these settings beside those of the service.
"""

from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator


class A2AAgent(BaseModel):
    """A remote agent that an agent can name in `runtime.agent`.

    `url` is that of its card, or of the service that has it at `/.well-known/agent-card.json`. The
    key is sent as `Authorization: Bearer …`, or as the value of the header `api_key_header`.
    `hosts` are those, beside the one of the card, to which the card may send requests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str
    api_key: SecretStr | None = None
    api_key_secret: str | None = None
    api_key_header: str = Field("Authorization", pattern=r"^[A-Za-z0-9-]{1,100}$")
    hosts: list[str] = []

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL that begins with https:// or http:// and a host")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("must have no credentials (api_key takes them), query or fragment")
        return url

    @field_validator("hosts")
    @classmethod
    def _are_lower(cls, hosts: list[str]) -> list[str]:
        return [each.lower() for each in hosts]

    def credentials(self, key: str) -> dict[str, str]:
        """The header with the key; empty without one."""
        if not key:
            return {}
        is_bearer = self.api_key_header.lower() == "authorization"
        return {self.api_key_header: f"Bearer {key}" if is_bearer else key}


class A2AReceiver(BaseModel):
    """What is sent to those who receive notices of A2A tasks below a URL, beside the notice.

    `headers_secret` names a secret for the value of each header.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    headers: dict[str, SecretStr] = {}
    headers_secret: dict[str, str] = {}


class BedrockModel(BaseModel):
    """A model of Amazon Bedrock that an agent can name in `runtime.model`.

    `model_id`: the id or ARN of a model or an inference profile. `region`: where it is asked, by
    default the worker's. `guardrail` and its version apply to every request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_id: str = Field(min_length=1, max_length=2048)
    region: str | None = None
    guardrail: str | None = None
    guardrail_version: str = "DRAFT"

    def guarded(self) -> dict[str, Any]:
        """The guardrail as a parameter of Converse; empty without one."""
        if self.guardrail is None:
            return {}
        names = {"guardrailIdentifier": self.guardrail, "guardrailVersion": self.guardrail_version}
        return {"guardrailConfig": names}


class AgentCoreRuntime(BaseModel):
    """An agent on Amazon Bedrock AgentCore that an agent can name in `runtime.agent`.

    `qualifier` names its endpoint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arn: str = Field(pattern=r"^arn:[a-z-]+:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:runtime/.+$")
    qualifier: str = "DEFAULT"


class AgentModel(BaseModel):
    """How the models of a pattern are reached that `agent` agents may name.

    Without a key, the provider's own variables count (`OPENAI_API_KEY`, AWS credentials).
    `factory`: `package.module:attribute` of an own model of pydantic-ai, or of a function without
    arguments that makes one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api_key: SecretStr | None = None
    api_key_secret: str | None = None
    factory: str | None = None


class ToolFunction(BaseModel):
    """A Python function that agents may call as a tool; as a text, its `function` alone.

    `approval`: a person must allow each call. `idempotent`: a call that was allowed may be repeated
    after a failure, because the function recognises its idempotency key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    function: str
    approval: Literal["USER"] | None = None
    idempotent: bool = False

    @model_validator(mode="before")
    @classmethod
    def _may_be_a_text(cls, value: Any) -> Any:
        if not isinstance(value, str | dict | cls):
            raise ValueError("must be `package.module:attribute`, or an object with `function`")
        return {"function": value} if isinstance(value, str) else value


class McpServer(BaseModel):
    """An MCP server whose tools agents may call: a `url` (streamable HTTP), or a `command` (stdio).

    `headers_secret` names a secret for the value of each header. `approval`: a person must allow
    each call, or those of the tools in the list.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = ""
    headers: dict[str, SecretStr] = {}
    headers_secret: dict[str, str] = {}
    command: str = ""
    args: list[str] = []
    env: dict[str, SecretStr] = {}
    approval: Literal["USER"] | list[str] | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if bool(self.url) == bool(self.command):
            raise ValueError("takes either a url or a command")
        parts = urlsplit(self.url)
        if self.url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("url must begin with https:// or http:// and a host")
        if "@" in parts.netloc:
            raise ValueError("url must have no credentials (headers and headers_secret take them)")
        return self

    def can_start(self) -> bool:
        """Whether the program of a command is on this machine."""
        from shutil import which  # noqa: PLC0415 (cold start: only agents with tools need it)

        path = self.env["PATH"].get_secret_value() if "PATH" in self.env else None
        return which(self.command, path=path) is not None

    def needs_approval(self, tool: str) -> bool:
        """Whether a person must allow the calls of this tool."""
        return self.approval == "USER" or tool in (self.approval or ())


_DEAREST = 10**12  # a million dollars


def _price(alias: str) -> Any:
    return Field(None, alias=alias, ge=0, le=_DEAREST, strict=True)


class OpenAIEndpoint(BaseModel):
    """An OpenAI-compatible endpoint that an agent can name in `runtime.endpoint`.

    `api_key_secret` is the ARN or name of a secret in Secrets Manager. It is read when the first
    agent needs it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str
    api_key: SecretStr | None = None
    api_key_secret: str | None = None
    model: str | None = None
    provider: str | None = Field(None, max_length=200)  # by whose prices it is paid

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL that begins with https:// or http:// and a host")
        if "@" in parts.netloc or "#" in url:
            raise ValueError("must have no credentials (api_key takes them) and no fragment (#)")
        return url


class OwnPrice(BaseModel):
    """What a model costs, in micro-USD (millionths of a dollar)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    input: int = Field(alias="inputMicroUsdPerMillion", ge=0, le=_DEAREST, strict=True)
    output: int = Field(alias="outputMicroUsdPerMillion", ge=0, le=_DEAREST, strict=True)
    cached: int | None = _price("cachedMicroUsdPerMillion")
    cache_write: int | None = _price("cacheWriteMicroUsdPerMillion")
    reasoning: int | None = _price("reasoningMicroUsdPerMillion")
    request: int = Field(0, alias="microUsdPerRequest", ge=0, le=_DEAREST, strict=True)

    def rates(self) -> dict[str, int]:
        """The prices that are set, by the names of `domain.prices.Rates`."""
        return self.model_dump(exclude_none=True)


Prefixes = TypeVar("Prefixes", list[str], dict[str, A2AReceiver])


class RuntimeSettings(BaseModel):
    """The settings of what agents run with; `Settings` reads them."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True
    )

    default_runtime: dict[str, object] = Field(
        {"kind": "function", "name": "echo"}, description="runtime of agents without `runtime`"
    )
    functions: dict[str, str] = Field(
        {}, description="allowed agent functions: name → `package.module:attribute`"
    )
    record_content: bool = Field(
        True,
        description="whether runs keep the arguments and results of tool calls",
    )
    http_allowed_urls: list[str] = Field(
        [], description="prefixes of the URLs that `http` agents may call"
    )
    http_signing_key: SecretStr | None = Field(
        None, description="HMAC key that signs the requests of `http` agents"
    )
    http_signing_key_secret: str | None = Field(
        None, description="ARN or name of the secret that holds that key, read at run time"
    )
    openai_endpoints: dict[str, OpenAIEndpoint] = Field(
        {},
        description=(
            'name → `{"base_url", "model", "provider", "api_key" or "api_key_secret"}` of an'
            " OpenAI-compatible endpoint"
        ),
    )

    agent_models: dict[str, AgentModel] = Field(
        {},
        description=(
            "models that `agent` agents may name, beside those of `ACE_OPENAI_ENDPOINTS`:"
            ' `provider:model`, or `provider:*` → `{"api_key" or "api_key_secret"}`'
        ),
    )
    tools: dict[str, ToolFunction] = Field(
        {},
        description=(
            "functions that `agent` agents may call: name → `package.module:attribute`, or"
            ' `{"function", "approval": "USER", "idempotent"}`'
        ),
    )
    mcp_servers: dict[str, McpServer] = Field(
        {},
        description=(
            "MCP servers whose tools `agent` agents may call: name →"
            ' `{"url", "headers", "headers_secret"}`, or locally `{"command", "args", "env"}`;'
            ' `"approval": "USER"` or a list of tools'
        ),
    )
    agent_max_requests: int = Field(
        20, ge=1, le=1000, description="most requests of an `agent` agent to its model"
    )
    agent_max_tool_calls: int = Field(
        50, ge=0, le=1000, description="most calls of tools by an `agent` agent"
    )
    agent_max_tokens: int = Field(
        500_000, ge=1, description="most tokens of an `agent` agent, of all its requests together"
    )

    prices: dict[str, OwnPrice] = Field(
        {},
        description=(
            "prices beside those of the release, and instead of them: `model` or `provider/model`"
            ' → `{"inputMicroUsdPerMillion", "outputMicroUsdPerMillion"}`; a name may end with `*`'
        ),
    )

    a2a_agents: dict[str, A2AAgent] = Field(
        {},
        description=(
            'name → `{"url", "api_key" or "api_key_secret", "api_key_header", "hosts"}` of a remote'
            " agent that `a2a` agents may call"
        ),
    )
    a2a_push: dict[str, A2AReceiver] = Field(
        {},
        description=(
            "who may receive notices of A2A tasks: prefix of the URLs →"
            ' `{"headers", "headers_secret"}` to send; none when empty'
        ),
    )
    bedrock_models: dict[str, BedrockModel] = Field(
        {},
        description=(
            'name → `{"model_id", "region", "guardrail", "guardrail_version"}` of a model or'
            " inference profile that `bedrock` agents may ask"
        ),
    )
    lambda_functions: dict[str, str] = Field(
        {},
        description="name → ARN or name of a function that `lambda` agents may invoke",
    )
    agentcore_runtimes: dict[str, AgentCoreRuntime] = Field(
        {},
        description=(
            'name → `{"arn", "qualifier"}` of an agent on Bedrock AgentCore that `agentcore` agents'
            " may invoke"
        ),
    )
    action_functions: dict[str, str] = Field(
        {},
        description="allowed action functions: `module.function` → `package.module:attribute`",
    )
    budgets: dict[str, dict[str, Any]] = Field(
        {},
        description=(
            "what a tenant may spend in a UTC day: tenant, or `*` for each other one →"
            ' `{"microUsd", "tokens", "onExceeded"}`'
        ),
    )
    budget_max_tokens: int = Field(
        4096,
        ge=1,
        le=10_000_000,
        description="the output that a budget reserves for an agent without `max_tokens`",
    )

    @field_validator("default_runtime")
    @classmethod
    def _has_kind(cls, runtime: dict[str, object]) -> dict[str, object]:
        if not isinstance(runtime.get("kind"), str):
            raise ValueError('must have a kind, for example {"kind": "function", "name": "echo"}')
        return runtime

    @field_validator("prices")
    @classmethod
    def _are_models(cls, prices: dict[str, OwnPrice]) -> dict[str, OwnPrice]:
        for name in prices:
            if not name.strip() or "*" in name[:-1]:
                raise ValueError(
                    f"{name!r:.100} must be a model or provider/model; only its end may be a *"
                )
        return prices

    @field_validator("http_allowed_urls", "a2a_push")
    @classmethod
    def _are_urls(cls, prefixes: Prefixes) -> Prefixes:
        for prefix in prefixes:
            parts = urlsplit(prefix)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(
                    f"{prefix!r} must be a URL that begins with https:// or http:// and a host"
                )
            if "@" in parts.netloc or parts.query or parts.fragment:
                raise ValueError(
                    f"the prefix for {parts.hostname} must have no credentials, query or fragment"
                )
        return prefixes
