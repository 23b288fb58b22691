"""The web page of the local server, for people who open its address in a browser."""

import base64
import hashlib
import re
from functools import cache
from html import escape
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from string import Template
from urllib.parse import quote

from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import ai_coordination_engine
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.entrypoints.local.asgi_routes import AnyMethod, only_get

_FILE = Path(__file__).with_name("page.html")
_ROOT = Path(ai_coordination_engine.__file__).parents[1]
_README = "README.md"
_DISTRIBUTION = "ai-coordination-engine"
_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$style</style>
</head>
<body>
<main>
$body</main>
</body>
</html>
"""
_SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def page_routes() -> list[Route]:
    """Return the routes of the page and of the documents that it links to."""
    endpoints = {
        "/": _home,
        "/schema.graphql": _schema,
        f"/{_README}": _document,
        "/docs/{name}": _document,
    }
    return [Route(path, AnyMethod(only_get(endpoint))) for path, endpoint in endpoints.items()]


def page_for(http: HttpRequest) -> Response | None:
    """Return the page for a GraphQL endpoint when a browser opens it without a query, or
    else None.
    """
    if http.method not in ("GET", "HEAD") or "query" in http.query_params or not _wants_html(http):
        return None
    return _page(http, http.url.path)


async def _home(http: HttpRequest) -> Response:
    return _page(http, "/graphql")


async def _document(http: HttpRequest) -> Response:
    name = http.url.path.removeprefix("/")
    documents = _documents()
    if name not in documents:
        return PlainTextResponse("There is no such page.\n", 404, headers=_SAFE)
    # Imported here because a server starts without its documents; markdown-it takes 16 ms.
    from ai_coordination_engine.entrypoints.local.markdown_page import (  # noqa: PLC0415
        html_of,
        title_of,
    )

    text = documents[name]
    html = Template(_DOCUMENT).substitute(
        title=title_of(text), style=_found("style"), body=html_of(text, name, documents)
    )
    return Response(
        html, media_type="text/html", headers={**_SAFE, "content-security-policy": _policy()}
    )


@cache
def _documents() -> dict[str, str]:
    """Return the documentation by path: all pages in a checkout, or else the installed README."""
    files = [_ROOT / _README, *(_ROOT / "docs").glob("*.md")]
    found = {
        str(file.relative_to(_ROOT)): file.read_text(encoding="utf-8")
        for file in files
        if _is_checkout()
    }
    return found or {_README: _installed_readme()}


def _is_checkout() -> bool:
    return (_ROOT / "docs").is_dir() and (_ROOT / "pyproject.toml").is_file()


def _installed_readme() -> str:
    try:
        return str(metadata(_DISTRIBUTION).json["description"])
    except PackageNotFoundError:
        return f"{_DISTRIBUTION} is not installed; its README is in the repository.\n"


async def _schema(_: HttpRequest) -> Response:
    return PlainTextResponse(f"{SCHEMA}\n", headers=_SAFE)


def _wants_html(http: HttpRequest) -> bool:
    """Whether the request accepts HTML and no media type of GraphQL."""
    accepted = [
        entry.partition(";")[0].strip().lower()
        for entry in ",".join(http.headers.getlist("accept")).split(",")
    ]
    return "text/html" in accepted and not any(each.endswith("json") for each in accepted)


def _page(http: HttpRequest, path: str) -> Response:
    endpoint = f"{http.url.scheme}://{http.url.netloc}{quote(path)}"
    html = Template(_source()).substitute(
        endpoint=escape(endpoint), version=escape(ai_coordination_engine.__version__)
    )
    return Response(
        html, media_type="text/html", headers={**_SAFE, "content-security-policy": _policy()}
    )


@cache
def _source() -> str:
    return _FILE.read_text(encoding="utf-8")


def _found(tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", _source(), re.DOTALL)
    return found[1] if found else ""


@cache
def _policy() -> str:
    """Return a Content Security Policy that allows only the page's own style and script, by hash.

    See Content Security Policy Level 3, hashes.
    """
    hashes = {
        tag: base64.b64encode(hashlib.sha256(_found(tag).encode()).digest()).decode()
        for tag in ("style", "script")
    }
    allowed = "; ".join(f"{tag}-src 'sha256-{value}'" for tag, value in hashes.items())
    return (
        f"default-src 'none'; img-src data:; {allowed}; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
