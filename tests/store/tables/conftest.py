"""Tables on each home."""

from collections.abc import Iterator

import pytest

from ai_coordination_engine import bootstrap
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.store.models import SessionAgent, TaskSchedule
from ai_coordination_engine.store.tables.creation import create
from ai_coordination_engine.store.tables.sqlite import SqliteTables
from ai_coordination_engine.store.tables.table import Table


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseFile]:
    made = DatabaseFile(tmp_path_factory.mktemp("sqlite") / "ace.db", "none")
    yield made
    made.close()


@pytest.fixture
def schedules(file: DatabaseFile) -> Table[TaskSchedule]:
    return Table(TaskSchedule, SqliteTables(file), "ace")


@pytest.fixture
def agents(file: DatabaseFile) -> Table[SessionAgent]:
    return Table(SessionAgent, SqliteTables(file), "ace")


@pytest.fixture
def on_dynamodb_local(dynamodb_local: str, monkeypatch: pytest.MonkeyPatch) -> Table[TaskSchedule]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_local)
    database = bootstrap.connect()
    create(database, TaskSchedule, "alike-task_schedules")
    return Table(TaskSchedule, database, "alike")


@pytest.fixture(
    params=["schedules", pytest.param("on_dynamodb_local", marks=pytest.mark.dynamodb_local)]
)
def table(request: pytest.FixtureRequest) -> Table[TaskSchedule]:
    """A table on SQLite, and one on DynamoDB Local."""
    found: Table[TaskSchedule] = request.getfixturevalue(request.param)
    return found
