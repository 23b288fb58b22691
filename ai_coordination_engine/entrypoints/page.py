"""The page that a person sees who opens the server's address in a browser."""

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
from ai_coordination_engine.entrypoints.asgi_routes import AnyMethod, only_get

_FILE = Path(__file__).with_name("page.html")
_DISTRIBUTION = "ai-coordination-engine"
_SAFE = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store"}


def page_routes() -> list[Route]:
    """The page itself, and the texts that it links to."""
    endpoints = {"/": _home, "/readme": _readme, "/schema.graphql": _schema}
    return [Route(path, AnyMethod(only_get(endpoint))) for path, endpoint in endpoints.items()]


def page_for(http: HttpRequest) -> Response | None:
    """The page of the GraphQL endpoint that is asked for, if a browser asks and has no query."""
    if http.method not in ("GET", "HEAD") or "query" in http.query_params or not _wants_html(http):
        return None
    return _page(http, http.url.path)


async def _home(http: HttpRequest) -> Response:
    return _page(http, "/graphql")


async def _readme(_: HttpRequest) -> Response:
    try:
        text = str(metadata(_DISTRIBUTION).json["description"])
    except PackageNotFoundError:
        text = f"{_DISTRIBUTION} is not installed; its README is in the repository.\n"
    return PlainTextResponse(text, headers=_SAFE)


async def _schema(_: HttpRequest) -> Response:
    return PlainTextResponse(f"{SCHEMA}\n", headers=_SAFE)


def _wants_html(http: HttpRequest) -> bool:
    """Whether HTML is asked for by name, and none of the media types of GraphQL."""
    accepted = [
        entry.partition(";")[0].strip().lower() for entry in ",".join(http.headers.getlist("accept")).split(",")
    ]
    return "text/html" in accepted and not any(each.endswith("json") for each in accepted)


def _page(http: HttpRequest, path: str) -> Response:
    endpoint = f"{http.url.scheme}://{http.url.netloc}{quote(path)}"
    html = Template(_source()).substitute(endpoint=escape(endpoint), version=escape(ai_coordination_engine.__version__))
    return Response(html, media_type="text/html", headers={**_SAFE, "content-security-policy": _policy()})


@cache
def _source() -> str:
    return _FILE.read_text(encoding="utf-8")


@cache
def _policy() -> str:
    """Nothing may be loaded or run but what the page itself holds (Content Security Policy Level 3, hashes)."""
    hashes = {
        tag: base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        for tag in ("style", "script")
        if (found := re.search(rf"<{tag}>(.*?)</{tag}>", _source(), re.DOTALL))
    }
    allowed = "; ".join(f"{tag}-src 'sha256-{value}'" for tag, value in hashes.items())
    return f"default-src 'none'; img-src data:; {allowed}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
