"""Items that have expired are removed from the file of one machine, some rows at a time."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.local_bootstrap import build_local_app
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.budget_items import BudgetCounter
from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.parent_keys import internal
from ai_coordination_engine.store.tables import sqlite_expired
from ai_coordination_engine.store.tables.sqlite_expired import Expired
from ai_coordination_engine.store.tables.table import Table
from ai_coordination_engine.store.transitions.jobs import Job

TENANT, NOW = "acme", 1_000
SCOPE = internal("counter", "task", "t")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DatabaseFile]:
    with closing(DatabaseFile(tmp_path / "ace.db", "none")) as file:
        yield file


@pytest.fixture
def table(file: DatabaseFile) -> Table[BudgetCounter]:
    records = build_local_app(Settings(auth="local"), file).records
    return records.tables[BudgetCounter]


def put(table: Table[BudgetCounter], name: str, expires_at: int | None, tokens: int = 1) -> None:
    record = BudgetCounter(
        SCOPE, name, partition_key=TENANT, expires_at=expires_at, used_tokens=tokens
    )
    table.put(record, None)  # type: ignore[arg-type]


def left(table: Table[BudgetCounter]) -> list[str]:
    return [each.name for each in table.query_all(TENANT, SCOPE, consistent=True)]


def test_what_has_expired_is_removed_and_nothing_else(
    file: DatabaseFile, table: Table[BudgetCounter]
) -> None:
    for name, at in (("old", 999), ("now", 1_000), ("later", 2_000), ("never", None)):
        put(table, name, at)
    put(table, '"expires_at": {"N": "1"}', None)
    expired = Expired(file, {table.name: None})
    assert [expired.remove(NOW), expired.remove(NOW)] == [1, 0]
    assert left(table) == ['"expires_at": {"N": "1"}', "later", "never", "now"]
    put(table, "old", 3_000)  # written anew by a process that knew it
    assert table.get(TENANT, (SCOPE, "old"), consistent=True) is not None


def test_each_call_looks_at_some_rows_and_begins_again_after_the_last(
    file: DatabaseFile, table: Table[BudgetCounter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_expired, "LOOKED_AT", 2)
    for number in range(5):
        put(table, f"n{number}", 10 if number in (0, 3, 4) else None)
    expired = Expired(file, {table.name: None})
    assert [expired.remove(NOW) for _ in range(3)] == [1, 1, 1]
    assert left(table) == ["n1", "n2"]
    put(table, "n1", 10)
    assert [expired.remove(NOW) for _ in range(2)] == [1, 0]


def test_the_application_removes_expired_items_of_its_tables(file: DatabaseFile) -> None:
    app = build_local_app(Settings(auth="local"), file)
    put(app.records.tables[BudgetCounter], "old", 999)
    assert [app.remove_expired(), app.remove_expired()] == [1, 0]


def test_a_long_job_stays_while_its_agent_exists(file: DatabaseFile) -> None:
    """A session may be paused for longer than jobs are kept, and shows what they have used."""
    app = build_local_app(Settings(auth="local"), file)
    agents = app.records.tables[SessionAgent]
    jobs = app.records.tables[SessionRun].holding(Job)
    tenants = (TENANT, "a tenant")
    for each in tenants:
        agents.put_new(SessionAgent("s", "a", partition_key=each))
        job = Job(internal("task", "j"), "task", partition_key=each, expires_at=999)
        job.agent_session_uuid, job.session_agent_uuid = "s", "a"
        jobs.put_new(job)
    assert app.remove_expired() == 0
    agents.delete(TENANT, ("s", "a"), SessionAgent.session_uuid.exists())
    assert app.remove_expired() == 1
    found = [jobs.get(each, (internal("task", "j"), "task"), consistent=True) for each in tenants]
    assert [each is not None for each in found] == [False, True]
