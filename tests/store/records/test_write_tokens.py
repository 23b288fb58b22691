from datetime import UTC, datetime, timedelta

from ai_coordination_engine.store.records.write_tokens import (
    TOKEN_LIFETIME,
    is_live,
    new_token,
    oldest_live,
)

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def test_a_token_lives_sixty_seconds() -> None:
    assert timedelta(seconds=60) == TOKEN_LIFETIME
    token = new_token(NOW)
    assert is_live(token, NOW)
    assert is_live(token, NOW + TOKEN_LIFETIME)
    assert not is_live(token, NOW + TOKEN_LIFETIME + MICROSECOND)


def test_tokens_of_one_moment_differ() -> None:
    assert len({new_token(NOW) for _ in range(1000)}) == 1000


def test_tokens_compare_in_the_order_of_time_also_at_a_full_second() -> None:
    assert new_token(NOW) < new_token(NOW + MICROSECOND) < new_token(NOW + timedelta(seconds=1))


def test_the_condition_in_the_database_and_the_check_here_agree() -> None:
    token = new_token(NOW)
    for passed in (timedelta(0), TOKEN_LIFETIME, TOKEN_LIFETIME + MICROSECOND):
        assert (token < oldest_live(NOW + passed)) is not is_live(token, NOW + passed)
