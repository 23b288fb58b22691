"""What usage costs, in micro-USD (millionths of a dollar), by a table of prices. Pure.

A price is found in this order: the operator's own (`ACE_PRICES`) for `provider/model`, then for
`model`, then for the longest beginning that ends with `*`; then the table's. In the table, the
provider is the given one (its id, or the host of its API), or else the first that knows models of
that name; a provider that is given and unknown has no prices. All arithmetic is in integers; the
sum of a run is rounded half up, once.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime, time
from functools import cached_property, lru_cache
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.usage import Usage

MILLION = 1_000_000
OWN = "ACE_PRICES"
_LONGEST = 200  # characters of a model's name, or a provider's
Rate = int | Sequence[int]
"""Micro-USD per million tokens. A sequence is the price, then pairs: prompts of more tokens than
the first number pay the second one for all their tokens.
"""


@dataclass(frozen=True, slots=True)
class Rates:
    """The prices of one model, each per million tokens but the last, which is per request.

    None: `cached`, `cache_write` cost what the input does, `reasoning` what the output does; and a
    model without a price for its output cannot have any.
    """

    input: Rate | None = None
    output: Rate | None = None
    cached: Rate | None = None
    cache_write: Rate | None = None
    reasoning: Rate | None = None
    request: int = 0

    def cost(self, usage: Usage) -> int | None:
        """What the usage costs; None when its tokens are not known, or have no price."""
        into, out = tokens(usage)
        if into is None or out is None:
            return None
        cached = min(usage.cached_tokens or 0, into)
        written = min(usage.cache_write_tokens or 0, into - cached)
        reasoned = min(usage.reasoning_tokens or 0, out)
        counts = (
            (into - cached - written, self.input),
            (cached, _or(self.cached, self.input)),
            (written, _or(self.cache_write, self.input)),
            (out - reasoned, self.output),
            (reasoned, _or(self.reasoning, self.output)),
        )
        parts = [_part(count, rate, into) for count, rate in counts]
        requests = 1 if usage.requests is None else usage.requests
        if None in parts:
            return None
        total = sum(part for part in parts if part is not None) + requests * self.request * MILLION
        return (total + MILLION // 2) // MILLION

    def most(self, input_tokens: int, output_tokens: int, requests: int = 1) -> int | None:
        """What requests of so many tokens together cost at most, rounded up."""
        dearest_in = [_part(input_tokens, rate, input_tokens) for rate in self._of_input()]
        dearest_out = [_part(output_tokens, rate, input_tokens) for rate in self._of_output()]
        if None in (*dearest_in, *dearest_out):
            return None
        known = [
            max(each for each in parts if each is not None) for parts in (dearest_in, dearest_out)
        ]
        return -(-(sum(known) + requests * self.request * MILLION) // MILLION)

    def _of_input(self) -> Iterator[Rate | None]:
        yield from (self.input, _or(self.cached, self.input), _or(self.cache_write, self.input))

    def _of_output(self) -> Iterator[Rate | None]:
        yield from (self.output, _or(self.reasoning, self.output))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run costs, and the version of the price that says so."""

    micro_usd: int
    version: str


def tokens(usage: Usage) -> tuple[int | None, int | None]:
    """The tokens of the prompt and of the answer; one of them may follow from the total."""
    into, out, total = usage.input_tokens, usage.output_tokens, usage.total_tokens
    if total is not None and into is not None and out is None:
        return into, max(total - into, 0)
    if total is not None and out is not None and into is None:
        return max(total - out, 0), out
    return into, out


def _or(rate: Rate | None, other: Rate | None) -> Rate | None:
    return other if rate is None else rate


def _part(count: int, rate: Rate | None, prompt: int) -> int | None:
    """The price of so many tokens, in millionths of a micro-USD; no tokens cost nothing."""
    if not count:
        return 0
    return None if rate is None else count * _at(rate, prompt)


def _at(rate: Rate, prompt: int) -> int:
    if isinstance(rate, int):
        return rate
    price, steps = rate[0], zip(rate[1::2], rate[2::2], strict=True)
    return next((dearer for above, dearer in reversed([*steps]) if prompt > above), price)


