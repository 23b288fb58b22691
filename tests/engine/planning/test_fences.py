"""The first agent of a start confirms it, unless a fence stands in its place: whoever is first has
won.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.errors import Conflict, CoordinationError, HasDependents, NotFound
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.begun import first_key
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION, SESSION_AGENT, TASK
from ai_coordination_engine.store.transitions import starts
from benchmarks.harness.api import Api
from tests.kit.api import code, data
from tests.kit.controls import cancel, pause
from tests.kit.crashes import Crash, tripping
from tests.kit.homes import contents
from tests.kit.promises import check_promises
from tests.kit.records import SESSION as SESSIONS
from tests.kit.stage import TENANT, Stage, stage_of

MINUTE = 61
PLAN = {"a": "", "b": "a"}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


def row(stage: Stage, names: tuple[str, str], uuid: str = "mine") -> Session | None:
    found: Session | None = stage.looking.table(SESSION).get(
        TENANT, (names[0], uuid), consistent=True
    )
    return found


def at_each_point(
    stage: Stage, made: dict[str, Any], work: Callable[[], Any], act: Callable[[], Any]
) -> Iterator[bool]:
    """Do `work`, and `act` in the midst of it: before and after each of its side effects in turn.

    Yields after each whether the point was reached; `made` has the names of a new task each time,
    and nothing else is there.
    """
    for point in count(1):
        contents(stage.looking).clear()
        stage.queue.sent.clear()
        made.clear()
        made["names"] = stage.define(PLAN)
        seen, acted = 0, False

        def reach(name: str, point: int = point) -> None:
            nonlocal seen, acted
            seen += 1
            if seen == point:
                stage.boundary.reach = lambda name: None
                acted = True
                act()

        stage.boundary.reach = reach
        with suppress(Conflict, NotFound):
            work()
        stage.boundary.reach = lambda name: None
        yield acted
        if not acted:
            return


def swept(stage: Stage) -> None:
    stage.clock.advance(stage.app.settings.watch_seconds + 1)
    while sweep(stage.app):
        pass


def test_a_slow_start_is_swept_or_confirmed_wherever_the_sweep_comes(
    stage: Stage, app_home: str
) -> None:
    """The put of the first agent may come before the fence, after it, or when that has gone with
    everything else.
    """
    made: dict[str, Any] = {}
    outcomes = set()

    def begin() -> None:
        made["session"] = stage.start(made["names"], session_uuid="mine")

    for acted in at_each_point(stage, made, begin, lambda: swept(stage)):
        names, session = made["names"], made.get("session")
        stage.runtime.requests.clear()
        swept(stage)
        stage.drain()
        found = row(stage, names)
        assert (found is None) is (session is None)
        outcomes.add((acted, session is not None))
        if session is None:
            assert (stage.agents("mine"), stage.runtime.ran()) == ([], [])
        else:
            assert stage.runtime.ran() == ["a", "b"]
            check_promises(stage, session)
    too_late = {(True, False)} if app_home == "dynamodb" else set()  # or it is one transaction
    assert outcomes == {*too_late, (True, True), (False, True)}


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
def test_a_start_whose_first_agent_comes_after_it_was_swept_and_used_again_changes_nothing(
    stage: Stage,
) -> None:
    names = stage.define(PLAN)
    again: list[Session] = []

    def act(name: str) -> None:
        seen.append(name)
        # the session before and after; the first agent is about to be put
        if seen.count("PutItem") == 3:
            stage.boundary.reach = lambda name: None
            swept(stage)
            assert row(stage, names) is None
            again.append(stage.start(names, session_uuid="mine"))

    seen: list[str] = []
    stage.boundary.reach = act
    with pytest.raises(Conflict, match="took too long and was undone"):
        stage.start(names, session_uuid="mine")
    stage.drain()
    assert stage.runtime.ran() == ["a", "b"]
    swept(stage)  # it has put its agents, which count for nobody
    check_promises(stage, again[0])
    assert [each.agent_uuid for each in stage.agents("mine")] == ["a", "b"]
    assert row(stage, names).nonce == again[0].nonce  # type: ignore[union-attr]


def test_of_two_equal_starts_one_confirms_and_both_answer_it(stage: Stage) -> None:
    """The second comes, and goes on to its end or dies, at each point of the first."""
    for dies in (None, 8, 12, 14, 16, 18, 20):
        made: dict[str, Any] = {}

        def begin(made: dict[str, Any] = made) -> None:
            made["first"] = stage.start(made["names"], session_uuid="mine")

        def second(made: dict[str, Any] = made, dies: int | None = dies) -> None:
            with tripping(stage, *([dies] if dies else [])), suppress(Crash):
                stage.start(made["names"], session_uuid="mine")

        for _ in at_each_point(stage, made, begin, second):
            stage.runtime.requests.clear()
            stage.drain()
            assert stage.runtime.ran() == ["a", "b"]
            swept(stage)
            check_promises(stage, made["first"])
            left = stage.looking.table(SESSION_AGENT).query_all(TENANT, "mine", consistent=True)
            assert [each.agent_uuid for each in left] == ["a", "b"]  # no fence


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
def test_a_start_that_is_fenced_goes_on_as_an_equal_start(stage: Stage) -> None:
    """Who takes it back dies behind the fence."""
    names = stage.define(PLAN)

    def fence(name: str) -> None:
        if name == "BatchWriteItem":
            stage.boundary.reach = lambda name: None
            assert starts.fence(stage.looking, row(stage, names))  # type: ignore[arg-type]

    stage.boundary.reach = fence
    session = stage.start(names, session_uuid="mine")
    assert session.incarnation is not None
    stage.drain()
    assert stage.runtime.ran() == ["a", "b"]
    check_promises(stage, session)


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
def test_a_fence_is_put_once_and_never_in_the_place_of_the_agent(stage: Stage) -> None:
    names = stage.define(PLAN)
    session = stage.start(names, session_uuid="mine")
    assert not starts.fence(stage.looking, row(stage, names))  # type: ignore[arg-type]
    dead = stage.define(PLAN)
    with tripping(stage, 8), suppress(Crash):
        stage.start(dead, session_uuid="dead")
    reserved = row(stage, dead, "dead")
    assert reserved is not None
    assert [starts.fence(stage.looking, reserved) for _ in range(2)] == [True, True]
    assert stage.looking.get(SESSION_AGENT, TENANT, first_key(reserved)) is None
    assert stage.looking.get(SESSION, TENANT, (dead[0], "dead")) is None
    first = stage.agents("mine")[0]
    first.session_uuid, first.session_agent_uuid = first_key(reserved)
    assert not starts.confirm(stage.looking, first)
    stage.drain()
    check_promises(stage, session)


@pytest.mark.parametrize("slow", [False, True], ids=["in time", "slow"])
def test_a_delete_of_the_coordination_beside_a_start_ends_in_one_of_two_ways(
    stage: Stage, slow: bool, app_home: str
) -> None:
    made: dict[str, Any] = {}
    seen = set()

    def begin() -> None:
        made["session"] = stage.start(made["names"], session_uuid="mine")

    def delete() -> None:
        if slow:
            stage.clock.advance(MINUTE)
        try:
            guards.delete(stage.app.records, TASK, TENANT, made["names"])
            guards.delete(stage.app.records, COORDINATION, TENANT, (TENANT, made["names"][0]))
            made["deleted"] = True
        except CoordinationError as error:
            assert isinstance(error, HasDependents)
            made["deleted"] = False

    for acted in at_each_point(stage, made, begin, delete):
        names, session = made["names"], made.get("session")
        swept(stage)
        stage.drain()
        coordination = stage.looking.get(COORDINATION, TENANT, (TENANT, names[0]), consistent=True)
        assert (row(stage, names) is None) is (session is None)
        assert (coordination is None) is bool(made.get("deleted"))
        assert session is None or coordination is not None
        if session is not None:
            check_promises(stage, session)
        seen.add((acted, session is not None, made.get("deleted")))
    beside = {(True, True, False)} if app_home == "dynamodb" else set()  # or nobody comes then
    assert seen == {(True, False, True), *beside, (False, True, None)}


# on SQLite a start is one commit: nothing is left of one that dies
@pytest.mark.only_on("dynamodb")
def test_nobody_sees_a_session_before_it_is_confirmed(stage: Stage, client: Api) -> None:
    """By key, by node, in lists of each kind, and below it; and everybody does from then on."""
    made: dict[str, Any] = {}

    def begin() -> None:
        stage.start(made["names"], session_uuid="mine")

    def look() -> None:
        key = {"coordinationUuid": made["names"][0], "sessionUuid": "mine"}
        above = {"coordinationUuid": key["coordinationUuid"]}
        reserved = row(stage, made["names"])
        agents = stage.agents("mine")
        confirmed = reserved is not None and any(each.ordinal == 0 for each in agents)
        selection = "{ status sessionAgents { agentUuid } }"
        found = data(client, "session", selection, **key)
        seen.add(confirmed)
        assert (found is not None) is confirmed
        if confirmed:
            assert found == {
                "status": "dispatched",
                "sessionAgents": [{"agentUuid": "a"}, {"agentUuid": "b"}],
            }
        page = "{ sessionList { sessionUuid status } total }"
        for where in (
            above,
            {},
            {"statuses": ["dispatched"], **above},
            {"statuses": ["dispatched"]},
        ):
            rows = data(client, "sessionList", page, **where)["sessionList"]
            assert rows == [{"sessionUuid": "mine", "status": "dispatched"}] * confirmed, where
        if reserved is not None and not confirmed:
            assert (
                code(client, "insertUpdateSession", **key, userId="u", updatedBy="u") == "CONFLICT"
            )
            assert code(client, "deleteSession", **key) == "NOT_FOUND"
            assert code(client, "pauseSession", **key) == "NOT_FOUND"
            agent = {
                "sessionUuid": "mine",
                "coordinationUuid": key["coordinationUuid"],
                "agentUuid": "a",
            }
            assert code(client, "insertUpdateSessionAgent", **agent, updatedBy="u") == "NOT_FOUND"

    seen: set[bool] = set()
    for _ in at_each_point(stage, made, begin, look):
        pass
    assert seen == {False, True}


def test_what_changes_a_session_that_its_row_does_not_tell_confirmed(
    stage: Stage, client: Api
) -> None:
    """Nothing was written in its row since it started: a client's changes find it, and each write
    says so.
    """
    changes: dict[str, Callable[[Session], Any]] = {
        "by hand": lambda session: SESSIONS.put(
            client, key(session), sessionUuid="mine", userId="u"
        ),
        "large": lambda session: SESSIONS.put(
            client, key(session), sessionUuid="mine", logs="x" * 300_000
        ),
        "pause": lambda session: pause(stage, session),
        "cancel": lambda session: cancel(stage, session),
        "end": lambda session: stage.drain(),
    }
    for what, change in changes.items():
        names = stage.define(PLAN)
        session = stage.start(names, session_uuid="mine")
        assert row(stage, names).unconfirmed is not None  # type: ignore[union-attr]
        change(session)
        assert row(stage, names).unconfirmed is None, what  # type: ignore[union-attr]
        assert (
            data(client, "session", "{ sessionUuid }", **key(session), sessionUuid="mine")
            is not None
        )
        stage.queue.waiting.clear()
        contents(stage.looking).clear()


def key(session: Session) -> dict[str, str]:
    return {"coordinationUuid": session.coordination_uuid}


def test_a_running_session_keeps_its_coordination_and_itself_however_old(
    stage: Stage, client: Api
) -> None:
    names = stage.define(PLAN)
    for number in range(3):
        stage.start(names, session_uuid=f"s{number}")
    guards.delete(stage.app.records, TASK, TENANT, names)
    stage.clock.advance(MINUTE)
    stage.requests.clear()
    with pytest.raises(HasDependents, match="still has 3 sessions"):
        guards.delete(stage.app.records, COORDINATION, TENANT, (TENANT, names[0]))
    assert sum(stage.requests.values()) <= 7  # the first agents of two shards
    stage.requests.clear()
    with pytest.raises(HasDependents, match="still has 2 session agents"):
        guards.delete(stage.app.records, SESSION, TENANT, (names[0], "s1"))
    assert stage.requests == {"UpdateItem": 1, "BatchGetItem": 1, "Query": 2}
    assert row(stage, names, "s1").deleting is None  # type: ignore[union-attr]
    assert (
        len(
            data(
                client, "sessionList", "{ sessionList { sessionUuid } }", coordinationUuid=names[0]
            )["sessionList"]
        )
        == 3
    )
