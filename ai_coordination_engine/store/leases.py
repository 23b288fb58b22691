"""Leases on operational items: who holds one alone does what must not be done at the same time."""

from collections.abc import Sequence
from typing import TypeVar
from uuid import uuid4

from pynamodb.expressions.update import Action

from ai_coordination_engine.store.attributes import NumberAttribute, UnicodeAttribute
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.table import Refused, Table

LEASE_SECONDS = 35
"""How long a lease to send a message lasts: longer than the functions that send."""


class Leased(Record):
    """An item that one process at a time may send something about."""

    # the lease under which a message is sent (epoch seconds); absent: nobody is sending
    lease_until = NumberAttribute(null=True)
    version = UnicodeAttribute(null=True)  # changes with each lease, and with each message
    expires_at = NumberAttribute(null=True)  # when the item may be deleted (epoch seconds)


L = TypeVar("L", bound=Leased)


def claim(table: Table[L], read: L, now: float) -> L | None:
    """Take the lease of an item; None if others have it, or have sent a message since the item was
    read. One request.

    So messages are never sent at the same time, and each state that is sent was read after the one
    before.
    """
    if read.lease_until is not None and read.lease_until > now:
        return None
    return changed(table, read, [Leased.lease_until.set(now + LEASE_SECONDS)])


def give_back(table: Table[L], claimed: L, actions: Sequence[Action]) -> L | None:
    """Change a claimed item and give its lease back; None if it is another's. One request."""
    return changed(table, claimed, [*actions, Leased.lease_until.remove()])


def changed(table: Table[L], read: L, actions: Sequence[Action]) -> L | None:
    """Change an item under a new version, if it is as it was read; else None. One request."""
    is_same = Leased.version == read.version
    try:
        return table.update("", read.key, [*actions, Leased.version.set(str(uuid4()))], is_same)
    except Refused:
        return None
