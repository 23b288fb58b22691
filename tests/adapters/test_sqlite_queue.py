"""The queue on SQLite: what SQS promises, and turns of tenants."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from ai_coordination_engine.adapters import sqlite_queue, sqlite_retention
from ai_coordination_engine.adapters.clock import SystemClock
from ai_coordination_engine.adapters.sqlite_queue import SqliteQueue
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.errors import BadUserInput, Unavailable
from ai_coordination_engine.ports import Backfill, Fire, Wake
from tests.kit.fakes import FakeClock

HIDDEN, MOST = 60.0, 3
EARLIER = """
CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, body TEXT NOT NULL,
  sent_at REAL NOT NULL, visible_at REAL NOT NULL, received INTEGER NOT NULL DEFAULT 0,
  is_held INTEGER NOT NULL DEFAULT 0, is_dead INTEGER NOT NULL DEFAULT 0)
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DatabaseFile]:
    made = DatabaseFile(tmp_path / "ace.db", "none")
    yield made
    made.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(file: DatabaseFile, clock: FakeClock) -> SqliteQueue:
    return SqliteQueue(file, clock, HIDDEN, MOST)


def wake(name: str, tenant: str = "acme") -> Wake:
    return Wake(tenant, name, "a")


def take(queue: SqliteQueue, most: int = 10) -> list[dict[str, Any]]:
    return queue.receive(most, wait=False)


def names(queue: SqliteQueue, messages: list[dict[str, Any]]) -> list[str]:
    read = [queue.read(each["Body"]) for each in messages]
    return [each.session_uuid for each in read if isinstance(each, Wake)]


def taken(queue: SqliteQueue, most: int = 10) -> list[str]:
    return names(queue, take(queue, most))


@pytest.mark.parametrize(
    "message",
    [
        Wake("acme#eu", "s", "ü", epoch=3),
        Fire("acme", "t", "s", nominal=7, revision="r", sent_at=6.5),
        Backfill("acme", "t", "s"),
    ],
)
def test_a_message_is_what_was_sent(queue: SqliteQueue, message: Any) -> None:
    queue.send([message])
    ((received),) = take(queue)
    assert queue.read(received["Body"]) == message
    with pytest.raises(BadUserInput):
        queue.read("{")


def test_a_message_is_hidden_until_it_is_deleted_or_its_time_ends(
    queue: SqliteQueue, clock: FakeClock
) -> None:
    queue.send([wake("1"), wake("2")])
    first, second = take(queue)
    assert take(queue) == []
    queue.delete(first["ReceiptHandle"])
    clock.advance(HIDDEN - 1)
    assert take(queue) == []
    clock.advance(1)
    (again,) = take(queue)
    assert again["MessageId"] == second["MessageId"]
    assert [each["Attributes"]["ApproximateReceiveCount"] for each in (second, again)] == ["1", "2"]
    # whoever held it before holds it no longer
    queue.delete(second["ReceiptHandle"])
    queue.postpone(second["ReceiptHandle"], 0)
    assert take(queue) == []
    queue.postpone(again["ReceiptHandle"], 0)
    assert len(take(queue)) == 1


def test_delays_and_postponements_are_kept(queue: SqliteQueue, clock: FakeClock) -> None:
    queue.send([wake("late")], delay=10)
    queue.send([wake("last")], delay=100_000)
    queue.send([wake("now")], delay=-5)
    (now,) = take(queue)
    queue.postpone(now["ReceiptHandle"], 20)
    clock.advance(10)
    assert taken(queue) == ["late"]
    clock.advance(10)
    assert taken(queue) == ["now"]
    clock.advance(sqlite_queue.LONGEST_DELAY - 20.5)
    assert "last" not in taken(queue)
    clock.advance(1)
    assert "last" in taken(queue)


def test_a_message_that_was_delivered_too_often_is_a_dead_letter(
    queue: SqliteQueue, clock: FakeClock
) -> None:
    queue.send([wake("bad")])
    for _ in range(MOST):
        assert taken(queue) == ["bad"]
        clock.advance(HIDDEN)
    queue.send([wake("good")])
    assert taken(queue) == ["good"]
    assert names(queue, queue.receive_dead(10, 120)) == ["bad"]
    assert queue.receive_dead(10, 120) == []
    clock.advance(120)
    assert names(queue, queue.receive_dead(10, 120)) == ["bad"]


def test_dead_letters_are_put_back_and_deleted(queue: SqliteQueue) -> None:
    for name in ("1", "2", "3"):
        queue.dead_letter(wake(name))
    letters = queue.receive_dead(2, 120)
    assert names(queue, letters) == ["1", "2"]
    queue.postpone(letters[0]["ReceiptHandle"], 0)
    queue.delete(letters[1]["ReceiptHandle"])
    assert names(queue, queue.receive_dead(10, 120)) == ["1", "3"]
    assert take(queue) == []


