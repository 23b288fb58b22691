"""Starting a session: who takes part, what it costs, and that a client may repeat it."""

import json
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from ai_coordination_engine.domain.subtasks import fill_subtask
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.engine.graph import session_agents, sharing
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.errors import BadUserInput, Conflict, CoordinationError, NotFound
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import guards, write_tokens
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION, TASK
from benchmarks.harness.api import Api, Calls, Worker
from tests.kit.crashes import Crash, Turns, tripping
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "bc"}
CHAIN = {"a": "", "b": "a", "c": "b", "d": "c", "e": "d"}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


# Who takes part


def test_session_agents_have_the_in_degrees_of_their_graph(stage: Stage) -> None:
    session = stage.start(stage.define({**DIAMOND, "e": "ad"}))
    agents = stage.agents(session.session_uuid)
    assert [(each.agent_uuid, each.in_degree, each.state) for each in agents] == [
        ("a", 0, "initial"),
        ("b", 1, "initial"),
        ("c", 1, "initial"),
        ("d", 2, "initial"),
        ("e", 2, "initial"),
    ]
    assert session.status == "dispatched"
    assert [wake.session_agent_uuid for wake in stage.queue.sent] == [agents[0].session_agent_uuid]


def test_several_subtasks_of_an_agent_are_several_session_agents_and_a_successor_waits_for_all(
    stage: Stage,
) -> None:
    subtasks = [{"agent_uuid": "a", "subtask_query": f"part {number}"} for number in range(3)]
    session = stage.start(
        stage.define({"a": "", "b": "a"}, subtasks=[*subtasks, {"agent_uuid": "b"}])
    )
    agents = stage.agents(session.session_uuid)
    assert [(each.agent_uuid, each.in_degree) for each in agents] == [
        ("a", 0),
        ("a", 0),
        ("a", 0),
        ("b", 3),
    ]
    stage.drain()
    check_promises(stage, session)
    requests = stage.runtime.requests
    assert sorted(request.input for request in requests[:3]) == ["part 0", "part 1", "part 2"]
    assert requests[3].input == "Output of a:\nA\n\n" * 3 + "begin"


def test_a_session_agent_of_several_that_wait_has_edges_of_its_own(stage: Stage) -> None:
    subtasks = [
        {"agent_uuid": uuid, "subtask_query": f"{uuid}{number}"}
        for uuid in "ab"
        for number in range(2)
    ]
    session = stage.start(
        stage.define({"a": "", "b": "a", "c": "b"}, subtasks=[*subtasks, {"agent_uuid": "c"}])
    )
    assert [each.in_degree for each in stage.agents(session.session_uuid)] == [0, 0, 2, 2, 2]
    stage.drain()
    check_promises(stage, session)


def test_agents_that_nobody_names_do_not_take_part(stage: Stage) -> None:
    names = stage.define({"a": "", "b": "a", "idle": ""})
    assert set(stage.states(stage.start(names).session_uuid)) == {"a", "b"}


def test_without_any_name_every_agent_of_type_task_takes_part(stage: Stage) -> None:
    names = stage.define(
        {"a": "", "b": "", "t": ""},
        agents={"t": {"agent_type": "triage"}, "b": {"agent_type": "task"}},
    )
    assert set(stage.states(stage.start(names).session_uuid)) == {"a", "b"}


def test_a_task_without_agents_cannot_be_started(stage: Stage) -> None:
    names = stage.define({"t": ""}, agents={"t": {"agent_type": "triage"}})
    with pytest.raises(BadUserInput, match="no agent that could run"):
        stage.start(names)
    assert stage.queue.sent == []


def test_unknown_coordinations_and_tasks_are_not_found_and_leave_nothing(stage: Stage) -> None:
    coordination, task = stage.define({"a": ""})
    missing_task = f'There is no such task: "nobody" in the coordination "{coordination}".'
    for names, message in (
        ((coordination, "nobody"), missing_task),
        (("nobody", task), 'There is no such coordination: "nobody".'),
    ):
        with pytest.raises(NotFound) as missing:
            stage.start(names)
        assert missing.value.message == message
    with pytest.raises(NotFound):
        execute_procedure(stage.app, "other", Start(coordination, task))
    assert list(stage.looking.table(SESSION).query_all(TENANT, coordination)) == []


# What the agents are asked


def test_placeholders_are_filled_from_a_json_task_query(stage: Stage) -> None:
    names = stage.define(
        {"a": ""},
        subtasks=[
            {"agent_uuid": "a", "subtask_query": "{greeting}, {who}! {count} {unknown} {list}"}
        ],
    )
    stage.start(
        names, task_query='{"greeting": "Hello", "who": "Ann", "count": 3, "list": [1, "é"]}'
    )
    stage.drain()
    assert [request.input for request in stage.runtime.requests] == [
        'Hello, Ann! 3 {unknown} [1, "é"]'
    ]


