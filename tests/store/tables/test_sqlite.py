"""Tables on SQLite answer as those on DynamoDB do (promise P11)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import MODELS, Session, SessionAgent, TaskSchedule
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.entities import TASK_SCHEDULE
from ai_coordination_engine.store.tables.items import Query, Refused
from ai_coordination_engine.store.tables.sqlite import SqliteTables
from ai_coordination_engine.store.tables.sqlite_layout import Layout
from ai_coordination_engine.store.tables.sqlite_queries import statement
from ai_coordination_engine.store.tables.table import Table
from ai_coordination_engine.store.tables.values import Invalid
from tests.kit.table_operations import Operation, answered, operations

NUMBERS = count()
OPERATIONS = st.lists(operations(), min_size=5, max_size=25)
trying_quickly = partial(
    trying,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a failure with long texts takes minutes to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def answer_alike(homes: tuple[Table[Any], Table[Any]], wanted: list[Operation]) -> None:
    """Each operation is answered alike on both."""
    tenant = f"tenant {next(NUMBERS)}"
    for each in wanted:
        sqlite, dynamodb = (answered(each, table, tenant) for table in homes)
        assert sqlite == dynamodb, each


@pytest.mark.only_on("dynamodb")  # compares both homes itself
@trying_quickly(max_examples=60)
@given(wanted=OPERATIONS)
def test_random_operations_are_answered_alike(
    schedules: Table[TaskSchedule], shared_app: App, wanted: list[Operation]
) -> None:
    answer_alike((schedules, shared_app.records.table(TASK_SCHEDULE)), wanted)


def test_a_repeated_write_is_known_again_whatever_the_order_of_a_set(
    schedules: Table[TaskSchedule], shared_app: App
) -> None:
    members = [f"{number}" for number in range(40)]
    for table in (schedules, shared_app.records.table(TASK_SCHEDULE)):
        for order in (members, members[::-1], members[::3] + members):
            record = TaskSchedule("t", "s", partition_key="order", running=dict.fromkeys(order))
            assert table.put_new(record) is None


@pytest.mark.dynamodb_local
@trying_quickly(max_examples=20)
@given(wanted=OPERATIONS)
def test_random_operations_are_answered_as_by_dynamodb_local(
    schedules: Table[TaskSchedule],
    on_dynamodb_local: Table[TaskSchedule],
    wanted: list[Operation],
) -> None:
    answer_alike((schedules, on_dynamodb_local), wanted)


NUMBERS_OF_38_DIGITS = [
    10**50,
    int("9" * 38),
    99 * 10**124,
    -99 * 10**124,
    1e-130,
    int("9" * 38 + "0" * 87),
    0,
]
NO_NUMBERS = [float("nan"), float("inf"), -float("inf"), int("1" * 39), 1e126, 1e-131]


@pytest.mark.parametrize(
    "home", ["schedules", pytest.param("on_dynamodb_local", marks=pytest.mark.dynamodb_local)]
)
def test_numbers_are_those_of_dynamodb(
    home: str, request: pytest.FixtureRequest, tenant: str
) -> None:
    table = request.getfixturevalue(home)
    always = TaskSchedule.task_uuid.exists() | TaskSchedule.task_uuid.does_not_exist()
    for number in NUMBERS_OF_38_DIGITS:
        table.put(TaskSchedule("t", "s", partition_key=tenant, fire_at=number), always)
        assert table.get(tenant, ("t", "s"), consistent=True).fire_at == number
    for number in NO_NUMBERS:
        record = TaskSchedule("t", "s", partition_key=tenant, fire_at=number)
        for call in (
            lambda record=record: table.put(record, always),
            lambda number=number: table.update(
                tenant, ("t", "s"), [TaskSchedule.fire_at.set(number)], always
            ),
        ):
            with pytest.raises(Exception, match=r"no number of 38 digits|ValidationException"):
                call()
    assert table.get(tenant, ("t", "s"), consistent=True).fire_at == 0


NEVER = TaskSchedule.task_uuid.exists() & TaskSchedule.task_uuid.does_not_exist()
ALWAYS = TaskSchedule.task_uuid.exists() | TaskSchedule.task_uuid.does_not_exist()
FIRE = TaskSchedule.fire
T = Table[TaskSchedule]


def schedule(tenant: str, uuid: str = "s", **values: Any) -> TaskSchedule:
    return TaskSchedule("t", uuid, partition_key=tenant, **values)


@pytest.mark.parametrize(
    "home", ["schedules", pytest.param("on_dynamodb_local", marks=pytest.mark.dynamodb_local)]
)
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda table, of: table.put(schedule(of, fire=""), ALWAYS), "invalid"),
        (lambda table, of: table.put(schedule(of, fire=""), NEVER), "invalid"),
        (lambda table, of: table.put_many([schedule(of, fire="")]), "invalid"),
        (lambda table, of: table.update(of, ("t", "s"), [FIRE.set("")], ALWAYS), "invalid"),
        (lambda table, of: table.update(of, ("t", "s"), [FIRE.set("")], NEVER), "refused"),
        (lambda table, of: table.update(of, ("t", "s"), [FIRE.set(FIRE | "")], ALWAYS), "invalid"),
        (lambda table, of: table.put(schedule(of, ""), NEVER), "invalid"),
        (lambda table, of: table.update(of, ("t", ""), [FIRE.set("x")], NEVER), "invalid"),
        (lambda table, of: table.delete(of, ("t", ""), NEVER), "invalid"),
        (lambda table, of: table.get(of, ("t", ""), consistent=True), "invalid"),
        (lambda table, of: table.get_many(of, [("t", "")], consistent=True), "invalid"),
        (lambda table, of: table.delete_many(of, [("t", "")]), "invalid"),
        (lambda table, of: table.put(schedule(of, task_query="", status=""), ALWAYS), None),
    ],
)
def test_an_empty_text_is_no_key_of_a_table_or_an_index(
    home: str,
    request: pytest.FixtureRequest,
    tenant: str,
    exists: bool,
    call: Callable[[T, str], Any],
    expected: str | None,
) -> None:
    table = request.getfixturevalue(home)
    if exists:
        table.put(schedule(tenant, status="x"), ALWAYS)
    answer = answered(Operation("", call), table, tenant)
    assert (answer[0] if isinstance(answer, tuple) else answer) == expected
    found = table.get(tenant, ("t", "s"), consistent=True)
    assert (found is not None and found.status == "x") == (exists and expected is not None)


def put(table: Table[SessionAgent], tenant: str, uuid: str, **values: Any) -> None:
    agent = SessionAgent("s", uuid, partition_key=tenant, **values)
    table.put(agent, SessionAgent.session_uuid.does_not_exist())


def test_items_share_pages(tmp_path: Path, tenant: str) -> None:
    file = DatabaseFile(tmp_path / "ace.db", "none")
    table = Table(SessionAgent, SqliteTables(file), "ace")
    pages = [page_count(file)]
    for part in range(2):
        table.put_many(
            [
                SessionAgent("s", f"{part}-{number}", partition_key=tenant, notes="x" * 1000)
                for number in range(300)
            ]
        )
        pages.append(page_count(file))
    assert 100 <= pages[2] - pages[1] <= 130  # three on a page
    file.close()


def page_count(file: DatabaseFile) -> int:
    with file.reading() as connection:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
    return int(count)


def test_of_sixteen_writers_with_one_condition_one_wins(
    agents: Table[SessionAgent], tenant: str
) -> None:
    put(agents, tenant, "a", state="pending")

    def claim(number: int) -> bool:
        actions = [SessionAgent.state.set("executing"), SessionAgent.run_uuid.set(str(number))]
        try:
            agents.update(tenant, ("s", "a"), actions, SessionAgent.state == "pending")
        except Refused as refused:
            assert refused.old.state == "executing"
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = [number for number, won in enumerate(pool.map(claim, range(64))) if won]
    found = agents.get(tenant, ("s", "a"))
    assert found is not None
    assert [found.run_uuid] == [str(number) for number in won]


def test_each_of_many_edges_is_removed_once(agents: Table[SessionAgent], tenant: str) -> None:
    edges = set(range(50))
    put(agents, tenant, "join", unfinished=edges, in_degree=50)

    def remove(edge: int) -> int | None:
        actions = [SessionAgent.unfinished.delete([edge]), SessionAgent.in_degree.add(-1)]
        needs = SessionAgent.unfinished.contains(edge)
        try:
            return agents.update(tenant, ("s", "join"), actions, needs).in_degree
        except Refused:
            return None

    with ThreadPoolExecutor(16) as pool:
        left = [*pool.map(remove, [*edges, *edges])]
    assert sorted(each for each in left if each is not None) == list(range(50))


def test_a_record_that_is_too_large_is_refused(agents: Table[SessionAgent], tenant: str) -> None:
    with pytest.raises(BadUserInput, match="too large"):
        put(agents, tenant, "a", awaits_user="x" * 409_600)
    put(agents, tenant, "a", awaits_user="\0" * 300_000)  # longer as JSON than it is
    large = SessionAgent("s", "c", partition_key=tenant, awaits_user="x" * 409_600)
    with pytest.raises(BadUserInput, match="too large"):
        agents.put_many([SessionAgent("s", "b", partition_key=tenant), large])
    assert agents.get(tenant, ("s", "b")) is None


@pytest.mark.parametrize(
    "actions",
    [
        [SessionAgent.state.set("a"), SessionAgent.state.set("b")],
        [SessionAgent.session_agent_uuid.set("b")],
        [SessionAgent.attempt.set(SessionAgent.resumed + 1)],
        [SessionAgent.unfinished.set(SessionAgent.held_after)],
    ],
    ids=["twice", "a key", "a sum of what is not there", "what is not there"],
)
def test_what_dynamodb_refuses_as_a_mistake_is_one(
    agents: Table[SessionAgent], tenant: str, actions: list[Any]
) -> None:
    put(agents, tenant, "a", state="pending")
    with pytest.raises(Invalid):
        agents.update(tenant, ("s", "a"), actions, SessionAgent.state.exists())
    found = agents.get(tenant, ("s", "a"))
    assert found is not None
    assert found.state == "pending"


def test_a_table_of_an_earlier_version_gets_the_indexes_that_it_lacks(
    file: DatabaseFile, tenant: str
) -> None:
    class Earlier(Session):
        """Before there were indexes."""

        of_status = to_watch = by_tenant = None  # type: ignore[assignment]

        class Meta:
            table_name = "sessions"

    schema = Earlier.schema()
    assert not schema["global_secondary_indexes"]
    before = Table(Earlier, SqliteTables(file), "old")
    for number in (3, 1, 2):
        watched = {"watch": tenant, "watch_at": number} if number < 3 else {}
        before.put(
            Earlier("c", str(number), partition_key=tenant, **watched),
            Session.session_uuid.does_not_exist(),
        )
    now = Table(Session, SqliteTables(file), "old")
    found, _ = now.query_index("to_watch", tenant)
    assert [(each.session_uuid, each.watch_at) for each in found] == [("1", 1), ("2", 2)]
    found, _ = now.query_index("by_tenant", tenant, forward=False)
    assert [each.session_uuid for each in found] == ["3", "2", "1"]


INDEXES = [
    (model, index["index_name"])
    for model in MODELS
    for index in model.schema()["global_secondary_indexes"]
]


@pytest.mark.parametrize(
    ("model", "index"), [*INDEXES, *((model, None) for model in MODELS)], ids=str
)
@pytest.mark.parametrize("forward", [True, False])
def test_a_query_reads_its_rows_in_order_from_an_index(
    file: DatabaseFile, model: type[Record], index: str | None, forward: bool
) -> None:
    layout = Layout.of(model, f"plan-{model.Meta.table_name}")
    file.write(layout.create)
    keys = [*layout.key_names, *((layout.indexes[index].range_key,) if index else ())]
    after = {name: {"S": "x"} for name in keys}
    with file.reading() as connection:
        for query in (
            Query("x", index=index, forward=forward),
            Query("x", index=index, forward=forward, after=after, limit=10),
        ):
            text, values = statement(layout, query)
            steps = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
            (step,) = steps
            name = f"{layout.name} {index}" if index else f"sqlite_autoindex_{layout.name}_1"
            assert f"USING INDEX {name} (" in step
