"""Processes that share a data directory: who lives, who is dead, and wake-ups between them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from ai_coordination_engine.database.names import PROCESSES
from ai_coordination_engine.entrypoints.local.processes import Processes
from tests.kit.forked import forked, stay_until

ROOT = Path(__file__).parents[3]
OTHER = """
import sys
from pathlib import Path
from ai_coordination_engine.entrypoints.local.processes import Processes
processes = Processes(Path(sys.argv[1]))
print(processes.name, flush=True)
sys.stdin.read()
processes.close()
"""


@contextmanager
def other(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run another process in the directory; yield its name and the process."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def names(processes: Processes) -> list[tuple[str, int]]:
    """Return the names and ids of dead processes, and leave them to others."""
    found = []
    for each in processes.dead():
        found.append((each.name, each.pid))
        each.lock.close()
    return found


def test_a_killed_process_is_dead_and_a_stopped_one_is_not(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as own, other(tmp_path) as (name, process):
        assert own.others() == {name: process.pid}
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert names(own) == []
        assert own.others() == {name: process.pid}
        process.kill()
        process.wait()
        assert names(own) == [(name, process.pid)]
        assert own.others() == {}


def test_a_process_that_ends_leaves_nothing(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as own, other(tmp_path) as (_, process):
        process.communicate("")
        assert process.returncode == 0
        assert names(own) == []
    assert list((tmp_path / PROCESSES).iterdir()) == []


def test_a_process_that_leaves_work_is_looked_after(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as own:
        left = Processes(tmp_path)
        left.leaves_work = True
        assert names(own) == []
        left.close()
        (found,) = own.dead()
        found.lock.close()
        assert (found.name, found.pid, found.stopped) == (left.name, os.getpid(), True)


def test_a_killed_process_was_not_told_to_stop(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as own, other(tmp_path) as (_, process):
        process.kill()
        process.wait()
        (found,) = own.dead()
        found.lock.close()
        assert found.stopped is False


def test_one_process_looks_after_a_dead_one_and_another_if_that_dies_too(tmp_path: Path) -> None:
    dead = Processes(tmp_path)
    dead.leaves_work = True
    dead.close()
    with closing(Processes(tmp_path)) as one, closing(Processes(tmp_path)) as another:
        (found,) = one.dead()
        assert names(another) == []
        found.lock.close()  # as when that process dies
        assert names(another) == [(dead.name, os.getpid())]
        (found,) = another.dead()
        another.forget(found)
        assert names(one) == []
    assert list((tmp_path / PROCESSES).iterdir()) == []


def test_a_reused_process_id_keeps_no_dead_process_alive(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as own, other(tmp_path) as (name, process):
        process.kill()
        process.wait()
        (tmp_path / PROCESSES / name).write_text('{"pid": 1}')  # that of a living process
        assert names(own) == [(name, 1)]


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"pid": "x"}'])
def test_a_file_that_says_nothing_is_of_a_dead_process(tmp_path: Path, text: str) -> None:
    with closing(Processes(tmp_path)) as own:
        (tmp_path / PROCESSES / "0").write_text(text)
        assert names(own) == [("0", 0)]


def test_the_id_of_a_process_that_could_not_be_written_is_not_shown(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as own, other(tmp_path) as (name, process):
        assert sorted(own.pids()) == sorted([os.getpid(), process.pid])
        (tmp_path / PROCESSES / name).write_text("")
        assert own.others() == {name: 0}
        assert own.pids() == [os.getpid()]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_outlives_its_process_does_not_keep_it_alive(tmp_path: Path) -> None:
    read, write = os.pipe()
    started, starts = os.pipe()
    dead = Processes(tmp_path)
    dead.leaves_work = True
    child = forked(partial(stay_until, read, write, starts))
    try:
        os.read(started, 1)  # it has closed what it must not keep
        dead.close()
        with closing(Processes(tmp_path)) as own:
            assert names(own) == [(dead.name, os.getpid())]
    finally:
        for end in (write, read, started, starts):
            os.close(end)
        os.waitpid(child, 0)


def in_thread(call: Callable[[], bool]) -> tuple[threading.Thread, list[bool]]:
    """Run a call on a thread; return the thread and where its result will be."""
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    return thread, results


def test_a_process_wakes_the_others(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as one, closing(Processes(tmp_path)) as another:
        assert set(one.others()) == {another.name}
        thread, results = in_thread(another.wait)
        one.wake_others()
        thread.join(10)
        assert results == [True]
        thread, results = in_thread(another.wait)
        another.stop_waiting()
        thread.join(10)
        assert results == [True]


def test_who_does_not_listen_keeps_nobody_waiting(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as one, closing(Processes(tmp_path)) as another:
        one.others()
        for _ in range(70_000):  # more than a FIFO takes
            one.wake_others()
        thread, _ = in_thread(lambda: another.stop_waiting() is None)
        thread.join(10)
        assert not thread.is_alive()
        assert another.wait()


def test_without_fifos_nobody_is_woken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "mkfifo", refuse)
    with closing(Processes(tmp_path)) as one, closing(Processes(tmp_path)) as another:
        assert set(one.others()) == {another.name}
        one.wake_others()
        assert not another.wait()
        another.stop_waiting()


def test_a_dead_process_keeps_no_fifo_open_in_those_that_live(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as one, closing(Processes(tmp_path)) as another:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            gone = Processes(tmp_path)
            assert set(one.others()) == {another.name, gone.name}
            gone.close()
            assert set(one.others()) == {another.name}
        assert len(os.listdir("/proc/self/fd")) == before + 1  # that of `another`
