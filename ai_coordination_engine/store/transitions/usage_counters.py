"""Counters of what sessions used: of each day, by coordination, agent and model; of each
coordination, by day; and of its agents.

They are internal items in the table of session runs. One transaction adds what is new of a session
and writes into the session what was counted of it, so that nothing is counted twice. Where many
sessions end at once, their counters are spread over shards, which readers add up.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from ai_coordination_engine.domain.accounts import (
    MEASURES,
    NOTHING,
    Account,
    Accounts,
    Counts,
    stored,
)
from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.store.attributes import (
    IntegerAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.parent_keys import ParentKey, internal
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.entities import SESSION, SESSION_RUN
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.items import Write
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.rows import assignments, same

SHARDS = 16
MOST_MODELS = 100
"""Models that a tenant's day counts by name; what else its runtimes report is counted together."""
OTHERS = "other"
UNCOUNTED = -1
"""The `counted_epoch` of a session, open or not, that is to be counted now."""
AT_ONCE = 30  # accounts of one transaction: it takes 100 items
_MOST_KNOWN = 1_000  # days of tenants whose models a process remembers
_OF_DAYS, _OF_COORDINATIONS, _OF_AGENTS = "usage", "usage_of", "usage_of_agents"
_MODELS = "usage_models"
_RANDOM = Random()  # noqa: S311 (a shard is no secret)


class UsageCounter(Record):
    """The counts of one account, in one of its shards; or the names of a day's models."""

    record_name = "usage counter"
    session_uuid = ParentKey(hash_key=True)
    run_uuid = UnicodeAttribute(range_key=True)
    day = UnicodeAttribute(null=True)
    coordination_uuid = UnicodeAttribute(null=True)
    agent_uuid = UnicodeAttribute(null=True)
    model = UnicodeAttribute(null=True)
    models = UnicodeSetAttribute(null=True)
    runs = IntegerAttribute(null=True)
    failed_runs = IntegerAttribute(null=True)
    unpriced_runs = IntegerAttribute(null=True)
    micro_usd = IntegerAttribute(null=True)
    input_tokens = IntegerAttribute(null=True)
    output_tokens = IntegerAttribute(null=True)
    cached_tokens = IntegerAttribute(null=True)
    reasoning_tokens = IntegerAttribute(null=True)
    requests = IntegerAttribute(null=True)
    tool_calls = IntegerAttribute(null=True)
    tokens_squared = IntegerAttribute(null=True)
    micro_usd_squared = IntegerAttribute(null=True)

    @property
    def account(self) -> Account:
        """What it counts for; its day only, if it is of a coordination."""
        return Account(self.day, self.agent_uuid or "", self.model or "")

    @property
    def counts(self) -> Counts:
        """The counts of this shard."""
        return Counts(*(getattr(self, name) or 0 for name in MEASURES))


_ALWAYS = UsageCounter.deleting.does_not_exist()


