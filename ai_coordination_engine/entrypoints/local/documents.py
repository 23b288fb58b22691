"""The documentation and the schema on the local server, for people with a browser."""

import base64
import hashlib
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from string import Template

from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import ai_coordination_engine
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.entrypoints.local.asgi_routes import AnyMethod, only_get

_FILE = Path(__file__).with_name("document.html")
_ROOT = Path(ai_coordination_engine.__file__).parents[1]
_README = "README.md"
_PICTURE = "docs/console.png"
_DISTRIBUTION = "ai-coordination-engine"
_SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def document_routes() -> list[Route]:
    """Return the routes of the documentation and of the schema."""
    endpoints = {
        "/schema.graphql": _schema,
        f"/{_README}": _document,
        f"/{_PICTURE}": _picture,
        "/docs/{name}": _document,
    }
    return [Route(path, AnyMethod(only_get(endpoint))) for path, endpoint in endpoints.items()]


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
    html = Template(_source()).substitute(title=title_of(text), body=html_of(text, name, documents))
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


async def _picture(_: HttpRequest) -> Response:
    file = _ROOT / _PICTURE
    if not (_is_checkout() and file.is_file()):
        return PlainTextResponse("There is no such picture.\n", 404, headers=_SAFE)
    return Response(file.read_bytes(), media_type="image/png", headers=_SAFE)


async def _schema(_: HttpRequest) -> Response:
    return PlainTextResponse(f"{SCHEMA}\n", headers=_SAFE)


@cache
def _source() -> str:
    return _FILE.read_text(encoding="utf-8")


@cache
def _policy() -> str:
    """Return a Content Security Policy that allows only the page's own style, by hash.

    See Content Security Policy Level 3, hashes.
    """
    (style,) = re.findall(r"<style>(.*?)</style>", _source(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src 'self' data:; style-src 'sha256-{digest}'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )
