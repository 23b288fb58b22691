"""Calls of a client whose server dies, at which points, and that are never repeated: all of it
happens, or nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from tests.kit.controls import cancel, fork_from, pause, resume, retry, sweep_after
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import Behaviour, failing
from tests.kit.promises import check_promises
from tests.kit.shapes import SHAPES, Shape
from tests.kit.stage import TENANT, Stage
from tests.kit.waits import complete

SWEEPS = 3  # until nothing moves any more
Act = Callable[[Stage, Session], Any]


@dataclass(frozen=True)
class Call:
    """A client's call: in which session and what came before it, how to see that it happened, and
    how the session ends then; `otherwise` is how it ends when nothing happened and nobody calls
    again (None: it waits for the call).
    """

    make: Act
    happened: Callable[[Stage, Session], bool]
    before: Act = lambda stage, session: stage.drain()
    shape: Shape = SHAPES["diamond"]
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    status: str = "completed"
    otherwise: str | None = None


def _start(stage: Stage, session: Session) -> Session:
    return stage.start(
        (session.coordination_uuid, session.task_uuid), session_uuid=session.session_uuid
    )


def _is_there(stage: Stage, session: Session) -> bool:
    """Whether the session is there; else nothing of it is."""
    assert stage.database is not None
    found = [each for each in stage.everything(session) if session.session_uuid in str(each)]
    is_there = any(
        each["session_uuid"]["S"] == session.session_uuid and "status" in each for each in found
    )
    assert is_there or found == []
    return is_there


def _state(agent_uuid: str) -> Callable[[Stage, Session], str]:
    return lambda stage, session: str(stage.agent(session.session_uuid, agent_uuid).state)


def _answer(stage: Stage, session: Session) -> None:
    agent = stage.agent(session.session_uuid, "b")
    execute_for_user_input(stage.app, TENANT, session.session_uuid, agent.session_agent_uuid, "yes")


def _begin(request: AgentRequest) -> AgentResult:
    """A long job of its own."""
    return AgentResult(
        "", async_task_uuid=f"job of {request.session_uuid}", heartbeat_seconds=86_400
    )


def _fork(stage: Stage, session: Session) -> Session:
    return fork_from(stage, session, "b", new_session_uuid=f"{session.session_uuid}-fork")


def _fork_of(session: Session) -> Session:
    return Session(session.coordination_uuid, f"{session.session_uuid}-fork", partition_key=TENANT)


def _resume(stage: Stage, session: Session) -> Any:
    return resume(stage, session) if stage.session(session).status == "paused" else None


CALLS = {
    "start": Call(_start, _is_there, lambda stage, session: None),
    "answer": Call(
        _answer, lambda *of: _state("b")(*of) != "wait_for_user_input", shape=SHAPES["person"]
    ),
    "complete": Call(
        lambda stage, session: complete(stage, f"job of {session.session_uuid}"),
        lambda *of: _state("b")(*of) == "completed",
        behaviours={"b": _begin},
    ),
    "cancel": Call(
        cancel,
        lambda stage, session: stage.session(session).status == "cancelled",
        lambda stage, session: None,
        status="cancelled",
        otherwise="completed",
    ),
    "pause": Call(
        pause,
        lambda stage, session: stage.session(session).status == "paused",
        lambda stage, session: None,
        status="paused",
        otherwise="completed",
    ),
    "resume": Call(
        _resume, lambda stage, session: stage.session(session).status != "paused", pause
    ),
    "retry": Call(
        retry,
        lambda stage, session: stage.session(session).status == "completed",
        behaviours={"b": failing("not yet", times=1)},
    ),
    "fork": Call(_fork, lambda stage, session: _is_there(stage, _fork_of(session))),
}


def unrepeated(stage: Stage, call: Call, *, every: int = 1) -> int:
    """Die at one point of the call after the other, and look at what became of it; how many points
    there were.
    """
    behaviours = {**call.shape.behaviours, **call.behaviours}
    stage.renew(behaviours=behaviours)
    task = stage.define(call.shape.graph, actions=call.shape.actions)
    point = 1
    while True:
        stage.renew(behaviours=behaviours)
        session = Session(
            task[0], new_uuid(stage.clock.now()), partition_key=TENANT, task_uuid=task[1]
        )
        if call.make is not _start:
            session = stage.start(task)
            call.before(stage, session)
        with tripping(stage, point) as tripwire:
            is_acknowledged = _made(stage, session, call)
        _go_on(stage)
        _check(stage, session, call, is_acknowledged=is_acknowledged)
        if not tripwire.trips:
            return -(-tripwire.points // every)
        point += every


def _made(stage: Stage, session: Session, call: Call) -> bool:
    try:
        call.make(stage, session)
    except Crash:
        return False
    return True


def _go_on(stage: Stage) -> None:
    """Workers and the sweep go on, and nobody else."""
    for _ in range(SWEEPS):
        stage.drain()
        sweep_after(stage, stage.app.settings.watch_seconds + 1)
    stage.drain()


def _check(stage: Stage, session: Session, call: Call, *, is_acknowledged: bool) -> None:
    """What was acknowledged has happened; what was not has, or can be asked for as if it never had
    been.
    """
    happened = call.happened(stage, session)
    assert happened or not is_acknowledged
    if not happened and call.otherwise is None:
        call.make(stage, session)
        _go_on(stage)
        assert call.happened(stage, session)
        happened = True
    if call.status == "paused" and happened:
        resume(stage, session)
        _go_on(stage)
    status = (
        "completed" if call.status == "paused" or (not happened and call.otherwise) else call.status
    )
    check_promises(stage, session, status=status)
    if call.make is _fork:
        check_promises(stage, _fork_of(session))
