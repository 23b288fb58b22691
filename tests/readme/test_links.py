"""Every link in the README and in docs/ leads to an existing file and heading."""

import re
from pathlib import Path

import pytest

from tests.readme.documents import PAGES, ROOT, page, prose

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_OTHERS = ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
CHECKED = [*PAGES, *(name for name in _OTHERS if (ROOT / name).exists())]


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(prose(text))
    }


def dead(name: str) -> list[str]:
    """Return the links of a page that lead nowhere."""
    file = ROOT / name
    found = []
    for link in _LINK.findall(prose(file.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if re.match(r"https://[\w.-]+\.\w+(/|$)", link):
            continue
        target = (file.parent / path).resolve() if path else file
        wanted = {anchor} if anchor else set()
        if not target.exists() or not wanted <= anchors(_text(target)):
            found.append(link)
    return found


def _text(target: Path) -> str:
    return target.read_text(encoding="utf-8") if target.suffix == ".md" else ""


@pytest.mark.parametrize("name", CHECKED)
def test_no_link_is_dead(name: str) -> None:
    assert dead(name) == []


def test_the_readme_is_one_page_of_at_most_150_lines() -> None:
    assert len(page("README.md").splitlines()) <= 150


def test_the_readme_leads_to_every_page() -> None:
    linked = {link.partition("#")[0] for name in PAGES for link in _LINK.findall(page(name))}
    assert [
        name
        for name in PAGES
        if name != "README.md" and name.removeprefix("docs/") not in _bare(linked)
    ] == []


def _bare(links: set[str]) -> set[str]:
    return {link.removeprefix("docs/") for link in links}


def test_paths_in_the_prose_exist() -> None:
    """Files of the repository that a page names between backticks exist."""
    named = [
        (name, path)
        for name in CHECKED
        for path in re.findall(
            r"`((?:ai_coordination_engine|tests|docs|\.ci|\.github)/[\w./-]+)`",
            prose((ROOT / name).read_text(encoding="utf-8")),
        )
    ]
    assert named
    assert [each for each in named if not (ROOT / each[1]).exists()] == []
