"""Client calls whose server dies at every point and that are not repeated: all or nothing
happens.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ai_coordination_engine.api import resources
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import HasDependents
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import (
    Coordination,
    Session,
    SessionRun,
    Task,
    TaskSchedule,
)
from ai_coordination_engine.store.record import Record
from tests.kit.by_hand import deleted, emptied, written
from tests.kit.controls import (
    cancel,
    fork_from,
    pause,
    put_right,
    rerun,
    resume,
    retry,
    sweep_after,
)
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import Behaviour, failing
from tests.kit.promises import check_promises
from tests.kit.shapes import SHAPES, Shape
from tests.kit.stage import TENANT, Stage
from tests.kit.waits import complete

SWEEPS = 3  # until nothing moves any more
Act = Callable[[Stage, Session], Any]
Check = Callable[..., None]


@dataclass(frozen=True)
class Call:
    """One client call and how to check it.

    - `make` makes the call; `before` prepares the session for it.
    - `happened` tells whether it took effect.
    - `status` is the session's final status if it did; `otherwise` is that if it did not and nobody
      calls again (None: the session waits for the call).
    - `check` checks the end of the session.
    - `uses_up`: no further session can be started from the task.
    """

    make: Act
    happened: Callable[[Stage, Session], bool]
    before: Act = lambda stage, session: stage.drain()
    shape: Shape = SHAPES["diamond"]
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    status: str = "completed"
    otherwise: str | None = None
    check: Check = check_promises
    uses_up: bool = False


def _start(stage: Stage, session: Session) -> Session:
    return stage.start(
        (session.coordination_uuid, session.task_uuid), session_uuid=session.session_uuid
    )


def _is_there(stage: Stage, session: Session) -> bool:
    """Whether the session exists; otherwise no item of it exists either."""
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
    """Start a long job of its own for the session."""
    return AgentResult(
        "", async_task_uuid=f"job of {request.session_uuid}", heartbeat_seconds=86_400
    )


def _fork(stage: Stage, session: Session) -> Session:
    return fork_from(stage, session, "b", new_session_uuid=f"{session.session_uuid}-fork")


def _fork_of(session: Session) -> Session:
    return Session(session.coordination_uuid, f"{session.session_uuid}-fork", partition_key=TENANT)


def _uuids_of(stage: Stage, session: Session, agent_uuid: str) -> dict[str, str]:
    agent = stage.agent(session.session_uuid, agent_uuid)
    return {
        "session_uuid": session.session_uuid,
        "session_agent_uuid": agent.session_agent_uuid,
    }


def _end_by_hand(stage: Stage, session: Session) -> None:
    names = dict(zip(("coordination_uuid", "session_uuid"), session.key, strict=True))
    written(stage, resources.SESSION, **names, status="cancelled", updated_by="ann")


def _end_agent_by_hand(stage: Stage, session: Session) -> None:
    uuids = _uuids_of(stage, session, "b")
    changed = {"state": "completed", "agent_output": "by hand", "updated_by": "ann"}
    written(stage, resources.SESSION_AGENT, **uuids, **changed)


def _lose_the_messages(stage: Stage, session: Session) -> None:
    stage.queue.waiting.clear()


def _ran(stage: Stage, session: Session, agent_uuid: str) -> list[SessionRun]:
    return [each for each in stage.runs(session.session_uuid) if each.agent_uuid == agent_uuid]


# Deletes


def _delete_agent(stage: Stage, session: Session) -> None:
    deleted(stage, resources.SESSION_AGENT, **_uuids_of(stage, session, "b"))


def _delete_run(stage: Stage, session: Session) -> None:
    (run,) = _ran(stage, session, "b")
    above = session.session_uuid
    deleted(stage, resources.SESSION_RUN, session_uuid=above, run_uuid=run.run_uuid)


def _delete_session(stage: Stage, session: Session) -> None:
    names = dict(zip(("coordination_uuid", "session_uuid"), session.key, strict=True))
    deleted(stage, resources.SESSION, **names)


def _delete_task(stage: Stage, session: Session) -> None:
    names = {"coordination_uuid": session.coordination_uuid, "task_uuid": session.task_uuid}
    deleted(stage, resources.TASK, **names)


def _schedule(stage: Stage, session: Session) -> None:
    names = {"coordination_uuid": session.coordination_uuid, "task_uuid": session.task_uuid}
    given = {"schedule": "rate(1 day)", "updated_by": "ann", "schedule_uuid": session.session_uuid}
    written(stage, resources.TASK_SCHEDULE, **names, **given)


def _delete_schedule(stage: Stage, session: Session) -> None:
    names = {"task_uuid": session.task_uuid, "schedule_uuid": session.session_uuid}
    deleted(stage, resources.TASK_SCHEDULE, **names)


def _delete_coordination(stage: Stage, session: Session) -> None:
    deleted(stage, resources.COORDINATION, coordination_uuid=session.coordination_uuid)


def _delete_coordination_in_use(stage: Stage, session: Session) -> None:
    with suppress(HasDependents):
        _delete_coordination(stage, session)
        raise AssertionError("the session was lost")


def _drained_and_empty(stage: Stage, session: Session) -> None:
    stage.drain()
    emptied(stage, session)


def _alone(stage: Stage, session: Session) -> None:
    """Prepare a coordination without anything below it."""
    _drained_and_empty(stage, session)
    _delete_session(stage, session)
    _delete_task(stage, session)


def _is_gone(model: type[Record]) -> Callable[[Stage, Session], bool]:
    """Return a function that tells whether the record of this kind, named by the session, is
    deleted.
    """

    def is_gone(stage: Stage, session: Session) -> bool:
        key = {
            Session: session.key,
            Task: (session.coordination_uuid, session.task_uuid),
            TaskSchedule: (session.task_uuid, session.session_uuid),
            Coordination: (TENANT, session.coordination_uuid),
        }[model]
        return stage.looking.tables[model].get(TENANT, key, consistent=True) is None

    return is_gone


def _check_without_b(stage: Stage, session: Session, *, status: str) -> None:
    """Nothing but the agent or its run has changed."""
    assert stage.session(session).status == status
    states = stage.states(session.session_uuid)
    assert (states.keys() - {"b"}, {*states.values()}) == ({"a", "c", "d"}, {"completed"})
    left = {each.agent_uuid for each in stage.runs(session.session_uuid)} - {"b"}
    assert (left, stage.queue.waiting) == ({"a", "c", "d"}, [])


def _check_nothing(stage: Stage, session: Session, *, status: str) -> None:
    """Nothing of the session is left."""
    uuid = session.session_uuid
    assert [each for each in stage.everything(session) if uuid in str(each)] == []
    assert stage.queue.waiting == []


def _check_in_use(stage: Stage, session: Session, *, status: str) -> None:
    """The session ends, and another one can be started and ends."""
    check_promises(stage, session, status=status)
    other = stage.start((session.coordination_uuid, session.task_uuid))
    stage.drain()
    check_promises(stage, other)


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
    "rerun": Call(
        lambda stage, session: rerun(stage, session, "b"),
        lambda *of: len(_ran(*of, "b")) == 2,
    ),
    "reconcile": Call(
        put_right,
        lambda stage, session: stage.session(session).status == "completed",
        _lose_the_messages,
    ),
    "session ended by hand": Call(
        _end_by_hand,
        lambda stage, session: stage.session(session).status == "cancelled",
        lambda stage, session: None,
        status="cancelled",
        otherwise="completed",
    ),
    "agent ended by hand": Call(
        _end_agent_by_hand, lambda *of: _state("b")(*of) == "completed", shape=SHAPES["person"]
    ),
    "delete agent": Call(
        _delete_agent,
        lambda stage, session: "b" not in stage.states(session.session_uuid),
        check=_check_without_b,
    ),
    "delete run": Call(_delete_run, lambda *of: not _ran(*of, "b"), check=_check_without_b),
    "delete session": Call(
        _delete_session, _is_gone(Session), _drained_and_empty, check=_check_nothing
    ),
    "delete task": Call(_delete_task, _is_gone(Task), lambda stage, session: None, uses_up=True),
    "delete schedule": Call(_delete_schedule, _is_gone(TaskSchedule), _schedule),
    "delete coordination": Call(
        _delete_coordination,
        _is_gone(Coordination),
        _alone,
        check=_check_nothing,
        uses_up=True,
    ),
    "delete coordination in use": Call(
        _delete_coordination_in_use,
        lambda *of: not _is_gone(Coordination)(*of),
        lambda stage, session: None,
        check=_check_in_use,
    ),
    "fork": Call(_fork, lambda stage, session: _is_there(stage, _fork_of(session))),
}


def unrepeated(stage: Stage, call: Call, *, every: int = 1) -> int:
    """Let the server die at each point of the call in turn; return the number of points."""
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
            if call.uses_up:
                task = stage.define(call.shape.graph, actions=call.shape.actions)
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
    """Run the workers and the sweep, but no clients."""
    for _ in range(SWEEPS):
        stage.drain()
        sweep_after(stage, stage.app.settings.watch_seconds + 1)
    stage.drain()


def _check(stage: Stage, session: Session, call: Call, *, is_acknowledged: bool) -> None:
    """Check that an acknowledged call took effect, and that any other did so or can be
    made again.
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
    call.check(stage, session, status=status)
    if call.make is _fork:
        check_promises(stage, _fork_of(session))
