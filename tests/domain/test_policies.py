import pytest

from ai_coordination_engine.domain.policies import Policy


@pytest.mark.parametrize(("failures", "longest"), [(1, 1), (2, 2), (3, 4), (7, 60), (1000, 60)])
def test_a_backoff_is_exponential_with_a_ceiling_and_a_quarter_of_jitter(
    failures: int, longest: float
) -> None:
    class Draws:
        def __init__(self, value: float) -> None:
            self.value = value

        def random(self) -> float:
            return self.value

    policy = Policy(attempts=3, backoff_seconds=1, backoff_factor=2, max_backoff_seconds=60)
    assert policy.wait(failures, None, Draws(0.0)) == longest  # type: ignore[arg-type]
    assert policy.wait(failures, None, Draws(1.0)) == longest * 0.75  # type: ignore[arg-type]
    assert policy.wait(failures, 90, Draws(0.0)) == 90  # type: ignore[arg-type]
