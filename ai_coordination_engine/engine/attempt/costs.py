"""What attempts cost, in millionths of a US dollar; None where nobody knows the price."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ai_coordination_engine.domain.budgets import Tokens
from ai_coordination_engine.domain.usage import Usage
from ai_coordination_engine.engine.app import App

_PROVIDERS = {"bedrock": "aws"}
"""Who is paid for the models of a kind, where that is always the same."""


def most(app: App, runtime: Mapping[str, Any], tokens: Tokens) -> int | None:
    """The most that an attempt of this runtime may cost with so many tokens."""
    model, provider = model_of(app, runtime)
    now = app.clock.now()
    output = tokens.output if tokens.dearest is None else tokens.dearest
    sizes = tokens.input, output
    return app.prices.worst_case(model, provider, *sizes, now, requests=tokens.requests)


def cost(app: App, usage: Usage) -> int | None:
    """What an attempt has cost that reported this usage."""
    found = app.prices.cost(usage, app.clock.now())
    return None if found is None else found.micro_usd


def model_of(app: App, runtime: Mapping[str, Any]) -> tuple[str, str | None]:
    """The model that a runtime asks, and who is paid for it; "" if it names no model. Its endpoint
    may say both.
    """
    named, kind = str(runtime.get("model") or ""), runtime.get("kind")
    if kind == "openai" or (kind == "agent" and runtime.get("endpoint")):
        return _at_endpoint(app, named, str(runtime.get("endpoint") or "default"))
    provider, _, model = named.partition(":")
    if kind == "agent" and model:
        return model, provider
    return named, _PROVIDERS.get(str(kind))


def _at_endpoint(app: App, named: str, endpoint: str) -> tuple[str, str | None]:
    found = app.settings.openai_endpoints.get(endpoint)
    if found is None:
        return named, None
    return named or found.model or "", found.provider or urlsplit(found.base_url).hostname
