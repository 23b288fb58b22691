"""Budgets: what a task, a coordination or a tenant may spend, as it is written and as it counts.
Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self, TypeGuard, get_args

from pydantic import Field, ValidationError, model_validator

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.runtimes import KINDS, KindSpec
from ai_coordination_engine.domain.shapes import Shape, Whole, problems_of, unknown_keys
from ai_coordination_engine.errors import BadUserInput

MOST = 2**53
"""The largest limit: every JSON reader holds integers up to this one exactly."""
Kind = Literal["task", "coordination", "tenant"]
OnExceeded = Literal["fail", "pause", "fallback"]
Per = Literal["session", "day", "total"]
ON_EXCEEDED: tuple[str, ...] = get_args(OnExceeded)
PER: Mapping[Kind, Per] = {"task": "session", "coordination": "day", "tenant": "day"}
"""The period of a budget that names none."""
_Limit = Annotated[Whole, Field(ge=0, le=MOST)]
OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens")
"""The keys of a runtime that limit the output of one request."""
_PER_REQUEST, _PER_MESSAGE = 64, 16  # tokens of a chat template that no text has


class Budget(Shape):
    """A limit in millionths of a US dollar, in tokens, or in both; 0 allows nothing.

    `on_exceeded`: what becomes of an agent whose attempt does not fit. `per`: the period that the
    limit counts for, a UTC day for example.
    """

    micro_usd: _Limit | None = None
    tokens: _Limit | None = None
    on_exceeded: OnExceeded = "fail"
    per: Per | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        """Raise `ValueError` for a budget without a limit."""
        if self.micro_usd is None and self.tokens is None:
            raise ValueError("needs microUsd, tokens or both")
        return self


class TenantBudget(Budget):
    """What a tenant may spend in a UTC day."""

    per: Literal["day"] | None = None


def parse_budget(value: object, place: str = "budget") -> Budget:
    """The budget in a JSON value. Raises `BadUserInput`, which names the field."""
    try:
        return Budget.model_validate(value)
    except ValidationError as error:
        raise BadUserInput(problems_of(place, error)) from error


def parse_tenant_budget(value: object, place: str) -> TenantBudget:
    """Likewise, of a tenant; keys that are unknown are errors, too."""
    try:
        found = TenantBudget.model_validate(value)
    except ValidationError as error:
        raise BadUserInput(problems_of(place, error)) from error
    if wrong := next(unknown_in(found, place), None):
        raise BadUserInput(wrong.replace("unknown, and kept without effect", "unknown"))
    return found


def unknown_in(budget: Budget, place: str = "budget") -> Iterator[str]:
    """A warning for each key of a budget that has no effect."""
    return unknown_keys([(place, budget)])


def check_fallback(budget: Budget, actions: Mapping[str, Any]) -> None:
    """Raise `BadUserInput` if the budget wants fallbacks and no agent of the task has one."""
    if budget.on_exceeded != "fallback":
        return
    if not any(action.fallback for action in actions.values()):
        raise BadUserInput(
            "budget.onExceeded: fallback needs an agent with a `fallback` in agentActions; else it"
            " takes fail or pause."
        )


# What counts


@dataclass(frozen=True, slots=True)
class Amount:
    """Money and tokens together."""

    micro_usd: int = 0
    tokens: int = 0

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.micro_usd - other.micro_usd, self.tokens - other.tokens)

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.micro_usd + other.micro_usd, self.tokens + other.tokens)


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Scope:
    """What a budget counts: everything of a task, a coordination (`uuid`) or a tenant ("") in one
    period (a session, a UTC day, or all time).
    """

    kind: Kind
    uuid: str
    period: str
    budget: Budget

    @property
    def per(self) -> Per:
        """The kind of the period."""
        return self.budget.per or PER[self.kind]

    def room(self, used: Amount) -> Amount:
        """What is left when so much is spent or reserved; a dimension without a limit has all."""
        given = self.budget
        return Amount(
            MOST if given.micro_usd is None else given.micro_usd - used.micro_usd,
            MOST if given.tokens is None else given.tokens - used.tokens,
        )

    def fits(self, needed: Amount, used: Amount) -> bool:
        """Whether so much more may be reserved."""
        left = self.room(used)
        return needed.micro_usd <= left.micro_usd and needed.tokens <= left.tokens


def scope(kind: Kind, uuid: str, session_uuid: str, budget: Budget, now: datetime) -> Scope:
    """The scope of a budget for an attempt that begins now (UTC) in a session."""
    per = budget.per or PER[kind]
    if per == "session":
        return Scope(kind, uuid, f"session {session_uuid}", budget)
    return Scope(kind, uuid, now.date().isoformat() if per == "day" else "total", budget)


def next_day(now: datetime) -> datetime:
    """The beginning of the next UTC day."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


# The worst case of an attempt


@dataclass(frozen=True, slots=True)
class Tokens:
    """The most tokens that an attempt can use, in so many requests. `dearest`: how many of them can
    be output, if that is not `output`.
    """

    input: int
    output: int
    dearest: int | None = None
    requests: int = 1

    @property
    def total(self) -> int:
        """All of them."""
        return self.input + self.output


def most_tokens(
    runtime: Mapping[str, Any],
    texts: Iterable[str],
    messages: int,
    default: int,
    of_agent: tuple[int, int],
) -> Tokens | None:
    """An upper bound of the tokens of one attempt; None for a runtime that asks no model.

    A token of a byte-level tokenizer is at least one byte, so the input has at most as many tokens
    as bytes in UTF-8, plus what the model's chat template adds for each message. `default` is the
    output of a runtime that names no limit. All requests together of an agent that calls tools keep
    to its `max_total_tokens` and `max_requests`, which are at most those `of_agent`.
    """
    output = most_output(runtime, default)
    if output is None:
        return None
    if runtime.get("kind") == "agent":
        total, requests = (
            min(given, most) if is_limit(given := runtime.get(name)) else most
            for name, most in zip(("max_total_tokens", "max_requests"), of_agent, strict=True)
        )
        return Tokens(total, 0, dearest=total, requests=requests)
    bytes_ = sum(len(each.encode("utf-8", "replace")) for each in texts)
    return Tokens(bytes_ + _PER_REQUEST + _PER_MESSAGE * messages, output)


def most_output(runtime: Mapping[str, Any], default: int) -> int | None:
    """The most output of one request: what the runtime names, the larger of two limits, or
    `default`; None for a runtime that asks no model and names no limit.
    """
    spec = KINDS.get(str(runtime.get("kind")))
    asks_model = spec is not None and spec.asks_model
    named = [
        value
        for name in OUTPUT_LIMITS
        if is_limit(value := runtime.get(name)) and (not asks_model or _reads(spec, name))
    ]
    return max(named, default=default if asks_model else None)


def limited(parameters: Mapping[str, Any], most: int | None, name: str) -> dict[str, Any]:
    """The parameters of a request whose output has at most so many tokens, `name`d like this if
    they have no limit of their own; unchanged if `most` is None.
    """
    if most is None:
        return {**parameters}
    kept = {
        key: value
        for key, value in parameters.items()
        if key not in OUTPUT_LIMITS or (is_limit(value) and value <= most)
    }
    return kept if any(key in kept for key in OUTPUT_LIMITS) else {**kept, name: most}


def is_limit(value: object) -> TypeGuard[int]:
    """Whether it limits tokens; for some servers 0 and -1 are no limit."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _reads(spec: KindSpec | None, name: str) -> bool:
    return spec is not None and name in spec.reads
