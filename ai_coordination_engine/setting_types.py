"""Types of structured settings; `settings` has the fields that hold them."""

from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator


class A2AAgent(BaseModel):
    """A remote agent that an agent can name in `runtime.agent`.

    `url` is that of its card, or of the service that has it at `/.well-known/agent-card.json`. The
    key is sent as `Authorization: Bearer …`, or as the value of the header `api_key_header`.
    `hosts` are those, beside the one of the card, to which the card may send requests.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

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


class BedrockModel(BaseModel):
    """A model of Amazon Bedrock that an agent can name in `runtime.model`.

    `model_id`: the id or ARN of a model or an inference profile. `region`: where it is asked, by
    default the worker's. `guardrail` and its version apply to every request.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

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

    model_config = ConfigDict(frozen=True)

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

    def needs_approval(self, tool: str) -> bool:
        """Whether a person must allow the calls of this tool."""
        return self.approval == "USER" or tool in (self.approval or ())
