"""What the processes of a data directory tell each other of changes."""

import os
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from ai_coordination_engine.adapters.change_fifos import ChangeFifos
from ai_coordination_engine.adapters.changes import ProcessChanges
from ai_coordination_engine.database.names import PROCESSES
from ai_coordination_engine.domain import topics

FIRST, SECOND = topics.of_session("acme", "s"), topics.of_tenant("acme")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / PROCESSES).mkdir()
    return tmp_path


class Reader:
    """A process in which somebody watches, and what it has heard."""

    def __init__(self, folder: Path, name: str = "reader") -> None:
        self.fifos = ChangeFifos(folder, name)
        self.heard: list[Sequence[str] | None] = []
        self._news = threading.Semaphore(0)
        self.fifos.begin(self.hear)

    def hear(self, told: Sequence[str] | None) -> None:
        self.heard.append(told)
        self._news.release()

    def next(self) -> Sequence[str] | None:
        assert self._news.acquire(timeout=10)
        return self.heard.pop(0)

    def close(self) -> None:
        self.fifos.end()


def test_topics_are_told_where_somebody_watches_and_only_then(folder: Path) -> None:
    one, own = ChangeFifos(folder, "one"), ChangeFifos(folder, "")
    assert not one.is_watched
    one.tell([FIRST])
    with closing(Reader(folder)) as reader:
        assert (one.is_watched, own.is_watched, reader.fifos.is_watched) == (True, True, False)
        one.tell([FIRST, SECOND])
        assert reader.next() == [FIRST, SECOND]
        own.tell(None)
        assert reader.next() is None
        assert [reader.fifos.was_told(), reader.fifos.was_told()] == [True, False]
        own.tell_of_commit()
        assert reader.next() == ["-"]
    reader.fifos.begin(reader.hear)
    assert reader.fifos.was_told() is False  # since it began
    reader.close()
    assert not one.is_watched
    assert [*(folder / PROCESSES).iterdir()] == []


def test_a_watch_that_begins_again_is_found_though_its_name_is_the_same(folder: Path) -> None:
    one = ChangeFifos(folder, "one")
    for _ in range(20):
        with closing(Reader(folder)) as reader:
            one.tell([FIRST])
            assert reader.next() == [FIRST]


def test_a_look_at_a_directory_that_rests_reads_it_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(folder / PROCESSES, (1, 1))
    one, reads = ChangeFifos(folder, "one"), list[Path]()

    def listdir(path: Path) -> list[str]:
        reads.append(path)
        return []

    monkeypatch.setattr(os, "listdir", listdir)
    assert [one.is_watched for _ in range(9)] == [False] * 9
    assert reads == [folder / PROCESSES]


@pytest.mark.parametrize("length", [10, 1_400, 2_060, 4_000])
def test_what_does_not_fit_is_heard_as_anything_and_nobody_waits(folder: Path, length: int) -> None:
    one, busy, go_on = ChangeFifos(folder, "one"), threading.Event(), threading.Event()

    class Slow(Reader):
        def hear(self, told: Sequence[str] | None) -> None:
            busy.set()
            go_on.wait()
            super().hear(told)

    with closing(Slow(folder)) as reader:
        one.tell([FIRST])
        busy.wait()
        for number in range(70_000 // length):
            one.tell([f"{number}".ljust(length, "x")])
        one.tell([SECOND])
        go_on.set()
        assert [reader.next(), reader.next()] == [[FIRST], None]
        one.tell([SECOND])
        assert reader.next() == [SECOND]


@pytest.mark.parametrize("topic", ["x" * 5_000, "a\nb"])
def test_a_topic_that_is_no_line_is_heard_as_anything(folder: Path, topic: str) -> None:
    with closing(Reader(folder)) as reader:
        ChangeFifos(folder, "one").tell([FIRST, topic])
        assert reader.next() is None


def test_many_topics_are_told_in_parts(folder: Path) -> None:
    told = [f"session {number}" for number in range(1_500)]
    found: list[str] = []
    with closing(Reader(folder)) as reader:
        ChangeFifos(folder, "one").tell(told)
        while len(found) < len(told):
            found += reader.next() or ()
    assert found == told


def test_who_died_while_somebody_watched_keeps_nobody_waiting(folder: Path) -> None:
    os.mkfifo(folder / PROCESSES / "dead.changes")
    one = ChangeFifos(folder, "one")
    one.tell([FIRST])
    with closing(Reader(folder)) as reader:
        one.tell([FIRST])
        assert reader.next() == [FIRST]


class Watched:
    """The changes of a process in which somebody watches a session. `wrote`: whether others have
    written, at each look.
    """

    def __init__(self, folder: Path, *wrote: bool) -> None:
        looks = iter(wrote)
        self.told = threading.Semaphore(0)
        self.changes = ProcessChanges(lambda: next(looks), others=ChangeFifos(folder, "own"))
        self.close = self.changes.watch([FIRST], self.told.release)

    def is_told(self, seconds: float = 0) -> bool:
        return self.told.acquire(timeout=seconds)


def test_what_others_tell_of_what_is_watched_needs_no_look(folder: Path) -> None:
    fifos = ChangeFifos(folder, "other")
    other = ProcessChanges(others=fifos)
    assert not other.is_told
    with closing(Watched(folder, True, True, False)) as own:
        fifos.tell_of_commit()
        assert (other.is_told, other.is_watched) == (True, False)
        other.announce([topics.of_output("acme", "s", "a")])
        other.announce([FIRST])
        assert own.is_told(10)
        other.announce([SECOND])
        assert not own.is_told(0.05)
        other.announce_all()
        assert own.is_told(10)
        assert [own.changes.look() for _ in range(2)] == [False, False]
        other.announce([FIRST])  # a moment after the commit was seen
        assert own.is_told(10)
        assert not own.changes.look()
        assert not own.is_told()


def test_what_others_do_not_tell_until_the_second_look_is_told_to_all(folder: Path) -> None:
    with closing(Watched(folder, False, True, False, False)) as own:
        assert [own.changes.look() for _ in range(4)] == [False, False, True, False]
        assert [own.is_told(), own.is_told()] == [True, False]


def test_where_there_are_no_fifos_one_look_tells_all(tmp_path: Path) -> None:
    with closing(Watched(tmp_path, True, False)) as own:
        assert [own.changes.look(), own.changes.look()] == [True, False]
        assert [own.is_told(), own.is_told()] == [True, False]


def test_an_end_while_others_tell_is_an_end(folder: Path) -> None:
    one, reader = ChangeFifos(folder, "one"), ChangeFifos(folder, "reader")
    for _ in range(50):
        reader.begin(lambda told: None)
        for _ in range(3):
            one.tell([FIRST])
        reader.end()
    assert not one.is_watched
