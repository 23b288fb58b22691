"""The table of prices that ships with the release, and the operator's own prices beside it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage as Counted
from genai_prices import calc_price
from genai_prices.data import providers
from pydantic import ValidationError

from ai_coordination_engine.adapters.price_table import TABLE, prices_of
from ai_coordination_engine.domain.usage import Usage
from ai_coordination_engine.settings import Settings

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SCRIPT = Path(__file__).parents[2] / ".ci/prices"
FIRST_HAND = ("anthropic", "aws", "azure", "deepseek", "google", "mistral", "openai", "x-ai")


def test_the_table_is_what_the_script_makes_of_the_pinned_release() -> None:
    checked = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "the table of prices is up to date\n")


def test_the_table_is_small_and_has_a_version_and_a_date() -> None:
    text = TABLE.read_text("utf-8")
    assert len(text.encode()) < 100_000
    head = json.loads(text)
    assert head["version"].startswith("genai-prices ")
    assert datetime.fromisoformat(head["date"])


@pytest.mark.parametrize("provider", FIRST_HAND)
def test_a_cost_is_what_the_library_computes(provider: str) -> None:
    prices, compared = prices_of({}), 0
    listed = next(each for each in providers if each.id == provider)
    for model in listed.models:
        usage = {"input_tokens": 300_000, "output_tokens": 2_000}
        told = Usage(**usage, cached_tokens=1_000, model=model.id, provider=provider)
        cost = prices.cost(told, NOW)
        if cost is None or not model.is_match(model.id):  # a model without tokens, or a pattern
            continue
        known = calc_price(
            Counted(**usage, cache_read_tokens=1_000),
            model_ref=model.id,
            provider_id=provider,
            genai_request_timestamp=NOW,
        )
        expected = (known.total_price * 1_000_000).quantize(Decimal(1), ROUND_HALF_UP)
        assert (model.id, cost.micro_usd) == (model.id, int(expected))
        compared += 1
    assert compared >= 0.6 * len(listed.models)


def test_nothing_is_read_before_there_is_a_price_to_find(monkeypatch: Any) -> None:
    monkeypatch.setattr("ai_coordination_engine.adapters.price_table.TABLE", None)
    assert prices_of({}).cost(Usage(input_tokens=1), NOW) is None


def test_a_price_of_its_own_may_be_nothing() -> None:
    settings = Settings(
        prices={"small": {"inputMicroUsdPerMillion": 0, "outputMicroUsdPerMillion": 0}}
    )
    cost = prices_of(settings.prices).cost(
        Usage(input_tokens=9, output_tokens=9, model="small", provider="127.0.0.1"), NOW
    )
    assert cost is not None
    assert (cost.micro_usd, cost.version) == (0, "ACE_PRICES 02f17188")


OWN = {"inputMicroUsdPerMillion": 1, "outputMicroUsdPerMillion": 1}


@pytest.mark.parametrize(
    "prices",
    [
        {"m": 5},
        {"m": {"inputMicroUsdPerMillion": 1}},
        {"m": {**OWN, "output": 1}},
        {"m": {**OWN, "inputMicroUsdPerMillion": -1}},
        {"m": {**OWN, "inputMicroUsdPerMillion": 0.5}},
        {"m": {**OWN, "inputMicroUsdPerMillion": "1"}},
        {"m": {**OWN, "inputMicroUsdPerMillion": True}},
        {"m": {**OWN, "microUsdPerRequest": 10**13}},
        {"": OWN},
        {"a*b": OWN},
        ["m"],
    ],
)
def test_a_price_that_cannot_be_one_is_refused(prices: Any) -> None:
    with pytest.raises(ValidationError, match="prices"):
        Settings(prices=prices)
