"""Why a schedule does not fire, as a code, in words, and until when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ai_coordination_engine.engine.scheduling.explain import WhyNotFired, why_not_fired
from ai_coordination_engine.store.models import TaskSchedule

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
NEXT = NOW + timedelta(hours=1)
LATEST = {"code": "OVERLAP_SKIPPED", "message": "words"}


@pytest.mark.parametrize(
    ("given", "kept", "expected"),
    [
        (
            {"status": "initial"},
            None,
            ("NOT_ACTIVE", "The schedule is initial; with the status active it fires.", None),
        ),
        (
            {"status": "completed"},
            None,
            ("ENDED", "The schedule is completed; with the status active it fires.", None),
        ),
        (
            {"status": "paused"},
            {"code": "PAUSED_AFTER_FAILURE", "message": "words"},
            ("PAUSED_AFTER_FAILURE", "words", None),
        ),
        (
            {"fire_at": NEXT.timestamp()},
            None,
            ("NOT_YET", "It fires next at 2026-07-01T15:00:00+02:00.", NEXT),
        ),
        (
            {"fire_at": NOW.timestamp()},
            None,
            (
                "DUE",
                "It is due since 2026-07-01T14:00:00+02:00 and fires within a minute.",
                NOW,
            ),
        ),
        ({"fire_at": NEXT.timestamp()}, LATEST, ("OVERLAP_SKIPPED", "words", NEXT)),
        (
            {"fire_at": NEXT.timestamp()},
            {**LATEST, "until": NOW.timestamp()},
            ("OVERLAP_SKIPPED", "words", NOW),
        ),
        (
            {"fire_at": NOW.timestamp(), "buffered": {NOW.timestamp()}},
            LATEST,
            ("OVERLAP_SKIPPED", "words", None),
        ),
        (
            {"fire_at": NOW.timestamp(), "buffered": {NOW.timestamp()}},
            None,
            ("OVERLAP_BUFFERED", "It starts when no session of it runs.", None),
        ),
        (
            {"schedule": "@daily", "timezone": "Mars/Olympus"},
            LATEST,
            (
                "SCHEDULE_INVALID",
                "timezone 'Mars/Olympus' is unknown; it takes an IANA name such as Europe/Berlin or"
                " UTC.",
                None,
            ),
        ),
    ],
)
def test_the_reason(given: dict[str, Any], kept: Any, expected: tuple[Any, ...]) -> None:
    stands = {"status": "active", "schedule": "@hourly", "timezone": "Europe/Berlin", **given}
    schedule = TaskSchedule("task", "schedule", created_at=NOW, **stands)
    assert why_not_fired(schedule, kept, NOW) == WhyNotFired(*expected)
