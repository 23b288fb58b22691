"""The figures in the README are those in docs/figures.md."""

import re

from tests.readme.documents import page

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in page("docs/figures.md").splitlines()
]
MEASURED = {row[0]: row[2] for row in ROWS if len(row) == 4}
SHOWN = {
    "AWS calls of a whole session, chain of 5 agents": "a whole session, chain of 5",
    "price of a million agent steps": "price of a million agent steps",
    "DynamoDB round trips from an agent's end to its successor's start": (
        "DynamoDB round trips, one after the other, from an agent's end to its successor's start"
    ),
    "AWS calls of a session while it waits for a person, a long job or a backoff": (
        "calls of a session that waits for a person"
    ),
}


def test_the_headline_figures_are_those_of_the_table() -> None:
    text = page("README.md")
    for words, row in SHOWN.items():
        (shown,) = re.findall(rf"^\| {re.escape(words)} \| (.*) \|$", text, re.MULTILINE)
        assert MEASURED[row].removesuffix(" calls") == shown
    for waits in ("a long job", "a backoff"):
        assert MEASURED[f"calls of a session that waits for {waits}"] == "0"
    (tried,) = re.findall(r"crash points tried: (\d+)", page("docs/design.md"))
    assert f"| {tried} |" in text
