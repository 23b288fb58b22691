"""Which transitions of the life cycle were written while workers died at their calls, on each home.

The whole suite must have written every one of them so, but for those in `EXCEPT`.
"""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any

from pynamodb.expressions.condition import Condition

from ai_coordination_engine.domain.lifecycle.agents import AGENT_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.agents_by_hand import (
    COUNT_BY_HAND,
    DELETE_BY_HAND,
    DELETE_NEEDED,
)
from ai_coordination_engine.domain.lifecycle.schedules import SCHEDULE_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.sessions import SESSION_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.transition import Transition, row_by_hand
from ai_coordination_engine.domain.predicates import Predicate
from ai_coordination_engine.store.models import Session, TaskSchedule
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.dynamodb import DynamoDb
from ai_coordination_engine.store.tables.sqlite import SqliteTables
from ai_coordination_engine.store.tables.table import Table
from ai_coordination_engine.store.transitions import rows
from tests.kit import crashes
from tests.kit.homes import CI, HOMES

KINDS = {
    "agent": AGENT_TRANSITIONS,
    "session": SESSION_TRANSITIONS,
    "schedule": SCHEDULE_TRANSITIONS,
}
ALL = {f"{kind} {row.name}" for kind, rows in KINDS.items() for row in rows}
_OF_A_CLIENT = "one write of a client, from which nothing follows"
EXCEPT = {
    "agent count_by_hand": _OF_A_CLIENT,
    "agent delete_needed": _OF_A_CLIENT,
    "agent open_by_hand": _OF_A_CLIENT,
    "schedule activate": _OF_A_CLIENT,
    "schedule stop": _OF_A_CLIENT,
    "session note": "remembers a call that changed nothing",
    "agent give_back": "needs two workers that die; random histories write it, in CI",
    "agent pause_element": "pauses a new element of a paused map; whoever resumes it looks itself",
    "agent take_back": "deletes an element that its map does not wait for; nobody runs it",
    "session take_back": "test_taken_back.py lets a start die behind it",
    "schedule pause_after_failure": "one write, which a message that comes again makes again",
}
"""By name: why nobody dies at each call beside it."""
RANDOM = {
    "agent expire_lease",
    "agent refill",
    "agent renew",
    "session confirm_begun",
    "session fail_by_only_sink",
    "session leave_strays",
    "session remove_strays",
}
"""Those beside which workers die at random points, in random histories; at each call is as good."""
ONE_COMMIT = {"session confirm_begun", "session leave_strays", "session remove_strays"}
"""Those of several starts of one session: on SQLite a start is one commit, which nobody joins."""
written: set[str] = set()
"""What was written while workers died: `each home: kind name`, and `random home: …`."""
_names: dict[rows.Compiled, set[str]] = {}


def wrong(found: set[str]) -> list[str]:
    """What the whole suite has not written while workers died, and what need not be excepted."""
    lines = []
    for home in HOMES if CI else HOMES[:1]:  # without CI, less runs on SQLite
        each_call, at_random = _of(f"each {home}", found), _of(f"random {home}", found)
        random = RANDOM - (ONE_COMMIT if home == "sqlite" else set())
        missing = (ALL - each_call - {*EXCEPT} - RANDOM) | (random - at_random - each_call)
        lines += [f"{home}: nobody died beside `{name}`" for name in sorted(missing)]
        needless = each_call & {*EXCEPT}
        lines += [f"{home}: at each call beside `{name}`, too" for name in sorted(needless)]
    return lines


def _of(what: str, found: set[str]) -> set[str]:
    return {each.partition(": ")[2] for each in found if each.startswith(f"{what}: ")}


def record() -> None:
    """Record from here on."""
    _predicate, _compiled = rows._predicate, rows.compiled

    @wraps(_predicate)
    def predicate(row: Transition, model: type[Record]) -> rows.Compiled | None:
        found = _predicate(row, model)
        if found is not None:
            _names.setdefault(found, set()).add(f"{_kind(model)} {row.name}")
        return found

    @wraps(_compiled)
    def compiled(needs: Predicate, model: type[Record]) -> rows.Compiled:
        found = _compiled(needs, model)
        by_hand = {name for name, each in _by_hand() if each == needs}
        if by_hand:
            _names.setdefault(found, set()).update(by_hand)
        return found

    rows._predicate, rows.compiled = predicate, compiled  # type: ignore[assignment]
    for name in ("put", "update", "delete"):
        setattr(Table, name, _recording(getattr(Table, name)))
    for tables in (DynamoDb, SqliteTables):
        tables.write_together = _recording_all(tables.write_together)


def _recording(write: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(write)
    def recorded(table: Table[Any], *given: Any, **named: Any) -> Any:
        done = write(table, *given, **named)
        if crashes.dying[0]:
            home = "dynamodb" if isinstance(table.database, DynamoDb) else "sqlite"
            _note(home, named["condition"] if "condition" in named else given[-1])
        return done

    return recorded


def _recording_all(write: Callable[..., None]) -> Callable[..., None]:
    @wraps(write)
    def recorded(tables: Any, writes: Sequence[Any]) -> None:
        write(tables, writes)
        for each in writes if crashes.dying[0] else ():
            _note("dynamodb" if isinstance(tables, DynamoDb) else "sqlite", each.condition)

    return recorded


def _note(home: str, condition: Any) -> None:
    if isinstance(condition, rows.PredicateCondition):
        names = _names.get(condition._predicate, ())
        written.update(f"{crashes.dying[0]} {home}: {name}" for name in names)
    elif isinstance(condition, Condition):
        for each in condition.values:
            _note(home, each)


def _kind(model: type[Record]) -> str:
    return {Session: "session", TaskSchedule: "schedule"}.get(model, "agent")  # type: ignore[call-overload]


@cache
def _by_hand() -> list[tuple[str, Predicate]]:
    """The conditions of what a client writes by hand, which are not written as rows."""
    found = []
    for kind, transitions in KINDS.items():
        for row in transitions:
            each_so = [row_by_hand(transitions, state) or row for state in row.by_hand]
            found += [(f"{kind} {row.name}", each.condition) for each in each_so if each.condition]
    others = (COUNT_BY_HAND, DELETE_BY_HAND, DELETE_NEEDED)
    found += [(f"agent {row.name}", row.condition) for row in others if row.condition]
    return found
