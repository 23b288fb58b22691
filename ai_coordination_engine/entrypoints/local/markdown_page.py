"""A page of the documentation as HTML: its headings have anchors, and its links lead to what is
served.
"""

import re
from collections.abc import Iterable, Iterator
from html import escape
from itertools import pairwise
from posixpath import normpath

from markdown_it import MarkdownIt
from markdown_it.token import Token

_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")
_ELSEWHERE = re.compile("https?://")


def html_of(text: str, path: str, served: Iterable[str]) -> str:
    """The HTML of a Markdown text that is served at `path`, a path within the repository, as are
    those of `served`.

    A link to what is not served stays as its words.
    """
    known = set(served)
    tokens = _PARSER.parse(text)
    for heading, words in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", _anchor(words.content))
    for link in _links(tokens):
        address = _address(str(link.attrGet("href")), path, known)
        if address is None:
            del link.attrs["href"]
        else:
            link.attrSet("href", address)
    return str(_PARSER.renderer.render(tokens, _PARSER.options, {}))


def title_of(text: str) -> str:
    """The first heading, as HTML."""
    return escape(text.partition("\n")[0].lstrip("# "))


def _links(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from (each for each in token.children or () if each.type == "link_open")


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _address(href: str, path: str, served: set[str]) -> str | None:
    target, mark, anchor = href.partition("#")
    if _ELSEWHERE.match(href) or not target:
        return href
    folder = path.rpartition("/")[0]
    name = normpath(f"{folder}/{target}").lstrip("/")
    return f"/{name}{mark}{anchor}" if name in served else None
