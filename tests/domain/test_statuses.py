import subprocess
import sys
from pathlib import Path

import pytest

from ai_coordination_engine.domain import statuses
from ai_coordination_engine.domain.statuses import check_enum
from ai_coordination_engine.errors import BadUserInput


def test_the_words_are_those_of_the_contract() -> None:
    assert (
        " ".join(statuses.SESSION_STATUSES)
        == "initial dispatched in_progress active in_transit paused completed failed timeout"
        " cancelled"
    )
    assert (
        " ".join(statuses.AGENT_STATES)
        == "initial pending executing wait_for_user_input completed failed skipped cancelled"
    )
    assert " ".join(statuses.SCHEDULE_STATUSES) == "initial active paused completed"


def test_open_and_terminal_words_part_the_whole() -> None:
    assert {*statuses.OPEN_SESSION_STATUSES, *statuses.TERMINAL_SESSION_STATUSES} == {
        *statuses.SESSION_STATUSES
    }
    assert not {*statuses.OPEN_SESSION_STATUSES} & {*statuses.TERMINAL_SESSION_STATUSES}
    assert {*statuses.OPEN_AGENT_STATES, *statuses.TERMINAL_AGENT_STATES} == {
        *statuses.AGENT_STATES
    }
    assert not {*statuses.OPEN_AGENT_STATES} & {*statuses.TERMINAL_AGENT_STATES}


def test_a_known_word_is_itself() -> None:
    assert check_enum("status", "paused", statuses.SCHEDULE_STATUSES) == "paused"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("", ";"),
        ("PAUSED", '; did you mean "paused"?'),
        ("paused ", '; did you mean "paused"?'),
        ("nobody", ";"),
        ("x" * 5_000_000, ";"),
    ],
    ids=lambda text: text[:9],
)
def test_an_unknown_word_is_refused_with_the_known_ones(word: str, meant: str) -> None:
    with pytest.raises(BadUserInput) as caught:
        check_enum("status", word, statuses.SCHEDULE_STATUSES)
    assert caught.value.message.endswith(
        f" is unknown{meant} it takes one of: initial, active, paused, completed."
    )
    assert len(caught.value.message) < 250


def test_the_page_of_states_is_printed_from_the_rows() -> None:
    root = Path(__file__).parents[2]
    printed = subprocess.run(
        [sys.executable, ".ci/states"], cwd=root, capture_output=True, text=True, check=True
    )
    assert (root / "docs/states.md").read_text() == printed.stdout, "make states prints it anew"