def test_tenants_that_wait_take_turns(queue: SqliteQueue) -> None:
    queue.send([wake(f"big {number}", "big") for number in range(100)])
    queue.send([wake("one", "one"), wake("two", "two"), wake("three", "two")])
    assert [taken(queue, 1)[0] for _ in range(5)] == ["big 0", "one", "two", "big 1", "three"]
    queue.send([wake("later", "one")])
    assert taken(queue, 4) == ["big 2", "later", "big 3", "big 4"]
    queue.send([wake(f"each {number}", f"t{number}") for number in range(8)])
    assert taken(queue, 9) == [*(f"each {number}" for number in range(8)), "big 5"]


def test_a_tenant_whose_messages_are_hidden_keeps_nobody(
    queue: SqliteQueue, clock: FakeClock
) -> None:
    queue.send([wake("later", "a"), wake("later", "c")], delay=60)
    queue.send([wake("1", "b"), wake("2", "b")])
    assert taken(queue) == ["1", "2"]
    assert taken(queue) == []


def test_a_receiver_looks_at_no_tenant_whose_messages_are_hidden(
    file: DatabaseFile, queue: SqliteQueue, clock: FakeClock
) -> None:
    queue.send([wake("later", f"t{number:03}") for number in range(300)], delay=60)
    queue.send([wake("held", f"u{number:03}") for number in range(100)])
    assert len(taken(queue, 100)) == 100
    queue.send([wake("now", "z"), wake("next", "a")])
    statements: list[str] = []
    file._writer.set_trace_callback(statements.append)
    assert sorted(taken(queue, 10)) == ["next", "now"]
    assert len(statements) < 20
    clock.advance(60)
    assert len(taken(queue, 500)) == 402


def test_what_a_dead_process_held_is_released(file: DatabaseFile, clock: FakeClock) -> None:
    one, another = (SqliteQueue(file, clock, HIDDEN, MOST, holder) for holder in ("1", "2"))
    one.send([wake("held")])
    one.send([wake("delayed")], delay=60)
    assert taken(one) == ["held"]
    another.send([wake("theirs")])
    assert taken(another) == ["theirs"]
    assert one.held(lambda name: name == "1") == [wake("held")]
    another.release_held(lambda name: name == "1")
    assert taken(another) == ["held"]
    assert another.held(lambda name: name == "2") == [wake("held"), wake("theirs")]
    another.release_held(lambda name: name not in ("1", "2"))
    assert taken(another) == []


def test_what_a_dead_process_held_is_released_also_when_the_clock_was_set_back(
    file: DatabaseFile, clock: FakeClock
) -> None:
    one, another = (SqliteQueue(file, clock, HIDDEN, MOST, holder) for holder in ("1", "2"))
    clock.advance(86_400)
    one.send([wake("held")])
    assert taken(one) == ["held"]
    clock.begin()
    another.release_held(lambda name: name == "3")
    assert taken(another) == []
    another.release_held(lambda name: name == "1")
    assert taken(another) == ["held"]


def test_what_a_process_without_a_name_held_is_released(
    file: DatabaseFile, queue: SqliteQueue, clock: FakeClock
) -> None:
    queue.send([wake("held")])
    assert taken(queue) == ["held"]
    named = SqliteQueue(file, clock, HIDDEN, MOST, "1")
    named.release_held(lambda name: name != "1")
    assert taken(named) == ["held"]


def test_a_queue_of_an_earlier_version_gets_holders(file: DatabaseFile, clock: FakeClock) -> None:
    file.write(lambda connection: connection.execute(EARLIER))
    queue = SqliteQueue(file, clock, HIDDEN, MOST, "1")
    queue.send([wake("held")])
    assert taken(queue) == ["held"]
    assert queue.held(lambda name: name == "1") == [wake("held")]


def test_others_are_woken_once_the_message_can_be_seen(
    file: DatabaseFile, clock: FakeClock
) -> None:
    seen: list[list[str]] = []
    other = SqliteQueue(file, clock, HIDDEN, MOST)
    queue = SqliteQueue(file, clock, HIDDEN, MOST, "1", lambda: seen.append(taken(other)))
    queue.send([wake("now")])
    assert seen == [["now"]]
    with file.together():
        queue.send([wake("first")])
        queue.send([wake("second")])
        assert len(seen) == 1
    assert seen == [["now"], ["first", "second"], []]
    queue.send([wake("later")], delay=60)
    assert len(seen) == 3
    with pytest.raises(KeyError), file.together():
        queue.send([wake("never")])
        raise KeyError
    assert len(seen) == 3