class PriceTable:
    """The prices of a release, and the operator's own. Thread-safe.

    `read`: called when the first price is asked for; what `.ci/prices` writes: `version` and
    `providers`, each with its `models` and their prices in USD, which are ints or `Decimal`s.
    `own`: the operator's prices, by `model` or `provider/model`, which may end with `*`;
    `own_version` tells different ones apart.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, Any]],
        own: Mapping[str, Rates] | None = None,
        own_version: str = "",
    ) -> None:
        self._read = read
        self._own = {name.lower(): rates for name, rates in (own or {}).items()}
        self._own_version = f"{OWN} {own_version}".rstrip()
        self._found = lru_cache(maxsize=1_000)(self._find)

    @cached_property
    def _data(self) -> Mapping[str, Any]:
        return self._read()

    @property
    def version(self) -> str:
        """The version of the release's prices."""
        return str(self._data.get("version", ""))

    def cost(self, usage: Usage, at: datetime) -> Cost | None:
        """What the usage costs at that time; None when that is not known, and never 0 for it."""
        if usage.model is None:
            return None
        rates, version = self._rates(usage.model, usage.provider, at)
        cost = rates[0].cost(usage) if rates else None
        return None if cost is None else Cost(cost, version)

    def worst_case(
        self,
        model: str,
        provider: str | None,
        input_tokens: int,
        max_tokens: int,
        at: datetime,
        *,
        requests: int = 1,
    ) -> int | None:
        """What requests of so many tokens together cost at most, in micro-USD; None for a model
        without a price.

        It may end when another price of the day holds, so all of these count.
        """
        rates, _ = self._rates(model, provider, at)
        each = [rate.most(input_tokens, max_tokens, requests) for rate in rates]
        known = [cost for cost in each if cost is not None]
        return max(known) if known and len(known) == len(each) else None

    def _rates(self, model: str, provider: str | None, at: datetime) -> tuple[list[Rates], str]:
        """The price at that time, and those of other times of the day, if it has any."""
        name, by = _plain(model), _plain(provider)
        if (own := self._own_rates(name, by)) is not None:
            return [own], self._own_version
        found = self._found(name, by)
        return (_at_time(found, at), self.version) if found is not None else ([], self.version)

    def _own_rates(self, model: str, provider: str) -> Rates | None:
        names = [f"{provider}/{model}", model] if provider else [model]
        for name in names:
            if name in self._own:
                return self._own[name]
        begins = [
            each
            for each in self._own
            if each.endswith("*") and any(name.startswith(each[:-1]) for name in names)
        ]
        return self._own[max(begins, key=len)] if begins else None

    def _find(self, model: str, provider: str) -> Any:
        of = self._provider(provider) if provider else self._provider_of(model)
        providers = self._data.get("providers", {})
        for each in filter(None, (of, *((of or {}).get("others", ())))):
            models = (providers.get(each, {}) if isinstance(each, str) else each).get("models", ())
            for matches, prices in models:
                if _matches(matches, model):
                    return prices
        return None

    def _provider(self, name: str) -> Mapping[str, Any] | None:
        providers: Mapping[str, Mapping[str, Any]] = self._data.get("providers", {})
        if name in providers:
            return providers[name]
        for each in providers.values():
            if re.match(each.get("hosts", "(?!)"), f"https://{name}"):
                return each
        known = (each for each in providers.values() if "called" in each)
        return next((each for each in known if _matches(each["called"], name)), None)

    def _provider_of(self, model: str) -> Mapping[str, Any] | None:
        providers: Mapping[str, Mapping[str, Any]] = self._data.get("providers", {})
        known = (each for each in providers.values() if "knows" in each)
        return next((each for each in known if _matches(each["knows"], model)), None)


def _plain(name: str | None) -> str:
    return (name or "").strip().lower()[:_LONGEST]


def _matches(rule: Any, name: str) -> bool:
    """Whether a rule of the table holds for a name: a mark and a text, or a list, of which one
    holds; a list that begins with `&` needs all.
    """
    if isinstance(rule, list):
        if rule and rule[0] == "&":
            return all(_matches(each, name) for each in rule[1:])
        return any(_matches(each, name) for each in rule)
    mark, text = rule[:1], rule[1:]
    return bool(_MARKS[mark](name, text))


_MARKS: Mapping[str, Any] = {
    "=": lambda name, text: name == text,
    "^": lambda name, text: name.startswith(text),
    "$": lambda name, text: name.endswith(text),
    "*": lambda name, text: text in name,
    "~": lambda name, text: re.search(text, name) is not None,
}


def _at_time(prices: Any, at: datetime) -> list[Rates]:
    """The price that holds, first; then those of other times of the day."""
    if isinstance(prices, list):
        return [_rates(prices)]
    timed: list[tuple[str | None, list[Any]]] = prices["when"]
    holding = [rates for when, rates in timed if _holds(when, at)]
    daily = [rates for when, rates in timed if when is not None and "-" in when and ":" in when]
    return [_rates(each) for each in ((holding or [timed[0][1]])[-1], *daily)]


def _holds(when: str | None, at: datetime) -> bool:
    if when is None:
        return True
    if ":" not in when:
        return at.date() >= date.fromisoformat(when)
    begins, ends = (time.fromisoformat(each) for each in when.split("-"))
    now = at.time()
    return begins <= now < ends if begins <= ends else now >= begins or now < ends


def _rates(stored: Sequence[Any]) -> Rates:
    """The prices of the table in micro-USD."""
    named = zip((each.name for each in fields(Rates)), stored, strict=False)
    return Rates(**{name: _micro(value) for name, value in named if value is not None})


def _micro(price: Any) -> Any:
    if isinstance(price, list):  # steps: their thresholds are tokens
        return [each if i % 2 else _micro(each) for i, each in enumerate(price)]
    return int(price * MILLION)