class UsageCounters:
    """The counters of one store. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._records = repository
        self._sessions = repository.table(SESSION)
        self._table = repository.table(SESSION_RUN).holding(UsageCounter)
        self._known: dict[tuple[str, str], frozenset[str]] = {}

    def add(
        self, session: Session, counted: Accounts, new: Accounts, *, is_all: bool, again: bool
    ) -> bool:
        """Count what is `new` of a session, of which `counted` was counted before. One transaction.

        False, and nothing is counted, when the session is not as it was read, or others count in
        the same moment. `is_all`: nothing is left to count then. `again`: it was tried before; a
        shard of its own evades others.
        """
        shard = _RANDOM.randrange(1, SHARDS) if again else 0
        tenant, key = session.partition_key, session.key
        after = {**counted, **{each: counted.get(each, NOTHING) + new[each] for each in new}}
        counts = {"counted": stored(after)}
        values: dict[str, Any] = {
            **self._records.store(SESSION, tenant, key, counts, session.nonce),
            "counted_times": (session.counted_times or 0) + 1,
            **(_all_counted(session) if is_all else {}),
        }
        is_as_read = (
            Session.session_uuid.exists()
            & same(Session.nonce, session.nonce)
            & same(Session.counted_times, session.counted_times)
            & same(Session.counted_epoch, session.counted_epoch)
        )
        named = dict[str, set[str]]()
        part = self._sessions.update_of(tenant, key, assignments(Session, values), is_as_read)
        try:
            self._sessions.database.write_together([part, *self._parts(session, new, shard, named)])
        except Refused:
            return False
        except Throttled:  # perhaps others count in the same moment
            if again:
                raise
            return False
        for day, models in named.items():
            self._known[tenant, day] |= models
        return True

    def note(self, session: Session) -> Session | None:
        """Note that a session is metered; as it is then. None: it was deleted meanwhile."""
        is_there = Session.session_uuid.exists() & same(Session.nonce, session.nonce)
        actions = [Session.metered.set(True)]
        try:
            return self._sessions.update(session.partition_key, session.key, actions, is_there)
        except Refused:
            return None

    def of_days(
        self,
        tenant: str,
        day: str,
        *,
        coordination_uuid: str | None = None,
        after: str | None = None,
        most: int | None = None,
    ) -> Iterator[UsageCounter]:
        """The counters of a day, those of one account one after the other; `after` such a row. One
        Query a megabyte, or `most` rows.
        """
        partition = internal(_OF_DAYS, day)
        ranges = None
        if coordination_uuid is not None:
            begins = _digest(coordination_uuid)
            ranges = UsageCounter.run_uuid.between(begins, f"{begins}~")
        key = self._table.after(tenant, partition, after) if after is not None else None
        while True:
            rows, key = self._table.query(
                tenant, partition, after=key, limit=most, range_condition=ranges
            )
            yield from rows
            if key is None:
                return

    def of_coordination(
        self, tenant: str, coordination_uuid: str, since: str | None
    ) -> Iterator[UsageCounter]:
        """The counters of a coordination from a day on. One Query a megabyte."""
        partition, key = internal(_OF_COORDINATIONS, coordination_uuid), None
        ranges = None if since is None else UsageCounter.run_uuid >= since
        while True:
            rows, key = self._table.query(tenant, partition, after=key, range_condition=ranges)
            yield from rows
            if key is None:
                return

    def of_agents(self, tenant: str, coordination_uuid: str) -> Iterator[UsageCounter]:
        """The counters of a coordination's agents, of all days. One Query a megabyte."""
        return self._table.query_all(tenant, internal(_OF_AGENTS, coordination_uuid))

    # Inside

    def _parts(
        self, session: Session, new: Accounts, shard: int, names: dict[str, set[str]]
    ) -> Iterator[Write]:
        """The parts of the transaction that add to the counters; `names` gets models that are new
        on their days.
        """
        coordination, by_day = session.coordination_uuid, dict[str, Counts]()
        by_account, by_agent = dict[Account, Counts](), dict[str, Counts]()
        for each, counts in new.items():
            by_agent[each.agent_uuid] = by_agent.get(each.agent_uuid, NOTHING) + counts
            by_day[each.day] = by_day.get(each.day, NOTHING) + counts
            model = self._name_of(session.partition_key, each.day, each.model, names)
            account = each._replace(model=model, epoch=0)
            by_account[account] = by_account.get(account, NOTHING) + counts
        for account, counts in by_account.items():
            values = {
                "day": account.day,
                "agent_uuid": account.agent_uuid,
                "model": account.model,
                "coordination_uuid": coordination,
            }
            key = internal(_OF_DAYS, account.day), _row(coordination, account, shard)
            yield self._part(session, key, values, counts)
        for agent, counts in by_agent.items():
            values = {"agent_uuid": agent, "coordination_uuid": coordination}
            key = internal(_OF_AGENTS, coordination), f"{_digest(agent)} {shard:02d}"
            yield self._part(session, key, values, counts)
        for day, counts in by_day.items():
            values = {"day": day, "coordination_uuid": coordination}
            key = internal(_OF_COORDINATIONS, coordination), f"{day} {shard:02d}"
            yield self._part(session, key, values, counts)
        for day, more in names.items():
            key, added = (internal(_MODELS, day), _MODELS), UsageCounter.models.add(more)
            yield self._table.update_of(session.partition_key, key, [added], _ALWAYS)

    def _part(self, session: Session, key: Key, values: Mapping[str, str], counts: Counts) -> Write:
        tenant = session.partition_key
        adding = [
            getattr(UsageCounter, name).add(count)
            for name, count in zip(MEASURES, counts.values(), strict=True)
            if count
        ]
        named = assignments(UsageCounter, {**values, "partition_key": tenant})
        return self._table.update_of(tenant, key, [*adding, *named], _ALWAYS)

    def _name_of(self, tenant: str, day: str, model: str, names: dict[str, set[str]]) -> str:
        """The name under which a model is counted; a new one is added to `names` of its day.

        One request for a day's first model in this process, and for each that it does not know.
        """
        known = self._known.get((tenant, day), frozenset())
        if model in known or model in names.get(day, ()):
            return model
        found = self._table.get(tenant, (internal(_MODELS, day), _MODELS))
        known = frozenset(found.models or ()) if found is not None else frozenset()
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[tenant, day] = known
        if model in known:
            return model
        if len(known) + len(names.get(day, ())) >= MOST_MODELS:
            return OTHERS
        names.setdefault(day, set()).add(model)
        return model


def row_without_shard(counter: UsageCounter) -> str:
    """What the shards of one account share of their range keys."""
    row: str = counter.run_uuid
    return row.rpartition(" ")[0]


def _all_counted(session: Session) -> dict[str, int | None]:
    """What says that nothing of a session is left to count."""
    if session.status in TERMINAL_SESSION_STATUSES:
        return {"counted_epoch": session.epoch or 0}
    return {"counted_epoch": None} if session.counted_epoch == UNCOUNTED else {}


def _digest(*texts: str) -> str:
    """The beginning of a row: names may be longer than a key."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:24]


def _row(coordination_uuid: str, account: Account, shard: int) -> str:
    of_account = _digest(account.agent_uuid, account.model)
    return f"{_digest(coordination_uuid)} {of_account} {shard:02d}"
