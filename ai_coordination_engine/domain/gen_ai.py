"""The names of OpenTelemetry's conventions for generative AI that spans use. Pure.

They are in development: only this module has them. They are those of the schema below; the package
`opentelemetry-semantic-conventions` 0.66b2 has them under `_incubating`.
Source: OpenTelemetry, "Semantic conventions for generative AI": agent spans, model spans, tools.
"""

from collections.abc import Mapping
from typing import Any, Final

from ai_coordination_engine.domain.usage import Usage

SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"

# Operations; the name of a span begins with one
INVOKE_WORKFLOW: Final = "invoke_workflow"
INVOKE_AGENT: Final = "invoke_agent"
EXECUTE_TOOL: Final = "execute_tool"
CHAT: Final = "chat"

# Attributes
OPERATION: Final = "gen_ai.operation.name"
AGENT_ID: Final = "gen_ai.agent.id"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TOOL_NAME: Final = "gen_ai.tool.name"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  # no password
ERROR_TYPE: Final = "error.type"

# Content: exported only where the operator asks for it
INPUT: Final = "gen_ai.input.messages"
INSTRUCTIONS: Final = "gen_ai.system_instructions"
OUTPUT: Final = "gen_ai.output.messages"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"

_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}


def usage_attributes(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a usage: its token counts, and the model that answered."""
    known = Usage.of(usage)
    counts = {
        attribute: count
        for name, attribute in _USAGE.items()
        if (count := getattr(known, name)) is not None
    }
    named = {RESPONSE_MODEL: known.model, PROVIDER: known.provider}
    reason = usage.get("finish_reason")
    said = {FINISH_REASONS: (reason,)} if isinstance(reason, str) and reason else {}
    return {**counts, **{name: text for name, text in named.items() if text}, **said}


def message(role: str, text: str) -> list[dict[str, Any]]:
    """One message as the attributes for content have it."""
    return [{"role": role, "parts": [{"type": "text", "content": text}]}]