def test_a_task_query_that_is_no_object_fills_nothing(stage: Stage) -> None:
    stage.start(
        stage.define({"a": ""}, subtasks=[{"agent_uuid": "a", "subtask_query": "{who}"}]),
        task_query="[1]",
    )
    stage.drain()
    assert [request.input for request in stage.runtime.requests] == ["{who}"]


def test_an_agent_without_a_subtask_is_asked_the_task_query(stage: Stage) -> None:
    names = stage.define({"a": ""})
    stage.start(names)
    stage.start(names, task_query="mine")
    stage.drain()
    assert [request.input for request in stage.runtime.requests] == ["begin", "mine"]


def test_a_large_task_query_goes_to_a_blob_and_is_shared_by_the_agents(stage: Stage) -> None:
    text = "long " * 20_000
    names = stage.define(
        dict.fromkeys("abcdefgh", ""), subtasks=[{"agent_uuid": uuid} for uuid in "abcdefgh"]
    )
    session = stage.start(names, task_query=text)
    agents = stage.agents(session.session_uuid)
    assert len({each.task_query for each in agents}) == 1
    assert len(stage.blobs.puts) == len(set(stage.blobs.puts)) <= 2
    stage.drain()
    assert {request.input for request in stage.runtime.requests} == {text}


# What it costs


START = """mutation($c: String!, $t: String!) {
  executeProcedureTaskSession(coordinationUuid: $c, taskUuid: $t) { procedureTaskSession {
      sessionUuid } } }"""


def define(app: App, graph: dict[str, str]) -> tuple[str, str]:
    return stage_of(app).define(graph)


def test_starting_five_agents_costs_seven_calls(app: App, api: Api, calls: Calls) -> None:
    names = define(app, {"a": "", "b": "a", "c": "a", "d": "bc", "e": "d"})
    api.data(START, c=names[0], t=names[1])
    assert calls.taken() == {
        # the coordination, the task, and the coordination again when everything is written
        "GetItem": 3,
        "PutItem": 2,  # the session, and the first agent, which confirms it
        "BatchWriteItem": 1,
        "SendMessageBatch": 1,
    }


def test_starting_one_agent_costs_six_calls(app: App, api: Api, calls: Calls) -> None:
    names = define(app, {"a": ""})
    api.data(START, c=names[0], t=names[1])
    assert calls.taken() == {"GetItem": 3, "PutItem": 2, "SendMessageBatch": 1}


@pytest.mark.only_on("dynamodb")  # requests to AWS are counted
def test_a_chain_of_five_costs_at_most_thirty_calls(app: App, api: Api) -> None:
    names = define(app, CHAIN)
    calls, worker = Calls(app), Worker(app)
    worker.client.meta.events.register("before-call.*.*", calls._count)
    api.data(START, c=names[0], t=names[1])
    assert worker.drain() == 1
    taken = calls.taken()
    assert taken == {
        "GetItem": 3,
        "BatchWriteItem": 1,
        "SendMessageBatch": 1,
        "ReceiveMessage": 2,  # the message, and that there is no other
        "DeleteMessage": 1,
        "PutItem": 7,  # the session, its first agent and five runs
        "UpdateItem": 1 + 5 + 4 + 1,  # claim, complete, last edge and claim, the end
    }
    assert sum(taken.values()) <= 30


# Repeating


def check_one_session(stage: Stage, session: Session, agents: int = 4) -> None:
    sessions = list(stage.looking.table(SESSION).query_all(TENANT, session.coordination_uuid))
    assert [each.session_uuid for each in sessions] == [session.session_uuid]
    assert [each.agent_uuid for each in stage.agents(session.session_uuid)] == list(
        "abcde"[:agents]
    )


def test_a_start_with_the_same_uuid_again_changes_nothing(stage: Stage) -> None:
    names = stage.define(DIAMOND)
    first = stage.start(names, session_uuid="mine")
    second = stage.start(names, session_uuid="mine")
    assert first.attribute_values == second.attribute_values
    check_one_session(stage, first)
    # as long as nothing has begun: the first try may have died before it sent
    assert len(stage.queue.sent) == 2
    stage.drain()
    assert stage.runtime.ran() == ["a", "b", "c", "d"]
    before = stage.everything(first)
    assert stage.start(names, session_uuid="mine").status == "completed"
    assert stage.everything(first) == before


def test_the_same_uuid_for_something_else_is_a_conflict(stage: Stage) -> None:
    names = stage.define(DIAMOND)
    session = stage.start(names, session_uuid="mine")
    before = stage.everything(session)
    for other in ({"task_query": "other"}, {"user_id": "ann"}, {"input_files": ["f"]}):
        with pytest.raises(Conflict):
            stage.start(names, session_uuid="mine", **other)
    assert stage.everything(session) == before