def test_what_was_sent_before_the_clock_was_set_back_is_delivered_in_time(
    queue: SqliteQueue, clock: FakeClock
) -> None:
    clock.advance(3600)
    queue.send([wake("now")])
    queue.send([wake("delayed")], delay=60)
    clock.begin()
    queue.release_held(lambda name: True)  # as a server does that starts
    assert taken(queue) == ["now"]
    clock.advance(59)
    assert taken(queue) == []
    clock.advance(1.001)
    assert "delayed" in taken(queue)


def test_nothing_of_a_batch_is_sent_when_some_cannot_be(
    file: DatabaseFile, queue: SqliteQueue
) -> None:
    (pages,) = file._writer.execute("PRAGMA page_count").fetchone()
    file._writer.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(Unavailable, match="full"):
        queue.send([wake(str(number) * 100) for number in range(1000)])
    assert take(queue) == []


@pytest.fixture
def in_time(file: DatabaseFile) -> SqliteQueue:
    """A queue whose clock goes."""
    return SqliteQueue(file, SystemClock(), HIDDEN, MOST)


def test_a_waiting_receiver_gets_a_message_at_once(
    in_time: SqliteQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_queue, "_LOOK_AGAIN", 20.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(in_time.receive, 1)
        threading.Event().wait(0.05)
        begun = monotonic()
        in_time.send([wake("1")])
        assert names(in_time, waiting.result(60)) == ["1"]
        assert monotonic() - begun < 15
        waiting = pool.submit(in_time.receive, 1)
        in_time.send([wake("2")], delay=0.2)
        assert names(in_time, waiting.result(60)) == ["2"]
        assert monotonic() - begun < 15


def test_a_process_that_stops_receives_nothing_more(in_time: SqliteQueue) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(in_time.receive, 1)
        assert in_time.wait_for_waiting(60, threading.Event())
        in_time.interrupt()
        assert waiting.result(sqlite_queue.LONGEST_POLL / 2) == []
    in_time.send([wake("a")])
    assert in_time.receive(1) == []


def test_what_another_process_sends_is_found(
    in_time: SqliteQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_queue, "_LOOK_AGAIN", 0.05)
    file = DatabaseFile(in_time._file.path)
    other = SqliteQueue(file, SystemClock(), HIDDEN, MOST)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(in_time.receive, 1)
        other.send([wake("1")])
        assert names(in_time, waiting.result(60)) == ["1"]
    file.close()


def test_each_message_is_received_once_by_many(in_time: SqliteQueue) -> None:
    in_time.send([wake(str(number), f"t{number % 5}") for number in range(100)])
    with ThreadPoolExecutor(8) as pool:
        found = [each for got in pool.map(lambda _: taken(in_time, 3), range(40)) for each in got]
    assert sorted(found, key=int) == [str(number) for number in range(100)]


def dead(queue: SqliteQueue) -> list[str]:
    return names(queue, queue.receive_dead(10, 0))


DAY = 86_400


def test_a_dead_letter_is_kept_for_fourteen_days(queue: SqliteQueue, clock: FakeClock) -> None:
    queue.dead_letter(wake("old"))
    clock.advance(DAY)
    queue.dead_letter(wake("young"))
    clock.advance(13 * DAY - 1)
    assert dead(queue) == ["old", "young"]
    clock.advance(1)
    assert dead(queue) == ["young"]
    clock.advance(DAY)
    assert taken(queue) == []  # which deletes old ones, too
    with queue._file.reading() as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)


def test_a_message_is_kept_for_four_days(queue: SqliteQueue, clock: FakeClock) -> None:
    queue.send([wake("old")])
    (held,) = take(queue)
    clock.advance(4 * DAY - 1)
    queue.send([wake("young")])
    queue.postpone(held["ReceiptHandle"], 0)
    assert sorted(taken(queue)) == ["old", "young"]
    clock.advance(1000)
    assert taken(queue) == ["young"]


def test_while_no_server_runs_a_message_does_not_grow_old(
    file: DatabaseFile, clock: FakeClock
) -> None:
    SqliteQueue(file, clock, HIDDEN, MOST).send([wake("a")])
    clock.advance(30 * DAY)
    assert taken(SqliteQueue(file, clock, HIDDEN, MOST)) == ["a"]


def test_the_retention_is_that_of_the_template() -> None:
    text = (Path(__file__).parents[2] / "template.yaml").read_text()
    queues = r"^  (?:DeadLetter)?Queue:$.*?MessageRetentionPeriod: (\d+)"
    found = [int(each) for each in re.findall(queues, text, re.DOTALL | re.MULTILINE)]
    assert found == [sqlite_retention.MESSAGE_SECONDS, sqlite_retention.DEAD_SECONDS]
