"""Text in columns fits a terminal."""

import pytest
from rich.cells import cell_len

from ai_coordination_engine.entrypoints.cli.columns import columns

LONG = [["01a2", "completed", "N" * 300, "u" * 40], ["01a3", "failed", "日本" * 90, ""]]


def test_columns_are_as_wide_as_their_texts_without_a_width() -> None:
    assert columns([["a", "bb"], ["ccc", ""]]) == "a    bb\nccc"
    assert max(map(len, columns(LONG).splitlines())) == 4 + 9 + 360 + 40 + 3 * 2


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_widest_columns_are_cut_to_a_width(width: int) -> None:
    lines = columns(LONG, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert lines[0].startswith("01a2  completed  NNNNNNN")
    assert [line.count("…") for line in lines] == [2 if width < 120 else 1, 1]


def test_a_width_for_which_there_is_too_much_is_exceeded() -> None:
    assert columns([["a" * 8] * 4], 10) == "  ".join(["a" * 8] * 4)
