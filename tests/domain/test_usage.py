"""What runtimes report as usage is read under the standard names, whatever else is in it."""

from typing import Any

import pytest

from ai_coordination_engine.domain.records import MAX_PLAIN
from ai_coordination_engine.domain.usage import Usage, plain_usage

ANTHROPIC = {
    "input_tokens": 10,
    "cache_read_input_tokens": 1_000,
    "cache_creation_input_tokens": 200,
    "output_tokens": 7,
}


@pytest.mark.parametrize(
    ("reported", "counted"),
    [
        (ANTHROPIC, {"input_tokens": 1_210, "cached_tokens": 1_000, "cache_write_tokens": 200}),
        ({**ANTHROPIC, "cache_read_input_tokens": None}, {"input_tokens": 210}),
        ({"cache_read_input_tokens": 5}, {"input_tokens": None, "cached_tokens": None}),
        ({"inputTokens": 3, "cachedTokens": 2}, {"input_tokens": 3, "cached_tokens": 2}),
        ({"input_tokens_details": {"cached_tokens": 4}}, {"cached_tokens": 4}),
        ({"output_tokens_details": {"reasoning_tokens": 4}}, {"reasoning_tokens": 4}),
        ({"cached_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}}, {"cached_tokens": 1}),
        ({"prompt_tokens_details": ["cached_tokens"]}, {"cached_tokens": None}),
        ({"requests": 3, "tool_calls": 2.0}, {"requests": 3, "tool_calls": 2}),
        ({"tool_calls": [{"name": "f"}]}, {"tool_calls": None}),
        ({"model": "m" * 201, "provider": 5}, {"model": None, "provider": None}),
        ({"model": "m" * 200, "provider": "p"}, {"model": "m" * 200, "provider": "p"}),
    ],
)
def test_each_count_has_one_meaning(reported: Any, counted: dict[str, Any]) -> None:
    found = Usage.of(reported)
    assert {name: getattr(found, name) for name in counted} == counted


@pytest.mark.parametrize(
    "reported", [ANTHROPIC, {"inputTokens": 3, "outputTokens": 1, "prompt_tokens_details": {}}]
)
def test_what_is_stored_is_read_as_what_was_reported(reported: Any) -> None:
    stored = plain_usage(reported)
    assert Usage.of(stored) == Usage.of(reported)
    assert plain_usage(stored) == stored


def test_counts_are_kept_before_what_nobody_counts() -> None:
    more = {f"other_{i}": i for i in range(50)}
    stored = plain_usage({**more, "input_tokens": 1, "model": "m"})
    assert len(stored) == 20
    assert (stored["input_tokens"], stored["model"], stored["other_0"]) == (1, "m", 0)


@pytest.mark.parametrize(
    ("usage", "is_metered"),
    [
        ({}, False),
        ({"note": "fine", "tool_calls": 3}, False),
        ({"model": "m"}, True),
        ({"output_tokens": 0}, True),
        ({"total_tokens": 5}, True),
    ],
)
def test_usage_is_metered_when_it_says_that_a_model_was_asked(usage: Any, is_metered: bool) -> None:
    assert Usage.of(usage).is_metered is is_metered


def test_a_model_that_is_counted_can_be_asked_for() -> None:
    longest = "\U0001f600" * 200
    assert len(longest.encode()) <= MAX_PLAIN  # what `usageByDay(model:)` takes
    assert Usage.of({"model": longest}).model == longest
    assert Usage.of({"model": longest + "x", "input_tokens": 1}).model is None
