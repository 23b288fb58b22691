"""Calls, and whole works, at the same time."""

from pathlib import Path
from threading import Barrier, BrokenBarrierError, get_ident

import pytest

from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.store.tables.one_transaction import OneTransaction
from ai_coordination_engine.store.tables.parallel import Parallel


def test_works_go_on_side_by_side_and_may_make_calls_at_the_same_time() -> None:
    parallel, barrier, done = Parallel(2), Barrier(4), []

    def work(number: int) -> None:
        barrier.wait(5)
        done.extend(parallel.run([lambda: number, lambda: number]))

    parallel.beside([lambda number=number: work(number) for number in range(4)])  # type: ignore[misc]
    assert sorted(done) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_what_one_work_raises_is_raised_when_all_had_their_turn() -> None:
    done: list[int] = []
    lonely = Barrier(2)
    with pytest.raises(BrokenBarrierError):
        Parallel().beside([lambda: lonely.wait(0.01), *[lambda: done.append(1)] * 20], threads=2)
    assert len(done) == 20


def test_nothing_to_do_is_done() -> None:
    Parallel().beside([])


def test_what_calls_write_in_a_file_is_one_transaction(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "ace.db", "none")
    file.write(lambda connection: connection.execute("CREATE TABLE t (n)"))
    commits: list[str] = []
    file._writer.set_trace_callback(commits.append)

    def add(number: int) -> int:
        file.write(lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)))
        return number

    def fail() -> int:
        raise KeyError("mine")

    def count() -> int:
        with file.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])

    parallel = OneTransaction(file)
    assert parallel.run([count, lambda: add(7), count, lambda: add(8)]) == [0, 7, 1, 8]
    assert commits.count("COMMIT") == 1
    with pytest.raises(KeyError, match="mine"):  # all are run, and what the others wrote is kept
        parallel.run([lambda: add(9), fail, lambda: add(10)])
    assert count() == 4
    assert parallel.run([count, count]) == [4, 4]
    assert commits.count("COMMIT") == 2, "reads wait for no writer"
    parallel.beside([lambda: add(11), lambda: add(12)])
    assert count() == 6
    file.close()


def test_one_of_several_calls_needs_no_other_thread() -> None:
    def fail() -> None:
        raise KeyError("first")

    threads = Parallel(2).run([get_ident] * 3)
    assert [each == get_ident() for each in threads] == [True, False, False]
    done: list[int] = []
    with pytest.raises(KeyError, match="first"):
        Parallel(1).run([fail, lambda: done.append(1), lambda: done.append(2)])
    assert done == [1, 2]
