"""Render a page of the documentation as HTML; `page` calls it.

Headings get the anchors that GitHub gives them. Links lead to pages that this server serves.
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
    """Render a Markdown text as HTML; `path` is its path in the repository, `served` those of all
    pages.

    A link to a file that is not served becomes plain text.
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
    """Return the first heading, escaped for HTML."""
    return escape(text.partition("\n")[0].lstrip("# "))


def _links(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from (each for each in token.children or () if each.type == "link_open")


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _address(href: str, path: str, served: set[str]) -> str | None:
    target, mark, anchor = href.partition("#")
    if _ELSEWHERE.match(href) or not target:
        return href
    folder = path.rpartition("/")[0]
    name = normpath(f"{folder}/{target}").lstrip("/")
    return f"/{name}{mark}{anchor}" if name in served else None
