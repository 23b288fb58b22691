from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.domain.ids import child_uuid, name_uuid, new_uuid

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))


def test_a_uuid_is_of_version_7_and_says_its_millisecond() -> None:
    made = UUID(new_uuid(NOW + timedelta(milliseconds=7)))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(NOW.timestamp() * 1000) + 7


@given(MOMENTS, st.timedeltas(timedelta(microseconds=1), timedelta(days=900)))
def test_a_later_uuid_sorts_later(moment: datetime, pause: timedelta) -> None:
    assert new_uuid(moment) < new_uuid(moment + pause)


def test_uuids_of_one_millisecond_differ() -> None:
    assert len({new_uuid(NOW) for _ in range(1000)}) == 1000


@given(st.integers(0, 2**32 - 2))
def test_session_agents_sort_by_ordinal_in_their_text(ordinal: int) -> None:
    first, second = child_uuid("s", ordinal, NOW), child_uuid("s", ordinal + 1, NOW)
    assert first < second
    assert (UUID(first).version, UUID(first).variant) == (7, "specified in RFC 4122")


def test_a_session_agent_is_found_again_and_differs_between_sessions_and_times() -> None:
    assert child_uuid("s", 3, NOW) == child_uuid("s", 3, NOW)
    different = {
        child_uuid("s", 3, NOW),
        child_uuid("t", 3, NOW),
        child_uuid("s", 3, NOW + timedelta(milliseconds=1)),
    }
    assert len(different) == 3


@given(st.text())
def test_the_uuid_of_a_name_is_that_of_python(name: str) -> None:
    assert name_uuid(name) == str(uuid5(NAMESPACE_URL, name))
