import pytest

from ai_coordination_engine.domain.overlaps import MAX_BUFFERED, Firing, OverlapPolicy, firing

START, SKIP, BUFFER = Firing.START, Firing.SKIP, Firing.BUFFER
BESIDE = [
    (0, 0),
    (1, 0),
    (1, 1),
    (3, MAX_BUFFERED - 1),
    (1, MAX_BUFFERED),
    (0, 1),
    (0, MAX_BUFFERED),
]
"""How many sessions run, and how many times are buffered."""


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("skip", [START, SKIP, SKIP, SKIP, SKIP, START, START]),
        ("buffer_one", [START, BUFFER, SKIP, SKIP, SKIP, SKIP, SKIP]),
        ("buffer_all", [START, BUFFER, BUFFER, BUFFER, SKIP, BUFFER, SKIP]),
        ("cancel_other", [START, *[Firing.CANCEL_AND_START] * 4, START, START]),
        ("allow_all", [START] * 7),
    ],
)
def test_what_becomes_of_a_time_that_comes_too_early(policy: str, expected: list[Firing]) -> None:
    found = [
        firing(OverlapPolicy(policy), running=running, buffered=buffered)
        for running, buffered in BESIDE
    ]
    assert found == expected
