"""Promises P2 and P5 where an agent runs in the thread of its step: when it takes longer than it
may, another thread goes on, and what it answers later changes nothing.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from ai_coordination_engine.adapters.runtimes import deadline
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import runs
from ai_coordination_engine.engine.attempt.chain import _ALONE
from ai_coordination_engine.engine.attempt.chain import Chain as Work
from ai_coordination_engine.engine.attempt.leases import claim
from ai_coordination_engine.entrypoints.local.home import home
from ai_coordination_engine.entrypoints.local.local_worker import LocalWorker
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.stand_ins import Replaced, replaceable
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT, SESSION_RUN
from ai_coordination_engine.store.transitions.outcome import Applied
from benchmarks import backends
from benchmarks.sessions import TENANT, Plan, client

may_go_on = threading.Event()
threads: dict[str, list[threading.Thread]] = {}
children: list[int] = []
found: dict[str, Any] = {}


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


def meets_earlier(request: AgentRequest) -> str:
    """The attempt before, which was taken for lost, records its result while this one runs."""
    app, agent = found["app"], found["agent"]
    started = datetime.fromtimestamp(agent.started_at, UTC)
    runs.record(app, agent, started, outcome="completed", output="the first one's")
    may_go_on.wait(60)
    return "too late"


def forks(request: AgentRequest) -> str:
    if child := os.fork():
        children.append(child)
    return "forked"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    names = ("quick", "late", "meets_earlier", "forks")
    functions = {name: f"{__name__}:{name}" for name in names}
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


def test_a_successor_of_what_took_too_long_has_its_own_time(app: App) -> None:
    """The thread that goes on finds the result of an earlier attempt, and runs what follows."""
    chain = Chain.started(app, a={"name": "meets_earlier"}, b={"name": "quick"})
    first, _ = app.records.table(SESSION_AGENT).query_all(TENANT, chain.session_uuid)
    outcome = claim(app, wake(first)).outcome
    assert isinstance(outcome, Applied)
    app.agents.expire_lease(outcome.record)
    found.update(app=app, agent=outcome.record)
    with working(app):
        chain.wait_for("completed", "completed")
    assert threads["b"]
    runs_of_a = [each for each in chain.runs() if each[0] == "a"]
    assert ("a", "completed", None) in runs_of_a
    assert chain.runs()[-1] == ("b", "completed", None)


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


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until it is set, the system has no further threads."""
    has_threads, start = threading.Event(), threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if not has_threads.is_set():
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(deadline, "_NO_THREAD_SECONDS", 0.05)
    monkeypatch.setattr(deadline, "_watchdog", deadline._Watchdog())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield has_threads


def test_another_thread_goes_on_as_soon_as_the_system_has_one(
    no_threads: threading.Event,
) -> None:
    with replaceable(lambda: None), pytest.raises(RuntimeError, match="new thread"):
        deadline.run_within(0.05, lambda: 7)  # there is none that could watch it
    no_threads.set()
    called, tried = threading.Event(), threading.Event()

    def late() -> None:
        no_threads.clear()
        tried.wait(0.2)
        assert not called.is_set()
        no_threads.set()
        assert called.wait(30)

    with replaceable(called.set), pytest.raises(Replaced):
        deadline.run_within(0.05, late)
    called.clear()
    with replaceable(called.set), pytest.raises(Replaced):
        deadline.run_within(0.05, lambda: called.wait(30))
    assert called.is_set()


def test_what_runs_alone_is_given_back_once() -> None:
    """By the thread of the agent, which returns, and by the one that goes on in its place."""
    work = Work(None, None, stand_in=lambda _: None)
    work.run_alone()
    go_on = work.instead_of(SessionAgent())
    assert go_on is not None
    threads = [threading.Thread(target=each) for each in (go_on, work.end)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not _ALONE.locked()
    other = Work(None, None)
    other.run_alone()
    go_on()
    work.end()
    assert _ALONE.locked()
    other.end()
    assert not _ALONE.locked()
