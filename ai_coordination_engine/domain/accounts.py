"""Sums of what runs used and cost, by day, agent and model. Pure.

A run counts once it says that a model was asked (`Usage.is_metered`), whatever became of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.attempts import Attempt
from ai_coordination_engine.domain.prices import tokens

UNKNOWN = "unknown"
"""The model of usage that names none."""


class Account(NamedTuple):
    """What counts are kept for: a UTC day (`2026-11-26`), an agent and a model. A session keeps
    them by the epoch of the agent, too, so that a rerun counts whole, although runs of the time
    before may have been deleted.
    """

    day: str
    agent_uuid: str
    model: str
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Whole numbers ≥ 0. `micro_usd` is of the runs that have a price."""

    runs: int = 0
    failed_runs: int = 0
    unpriced_runs: int = 0
    micro_usd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 0
    tool_calls: int = 0
    # sums of the squares of each run, from which a spread follows
    tokens_squared: int = 0
    micro_usd_squared: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        pairs = zip(self.values(), other.values(), strict=True)
        return Counts(*(mine + its for mine, its in pairs))

    def beyond(self, other: "Counts") -> "Counts":
        """What is in these counts and not in the others, and never less than 0."""
        pairs = zip(self.values(), other.values(), strict=True)
        return Counts(*(max(mine - its, 0) for mine, its in pairs))

    def values(self) -> list[int]:
        """All counts, in order."""
        return [getattr(self, each) for each in MEASURES]

    @property
    def known_micro_usd(self) -> int | None:
        """The cost; None if there are runs and none of them has a price."""
        return None if self.runs and self.runs == self.unpriced_runs else self.micro_usd


MEASURES = tuple(each.name for each in fields(Counts))
NOTHING = Counts()
Accounts = dict[Account, Counts]


def counts_of(attempt: Attempt) -> Counts:
    """What one attempt counts for; nothing if no model was asked, as far as it is known."""
    usage = attempt.usage
    if not usage.is_metered:
        return NOTHING
    known = tokens(usage)
    into, out = (count or 0 for count in known)
    cost = attempt.cost_micro_usd or 0
    return Counts(
        runs=1,
        failed_runs=int(attempt.status in ("failed", "lost", "expired")),
        unpriced_runs=int(attempt.cost_micro_usd is None),
        micro_usd=cost,
        input_tokens=into,
        output_tokens=out,
        cached_tokens=usage.cached_tokens or 0,
        reasoning_tokens=usage.reasoning_tokens or 0,
        requests=usage.requests or 0,
        tool_calls=usage.tool_calls or 0,
        tokens_squared=(into + out) ** 2,
        micro_usd_squared=cost**2,
    )


def account_of(
    attempt: Attempt, agent_uuid: str, recorded_at: datetime, epoch: int | None = None
) -> Account:
    """Where an attempt is counted: on the day on which it ended, or else was recorded."""
    model = "".join(each for each in attempt.usage.model or "" if each.isprintable()).strip()
    day = (attempt.ended_at or recorded_at).date().isoformat()
    return Account(day, agent_uuid, model or UNKNOWN, epoch or 0)


def total(accounts: Iterable[Counts]) -> Counts:
    """The sum of all of these."""
    return sum(accounts, NOTHING)


def new_in(found: Mapping[Account, Counts], counted: Mapping[Account, Counts]) -> Accounts:
    """What is found and not counted yet."""
    more = {each: found[each].beyond(counted.get(each, NOTHING)) for each in found}
    return {each: counts for each, counts in more.items() if counts != NOTHING}


def stored(accounts: Mapping[Account, Counts]) -> list[list[Any]]:
    """The form in which a session keeps what was counted of it."""
    return [[*each, *counts.values()] for each, counts in sorted(accounts.items())]


def loaded(rows: Iterable[Any] | None) -> Accounts:
    """The accounts of the stored form; None: nothing was counted."""
    return {Account(*row[:4]): Counts(*row[4:]) for row in rows or ()}
