"""The README, the pages of docs/ and their snippets, and how to run them."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    str(file.relative_to(ROOT)): file
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """A block of code; `mark` is its first line."""

    page: str
    language: str
    text: str

    @property
    def mark(self) -> str:
        return self.text.split("\n", 1)[0]

    def __str__(self) -> str:
        return f"{self.page}: {self.mark[:60]}"


def page(name: str) -> str:
    """Return the text of a page such as `docs/agents.md`."""
    return PAGES[name].read_text(encoding="utf-8")


SNIPPETS = [Snippet(name, *found) for name in PAGES for found in _FENCE.findall(page(name))]


def snippets(*languages: str) -> list[Snippet]:
    """Return the snippets in these languages."""
    return [each for each in SNIPPETS if each.language in languages]


def snippet(mark: str) -> str:
    """Return the text of the snippet whose first line begins with `mark`.

    If there are several, they must be equal.
    """
    (found,) = {each.text for each in SNIPPETS if each.text.startswith(mark)}
    return found


def prose(text: str) -> str:
    """Return a page without its blocks of code."""
    return _FENCE.sub("", text)


def run(*command: str, cwd: Path = ROOT, **environment: str) -> str:
    """Return what a command prints; it must succeed."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
