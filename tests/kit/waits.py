"""Steps of tests with waiting agents: work without letting time pass, and end long jobs."""

from collections.abc import Callable
from typing import Any

from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task, states
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from tests.kit.fakes import Behaviour
from tests.kit.stage import TENANT, Stage


def work_now(stage: Stage) -> None:
    """Process all visible messages; delayed ones stay."""
    while delivery := stage.queue.receive():
        run_step(stage.app, delivery.wake)
        stage.queue.delete(delivery)


def at_point(stage: Stage, number: int, call: Callable[[], None]) -> Callable[[], bool]:
    """Make `call` at the side effect with this number; the returned function tells whether it was
    reached.
    """
    seen = 0

    def reach(name: str) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            stage.boundary.reach = lambda name: None
            call()

    stage.boundary.reach = reach
    return lambda: seen >= number


# Long jobs

CHAIN = {"a": "", "b": "a", "c": "b"}


def pending(heartbeat_seconds: float | None = None, look_seconds: float | None = None) -> Behaviour:
    """Return the behaviour of an agent that starts a job with each attempt: `job-1`, `job-2` …."""

    def begin(request: AgentRequest) -> AgentResult:
        seconds = {"heartbeat_seconds": heartbeat_seconds, "look_seconds": look_seconds}
        return AgentResult("", {"calls": 1}, f"job-{request.attempt}", **seconds)

    return begin


def waiting_for_a_job(stage: Stage, **more: Any) -> Session:
    """Return a session whose agent `b` waits for `job-1`."""
    session = stage.start(stage.define(CHAIN, **more))
    work_now(stage)
    agent = stage.agent(session.session_uuid, "b")
    assert (agent.state, agent.async_task_uuid, agent.lease_until) == ("pending", "job-1", None)
    return session


def complete(stage: Stage, uuid: str = "job-1", result: Any = "done", **more: Any) -> None:
    complete_async_task(stage.app, TENANT, uuid, result=result, **more)


def state(stage: Stage, uuid: str = "job-1") -> dict[str, Any]:
    found = states(stage.app, TENANT, [uuid])[uuid]
    return {name: value for name, value in found.items() if name != "attempt_uuid"}


def attempts(stage: Stage, session: Session) -> list[tuple[int, str, str]]:
    """Return attempt, status and job of each run of `b`."""
    return sorted(
        (run.async_task["attempt"], run.async_task["status"], run.async_task_uuid)
        for run in stage.runs(session.session_uuid)
        if run.agent_uuid == "b"
    )
