"""Text in columns."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

_LEAST = 8  # cells of a column that is made narrower


def columns(rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Lines whose cells stand below each other, two spaces apart; wide characters count as two.

    With a `width` the widest columns are cut, so that each line fits if it can.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    while width and sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
    return "\n".join(
        "  ".join(_fitted(text, size) for text, size in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _fitted(text: str, width: int) -> str:
    if cell_len(text) > width:
        text = f"{set_cell_size(text, width - 1).rstrip()}…"
    return text + " " * (width - cell_len(text))
