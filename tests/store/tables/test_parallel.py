"""Calls, and whole works, at the same time."""

from threading import Barrier, BrokenBarrierError

import pytest

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
