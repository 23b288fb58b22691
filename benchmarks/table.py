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
    """Return a number with three digits, or with all digits before the point."""
    places = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{places}f}"


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    return aligned([HEADINGS, *(row.cells() for row in rows)])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns; the first line is the heading."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    texts = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([texts[0], rule, *texts[1:]])
