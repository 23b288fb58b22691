"""What attempts cost, in millionths of a US dollar; None where nobody knows the price."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ai_coordination_engine.domain.budgets import Tokens
from ai_coordination_engine.domain.usage import Usage
from ai_coordination_engine.engine.app import App


def most(app: App, runtime: Mapping[str, Any], tokens: Tokens) -> int | None:
    """The most that an attempt of this runtime may cost with so many tokens."""
    model, provider = model_of(app, runtime)
    now = app.clock.now()
    cost = app.prices.worst_case(model, provider, tokens.input, tokens.output, now)
    return None if cost is None else cost * tokens.requests


def cost(app: App, usage: Usage) -> int | None:
    """What an attempt has cost that reported this usage."""
    found = app.prices.cost(usage, app.clock.now())
    return None if found is None else found.micro_usd


def model_of(app: App, runtime: Mapping[str, Any]) -> tuple[str, str | None]:
    """The model that a runtime asks, and who is paid for it; "" if it names no model. Its endpoint
    may say both.
    """
    endpoint = app.settings.openai_endpoints.get(str(runtime.get("endpoint") or "default"))
    if endpoint is None:
        return str(runtime.get("model") or ""), None
    provider = endpoint.provider or urlsplit(endpoint.base_url).hostname
    return str(runtime.get("model") or endpoint.model or ""), provider
