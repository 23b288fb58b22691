"""The `agent` runtime with a real model: a text, and an output that conforms to a schema."""

import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from ai_coordination_engine.adapters.runtimes.agent import ToolAgentRuntime
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.runtime_settings import OpenAIEndpoint
from ai_coordination_engine.settings import Settings
from tests.kit.fakes import FakeSecrets
from tests.model.conftest import MODEL

pytestmark = pytest.mark.model


def ask(url: str, **runtime: Any) -> AgentResult:
    endpoints: Mapping[str, OpenAIEndpoint] = {"local": OpenAIEndpoint(base_url=url)}
    settings = Settings(auth="local", openai_endpoints=endpoints)
    agents = ToolAgentRuntime(settings, FakeSecrets())
    kind = {"kind": "agent", "endpoint": "local", "model": MODEL, "max_tokens": 40, "seed": 1}
    request = AgentRequest(runtime={**kind, **runtime}, input="Name a colour.", run_uuid="run")
    with closing(agents):
        return agents.run(request)


def test_a_text(model_url: str) -> None:
    result = ask(model_url)
    assert result.output.strip()
    assert result.usage["requests"] == 1
    assert result.usage["input_tokens"] > 0
    assert 0 < result.usage["output_tokens"] <= 40
    assert (result.usage["model"], result.usage["provider"]) == (MODEL, "127.0.0.1")


def test_a_structured_output(model_url: str) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    result = ask(model_url, output_schema=schema, output_mode="native")
    assert json.loads(result.output)["colour"] in ("red", "green")
