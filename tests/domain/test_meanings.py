"""Every status and state has a meaning in words."""

import re
from pathlib import Path

import pytest

from ai_coordination_engine.domain import meanings, overlaps, policies, statuses


@pytest.mark.parametrize(
    ("described", "accepted"),
    [
        (meanings.SESSION_STATUSES, statuses.SESSION_STATUSES),
        (meanings.AGENT_STATES, statuses.AGENT_STATES),
        (meanings.SCHEDULE_STATUSES, statuses.SCHEDULE_STATUSES),
        (meanings.ERROR_CLASSES, policies.ERROR_CLASSES),
        (meanings.OVERLAP_POLICIES, overlaps.OVERLAP_POLICIES),
    ],
)
def test_each_value_is_described_in_the_order_of_its_kind(
    described: dict[str, str], accepted: tuple[str, ...]
) -> None:
    assert tuple(described) == accepted


def test_what_is_final_is_called_so() -> None:
    for described, final in (
        (meanings.SESSION_STATUSES, statuses.TERMINAL_SESSION_STATUSES),
        (meanings.AGENT_STATES, statuses.TERMINAL_AGENT_STATES),
    ):
        called = [value for value, words in described.items() if words.endswith(" Final.")]
        assert sorted(called) == sorted(final)


def test_each_reason_why_an_agent_does_not_run_is_described() -> None:
    root = Path(__file__).parents[2]
    explaining = root / "ai_coordination_engine" / "engine" / "control" / "explain.py"
    given = set(re.findall(r'"([A-Z_]{6,})"', explaining.read_text(encoding="utf-8")))
    assert {"BACKOFF", "WAITS_FOR_USER", "SKIPPED"} < given <= set(meanings.REASONS)
    page = (root / "docs" / "controls.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\| code \| the agent \|\n(.*?)\n\n", page, re.DOTALL)
    assert set(re.findall(r"`([A-Z_]+)`", table)) == set(meanings.REASONS)