def test_a_uuid_of_another_tenants_session_is_free(stage: Stage) -> None:
    coordination, task = stage.define(DIAMOND)
    record = Session(
        coordination, "theirs", partition_key="other", status="active", open_sink_count=1
    )
    table = stage.looking.table(SESSION)
    table.put(record, Session.session_uuid.does_not_exist())
    stored = record.serialize()
    session = stage.start((coordination, task), session_uuid="theirs")
    stage.drain()
    check_promises(stage, session)
    assert table.get("other", (coordination, "theirs"), consistent=True).serialize() == stored


@pytest.mark.parametrize("seed", range(12))
def test_concurrent_starts_with_one_uuid_make_one_session(app: App, seed: int) -> None:
    stage = stage_of(app)
    names = stage.define(DIAMOND)
    turns = Turns(Random(seed))
    stage.boundary.reach = lambda name: turns.pause()
    turns.run([lambda: (stage.start(names, session_uuid="mine"), None)[1]] * 3)
    stage.boundary.reach = lambda name: None
    session = stage.looking.get(SESSION, TENANT, (names[0], "mine"))
    assert session.status == "dispatched"
    check_one_session(stage, session)
    stage.drain()
    check_promises(stage, session)
    assert sorted(stage.runtime.ran()) == list("abcd")


