from datetime import UTC, datetime, timedelta

from ai_coordination_engine.store.records.marks import MARK_LIFETIME, is_live, new_mark, oldest_live

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def test_a_mark_lives_sixty_seconds() -> None:
    assert timedelta(seconds=60) == MARK_LIFETIME
    mark = new_mark(NOW)
    assert is_live(mark, NOW)
    assert is_live(mark, NOW + MARK_LIFETIME)
    assert not is_live(mark, NOW + MARK_LIFETIME + MICROSECOND)


def test_marks_of_one_moment_differ() -> None:
    assert len({new_mark(NOW) for _ in range(1000)}) == 1000


def test_marks_compare_in_the_order_of_time_also_at_a_full_second() -> None:
    assert new_mark(NOW) < new_mark(NOW + MICROSECOND) < new_mark(NOW + timedelta(seconds=1))


def test_the_condition_in_the_database_and_the_check_here_agree() -> None:
    mark = new_mark(NOW)
    for passed in (timedelta(0), MARK_LIFETIME, MARK_LIFETIME + MICROSECOND):
        assert (mark < oldest_live(NOW + passed)) is not is_live(mark, NOW + passed)
