"""What is wrong with a setting is said by its name and the place in it, in terms of JSON."""

from typing import Any

import pytest
from pydantic import ValidationError

from ai_coordination_engine.entrypoints.cli.explanations import explain
from ai_coordination_engine.settings import Settings


@pytest.mark.parametrize(
    ("name", "value", "lines"),
    [
        ("budgets", {"*": 5}, ["ACE_BUDGETS.*: must be an object"]),
        ("budgets", [1], ["ACE_BUDGETS: must be an object"]),
        (
            "tools",
            {"f": 5},
            ["ACE_TOOLS.f: must be `package.module:attribute`, or an object with `function`"],
        ),
        (
            "tools",
            {"f": {"fun": "m:f", "approval": "ME"}},
            [
                "ACE_TOOLS.f.function: is needed",
                "ACE_TOOLS.f.approval: must be 'USER'",
                "ACE_TOOLS.f.fun: is unknown",
            ],
        ),
        (
            "prices",
            {"m": {"inputMicroUsdPerMillion": 1.5, "outputMicroUsdPerMillon": 1}},
            [
                "ACE_PRICES.m.inputMicroUsdPerMillion: must be a whole number",
                "ACE_PRICES.m.outputMicroUsdPerMillion: is needed",
                'ACE_PRICES.m.outputMicroUsdPerMillon: is unknown; did you mean "output'
                'MicroUsdPerMillion"?',
            ],
        ),
        ("mcp_servers", {"s": 1}, ["ACE_MCP_SERVERS.s: must be an object"]),
        ("mcp_servers", {"s": {}}, ["ACE_MCP_SERVERS.s: takes either a url or a command"]),
        (
            "bedrock_models",
            {"b": {"model_id": "m", "regio": "x"}},
            ['ACE_BEDROCK_MODELS.b.regio: is unknown; did you mean "region"?'],
        ),
        ("agentcore_runtimes", {"a": 1}, ["ACE_AGENTCORE_RUNTIMES.a: must be an object"]),
        ("a2a_agents", {"a": {}}, ["ACE_A2A_AGENTS.a.url: is needed"]),
        ("cors_origins", [1], ["ACE_CORS_ORIGINS[0]: must be a text"]),
        ("record_content", "maybe", ["ACE_RECORD_CONTENT: must be true or false"]),
    ],
)
def test_a_wrong_setting_is_named_with_the_place_in_it(
    name: str, value: Any, lines: list[str]
) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(**{name: value})
    assert explain(raised.value) == ("\n".join(f"ace: {each}" for each in lines), 2)
