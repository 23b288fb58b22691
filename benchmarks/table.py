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


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with aligned columns."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    texts = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([texts[0], rule, *texts[1:]])
