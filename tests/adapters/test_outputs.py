from collections.abc import Iterator
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest

from ai_coordination_engine.adapters import outputs as module
from ai_coordination_engine.adapters.change_fifos import ChangeFifos
from ai_coordination_engine.adapters.changes import ProcessChanges
from ai_coordination_engine.adapters.outputs import ProcessOutputs
from ai_coordination_engine.database.names import PROCESSES
from ai_coordination_engine.domain import topics
from ai_coordination_engine.live_ports import Written

KEY = ("acme", "s", "a")


def test_a_text_is_read_from_where_the_reader_was() -> None:
    changes, told = ProcessChanges(), list[str]()
    changes.watch([topics.of_output(*KEY)], lambda: told.append("x"))
    outputs = ProcessOutputs(changes)
    assert outputs.read(*KEY, 0, 0) is None
    add = outputs.writing(*KEY, 1)
    assert outputs.read(*KEY, 0, 0) == Written(1, 0, "")
    add("one ")
    add("two ")
    assert outputs.read(*KEY, 1, 1) == Written(1, 2, "two ")
    assert outputs.read(*KEY, 2, 1) == Written(1, 2, "")
    assert outputs.read("other", "s", "a", 0, 0) is None
    assert told == ["x", "x"]


def test_a_new_attempt_begins_anew_and_the_old_one_adds_nothing() -> None:
    outputs = ProcessOutputs(ProcessChanges())
    old = outputs.writing(*KEY, 1)
    old("one ")
    new = outputs.writing(*KEY, 2)
    old("late ")
    new("two ")
    assert outputs.read(*KEY, 1, 1) == Written(2, 1, "two ")


@pytest.mark.parametrize("delta", ["", None, b"x", 1])
def test_what_is_no_text_is_ignored(delta: Any) -> None:
    outputs = ProcessOutputs(ProcessChanges())
    outputs.writing(*KEY, 1)(delta)
    assert outputs.read(*KEY, 0, 1) == Written(1, 0, "")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST", 10)
    monkeypatch.setattr(module, "_MOST_CHARACTERS", 25)
    outputs = ProcessOutputs(ProcessChanges())
    for name in "abc":
        add = outputs.writing("acme", "s", name, 1)
        for _ in range(4):
            add("xxxx")
    found = [outputs.read("acme", "s", name, 0, 1) for name in "abc"]
    assert found == [Written(1, 2, "x" * 8)] * 3
    outputs.writing("acme", "s", "d", 1)("xxxx")
    assert outputs.read("acme", "s", "a", 0, 1) is None
    assert outputs.read("acme", "s", "b", 0, 1) == Written(1, 2, "x" * 8)


def test_the_number_of_texts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_TEXTS", 2)
    outputs = ProcessOutputs(ProcessChanges())
    for name in "abc":
        outputs.writing("acme", "s", name, 1)
    found = [outputs.read("acme", "s", name, 0, 1) for name in "abc"]
    assert found == [None, Written(1, 0, ""), Written(1, 0, "")]


def test_attempts_that_write_nothing_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_TEXTS", 3)
    outputs = ProcessOutputs(ProcessChanges())
    for name in "abcd":
        outputs.writing("acme", "s", name, 1)
    found = [outputs.read("acme", "s", name, 0, 1) for name in "abcd"]
    assert found == [None, *[Written(1, 0, "")] * 3]


def test_a_text_that_is_too_long_has_no_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST", 10)
    outputs = ProcessOutputs(ProcessChanges())
    add = outputs.writing(*KEY, 1)
    for delta in ("one ", "two three ", "four"):
        add(delta)
    assert outputs.read(*KEY, 0, 1) == Written(1, 1, "one ")


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[ProcessOutputs, ProcessOutputs, ProcessChanges]]:
    """The texts of a process in which somebody watches, after those of another process."""
    (tmp_path / PROCESSES).mkdir()
    fifos = ChangeFifos(tmp_path, "other"), ChangeFifos(tmp_path, "own")
    other, own = (ProcessChanges(others=each) for each in fifos)
    yield ProcessOutputs(other, fifos[0]), ProcessOutputs(own, fifos[1]), own


def test_another_process_is_told_until_a_part_is_lost(told: Any) -> None:
    other, own, changes = told
    news = Semaphore(0)
    end = changes.watch([topics.of_output(*KEY)], news.release)
    add = other.writing(*KEY, 1)
    add("line\nand ü\ud800 ")
    add("x" * 1500)
    long = "line\nand ü\ud800 " + "x" * 1500
    for _ in range(4):
        assert news.acquire(timeout=10)
    assert own.read(*KEY, 0, 1) == Written(1, 4, long)
    end()
    add("lost")
    end = changes.watch([topics.of_output(*KEY)], news.release)
    add("late")
    other.writing(*KEY, 2)("new")
    assert news.acquire(timeout=10)
    assert own.read(*KEY, 4, 1) == Written(2, 1, "new")
    add("of an attempt that was lost")
    end()
    assert other.read(*KEY, 0, 2) == Written(2, 1, "new")
