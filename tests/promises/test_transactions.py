"""Promises P2–P5 on SQLite, where a step is one commit: it counts, fails and is repeated whole."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ai_coordination_engine import local_bootstrap
from ai_coordination_engine.adapters.sqlite_queue import SqliteQueue
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.leases import Claim
from ai_coordination_engine.entrypoints.local import next_message
from ai_coordination_engine.entrypoints.local.local_worker import LocalWorker
from ai_coordination_engine.entrypoints.local.next_message import NextMessage, Received
from ai_coordination_engine.errors import Unavailable
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.outcome import Applied
from tests.kit.stage import Stage, stage_of


@dataclass
class Machine:
    """The engine on an SQLite file, with its own queue; the rest of it is faked."""

    stage: Stage
    file: DatabaseFile
    queue: SqliteQueue

    @property
    def app(self) -> App:
        return self.stage.app

    def commits(self, work: Callable[[], object]) -> int:
        """Return the number of commits of some work."""
        texts: list[str] = []
        self.file._writer.set_trace_callback(texts.append)
        work()
        self.file._writer.set_trace_callback(None)
        return texts.count("COMMIT")

    def next_of(self, message: dict[str, Any]) -> NextMessage:
        """Return what follows a message: it goes on with one other."""
        receipt = message["ReceiptHandle"]
        return NextMessage(
            self.app, self.queue.read, lambda: self.queue.finish(receipt, 1), Event()
        )

    def work(self) -> int:
        """Process all messages on one thread; return how many that were."""
        count = 0
        while found := self.queue.receive(1, wait=False):
            received: Received | None = Received(found[0])
            while received is not None:
                then = self.next_of(received.message)
                then.run(self.queue.read(received.message["Body"]), received.claimed)
                received, count = then.get(), count + 1
        return count


@pytest.fixture
def machine(settings: Settings, tmp_path: Path) -> Iterator[Machine]:
    with closing(DatabaseFile(tmp_path / "ace.db", "none")) as file:
        app = local_bootstrap.build_local_app(settings, file)
        stage = stage_of(app)
        assert isinstance(app.queue, SqliteQueue)
        stage.app = replace(stage.app, queue=app.queue)
        assert app.queue.receive(1, wait=False) == []  # the first one removes old messages
        yield Machine(stage, file, app.queue)


def ended(machine: Machine, session: Session, attempts: int) -> bool:
    """Whether a session is completed with a run for each attempt, and no message is left."""
    runs = machine.stage.attempts(session)
    assert runs == [(1, "completed", None)] * attempts
    assert len(machine.stage.runtime.requests) == attempts
    with machine.file.reading() as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)
    return machine.stage.status(session) == "completed"


CHAIN = {"a": [], "b": ["a"], "c": ["b"]}
FAN = {"a": [], "b1": ["a"], "b2": ["a"], "b3": ["a"], "c": ["b1", "b2", "b3"]}


@pytest.mark.parametrize("graph", [CHAIN, FAN], ids=["chain", "fan"])
def test_a_step_is_one_commit_with_its_message_and_what_comes_next(
    machine: Machine, graph: dict[str, list[str]]
) -> None:
    stage, names = machine.stage, machine.stage.define(graph)
    started: list[Session] = []
    assert machine.commits(lambda: started.append(stage.start(names))) == 1
    # one to receive the first message, one to claim its agent, and one for each step
    assert machine.commits(machine.work) == 2 + len(graph)
    assert ended(machine, started[0], len(graph))


def test_a_message_is_received_and_its_agent_claimed_in_one_commit(machine: Machine) -> None:
    session = machine.stage.start(machine.stage.define(FAN))
    _, worker = LocalWorker.of(machine.app)
    found: list[Received] = []
    assert machine.commits(lambda: found.extend(worker._received(2, False))) == 1
    received: Received | None
    (received,) = found
    assert received.claimed is not None
    assert isinstance(received.claimed.outcome, Applied)
    assert machine.stage.states(session.session_uuid)["a"] == "executing"
    then = machine.next_of(received.message)
    then.run(machine.queue.read(received.message["Body"]), received.claimed)
    while (received := then.get()) is not None:
        then = machine.next_of(received.message)
        then.run(machine.queue.read(received.message["Body"]), received.claimed)
    assert ended(machine, session, len(FAN))


def test_a_worker_that_stops_claims_nothing_more(machine: Machine) -> None:
    session = machine.stage.start(machine.stage.define(FAN))
    _, worker = LocalWorker.of(machine.app)
    worker._stopping.set()
    (received,) = worker._received(2, False)
    assert received.claimed is None
    assert machine.stage.states(session.session_uuid)["a"] == "initial"


def test_a_message_whose_claim_is_not_committed_is_not_received(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = machine.stage.start(machine.stage.define(FAN))
    _, worker = LocalWorker.of(machine.app)
    failing(machine, monkeypatch, 1)
    with pytest.raises(Unavailable):
        worker._received(1, False)
    assert machine.stage.states(session.session_uuid)["a"] == "initial"
    machine.work()
    assert ended(machine, session, len(FAN))


def failing(machine: Machine, monkeypatch: pytest.MonkeyPatch, *commits: int) -> None:
    """Let these commits of transactions fail, as on a full disk; 1 is the first."""
    commit, number = machine.file._commit, 0

    def fail() -> None:
        nonlocal number
        number += 1
        if number in commits:
            raise Unavailable("the disk is full")
        commit()

    monkeypatch.setattr(machine.file, "_commit", fail)


@pytest.mark.parametrize("at", range(1, 6))
def test_a_transaction_that_fails_is_repeated_and_no_agent_is_called_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    session = machine.stage.start(machine.stage.define(FAN))
    failing(machine, monkeypatch, at)
    machine.work()
    assert ended(machine, session, len(FAN))


def test_a_failed_attempt_is_recorded_with_what_follows_from_it(machine: Machine) -> None:
    def fail(*_: object) -> str:
        raise AgentFailure("no")

    machine.stage.runtime.behaviours = {"a": fail}
    session = machine.stage.start(machine.stage.define(CHAIN))
    assert machine.commits(machine.work) == 3
    assert machine.stage.attempts(session) == [(1, "failed", "error")]
    assert machine.stage.status(session) == "failed"


def test_an_error_after_the_end_of_an_agent_does_not_undo_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = machine.stage.start(machine.stage.define(FAN))
    send = machine.queue.send

    def refuse(*_: Any, **__: Any) -> None:
        monkeypatch.setattr(machine.queue, "send", send)
        raise RuntimeError("a mistake")

    monkeypatch.setattr(machine.queue, "send", refuse)
    (message,) = machine.queue.receive(1, wait=False)
    then = machine.next_of(message)
    with pytest.raises(RuntimeError, match="a mistake"):
        then.run(machine.queue.read(message["Body"]), None)
    assert machine.stage.states(session.session_uuid)["a"] == "completed"
    assert machine.stage.attempts(session) == [(1, "completed", None)]
    machine.queue.postpone(message["ReceiptHandle"], 0)
    machine.work()
    assert ended(machine, session, len(FAN))


def test_what_followed_in_a_transaction_that_failed_is_forgotten(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (machine.stage.start(machine.stage.define({"a": []})) for _ in range(2))
    (message,) = machine.queue.receive(1, wait=False)
    then = machine.next_of(message)
    failing(machine, monkeypatch, *range(1, 100))
    stopping = Event()
    stopping.set()
    monkeypatch.setattr(then, "_stopping", stopping)
    with pytest.raises(Unavailable):
        then.run(machine.queue.read(message["Body"]), None)
    monkeypatch.undo()
    assert machine.stage.attempts(first) == machine.stage.attempts(second) == []
    following = then.get()
    assert following is not None
    assert following.message["MessageId"] != message["MessageId"]
    assert following.claimed is not None


def test_what_followed_is_forgotten_also_when_the_repeated_transaction_finds_more_to_do(
    machine: Machine,
) -> None:
    """A successor is claimed then, and its attempt may end without a transaction."""
    for _ in range(2):
        machine.stage.start(machine.stage.define({"a": []}))
    (message,) = machine.queue.receive(1, wait=False)
    then = machine.next_of(message)
    with pytest.raises(KeyError), machine.file.together():
        then._end(True)
        raise KeyError
    then._end(False)
    following = then.get()
    assert following is not None
    with machine.file.reading() as connection:
        found = connection.execute("SELECT id, is_held FROM messages").fetchall()
    assert found == [(int(following.message["MessageId"]), 1)]


def test_an_error_of_the_next_message_is_not_one_of_the_step_before(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example a record that cannot be read."""
    first, second = (machine.stage.start(machine.stage.define({"a": []})) for _ in range(2))
    (message,) = machine.queue.receive(1, wait=False)
    then = machine.next_of(message)

    def refuse(app: App, wake: Wake) -> Claim:
        assert wake.session_uuid == second.session_uuid
        raise ValueError("an item of an earlier layout")

    monkeypatch.setattr(next_message, "claim", refuse)
    then.run(machine.queue.read(message["Body"]), None)
    following = then.get()
    assert machine.stage.status(first) == "completed"
    assert following is not None
    assert following.claimed is None
