"""What a start of a task will probably use and cost, from what its agents used before. Pure."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import isqrt
from typing import NamedTuple

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.accounts import Counts

_DEVIATIONS = 2  # of the range: about 19 of 20 starts lie within it


class _Spread(NamedTuple):
    mean: Fraction
    variance: Fraction


@dataclass(frozen=True, slots=True)
class Forecast:
    """Ranges, or None where something is not known; a warning says what."""

    tokens: dict[str, int] | None
    micro_usd: dict[str, int] | None
    warnings: list[str]


def forecast(
    calls: Mapping[str, int | None], models: Mapping[str, str | None], past: Mapping[str, Counts]
) -> Forecast:
    """The forecast of so many calls of each agent; None is a map, whose size is not known.

    An agent that asked no model before, and names none, uses none; nothing is known if there are no
    others.
    """
    asking = {
        agent: (count, past.get(agent, Counts()))
        for agent, count in calls.items()
        if past.get(agent, Counts()).runs or models.get(agent) is not None
    }
    unknown = [*_unknown(asking)]
    if unknown or not asking:
        return Forecast(None, None, unknown)
    known = {agent: (count or 0, counts) for agent, (count, counts) in asking.items()}
    unpriced = [*_unpriced(known)]
    tokens = _range([_of_tokens(*each) for each in known.values()])
    costs = None if unpriced else _range([_of_cost(*each) for each in known.values()])
    return Forecast(tokens, costs, unpriced)


def _unknown(asking: Mapping[str, tuple[int | None, Counts]]) -> Iterator[str]:
    for agent, (count, counts) in asking.items():
        if (why := _why_unknown(count, counts)) is not None:
            yield f"tokens and costMicroUsd: {agent} {why}."


def _unpriced(known: Mapping[str, tuple[int, Counts]]) -> Iterator[str]:
    for agent, (_, counts) in known.items():
        if counts.unpriced_runs == counts.runs:
            yield f"costMicroUsd: the model that {agent} asked before has no price."


def _why_unknown(count: int | None, counts: Counts) -> str | None:
    if counts.runs <= counts.failed_runs:
        return "has not completed before, so that nothing is known of it"
    if count is None:
        return "is a map, whose number of elements is not known before"
    return None


def _of_tokens(count: int, counts: Counts) -> _Spread:
    """Of so many calls, each with the failed attempts that it took on average."""
    used = counts.input_tokens + counts.output_tokens
    return _spread(count, used, counts.tokens_squared, counts.runs, _attempts(counts))


def _of_cost(count: int, counts: Counts) -> _Spread:
    priced = counts.runs - counts.unpriced_runs
    squared = counts.micro_usd_squared
    return _spread(count, counts.micro_usd, squared, priced, _attempts(counts))


def _attempts(counts: Counts) -> Fraction:
    return Fraction(counts.runs, counts.runs - counts.failed_runs)


def _spread(count: int, used: int, squared: int, runs: int, attempts: Fraction) -> _Spread:
    mean = Fraction(used, runs)
    variance = max(Fraction(squared, runs) - mean**2, Fraction(0))
    return _Spread(mean * attempts * count, variance * attempts * count)


def _range(spreads: list[_Spread]) -> dict[str, int]:
    mean = sum((each.mean for each in spreads), Fraction(0))
    variance = sum((each.variance for each in spreads), Fraction(0))
    around = _DEVIATIONS * isqrt(int(variance))
    expected = int(mean + Fraction(1, 2))
    return {"low": max(expected - around, 0), "expected": expected, "high": expected + around}
