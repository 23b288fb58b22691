"""Questions that are handed on, wait for each other and interrupt each other, while processes die
before and after every call.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from ai_coordination_engine.api import resources
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.planning.ask import Asked, Question, ask
from ai_coordination_engine.engine.step import Busy, run_step
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import Conflict
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION
from tests.kit.by_hand import deleted, emptied, written
from tests.kit.controls import cancel, pause, put_right, resume, sweep_after
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import Behaviour
from tests.kit.promises import check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of

KINDS = {"desk": {"agent_type": "triage"}, "bills": {}, "tech": {}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app, wants_thread=True)


@pytest.fixture
def coordination(stage: Stage) -> str:
    return stage.define(dict.fromkeys(KINDS, ""), agents=KINDS)[0]


def choose(agent: str, query: str = "q") -> str:
    return json.dumps({"agent": agent, "reason": "because", "query": query})


def declining(request: AgentRequest) -> str:
    """The router of a question that `bills` declines."""
    names = (request.output_schema or {})["properties"]["agent"]["enum"]
    return choose("bills" if "bills" in names else "tech")


def asking(request: AgentRequest) -> str:
    """The router that asks the user first."""
    return choose("bills") if request.user_input else choose("ask_user", "Which?")


def put(stage: Stage, coordination: str, query: str, on: Asked | None = None, **more: Any) -> Asked:
    given = {"session_uuid": on.session_uuid, "thread_uuid": on.thread_uuid} if on else {}
    return ask(stage.app, TENANT, Question(coordination, query, **{**given, **more}))


def session_of(stage: Stage, asked: Asked) -> Session:
    key = (asked.coordination_uuid, asked.session_uuid)
    found = stage.looking.get(SESSION, TENANT, key, consistent=True)
    assert isinstance(found, Session)
    return found


def agents_of(stage: Stage, asked: Asked) -> list[Any]:
    """The session agents that people see."""
    return [each for each in stage.agents(asked.session_uuid) if each.unconfirmed is None]


def said(stage: Stage, asked: Asked) -> list[tuple[str, str]]:
    return [(each.agent_uuid, each.state) for each in agents_of(stage, asked)]


def answer(stage: Stage, asked: Asked) -> None:
    """The user answers whatever waits in the inbox, and again when the server dies."""
    for each in agents_of(stage, asked):
        if each.state == "wait_for_user_input":
            key = (asked.session_uuid, each.session_agent_uuid)
            call = partial(execute_for_user_input, stage.app, TENANT, *key, "x")
            stage.until_it_succeeds(call)
    stage.drain()


def check(stage: Stage, asked: Asked) -> None:
    """P2 to P5: nothing is open, every attempt has one run, and nothing comes of a repetition."""
    agents = agents_of(stage, asked)
    assert [each.state for each in agents if each.state not in TERMINAL_AGENT_STATES] == []
    assert [(each.in_degree, each.unfinished) for each in agents] == [(0, None)] * len(agents)
    uuids = {each.session_agent_uuid for each in agents}
    runs = [run for run in stage.runs(asked.session_uuid) if run.session_agent_uuid in uuids]
    attempts = Counter((run.session_agent_uuid, run.async_task["attempt"]) for run in runs)
    assert attempts == Counter(
        (each.session_agent_uuid, number + 1)
        for each in agents
        for number in range(each.attempt or 0)
    )
    assert stage.runtime.repeated == []
    assert stage.queue.waiting == []
    stage.queue.sent[:] = dict.fromkeys(stage.queue.sent)
    check_redelivery_changes_nothing(stage, session_of(stage, asked))


def at_every_point(stage: Stage, history: Callable[[int], bool]) -> int:
    """Run `history` with a death at each point, until it tells that there was none; how many there
    were.
    """
    point = 1
    while history(point):
        point += 1
    return point - 1


ROUTED: Mapping[str, tuple[Behaviour, list[str]]] = {
    "handed on": (lambda request: choose("tech"), ["desk", "tech"]),
    "answered by itself": (lambda request: choose("none", "Hi."), ["desk"]),
    "declined": (declining, ["desk", "bills", "desk", "tech"]),
    "asked back": (asking, ["desk", "desk", "bills"]),
}


@pytest.mark.parametrize("route", ROUTED)
def test_wherever_a_worker_dies_one_agent_goes_on_and_answers_once(
    stage: Stage, coordination: str, route: str
) -> None:
    desk, expected = ROUTED[route]

    def history(point: int) -> bool:
        stage.renew(behaviours={"desk": desk})
        if route == "declined":
            stage.runtime.behaviours["bills"] = lambda request: '{"decline": "no"}'
        asked = put(stage, coordination, "one")
        waiting = put(stage, coordination, "two", asked, agent_uuid="tech")
        with tripping(stage, point) as tripwire:
            stage.drain()
            answer(stage, asked)
        stage.drain()
        assert said(stage, asked) == [(name, "completed") for name in [*expected, "tech"]]
        request = next(each for each in stage.runtime.requests if each.query == "two")
        assert request.session_agent_uuid == waiting.session_agent_uuid
        assert [each.content for each in request.thread][:1] == ["one"]
        check(stage, asked)
        return bool(tripwire.trips)

    assert at_every_point(stage, history) > 15


@pytest.mark.parametrize("when_busy", ["enqueue", "interrupt"])
@pytest.mark.parametrize("open_as", ["ready", "executing", "handed on"])
def test_wherever_a_client_dies_that_asks_on_a_busy_thread_nothing_hangs(
    stage: Stage, coordination: str, when_busy: str, open_as: str
) -> None:
    def history(point: int) -> bool:
        stage.renew(behaviours={"desk": lambda request: choose("bills")})
        first = put(stage, coordination, "one")
        trips = [0]

        def second(request: AgentRequest | None = None) -> str:
            if request is None or request.query == ("q" if open_as == "handed on" else "one"):
                with tripping(stage, point) as tripwire, suppress(Crash):
                    put(stage, coordination, "two", first, agent_uuid="tech", when_busy=when_busy)
                trips[0] += tripwire.trips
            return choose("bills")

        if open_as == "ready":
            second()
        else:
            stage.runtime.behaviours["bills" if open_as == "handed on" else "desk"] = second
        stage.drain()
        for _ in range(2):  # what waits is watched
            sweep_after(stage, stage.app.settings.watch_seconds + 1)
            stage.drain()
        with suppress(Conflict):  # what the client has left begins when somebody asks the next
            put(stage, coordination, "three", first, agent_uuid="tech", when_busy="reject")
        stage.drain()
        put(stage, coordination, "four", first, agent_uuid="tech", when_busy="reject")
        stage.drain()
        states = dict(said(stage, first))
        assert states["desk"] in ("completed", "cancelled")
        assert states["tech"] == "completed"
        check(stage, first)
        return bool(trips[0])

    assert at_every_point(stage, history) > 10


def test_an_interrupted_worker_that_dies_leaves_its_attempt_recorded(
    stage: Stage, coordination: str
) -> None:
    """Also of an agent that was claimed by the worker of the one before, and has no message."""
    first = put(stage, coordination, "one")

    def bills(request: AgentRequest) -> str:
        put(stage, coordination, "two", first, agent_uuid="tech", when_busy="interrupt")
        raise Crash

    stage.runtime.behaviours |= {"desk": lambda request: choose("bills"), "bills": bills}
    stage.drain()
    assert said(stage, first) == [
        ("desk", "completed"),
        ("bills", "cancelled"),
        ("tech", "completed"),
    ]
    check(stage, first)


@pytest.mark.parametrize("act", [cancel, pause])
def test_whoever_goes_on_shares_the_fate_of_the_session_however_late_they_are_written(
    stage: Stage, coordination: str, act: Callable[[Stage, Session], Session]
) -> None:
    """At each point of the worker somebody controls the session; then the worker dies there or
    goes on.
    """
    for dies in (False, True):
        point, reached = 1, True
        while reached:
            stage.renew(behaviours={"desk": lambda request: choose("bills")})
            first = put(stage, coordination, "one")
            known: list[tuple[str, str]] = []

            def controlled(
                stage: Stage,
                session: Session,
                first: Asked = first,
                known: list[tuple[str, str]] = known,
            ) -> Session:
                known[:] = said(stage, first)
                return act(stage, session)

            reached = _controlled_at(stage, first, point, controlled, dies=dies)
            session = session_of(stage, first)
            if act is pause and reached:
                assert session.status == "paused"
                resume(stage, session)
            stage.drain()
            sweep_after(stage, stage.app.settings.watch_seconds + 1)
            stage.drain()
            states = {each[1] for each in said(stage, first)}
            if act is pause or not reached:
                assert states == {"completed"}
                assert len(said(stage, first)) == 2
            assert states <= set(TERMINAL_AGENT_STATES)
            if act is cancel and reached:  # who was not there yet never begins
                late = agents_of(stage, first)[len(known) :]
                assert {(each.state, each.attempt) for each in late} <= {("cancelled", None)}
            point += 1
        assert point > 10


def _controlled_at(
    stage: Stage,
    first: Asked,
    point: int,
    act: Callable[[Stage, Session], Session],
    *,
    dies: bool,
) -> bool:
    """Whether the worker came to that point."""
    seen = [0]

    def reach(name: str) -> None:
        seen[0] += 1
        if seen[0] == point:
            stage.boundary.reach = lambda name: None
            act(stage, session_of(stage, first))
            if dies:
                raise Crash

    stage.boundary.reach = reach
    stage.drain()
    stage.boundary.reach = lambda name: None
    return seen[0] >= point


def test_nobody_goes_on_in_a_session_that_was_deleted_meanwhile(
    stage: Stage, coordination: str
) -> None:
    """P1: nothing is left below it, at whichever point of the worker that happens."""
    point, reached = 1, True
    while reached:
        stage.renew(behaviours={"desk": lambda request: choose("bills")})
        first = put(stage, coordination, "one")
        session = session_of(stage, first)

        def delete(_: Stage, __: Session, first: Asked = first, session: Session = session) -> Any:
            for each in agents_of(stage, first):
                key = {"session_uuid": each.session_uuid, "session_agent_uuid": each.key[1]}
                if each.state not in TERMINAL_AGENT_STATES:
                    written(
                        stage, resources.SESSION_AGENT, **key, state="cancelled", updated_by="me"
                    )
            emptied(stage, session)
            with suppress(Conflict):
                deleted(
                    stage,
                    resources.SESSION,
                    coordination_uuid=coordination,
                    session_uuid=session.session_uuid,
                )

        reached = _controlled_at(stage, first, point, delete, dies=False)
        if stage.looking.get(SESSION, TENANT, session.key, consistent=True) is None:
            assert stage.agents(first.session_uuid) == []
            assert stage.runs(first.session_uuid) == []
        point += 1
    assert point > 10


def test_a_question_in_a_session_that_has_ended_is_handed_on_too(stage: Stage) -> None:
    """At each point the worker dies, and its message comes again in the session that is over."""

    def history(point: int) -> bool:
        names = stage.define({"a": ""}, agents={"a": {}, **KINDS})
        session = stage.start(names)
        stage.drain()
        stage.runtime.behaviours["desk"] = lambda request: choose("tech")
        on = {"session_uuid": session.session_uuid}
        asked = put(stage, names[0], "one", agent_uuid="desk", **on)
        second = put(stage, names[0], "two", asked, agent_uuid="bills")
        with tripping(stage, point) as tripwire:
            stage.drain()
        assert stage.session(session).status == "completed"
        assert said(stage, second)[-3:] == [
            ("desk", "completed"),
            ("tech", "completed"),
            ("bills", "completed"),
        ]
        return bool(tripwire.trips)

    assert at_every_point(stage, history) > 15


def test_a_lost_message_of_whoever_goes_on_is_found_by_the_sweep_or_by_reconciling(
    stage: Stage, coordination: str
) -> None:
    """A worker dies at each point, and its message is lost: a disaster."""

    def history(point: int) -> bool:
        stage.renew(behaviours={"desk": lambda request: choose("tech")})
        asked = put(stage, coordination, "one")
        put(stage, coordination, "two", asked, agent_uuid="bills")
        with tripping(stage, point) as tripwire, suppress(Crash, Busy):
            while delivery := stage.queue.receive():
                run_step(stage.app, delivery.wake)
        stage.queue.waiting.clear()
        stage.clock.advance(stage.app.settings.lease_seconds + 1)
        for _ in range(4):
            put_right(stage, session_of(stage, asked))
            stage.drain()
        assert [each[1] for each in said(stage, asked)] == ["completed"] * 3
        check(stage, asked)
        return bool(tripwire.trips)

    assert at_every_point(stage, history) > 15


def test_who_went_on_and_was_deleted_does_not_come_back(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours["desk"] = lambda request: choose("tech")
    asked = put(stage, coordination, "one")
    stage.drain()
    tech: SessionAgent = agents_of(stage, asked)[1]
    key = {"session_uuid": asked.session_uuid, "session_agent_uuid": tech.session_agent_uuid}
    deleted(stage, resources.SESSION_AGENT, **key)
    for wake in list(stage.queue.sent):
        run_step(stage.app, wake)
    put_right(stage, session_of(stage, asked))
    put(stage, coordination, "two", asked, when_busy="reject")
    put(stage, coordination, "three", asked, when_busy="interrupt")
    stage.drain()
    assert [each[0] for each in said(stage, asked)] == ["desk", "desk", "desk", "tech"]
