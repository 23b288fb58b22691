"""Promises P2 and P5 where an agent runs in the thread of its step: when it takes longer than it
may, another thread goes on, and what it answers later changes nothing.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from ai_coordination_engine.adapters.runtimes import deadline
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.home import home
from ai_coordination_engine.entrypoints.local.local_worker import LocalWorker
from ai_coordination_engine.ports import AgentFailure, AgentRequest
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.stand_ins import Replaced, replaceable
from ai_coordination_engine.store.records.entities import SESSION_AGENT, SESSION_RUN
from benchmarks import backends
from benchmarks.sessions import TENANT, Plan, client

may_go_on = threading.Event()
threads: dict[str, list[threading.Thread]] = {}
children: list[int] = []


def quick(request: AgentRequest) -> str:
    threads.setdefault(request.agent_uuid, []).append(threading.current_thread())
    return request.agent_uuid


def late(request: AgentRequest) -> str:
    threads.setdefault(request.agent_uuid, []).append(threading.current_thread())
    if not (request.runtime.get("once") and request.attempt > 1):
        may_go_on.wait(60)
    if request.runtime.get("raises"):
        raise AgentFailure("too late", retryable=True)
    return "too late"


def forks(request: AgentRequest) -> str:
    if child := os.fork():
        children.append(child)
    return "forked"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    functions = {name: f"{__name__}:{name}" for name in ("quick", "late", "forks")}
    may_go_on.clear()
    threads.clear()
    with backends.isolated(""), home(tmp_path / "data") as found:
        yield found.build(Settings(auth="local", functions=functions, worker_concurrency=1))
        may_go_on.set()


@contextmanager
def working(app: App) -> Iterator[LocalWorker]:
    _, worker = LocalWorker.of(app)
    worker.start()
    yield worker
    may_go_on.set()
    assert worker.stop(grace=30)


@dataclass
class Chain:
    """A chain of agents that was started."""

    app: App
    session_uuid: str

    @classmethod
    def started(cls, app: App, attempts: int = 1, **runtimes: dict[str, Any]) -> "Chain":
        """Start agents one after the other; `runtimes` has keys of their runtimes by agent."""
        names, policy = list(runtimes), {"timeoutSeconds": 0.2, "attempts": attempts}
        policy |= {"retryOn": ["timeout"], "backoffSeconds": 0}
        with client(app) as api:
            plan = Plan.of(
                api,
                {name: names[at - 1 : at] if at else [] for at, name in enumerate(names)},
                runtimes=runtimes,
                more={each: {"policy": policy} for each in names},
            )
            return cls(app, plan.start())

    def states(self) -> list[str | None]:
        """The states of the agents, in their order."""
        rows = self.app.records.table(SESSION_AGENT).query_all(TENANT, self.session_uuid)
        return [each.state for each in rows]

    def runs(self) -> list[tuple[str, Any, str | None]]:
        """The agent, status and error class of each run."""
        rows = self.app.records.table(SESSION_RUN).query_all(TENANT, self.session_uuid)
        return [
            (each.agent_uuid, each.async_task["status"], each.async_task.get("error_class"))
            for each in rows
        ]

    def wait_for(self, *states: str) -> None:
        """Return when the agents have these states."""
        end = monotonic() + 60
        while self.states() != [*states]:
            assert monotonic() < end, self.states()
            may_go_on.wait(0.01)


def test_agents_of_a_chain_run_in_the_thread_of_their_step(app: App) -> None:
    with working(app):
        chain = Chain.started(app, a={"name": "quick"}, b={"name": "quick"})
        chain.wait_for("completed", "completed")
    assert threads["a"] == threads["b"]
    assert [each.name for each in threads["a"]] == ["ace-step"]
    assert chain.runs() == [("a", "completed", None), ("b", "completed", None)]


@pytest.mark.parametrize("raises", [False, True])
def test_another_thread_goes_on_when_an_agent_takes_longer_than_it_may(
    app: App, raises: bool
) -> None:
    """With one step at a time, nothing else could run if its thread were waited for."""
    with working(app):
        slow = Chain.started(app, a={"name": "quick"}, b={"name": "late", "raises": raises})
        slow.wait_for("completed", "failed")
        after = Chain.started(app, c={"name": "quick"})
        after.wait_for("completed")
        (stuck,) = threads["b"]
        assert stuck.is_alive()
        assert threads["c"] != [stuck]
        may_go_on.set()
        stuck.join(30)
        assert not stuck.is_alive(), "it has taken another message"
    assert slow.states() == ["completed", "failed"]
    assert slow.runs() == [("a", "completed", None), ("b", "failed", "timeout")]
    queue: Any = app.queue
    assert queue.receive(10, wait=False) == []


def test_a_retry_after_a_timeout_runs_beside_the_thread_that_is_stuck(app: App) -> None:
    with working(app):
        chain = Chain.started(app, 2, a={"name": "late", "once": True})
        chain.wait_for("completed")
    assert len({*threads["a"]}) == 2
    assert chain.runs() == [("a", "failed", "timeout"), ("a", "completed", None)]


def test_a_forked_child_does_not_go_on_with_the_step(app: App) -> None:
    """It is a process with this thread alone, which ends when the function returns in it."""
    with working(app):
        chain = Chain.started(app, a={"name": "forks"}, b={"name": "quick"})
        chain.wait_for("completed", "completed")
    (child,) = children
    assert os.waitpid(child, 0) == (child, 0)
    assert len(threads["b"]) == 1
    assert chain.runs() == [("a", "completed", None), ("b", "completed", None)]


def test_a_call_that_ends_in_time_is_watched_no_longer() -> None:
    begun: list[str] = []
    with replaceable(lambda: begun.append("another thread")):
        for _ in range(3):
            assert deadline.run_within(30, lambda: 7) == 7
    assert deadline._watchdog._watched == set()
    assert begun == []


def test_the_earliest_deadline_counts_whatever_was_watched_before() -> None:
    called = threading.Event()
    with replaceable(lambda: None):
        deadline.run_within(1000, lambda: 0)  # the watchdog may wait for that one
    with replaceable(called.set), pytest.raises(Replaced):
        deadline.run_within(0.05, lambda: called.wait(30))
    assert called.is_set()
