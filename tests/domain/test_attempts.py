"""The details of a run, typed: whatever a runtime or an earlier version has left there is read or
left out.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from ai_coordination_engine.domain.attempts import Attempt
from ai_coordination_engine.domain.usage import Usage

MOST = 2**31 - 1


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"input_tokens": 3, "output_tokens": 4, "total_tokens": 9}, (3, 4, 9)),
        ({"input_tokens": 3, "output_tokens": 4}, (3, 4, 7)),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, (3, 4, 7)),
        ({"input_tokens": 1, "prompt_tokens": 3, "completion_tokens": 4}, (1, 4, 5)),
        ({"input_tokens": "1", "prompt_tokens": 3}, (3, None, None)),
        ({"input_tokens": 3}, (3, None, None)),
        ({"total_tokens": 3}, (None, None, 3)),
        ({"input_tokens": 0, "output_tokens": 0}, (0, 0, 0)),
        ({"input_tokens": 3.0, "output_tokens": 4.5}, (3, None, None)),
        ({"input_tokens": True, "output_tokens": None, "total_tokens": [1]}, (None, None, None)),
        ({"input_tokens": -1, "output_tokens": 1, "total_tokens": -5}, (None, 1, None)),
        ({"input_tokens": MOST, "output_tokens": 0}, (MOST, 0, MOST)),
        ({"input_tokens": MOST, "output_tokens": 1}, (MOST, 1, None)),
        ({"input_tokens": MOST + 1, "output_tokens": 1, "total_tokens": 2**60}, (None, 1, None)),
        ({"total_tokens": "7", "input_tokens": 3, "output_tokens": 4}, (3, 4, 7)),
        ({"input_tokens": float("inf"), "output_tokens": float("nan")}, (None, None, None)),
        ({}, (None, None, None)),
        (None, (None, None, None)),
        ("12 tokens", (None, None, None)),
        ([1], (None, None, None)),
    ],
)
def test_tokens_are_counted_in_every_shape_of_usage(
    usage: Any, counts: tuple[int | None, ...]
) -> None:
    names = ("input_tokens", "output_tokens", "total_tokens")
    found = Usage.of(usage)
    assert tuple(getattr(found, name) for name in names) == counts


def test_an_attempt_is_typed() -> None:
    details = {
        "status": "failed",
        "attempt": 2,
        "started_at": "2026-11-02T09:00:00.250000+00:00",
        "ended_at": "2026-11-02T10:00:01+01:00",
        "error": "no",
        "error_class": "timeout",
        "usage": {"model": "m", "input_tokens": 1, "output_tokens": 2},
    }
    assert Attempt.of(details) == Attempt(
        details=details,
        status="failed",
        attempt=2,
        started_at=datetime(2026, 11, 2, 9, 0, 0, 250_000, UTC),
        ended_at=datetime(2026, 11, 2, 9, 0, 1, tzinfo=UTC),
        error="no",
        error_class="timeout",
        usage=Usage(model="m", input_tokens=1, output_tokens=2, total_tokens=3),
    )


@pytest.mark.parametrize("details", [None, "text", [], 7])
def test_a_run_that_keeps_no_details_is_an_attempt_of_nothing(details: Any) -> None:
    assert Attempt.of(details) == Attempt()


@pytest.mark.parametrize(
    "wrong", [None, True, 1.5, [], {}, "x", "2026-99-99", "0001-01-01T00:00:00+14:00"]
)
def test_what_is_not_of_its_type_is_left_out(wrong: Any) -> None:
    text = wrong if isinstance(wrong, str) else None
    details = dict.fromkeys(
        ("status", "attempt", "started_at", "ended_at", "error", "error_class", "usage"), wrong
    )
    assert Attempt.of(details) == Attempt(
        details=details, status=text, error=text, error_class=text
    )


@pytest.mark.parametrize(
    ("attempt", "shown"),
    [(1, 1), (2.0, 2), (MOST, MOST), (MOST + 1, None), (-1, None), ("1", None)],
)
def test_the_number_of_an_attempt_fits_into_an_integer_of_graphql(
    attempt: Any, shown: int | None
) -> None:
    assert Attempt.of({"attempt": attempt}).attempt == shown


def test_a_time_without_a_zone_is_in_utc() -> None:
    assert Attempt.of({"ended_at": "2026-11-02T09:00:00"}).ended_at == datetime(
        2026, 11, 2, 9, tzinfo=UTC
    )
