"""Types of structured settings; `settings` has the fields that hold them."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


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
