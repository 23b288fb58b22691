"""Format the results as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

HEADINGS = ("what", "reach", "measured", "how counted")


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    what: str
    reach: str
    measured: str
    how: str

    def cells(self) -> tuple[str, str, str, str]:
        return self.what, self.reach, self.measured, self.how


def number(value: float) -> str:
    """Three digits, or more where they stand before the point."""
    places = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{places}f}"


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    return aligned([HEADINGS, *(row.cells() for row in rows)])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its heading first, whose columns are aligned for reading as they are."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    texts = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([texts[0], rule, *texts[1:]])
