"""Text in columns."""

from collections.abc import Sequence

from rich.cells import cell_len


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Lines whose cells stand below each other, two spaces apart; wide characters count as two."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )
