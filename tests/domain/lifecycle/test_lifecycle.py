"""The rows of the life cycle have one meaning: what `holds` says is what the database does, for
every pair.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.domain.lifecycle.agents import AGENT_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.phases import MEANINGS, Phase, is_ready, phase
from ai_coordination_engine.domain.lifecycle.schedules import SCHEDULE_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.sessions import SESSION_TRANSITIONS
from ai_coordination_engine.domain.lifecycle.transition import Transition, row_by_hand
from ai_coordination_engine.domain.predicates import (
    Absent,
    Below,
    Contains,
    Differs,
    Exists,
    Given,
    OneOf,
    Unchanged,
    UpTo,
    absent,
    holds,
)
from ai_coordination_engine.domain.statuses import (
    AGENT_STATES,
    OPEN_AGENT_STATES,
    OPEN_SESSION_STATUSES,
    SCHEDULE_STATUSES,
    SESSION_STATUSES,
)
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent, TaskSchedule
from ai_coordination_engine.store.records.entities import (
    SESSION,
    SESSION_AGENT,
    TASK_SCHEDULE,
    Entity,
)
from ai_coordination_engine.store.tables.sqlite import SqliteTables
from ai_coordination_engine.store.tables.table import Refused, Table
from ai_coordination_engine.store.transitions.rows import row_condition
from benchmarks.harness.memory import in_memory

NOW, TENANT = 100, "acme"
HELD = {"run_uuid": "run", "attempt": 1, "lease_token": "mine", "lease_until": 190}
LOST = {**HELD, "lease_until": 50}
ANSWERED = {"state": "pending", "run_uuid": "run", "attempt": 1}
ASKED = {"state": "wait_for_user_input", "awaits_user": "ann", "inbox": TENANT, "waits_since": "x"}
SAMPLES: dict[str, tuple[Phase, dict[str, Any]]] = {
    "a root": (Phase.READY, {}),
    "a join": (Phase.WAITING_FOR_PREDECESSORS, {"in_degree": 2, "unfinished": {3, 4}}),
    "the last edge": (Phase.WAITING_FOR_PREDECESSORS, {"in_degree": 1, "unfinished": {3}}),
    "the last edge, asks": (
        Phase.WAITING_FOR_PREDECESSORS,
        {"in_degree": 1, "unfinished": {3}, "awaits_user": "ann"},
    ),
    "a join of some": (
        Phase.WAITING_FOR_PREDECESSORS,
        {"in_degree": 2, "unfinished": {4, 5}, "still_needed": 1},
    ),
    "a join that has enough": (
        Phase.READY,
        {"in_degree": 2, "unfinished": {4, 5}, "still_needed": 0},
    ),
    "a join that misses some": (
        Phase.UNSATISFIED,
        {"in_degree": 1, "unfinished": {3}, "still_needed": 2},
    ),
    "an edge is off": (Phase.UNSATISFIED, {"unsatisfied": True}),
    "one of two is off": (
        Phase.WAITING_FOR_PREDECESSORS,
        {"in_degree": 1, "unfinished": {3}, "unsatisfied": True},
    ),
    "asks": (Phase.ASKING, {"awaits_user": "ann"}),
    "backs off": (Phase.BACKOFF, {"state": "pending", "not_before": 150, "attempt": 1}),
    "backed off": (Phase.READY, {"state": "pending", "not_before": 100, "attempt": 1}),
    "over budget": (Phase.WAITING_FOR_BUDGET, {"state": "pending", "over_budget": {}}),
    "executes": (Phase.EXECUTING, {"state": "executing", **HELD}),
    "executes until now": (Phase.EXECUTING, {"state": "executing", **HELD, "lease_until": 100}),
    "lost": (Phase.LEASE_EXPIRED, {"state": "executing", **LOST}),
    "by hand": (Phase.BY_HAND, {"state": "executing"}),
    "acts": (Phase.ACTING, {**ANSWERED, **HELD, "acting": True}),
    "acted": (Phase.ACTION_DUE, {**ANSWERED, **LOST, "acting": True}),
    "acts later": (Phase.BACKOFF, {**ANSWERED, "acting": True, "not_before": 150}),
    "a job": (
        Phase.WAITING_FOR_JOB,
        {**ANSWERED, "lease_token": "mine", "async_task_uuid": "job", "due_at": 300},
    ),
    "a job that is concluded": (
        Phase.EXECUTING,
        {**ANSWERED, **HELD, "async_task_uuid": "job", "due_at": 300},
    ),
    "a map, writing": (
        Phase.MAP_EXPANDING,
        {"state": "pending", "mapped": 2, "generation": 1, "in_degree": 2, "unfinished": {8, 9}},
    ),
    "a map": (
        Phase.WAITING_FOR_ELEMENTS,
        {
            "state": "pending",
            "mapped": 2,
            "generation": 1,
            "in_degree": 2,
            "unfinished": {3, 9},
            "elements_sent": True,
        },
    ),
    "waits for ann": (Phase.WAITING_FOR_PERSON, ASKED),
    "waits for ann until": (Phase.WAITING_FOR_PERSON, {**ASKED, "due_at": 300, "nonce": "n"}),
    "paused": (Phase.PAUSED, {"paused": "p"}),
    "paused, lost": (Phase.PAUSED, {"state": "executing", **LOST, "paused": "p"}),
    "paused, executes": (Phase.EXECUTING, {"state": "executing", **HELD, "paused": "p"}),
    "set back": (Phase.READY, {"epoch": 2}),
    "completed": (Phase.ENDED, {"state": "completed", "lease_token": "mine"}),
    "failed": (Phase.ENDED, {"state": "failed"}),
    "skipped, owes a run": (Phase.ENDED, {"state": "skipped", **HELD, "epoch": 1}),
    "cancelled": (Phase.ENDED, {"state": "cancelled", "epoch": 2}),
    "planned": (Phase.READY, {"ordinal": 0}),
}
DIFFERENCES: dict[str, dict[str, Any]] = {
    "as it was read": {},
    "read before another attempt": {"run_uuid": "another", "lease_token": "theirs"},
    "read in another epoch": {"epoch": 7},
    "read in another state": {"state": "failed", "due_at": 1, "nonce": "another", "paused": "q"},
    "read before a lease": {
        "waits_since": "z",
        "lease_until": None,
        "generation": 9,
        "async_task_uuid": "another",
    },
}


SESSIONS: dict[str, dict[str, Any]] = {
    "reserved": {"status": "dispatched", "unconfirmed": "mine", "open_sinks": {3}},
    "given up": {"status": "dispatched", "unconfirmed": "0", "deleting": "0", "watch_at": 0},
    "started": {"status": "dispatched", "open_sinks": {3}, "open_sink_count": 1, "watch_at": 200},
    "by an equal start": {"status": "dispatched", "incarnation": "other", "strays": 50},
    "by hand": {"status": "initial"},
    "active by hand": {"status": "active"},
    "runs": {"status": "in_progress", "open_sinks": {3, 4}, "open_sink_count": 2, "watch_at": 80},
    "one sink has ended": {"status": "in_progress", "open_sinks": {4}, "open_sink_count": 1},
    "all sinks have ended": {"status": "in_progress", "open_sink_count": 0, "epoch": 1},
    "paused": {"status": "paused", "pause_token": "p", "paused_from": "dispatched", "epoch": 2},
    "set back": {"status": "in_transit", "restart": {"from": None}, "epoch": 2},
    "completed": {"status": "completed", "open_sink_count": 0},
    "completed, with a question": {"status": "completed", "outlived": True, "watch_at": 300},
    "failed": {"status": "failed", "open_sinks": {3}, "open_sink_count": 1, "epoch": 1},
    "failed, its agents ended": {"status": "failed", "agents_ended": [0, []]},
    "timeout": {"status": "timeout"},
    "cancelled": {"status": "cancelled", "epoch": 2, "agents_ended": [2, None, 3, None]},
}
SESSION_DIFFERENCES: dict[str, dict[str, Any]] = {
    "as it was read": {},
    "of an earlier session": {"nonce": "another"},
    "read in another status": {"status": "timeout", "agents_ended": [0, [7]]},
    "read in another epoch": {"epoch": 7, "paused_from": "active"},
    "read before the sweep": {"watch_at": 1, "strays": 1, "unconfirmed": "theirs"},
}


NEXT = {"next_fire_at": 160, "fire_at": 163, "fire": "00"}
SCHEDULES: dict[str, dict[str, Any]] = {
    "new": {"status": "initial", "schedule": "@daily"},
    "without an expression": {"status": "initial"},
    "active": {"status": "active", "schedule": "@daily", "revision": "r", **NEXT},
    "active, has fired": {"status": "active", "revision": "r", **NEXT, "run_count": 3},
    "active, a time waits": {"status": "active", "revision": "r", **NEXT, "buffered": {100}},
    "active, the last time waits": {"status": "active", "revision": "r", "buffered": {100}},
    "of an earlier version": {"status": "active", "schedule": "every day"},
    "paused": {"status": "paused", "revision": "r", "run_count": 3},
    "completed": {"status": "completed", "revision": "r", "run_count": 3},
}
SCHEDULE_DIFFERENCES: dict[str, dict[str, Any]] = {
    "as it was read": {},
    "read before an edit": {"revision": "another"},
    "read before its first edit": {"revision": None},
    "read before it fired": {"next_fire_at": 100, "run_count": 2},
    "read before it fired at all": {"run_count": None, "next_fire_at": None},
}


def sample(name: str, **other: Any) -> Any:
    given = {"state": "initial", "in_degree": 0, **SAMPLES[name][1], **other}
    present = {name: value for name, value in given.items() if value is not None}
    return SessionAgent("session", name, partition_key=TENANT, **present)


def session_sample(name: str, **other: Any) -> Any:
    given = {"nonce": "n", **SESSIONS[name], **other}
    present = {name: value for name, value in given.items() if value is not None}
    return Session("coordination", name, partition_key=TENANT, **present)


def schedule_sample(name: str, **other: Any) -> Any:
    given = {**SCHEDULES[name], **other}
    present = {name: value for name, value in given.items() if value is not None}
    return TaskSchedule("task", name, partition_key=TENANT, **present)


def test_the_samples_are_of_all_phases() -> None:
    for name, (expected, _) in SAMPLES.items():
        assert phase(sample(name), NOW) is expected, name
    assert {expected for expected, _ in SAMPLES.values()} == {*Phase} == {*MEANINGS}


def test_what_is_ready_is_claimed_now_or_after_its_backoff_or_its_person() -> None:
    ready = {name for name in SAMPLES if is_ready(sample(name))}
    assert ready == {
        *("a root", "a join that has enough", "asks", "backs off", "backed off"),
        *("set back", "planned"),
    }


def test_what_a_client_may_set_by_hand_is_a_column_of_the_rows() -> None:
    for rows, states in (
        (AGENT_TRANSITIONS, AGENT_STATES),
        (SESSION_TRANSITIONS, SESSION_STATUSES),
        (SCHEDULE_TRANSITIONS, SCHEDULE_STATUSES),
    ):
        found = {state: row_by_hand(rows, state) for state in (*states, "unheard", None)}
        assert {state for state, row in found.items() if row is not None} == {*states}
    ends = row_by_hand(AGENT_TRANSITIONS, "skipped")
    assert ends is not None
    assert (ends.name, ends.target) == ("end_by_hand", "skipped")
    assert ends.source == (*OPEN_AGENT_STATES, "skipped")
    pauses = row_by_hand(SESSION_TRANSITIONS, "paused")
    assert pauses is not None
    assert pauses.source == OPEN_SESSION_STATUSES


@contextmanager
def emulated(backend: str, entity: Entity, samples: list[Any]) -> Iterator[Table[Any]]:
    """The table of these records on moto, in memory, or on SQLite."""
    if backend == "sqlite":
        with TemporaryDirectory() as folder:
            file = DatabaseFile(Path(folder) / "ace.db", "none")
            table = Table(entity.model, SqliteTables(file), "ace")
            table.put_many(samples)
            yield table
            file.close()
        return
    with (
        mock_aws(),
        in_memory() if backend == "memory" else nullcontext(),
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        settings = Settings(auth="local")
        bootstrap.create_tables(settings)
        app = bootstrap.build_app(bootstrap.create_queue_and_bucket(settings))
        table = app.records.table(entity)
        for each in samples:
            table.put(each, None)
        yield table


BACKENDS = pytest.mark.parametrize("backend", ["moto", "memory", "sqlite"])


@BACKENDS
def test_the_database_does_what_the_rows_say(backend: str) -> None:
    differences = [*DIFFERENCES.values()] if backend != "moto" else [{}]
    with emulated(backend, SESSION_AGENT, [sample(name) for name in SAMPLES]) as table:
        for row in AGENT_TRANSITIONS:
            answers = {
                agreed(table, row, ("session", name), sample(name), sample(name, **each))
                for name in SAMPLES
                for each in differences
            }
            assert answers == {True, False} or backend == "moto", row.name


@BACKENDS
def test_the_database_does_what_the_rows_of_sessions_say(backend: str) -> None:
    differences = [*SESSION_DIFFERENCES.values()] if backend != "moto" else [{}]
    samples = {name: session_sample(name) for name in SESSIONS}
    with emulated(backend, SESSION, [*samples.values()]) as table:
        for row in SESSION_TRANSITIONS:
            answers = {
                agreed(table, row, record.key, record, session_sample(name, **each))
                for name, record in samples.items()
                for each in differences
            }
            # under a key of which there is no session
            nobody = ("coordination", f"none for {row.name}")
            answers.add(agreed(table, row, nobody, Session(), samples["started"]))
            assert answers == {True, False} or backend == "moto", row.name


@BACKENDS
def test_the_database_does_what_the_rows_of_schedules_say(backend: str) -> None:
    differences = [*SCHEDULE_DIFFERENCES.values()] if backend != "moto" else [{}]
    samples = {name: schedule_sample(name) for name in SCHEDULES}
    assert {each.status for each in samples.values()} == {*SCHEDULE_STATUSES}
    with emulated(backend, TASK_SCHEDULE, [*samples.values()]) as table:
        for row in SCHEDULE_TRANSITIONS:
            answers = {
                agreed(table, row, record.key, record, schedule_sample(name, **each))
                for name, record in samples.items()
                for each in differences
            }
            # under a key of which there is no schedule
            nobody = ("task", f"none for {row.name}")
            if row.condition is not None:
                answers.add(agreed(table, row, nobody, TaskSchedule(), samples["active"]))
            by_hand = row.condition is None
            assert answers == ({True} if by_hand else {True, False}) or backend == "moto", row.name


@BACKENDS
def test_the_database_does_what_every_predicate_says(backend: str) -> None:
    """Each kind, of an attribute that has a value, has another one, and has none."""
    predicates = (
        Differs("schedule", "@daily"),
        Differs("schedule", Given("target")),
        absent("schedule") | Differs("schedule", "@daily"),
        Exists("schedule"),
        Absent("schedule"),
        OneOf("status", ("active", "paused")),
        UpTo("run_count", Given("now")) & Exists("revision"),
        Below("next_fire_at", Given("epoch")) | Below("next_fire_at", 161),
        Contains("buffered", Given("now")),
        Unchanged("buffered"),
    )
    samples = [schedule_sample(name) for name in SCHEDULES]
    with emulated(backend, TASK_SCHEDULE, samples) as table:
        for each in predicates:
            row = Transition("try", "", (), None, each)
            answers = {agreed(table, row, item.key, item, samples[4]) for item in samples}
            assert answers == {True, False}, each


def agreed(table: Table[Any], row: Transition, key: Key, record: Any, seen: Any) -> bool:
    """What the row and the database both say about a record that was `seen` so."""
    given = {
        "now": NOW,
        "tenant": TENANT,
        "epoch": 1,
        "edge_id": 3,
        "sink": 3,
        "target": "completed",
        "seen": seen,
    }
    needs = row.condition
    expected = needs is None or holds(needs, record, given)
    try:
        compiled = row_condition(row, type(record), given)
        table.update(TENANT, key, [type(record).updated_by.set("x")], compiled)
        done = True
    except Refused:
        done = False
    assert (row.name, key, done) == (row.name, key, expected), seen
    return done