@pytest.mark.only_on("dynamodb")  # the answer of a file is not lost
def test_a_start_that_repeats_its_first_write_beside_an_equal_one_is_seen_once_it_is_whole(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, names, reached = stage.app.records.table(SESSION), stage.define(DIAMOND), list[str]()
    put, key, act = sessions.put, (names[0], "mine"), stage.app.sessions

    def put_twice(session: Session, condition: Any) -> None:
        """The answer to the first write is lost, and meanwhile an equal start takes part."""
        put(session, condition)
        act.join(session, write_tokens.new_token(stage.clock.now()))
        put(session, condition)

    def die_when_agents_are_written(name: str) -> None:
        reached.append(name)
        if reached.count("BatchWriteItem") == 2:  # before it, and after it
            raise Crash

    monkeypatch.setattr(sessions, "put", put_twice)
    stage.boundary.reach = die_when_agents_are_written
    with pytest.raises(Crash):
        stage.start(names, session_uuid="mine")
    stage.boundary.reach = lambda name: None
    monkeypatch.undo()
    assert stage.app.records.get(SESSION, TENANT, key, consistent=True) is None
    session = stage.start(names, session_uuid="mine")
    check_one_session(stage, session)
    stage.drain()
    check_promises(stage, session)


@pytest.mark.parametrize("meanwhile", ["nothing", "workers", "a long time", "both"])
def test_a_client_may_repeat_a_start_that_died_at_any_point(app: App, meanwhile: str) -> None:
    stage = stage_of(app)
    graph = {"a": "", "b": "", "c": "ab", "d": "c"}
    point = 1
    while True:
        names = stage.define(graph)
        died = False
        with tripping(stage, point):
            try:
                session = stage.start(names, session_uuid="mine-" + names[0])
            except Crash:
                died = True
        if meanwhile in ("workers", "both"):
            stage.drain()
        if meanwhile in ("a long time", "both"):
            stage.clock.advance(61)
        session = stage.start(names, session_uuid="mine-" + names[0])
        worked = meanwhile in ("workers", "both")
        assert session.status in (
            ("dispatched", "in_progress", "completed") if worked else ("dispatched",)
        )
        check_one_session(stage, session)
        stage.drain()
        check_promises(stage, session)
        check_redelivery_changes_nothing(stage, session)
        stage.queue.sent.clear()
        if not died:
            break
        point += 1
    assert point == 19  # 9 calls, before and after


def test_a_repeated_start_dies_at_any_point_too(app: App) -> None:
    stage = stage_of(app)
    point = 1
    while True:
        names = stage.define({"a": "", "b": "a"})
        with tripping(stage, 12), pytest.raises(Crash):
            stage.start(names, session_uuid="mine-" + names[0])
        stage.clock.advance(61)
        with tripping(stage, point) as second:
            session = stage.until_it_succeeds(
                lambda: stage.start(names, session_uuid="mine-" + names[0])  # noqa: B023
            )  # noqa: B023, RUF100
        check_one_session(stage, session, 2)
        stage.drain()
        check_promises(stage, session)
        if not second.trips:
            return
        point += 1


# The coordination goes away meanwhile


@pytest.mark.parametrize("starts", [1, 2])
def test_whatever_a_start_and_a_delete_do_to_each_other_nothing_is_left_half_done(
    app: App, starts: int
) -> None:
    stage = stage_of(app)
    outcomes = Counter(race(stage.renew(Random(seed)), Random(seed), starts) for seed in range(25))
    assert outcomes["started", "HasDependents"] > 0
    assert outcomes["nothing", "deleted"] > 0


def race(stage: Stage, random: Random, starts: int) -> tuple[str, str]:
    """One start, or the same one several times, against the delete of the task and the
    coordination.
    """
    names = stage.define({"a": "", "b": "a"})
    coordination, mine = names[0], f"mine-{names[0]}"
    deleted: list[str] = []

    def start() -> None:
        with suppress(NotFound, Conflict):
            stage.start(names, session_uuid=mine)

    def delete() -> None:
        guards.delete(stage.app.records, TASK, TENANT, names)
        try:
            guards.delete(stage.app.records, COORDINATION, TENANT, (TENANT, coordination))
            deleted.append("deleted")
        except CoordinationError as error:
            deleted.append(type(error).__name__)

    turns = Turns(random)
    stage.boundary.reach = lambda name: turns.pause()
    turns.run([start] * starts + [delete])
    stage.boundary.reach = lambda name: None
    while sweep(stage.app):  # what was taken back
        pass
    session = stage.looking.table(SESSION).get(TENANT, (coordination, mine), consistent=True)
    if session is None:
        stage.drain()
        assert (stage.agents(mine), stage.runs(mine)) == ([], [])
        return "nothing", deleted[0]
    assert deleted == ["HasDependents"]
    check_one_session(stage, session, 2)
    stage.drain()
    check_promises(stage, session)
    return "started", deleted[0]


def test_a_coordination_that_was_deleted_before_the_repetition_is_not_found_and_nothing_is_left(
    app: App, app_home: str
) -> None:
    stage = stage_of(app)
    point = 1
    while True:
        names = stage.define({"a": "", "b": "a"})
        mine = f"mine-{names[0]}"
        with tripping(stage, point), suppress(Crash):
            stage.start(names, session_uuid=mine)
        if stage.looking.get(SESSION, TENANT, (names[0], mine)) is not None:
            break  # from here on the session is one, and holds the coordination back
        stage.clock.advance(61)
        guards.delete(stage.app.records, TASK, TENANT, names)
        guards.delete(stage.app.records, COORDINATION, TENANT, (TENANT, names[0]))
        with pytest.raises(NotFound):
            stage.start(names, session_uuid=mine)
        assert list(stage.looking.table(SESSION).query_all(TENANT, names[0])) == []
        assert stage.agents(mine) == []
        point += 1
    assert point == {"dynamodb": 14, "sqlite": 17}[app_home]


# What it may write


def test_a_start_that_would_write_too_much_writes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "MAX_WRITTEN", 100_000)
    subtasks = [{"agent_uuid": "a", "subtask_query": f"{number}: {{text}}"} for number in range(4)]
    names = stage.define({"a": ""}, subtasks=subtasks)
    for size, fits in ((15_000, True), (90_000, False)):
        stage.blobs.puts.clear()
        query = json.dumps({"text": "x" * size})
        if fits:
            stage.start(names, task_query=query)
            assert len(stage.blobs.puts) == 5  # four subtasks, and the query for all agents
        else:
            with pytest.raises(
                BadUserInput, match=r"^The agents of the session would take more than 100000 bytes"
            ):
                stage.start(names, task_query=query)
            assert stage.blobs.puts == []
    assert len(list(stage.looking.table(SESSION).query_all(TENANT, names[0], consistent=True))) == 1


def test_a_query_that_fills_many_subtasks_is_refused_as_soon_as_it_is_too_much(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[str] = []

    def counted(text: str, *given: Any) -> Any:
        filled.append(text)
        return fill_subtask(text, *given)

    monkeypatch.setattr(session_agents, "fill_subtask", counted)
    subtasks = [
        {"agent_uuid": "a", "subtask_query": f"{number}: {{text}}"} for number in range(2_000)
    ]
    names = stage.define({"a": ""}, subtasks=subtasks)
    with pytest.raises(BadUserInput, match=r"would take more than 64000000 bytes together"):
        stage.start(names, task_query=json.dumps({"text": "x" * 7_000_000}))
    assert len(filled) == 10  # nine of them fit


def test_subtasks_of_one_text_are_filled_once(stage: Stage) -> None:
    subtasks = [{"agent_uuid": "a", "subtask_query": "{text}"}] * 50
    names = stage.define({"a": ""}, subtasks=subtasks)
    session = stage.start(names, task_query=json.dumps({"text": "x" * 2_000_000}))
    assert len({each.stored("query").key for each in stage.agents(session.session_uuid)}) == 1
