"""Budgets as they are counted: an attempt reserves its worst case before it is dispatched, and
settles what it has spent.

Each is one transaction over all counters of the attempt and its reservation, which the run's uuid
names: a repeated call changes nothing. What nobody knows to be spent is assumed to be all that was
reserved, until a late result corrects it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import reduce
from operator import and_
from uuid import uuid4

from pynamodb.expressions.update import Action

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budgets import NOTHING, Amount, Scope
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.store.budget_items import BudgetCounter, BudgetWaiter, Reservation
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.parent_keys import internal
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.items import Write
from ai_coordination_engine.store.tables.table import Refused, get_many_of

MOST_WOKEN = 100
"""Waiting agents that one look at a budget reads."""
_TRIES = 10  # of a change that others change at the same time
_KEPT_DAYS = 100  # of what a period that is over has used, and of settled reservations
_OPEN, _ASSUMED, _SETTLED = "open", "assumed", "settled"


@dataclass(frozen=True, slots=True)
class Period:
    """What a counter counts, without its limit."""

    kind: str
    uuid: str
    name: str

    @classmethod
    def of(cls, scope: Scope) -> "Period":
        """The period of a scope."""
        return cls(scope.kind, scope.uuid, scope.period)

    @property
    def key(self) -> Key:
        """The key of the counter."""
        return internal("counter", self.kind, self.uuid), self.name


@dataclass(frozen=True, slots=True)
class Used:
    """What is used of a budget: `spent`, and `reserved` by attempts that run."""

    spent: Amount = NOTHING
    reserved: Amount = NOTHING
    waiting: str | None = None

    @property
    def all(self) -> Amount:
        """Both together."""
        return self.spent + self.reserved


@dataclass(frozen=True, slots=True)
class Full:
    """A budget has no room for an attempt."""

    scope: Scope
    used: Used
    needed: Amount
    unpriced: str | None = None  # a model whose price nobody knows


@dataclass(frozen=True, slots=True)
class Spent:
    """What an attempt has used; None: nobody knows, so all that it has reserved counts."""

    micro_usd: int | None
    tokens: int | None


UNKNOWN = Spent(None, None)


@dataclass(frozen=True, slots=True)
class Gone:
    """The attempt was given up before it reserved anything."""


class Budgets:
    """The budgets of one store. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._counters = repository.tables[BudgetCounter]
        self._reservations = repository.tables[Reservation]
        self._waiters = repository.tables[BudgetWaiter]
        self._clock = repository.clock

    # Reserving

    def reserve(
        self, agent: SessionAgent, scopes: Sequence[Scope], needed: Amount
    ) -> Reservation | Full | Gone:
        """Reserve so much in all scopes for the agent's attempt, or nothing. One transaction; one
        read more when it is refused.
        """
        reservation = self._new(agent.partition_key, _key(agent, agent.run_uuid), needed, scopes)
        reservation.session_agent_uuid = agent.session_agent_uuid
        reservation.coordination_uuid = agent.coordination_uuid
        is_new = Reservation.scope.does_not_exist()
        for _ in range(_TRIES):
            writes = [self._reservations.put_of(reservation, is_new)]
            writes += [self._reserving(agent, each, needed) for each in scopes]
            if all(each.fits(needed, NOTHING) for each in scopes) and self._write(writes):
                return reservation
            if (why := self._why_not(reservation, scopes, needed)) is not None:
                return why
        raise _busy()

    def _why_not(
        self, reservation: Reservation, scopes: Sequence[Scope], needed: Amount
    ) -> Reservation | Full | Gone | None:
        """Why nothing was reserved; None: there is room by now."""
        tenant = reservation.partition_key
        keys = [Period.of(each).key for each in scopes]
        wanted = {self._reservations: [reservation.key], self._counters: keys}
        found = get_many_of(tenant, wanted, consistent=True)
        own = found[self._reservations].get(reservation.key)
        if own is not None:  # of an earlier try, or the attempt was given up meanwhile
            return own if own.status == _OPEN else Gone()
        for scope, key in zip(scopes, keys, strict=True):
            used = _used(found[self._counters].get(key))
            if not scope.fits(needed, used.all):
                return Full(scope, used, needed)
        return None

    def _reserving(self, agent: SessionAgent, scope: Scope, needed: Amount) -> Write:
        left = scope.room(needed)  # what may be used already
        room = [
            used.does_not_exist() | (used <= most)
            for used, limit, most in (
                (BudgetCounter.used_micro_usd, scope.budget.micro_usd, left.micro_usd),
                (BudgetCounter.used_tokens, scope.budget.tokens, left.tokens),
            )
            if limit is not None
        ]
        actions = [
            BudgetCounter.used_micro_usd.add(needed.micro_usd),
            BudgetCounter.used_tokens.add(needed.tokens),
            *self._named(agent.partition_key, scope.period),
        ]
        return self._counters.update_of(
            agent.partition_key, Period.of(scope).key, actions, reduce(and_, room)
        )

    def _new(
        self, tenant: str, key: Key, needed: Amount, scopes: Iterable[Scope] = ()
    ) -> Reservation:
        return Reservation(
            *key,
            partition_key=tenant,
            status=_OPEN,
            counters=[[each.kind, each.uuid, each.period] for each in scopes],
            reserved_micro_usd=needed.micro_usd,
            reserved_tokens=needed.tokens,
        )

    # Settling

    def settle(self, reservation: Reservation, spent: Spent) -> list[Period]:
        """Settle an open reservation with what was spent.

        Returns the periods for which agents may wait. One transaction, unless some wait.
        """
        periods = [Period(*each) for each in reservation.counters or ()]
        if self._settled(reservation, spent, periods, unless_waiting=True):
            return []
        return self.settle_later(reservation.partition_key, reservation.key, spent)

    def settle_of(self, agent: SessionAgent, run_uuid: str, spent: Spent) -> list[Period]:
        """Settle what an attempt has reserved, if anything; it reserves nothing afterwards. Two
        reads, and one write unless it is settled.
        """
        return self.settle_later(agent.partition_key, _key(agent, run_uuid), spent)

    def settle_later(self, tenant: str, key: Key, spent: Spent) -> list[Period]:
        """Likewise, by the key of the reservation."""
        for _ in range(_TRIES):
            found = self._reservations.get(tenant, key, consistent=True)
            if found is None:
                if self._never_reserves(tenant, key):
                    return []
                continue
            is_final = found.status == _SETTLED or (found.status, spent) == (_ASSUMED, UNKNOWN)
            periods = [Period(*each) for each in found.counters or ()]
            if is_final or self._settled(found, spent, self._kept(tenant, periods)):
                return periods
        raise _busy()

    def _kept(self, tenant: str, periods: Sequence[Period]) -> list[Period]:
        """The periods whose counters have not expired. One BatchGetItem."""
        found = self._counters.get_many(tenant, [each.key for each in periods], consistent=True)
        return [each for each in periods if each.key in found]

    def _settled(
        self,
        reservation: Reservation,
        spent: Spent,
        periods: Iterable[Period],
        *,
        unless_waiting: bool = False,
    ) -> bool:
        """Write it; False when the reservation has changed, one of the counters has expired, or
        somebody waits.
        """
        reserved, before = _reserved(reservation), _spent(reservation)
        now = Amount(
            reserved.micro_usd if spent.micro_usd is None else spent.micro_usd,
            reserved.tokens if spent.tokens is None else spent.tokens,
        )
        used = now - (reserved if reservation.status == _OPEN else before)
        more = now - before
        tenant = reservation.partition_key
        actions = [
            Reservation.status.set(_ASSUMED if spent == UNKNOWN else _SETTLED),
            Reservation.spent_micro_usd.set(now.micro_usd),
            Reservation.spent_tokens.set(now.tokens),
            Reservation.expires_at.set(self._kept_until()),
        ]
        is_same = Reservation.status == reservation.status
        counted: list[Action] = [
            BudgetCounter.used_micro_usd.add(used.micro_usd),
            BudgetCounter.used_tokens.add(used.tokens),
            BudgetCounter.spent_micro_usd.add(more.micro_usd),
            BudgetCounter.spent_tokens.add(more.tokens),
        ]
        condition = BudgetCounter.scope.exists()
        if unless_waiting:
            condition &= BudgetCounter.waiting.does_not_exist()
        own = self._reservations.update_of(tenant, reservation.key, actions, is_same)
        counters = [
            self._counters.update_of(tenant, each.key, counted, condition) for each in periods
        ]
        return self._write([own, *counters])

    def _never_reserves(self, tenant: str, key: Key) -> bool:
        """Let an attempt that is given up reserve nothing later; False when it just has."""
        none = self._new(tenant, key, NOTHING)
        none.status, none.expires_at = _SETTLED, self._kept_until()
        try:
            self._reservations.put(none, Reservation.scope.does_not_exist())
        except Refused:
            return False
        return True

    # Looking

    def open_of(self, tenant: str, session_uuid: str, session_agent_uuid: str) -> list[Reservation]:
        """The reservations of a session agent that are not settled. One Query a megabyte of all of
        its session.
        """
        scope = internal("reservation", session_uuid)
        rows = self._reservations.query_all(tenant, scope, consistent=True)
        return [
            each
            for each in rows
            if each.status == _OPEN and each.session_agent_uuid == session_agent_uuid
        ]

    def used(self, tenant: str, periods: Sequence[Period]) -> Mapping[Period, Used]:
        """What is used in each period. One BatchGetItem per 100."""
        found = self._counters.get_many(tenant, [each.key for each in periods], consistent=True)
        return {each: _used(found.get(each.key)) for each in periods}

    # Waiting

    def wait(self, agent: SessionAgent, full: Full) -> None:
        """Enter an agent among those that wait for room, once. One transaction."""
        token = str(uuid4())
        waiter = BudgetWaiter(
            internal("waiters", full.scope.kind, full.scope.uuid),
            f"{full.scope.period} {agent.session_uuid} {agent.session_agent_uuid}",
            partition_key=agent.partition_key,
            period=full.scope.period,
            token=token,
            session_uuid=agent.session_uuid,
            session_agent_uuid=agent.session_agent_uuid,
            needed_micro_usd=full.needed.micro_usd,
            needed_tokens=full.needed.tokens,
            expires_at=self._kept_until(),
        )
        tenant, key = agent.partition_key, Period.of(full.scope).key
        mark = [BudgetCounter.waiting.set(token), *self._named(tenant, full.scope.period)]
        self._counters.database.write_together(
            [
                self._waiters.put_of(waiter, None),
                self._counters.update_of(tenant, key, mark, None),
            ]
        )

    def waiters(self, tenant: str, period: Period) -> list[BudgetWaiter]:
        """The first agents that wait for room in a period, those of the oldest sessions first; of
        all periods when its name is empty. One Query.
        """
        name = period.name
        begins = (
            BudgetWaiter.name.between(f"{name} ", f"{name}!") if name else None
        )  # "!": after " "
        found, _ = self._waiters.query(
            tenant,
            internal("waiters", period.kind, period.uuid),
            limit=MOST_WOKEN,
            consistent=True,
            range_condition=begins,
        )
        return [each for each in found if not name or each.period == name]

    def forget(self, tenant: str, waiter: BudgetWaiter) -> None:
        """Remove an agent from those that wait, unless it has come again. One DeleteItem."""
        try:
            self._waiters.delete(tenant, waiter.key, BudgetWaiter.token == waiter.token)
        except Refused:
            return

    def nobody_waits(self, tenant: str, period: Period, waiting: str) -> None:
        """Let settlements no longer look for agents that wait, unless one has come meanwhile."""
        try:
            self._counters.update(
                tenant,
                period.key,
                [BudgetCounter.waiting.remove()],
                BudgetCounter.waiting == waiting,
            )
        except Refused:
            return

    # Inside

    def _named(self, tenant: str, period: str) -> list[Action]:
        """What each counter has: its tenant, and if its period ends, when it may be deleted."""
        named: list[Action] = [BudgetCounter.partition_key.set(tenant)]
        if period != "total":
            named.append(BudgetCounter.expires_at.set(self._kept_until()))
        return named

    def _write(self, writes: Sequence[Write]) -> bool:
        try:
            self._counters.database.write_together(writes)
        except Refused:
            return False
        return True

    def _kept_until(self) -> int:
        return int((self._clock.now() + timedelta(days=_KEPT_DAYS)).timestamp())


def _key(agent: SessionAgent, run_uuid: str) -> Key:
    """The key of the reservation of an attempt."""
    return internal("reservation", agent.session_uuid), run_uuid


def _reserved(reservation: Reservation) -> Amount:
    return Amount(reservation.reserved_micro_usd or 0, reservation.reserved_tokens or 0)


def _spent(found: Reservation | BudgetCounter) -> Amount:
    return Amount(found.spent_micro_usd or 0, found.spent_tokens or 0)


def _used(counter: BudgetCounter | None) -> Used:
    if counter is None:
        return Used()
    spent = _spent(counter)
    everything = Amount(counter.used_micro_usd or 0, counter.used_tokens or 0)
    return Used(spent, everything - spent, counter.waiting)


def _busy() -> Throttled:
    return Throttled("A budget is changed by many attempts at once; try again in a moment.")
