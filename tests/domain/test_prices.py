"""What usage costs: exactly, in integers, and never 0 for what has no price."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.domain.prices import Cost, PriceTable, Rates
from ai_coordination_engine.domain.usage import MAX_COUNT, Usage

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
TABLE = {
    "version": "test 1",
    "providers": {
        "first": {
            "hosts": r"https://api\.first\.com",
            "knows": "^one-",
            "called": ["*first", "=uno"],
            "models": [
                ["=one-small", [Decimal("0.25"), 1]],
                [["^one-long", "$-long"], [[1, 100, 2, 1_000, 4], [3, 100, 6]]],
                ["=one-cached", [2, 10, Decimal("0.5"), Decimal("2.5"), 40, Decimal("0.005")]],
                ["=one-embeds", [1]],
                ["=one-new", {"when": [[None, [1, 1]], ["2026-12-01", [2, 2]]]}],
                ["=one-night", {"when": [[None, [2, 2]], ["22:00:00-04:00:00", [1, 1]]]}],
                [["&", "*both", "~x[0-9]$"], [7, 7]],
            ],
        },
        "second": {
            "hosts": r"https://[^/]*second\.net",
            "others": ["first"],
            "models": [["=one-small", [3, 3]]],
        },
    },
}


def cost(
    input_tokens: int | None, output_tokens: int | None, at: datetime = NOON, **more: Any
) -> int | None:
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens, **more)
    found = PriceTable(lambda: TABLE).cost(usage, at)
    assert found is None or found.version == "test 1"
    return None if found is None else found.micro_usd


@pytest.mark.parametrize(
    ("tokens", "micro_usd"),
    [
        ((0, 0), 0),
        ((4, 0), 1),  # 1.0
        ((1, 0), 0),  # 0.25
        ((2, 0), 1),  # 0.5 is rounded up
        ((1, 1), 1),  # 1.25
        ((2, 1), 2),  # 1.5
        ((1_000_000, 1_000_000), 1_250_000),
        ((MAX_COUNT, MAX_COUNT), 2_684_354_559),
    ],
)
def test_a_run_is_rounded_half_up_once(tokens: tuple[int, int], micro_usd: int) -> None:
    assert cost(*tokens, model="one-small") == micro_usd


@pytest.mark.parametrize(
    ("tokens", "micro_usd"),
    [((100, 10), 130), ((101, 10), 262), ((1_000, 0), 2_000), ((1_001, 1), 4_010)],
)
def test_long_prompts_pay_their_price_for_all_tokens(
    tokens: tuple[int, int], micro_usd: int
) -> None:
    assert cost(*tokens, model="one-long-2") == micro_usd


@pytest.mark.parametrize(
    ("usage", "micro_usd"),
    [
        ({}, 2 * 100 + 10 * 10),
        ({"cached_tokens": 60}, 2 * 40 + 30 + 100),
        ({"cached_tokens": 60, "cache_write_tokens": 40}, 30 + 100 + 100),
        ({"reasoning_tokens": 4}, 200 + 60 + 160),
        ({"cached_tokens": 500, "cache_write_tokens": 9, "reasoning_tokens": 99}, 50 + 400),
        ({"requests": 0}, 300 - 5_000),
        ({"requests": 3}, 300 + 10_000),
    ],
)
def test_parts_of_the_tokens_have_their_own_prices(usage: Any, micro_usd: int) -> None:
    assert cost(100, 10, model="one-cached", **usage) == micro_usd + 5_000


@pytest.mark.parametrize(
    "usage",
    [
        {"model": "two"},
        {"model": None},
        {"model": "one-small", "input_tokens": None},
        {"model": "one-small", "output_tokens": None},
        {"model": "one-small", "provider": "third"},
        {"model": "one-small", "provider": "127.0.0.1"},
        {"model": "one-embeds"},
        {"model": "one-" + "x" * 500},
    ],
)
def test_what_has_no_price_costs_nothing_known(usage: dict[str, Any]) -> None:
    assert (
        PriceTable(lambda: TABLE).cost(
            Usage(**{"input_tokens": 5, "output_tokens": 5} | usage), NOON
        )
        is None
    )


@pytest.mark.parametrize(
    ("model", "provider", "micro_usd"),
    [
        ("ONE-Small ", None, 1),
        ("one-small", "first", 1),
        ("one-small", "The First", 1),
        ("one-small", "uno", 1),
        ("one-small", "api.first.com", 1),
        ("one-small", "second", 12),
        ("one-small", "eu.second.net", 12),
        ("another-long", "second", 4),
        ("both-x5", "first", 28),
    ],
)
def test_the_provider_decides_whose_price_it_is(
    model: str, provider: str | None, micro_usd: int
) -> None:
    assert cost(4, 0, model=model, provider=provider) == micro_usd


@pytest.mark.parametrize(
    ("model", "at", "micro_usd"),
    [
        ("one-new", datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), 1),
        ("one-new", datetime(2026, 12, 1, tzinfo=UTC), 2),
        ("one-night", NOON, 2),
        ("one-night", datetime(2026, 11, 26, 22, tzinfo=UTC), 1),
        ("one-night", datetime(2026, 11, 26, 3, 59, tzinfo=UTC), 1),
        ("one-night", datetime(2026, 11, 26, 4, tzinfo=UTC), 2),
    ],
)
def test_a_price_may_depend_on_the_time(model: str, at: datetime, micro_usd: int) -> None:
    assert cost(1, 0, at, model=model) == micro_usd


OWN = {
    "one-small": Rates(0, 0),
    "second/one-small": Rates(9_000_000, 9_000_000),
    "local/*": Rates(1_000_000, 0),
    "local/big*": Rates(2_000_000, 0),
    "*": Rates(5_000_000, 5_000_000, request=3),
}


@pytest.mark.parametrize(
    ("model", "provider", "micro_usd"),
    [
        ("one-small", None, 0),
        ("one-small", "first", 0),
        ("One-Small", "Second", 9),
        ("small", "local", 1),
        ("bigger", "local", 2),
        ("never heard of", None, 8),
    ],
)
def test_the_operators_own_prices_come_first(
    model: str, provider: str | None, micro_usd: int
) -> None:
    usage = Usage(input_tokens=1, output_tokens=0, model=model, provider=provider)
    found = PriceTable(lambda: TABLE, OWN, "5e1f").cost(usage, NOON)
    assert found == Cost(micro_usd, "ACE_PRICES 5e1f")


COUNT = st.integers(0, MAX_COUNT)
RATE = st.integers(0, 10**9)


@given(
    COUNT, COUNT, COUNT, COUNT, COUNT, st.lists(RATE, min_size=5, max_size=5), st.integers(0, 10**6)
)
def test_no_request_costs_more_than_its_worst_case(
    into: int, out: int, cached: int, written: int, reasoned: int, rates: list[int], request: int
) -> None:
    price = Rates(*rates, request=request)
    usage = Usage(into, out, None, cached, written, reasoned)
    known, most = price.cost(usage), price.most(into, out)
    assert known is not None
    assert most is not None
    assert 0 <= known <= most


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("one-small", 4),  # 3.5 is rounded up
        ("one-cached", 5_000 + 25 + 40),
        ("one-night", 22),
        ("one-long", 13),
        ("one-embeds", None),
        ("x", None),
    ],
)
def test_the_worst_case_is_the_dearest_of_all_ways_to_count(model: str, most: int | None) -> None:
    assert PriceTable(lambda: TABLE).worst_case(model, None, 10, 1, NOON) == most
