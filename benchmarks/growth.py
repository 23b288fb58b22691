"""Count the places that an addition touches, from the diffs in docs/contributing.md.

A test applies these diffs. `house` prints the counts.
"""

import re

from benchmarks.density import PACKAGE, ROOT

PAGE = ROOT.parent / "docs" / "contributing.md"
SETTINGS = f"{PACKAGE}/runtime_settings.py"
_ADDITION = re.compile(
    r"^\*\*([^*]+)\*\*(?:(?!^\*\*).)*?^```diff\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


def places() -> dict[str, int]:
    """Return the number of places by addition: changed parts of files, and new files.

    A setting for the addition does not count.
    """
    text = PAGE.read_text(encoding="utf-8")
    return {name: _places(diff) for name, diff in _ADDITION.findall(text)}


def _places(diff: str) -> int:
    files = [each for each in diff.split("+++ ")[1:] if not each.startswith(SETTINGS)]
    return sum(each.count("@@\n") for each in files)
