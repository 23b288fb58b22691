"""What a start will probably use: ranges from what the same agents used before."""

from collections.abc import Sequence

from ai_coordination_engine.domain.accounts import Counts, total
from ai_coordination_engine.domain.forecast import forecast


def used(*tokens: int, failed: int = 0, unpriced: int = 0) -> Counts:
    """Runs of so many tokens, each of which costs twice as many micro-USD."""
    return total(
        Counts(
            runs=1,
            failed_runs=int(number < failed),
            unpriced_runs=int(number < unpriced),
            input_tokens=each,
            tokens_squared=each**2,
            micro_usd=0 if number < unpriced else 2 * each,
            micro_usd_squared=0 if number < unpriced else 4 * each**2,
        )
        for number, each in enumerate(tokens)
    )


def ranges(found: dict[str, int] | None) -> Sequence[int] | None:
    return found and [found[name] for name in ("low", "expected", "high")]


def test_a_range_lies_around_the_mean() -> None:
    told = forecast({"a": 1}, {"a": None}, {"a": used(90, 110)})
    assert (ranges(told.tokens), ranges(told.micro_usd)) == ([80, 100, 120], [160, 200, 240])
    assert told.warnings == []


def test_calls_add_up_and_their_spreads_even_out() -> None:
    told = forecast({"a": 4, "b": 1, "c": 9}, {}, {"a": used(90, 110), "b": used(5)})
    assert ranges(told.tokens) == [365, 405, 445]


def test_failed_attempts_are_expected_again() -> None:
    told = forecast({"a": 1}, {}, {"a": used(10, 10, failed=1)})
    assert ranges(told.tokens) == [20, 20, 20]


def test_no_range_begins_below_nothing() -> None:
    told = forecast({"a": 1}, {}, {"a": used(0, 0, 0, 100)})
    assert ranges(told.tokens) == [0, 25, 111]


def test_what_is_not_known_is_null_and_says_why() -> None:
    told = forecast({"a": 1, "b": 1}, {"b": "m"}, {"a": used(1)})
    assert (told.tokens, told.micro_usd) == (None, None)
    assert told.warnings == [
        "tokens and costMicroUsd: b has not completed before, so that nothing is known of it."
    ]
    told = forecast({"a": None}, {}, {"a": used(1)})
    assert told.tokens is None
    assert told.warnings == [
        "tokens and costMicroUsd: a is a map, whose number of elements is not known before."
    ]
    assert forecast({"a": 1}, {}, {"a": used(1, failed=1)}).tokens is None


def test_a_model_without_a_price_has_tokens_only() -> None:
    told = forecast({"a": 1}, {}, {"a": used(7, unpriced=1)})
    assert (ranges(told.tokens), told.micro_usd) == ([7, 7, 7], None)
    assert told.warnings == ["costMicroUsd: the model that a asked before has no price."]


def test_a_price_that_is_new_is_the_one_that_counts() -> None:
    told = forecast({"a": 1}, {}, {"a": used(7, 7, unpriced=1)})
    assert (ranges(told.tokens), ranges(told.micro_usd)) == ([7, 7, 7], [14, 14, 14])


def test_agents_that_ask_no_model_use_nothing() -> None:
    told = forecast({"a": 1, "m": None}, {"a": None}, {})
    assert (told.tokens, told.micro_usd, told.warnings) == (None, None, [])
