"""The topics of changed items, and what the tables on SQLite announce."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ai_coordination_engine.adapters.changes import ProcessChanges
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.domain import topics
from ai_coordination_engine.store.changed import topics_of
from ai_coordination_engine.store.models import Session, SessionAgent, SessionRun, Task
from ai_coordination_engine.store.parent_keys import ParentKey, ShardedParentKey
from ai_coordination_engine.store.tables.sqlite import SqliteTables
from ai_coordination_engine.store.tables.table import Refused, Table

TENANT = "acme corp%20#eu"


def test_the_topics_of_an_item_are_in_its_key() -> None:
    of_session, of_tenant = topics.of_session(TENANT, "s 1"), topics.of_tenant(TENANT)
    session = ShardedParentKey.stored(TENANT, "c", 1), "s 1"
    child = ParentKey.stored(TENANT, "s 1"), "x"
    assert topics_of("my-ace-sessions", session) == (of_session, of_tenant)
    assert topics_of("my-ace-session_agents", child) == (of_session, of_tenant)
    assert topics_of("my-ace-session_runs", child) == (of_session,)
    assert topics_of("my-ace-tasks", child) == ()


class Told:
    """Collects the topics that are announced."""

    def __init__(self) -> None:
        self.changes = ProcessChanges()
        self.found: list[str] = []
        for each in (topics.of_session("acme", "s"), topics.of_tenant("acme")):
            self.changes.watch([each], lambda each=each: self.found.append(each))  # type: ignore[misc]

    def take(self) -> set[str]:
        found, self.found = {*self.found}, []
        return found


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DatabaseFile]:
    with closing(DatabaseFile(tmp_path / "ace.db", "none")) as file:
        yield file


def agent(**values: object) -> SessionAgent:
    return SessionAgent("s", "a", partition_key="acme", **values)


def test_each_kind_of_write_is_announced_once_it_is_committed(file: DatabaseFile) -> None:
    told = Told()
    tables = SqliteTables(file, told.changes)
    table = Table(SessionAgent, tables, "ace")
    both = {topics.of_session("acme", "s"), topics.of_tenant("acme")}
    table.put_new(agent())
    assert told.take() == both
    table.update(
        "acme", ("s", "a"), [SessionAgent.state.set("x")], SessionAgent.state.does_not_exist()
    )
    assert told.take() == both
    with pytest.raises(Refused):
        table.update("acme", ("s", "a"), [SessionAgent.state.set("y")], SessionAgent.state == "z")
    assert told.take() == set()
    table.put_many([agent(state="y")])
    assert told.take() == both
    write = table.update_of(
        "acme", ("s", "a"), [SessionAgent.state.set("z")], SessionAgent.state == "y"
    )
    tables.write_together([write])
    assert told.take() == both
    with file.together():
        table.delete("acme", ("s", "a"), SessionAgent.state == "z")
        assert told.take() == set()
    assert told.take() == both
    table.delete_many("acme", [("s", "a")])
    assert told.take() == both


def test_a_watch_that_begins_before_the_commit_is_told_of_it(file: DatabaseFile) -> None:
    changes, told = ProcessChanges(), list[str]()
    table = Table(SessionAgent, SqliteTables(file, changes), "ace")

    def watch_and_read() -> SessionAgent | None:
        changes.watch([topics.of_session("acme", "s")], lambda: told.append("x"))
        return table.get("acme", ("s", "a"), consistent=True)

    with ThreadPoolExecutor(1) as other, file.together():
        table.put_new(agent())
        assert other.submit(watch_and_read).result() is None
    assert told == ["x"]


def test_other_tenants_sessions_and_tables_are_not_announced(file: DatabaseFile) -> None:
    told = Told()
    tables = SqliteTables(file, told.changes)
    Table(SessionAgent, tables, "ace").put_new(SessionAgent("s", "a", partition_key="other"))
    Table(Task, tables, "ace").put_new(Task("s", "t", partition_key="acme"))
    assert told.take() == set()
    Table(SessionRun, tables, "ace").put_new(SessionRun("s", "r", partition_key="acme"))
    assert told.take() == {topics.of_session("acme", "s")}
    Table(Session, tables, "ace").put_new(Session("c", "other", partition_key="acme"))
    assert told.take() == {topics.of_tenant("acme")}


def test_the_file_says_whether_another_process_has_written(tmp_path: Path) -> None:
    with (
        closing(DatabaseFile(tmp_path / "ace.db", "none")) as own,
        closing(DatabaseFile(tmp_path / "ace.db", "none", alone=False)) as other,
    ):
        ours, theirs = (Table(SessionAgent, SqliteTables(each), "ace") for each in (own, other))
        own.others_wrote()
        ours.put_new(agent())
        assert not own.others_wrote()
        theirs.put_many([agent(state="x")])
        assert [own.others_wrote(), own.others_wrote()] == [True, False]
