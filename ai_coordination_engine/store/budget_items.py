"""The items of the operational table of budgets: counters, reservations, and agents that wait.

None is a record of the six. An item of a period that is over expires.
"""

from ai_coordination_engine.store.attributes import IntegerAttribute, UnicodeAttribute
from ai_coordination_engine.store.parent_keys import ParentKey
from ai_coordination_engine.store.payload import Payload
from ai_coordination_engine.store.record import Record


class BudgetCounter(Record):
    """What is used of a budget in one period: spent, or reserved by attempts that run. Absent
    numbers are 0.

    `used` is the sum of both, so that one comparison decides whether there is room.
    """

    class Meta:
        table_name = "budgets"

    record_name = "budget counter"
    scope = ParentKey(hash_key=True)
    name = UnicodeAttribute(range_key=True)  # the period
    used_micro_usd = IntegerAttribute(null=True)
    spent_micro_usd = IntegerAttribute(null=True)
    used_tokens = IntegerAttribute(null=True)
    spent_tokens = IntegerAttribute(null=True)
    # of the agent that came to wait last; absent: none waits
    waiting = UnicodeAttribute(null=True)
    expires_at = IntegerAttribute(null=True)  # epoch seconds


class Reservation(Record):
    """What one attempt has reserved, and what it has spent once that is known or assumed.

    `status`: open, assumed (it may have spent all of it) or settled.
    """

    class Meta:
        table_name = "budgets"

    record_name = "reservation"
    scope = ParentKey(hash_key=True)
    name = UnicodeAttribute(range_key=True)  # the uuid of the run
    session_agent_uuid = UnicodeAttribute(null=True)
    coordination_uuid = UnicodeAttribute(null=True)
    status = UnicodeAttribute(null=True)
    counters = Payload(null=True)  # [[kind, uuid, period], …]
    reserved_micro_usd = IntegerAttribute(null=True)
    reserved_tokens = IntegerAttribute(null=True)
    spent_micro_usd = IntegerAttribute(null=True)
    spent_tokens = IntegerAttribute(null=True)
    expires_at = IntegerAttribute(null=True)


class BudgetWaiter(Record):
    """A session agent that waits for room in a budget."""

    class Meta:
        table_name = "budgets"

    record_name = "waiting agent"
    scope = ParentKey(hash_key=True)
    name = UnicodeAttribute(range_key=True)  # the period, and the uuids of session and agent
    token = UnicodeAttribute(null=True)  # of this wait
    period = UnicodeAttribute(null=True)
    session_uuid = UnicodeAttribute(null=True)
    session_agent_uuid = UnicodeAttribute(null=True)
    needed_micro_usd = IntegerAttribute(null=True)
    needed_tokens = IntegerAttribute(null=True)
    expires_at = IntegerAttribute(null=True)
