"""The web console on the local server: static files of the package, with a strict policy."""

import hashlib
import re
from functools import cache
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request as HttpRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

import ai_coordination_engine
from ai_coordination_engine.api.transport import failure
from ai_coordination_engine.entrypoints.aws.http_events import unknown_path
from ai_coordination_engine.entrypoints.local.asgi_routes import (
    AnyMethod,
    as_http,
    only_get,
    without_body,
)

FOLDER = Path(ai_coordination_engine.__file__).with_name("console")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'{socket}; worker-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""The Content Security Policy of the console. No inline script or style, nothing from elsewhere.
`socket` is the server's WebSocket, which not every browser takes for `'self'`.
"""
_HOST = re.compile(r"[\w.-]+(:\d+)?|\[[0-9a-f:]+\](:\d+)?", re.ASCII)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
_INDEX = "index.html"
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".graphql": "text/plain",
    ".yaml": "text/plain",
}


def console_routes() -> list[Route]:
    """Return the routes of the page, also below an endpoint id, and of its files."""
    endpoints = {
        "/": _page,
        "/console/{name}": _file,
        "/{endpoint_id}/": _page_of_endpoint,
    }
    return [Route(path, AnyMethod(only_get(endpoint))) for path, endpoint in endpoints.items()]


def console_for(http: HttpRequest) -> Response | None:
    """Return a redirect to the console when a browser opens a GraphQL endpoint without a query,
    or else None.
    """
    if http.method not in ("GET", "HEAD") or "query" in http.query_params or not _wants_html(http):
        return None
    endpoint_id = http.path_params.get("endpoint_id")
    page = "/" if endpoint_id is None else f"/{quote(endpoint_id, safe='')}/"
    return RedirectResponse(page, 302, {"vary": "accept", "cache-control": "no-store"})


async def _page(http: HttpRequest) -> Response:
    return _answer(http, _INDEX)


async def _page_of_endpoint(http: HttpRequest) -> Response:
    return _answer(http, _INDEX) if _wants_html(http) else _not_found(http)


async def _file(http: HttpRequest) -> Response:
    name = http.path_params["name"]
    return _answer(http, name) if name in _files() else _not_found(http)


def _not_found(http: HttpRequest) -> Response:
    return as_http(failure(without_body(http), unknown_path()))


def _answer(http: HttpRequest, name: str) -> Response:
    content, tag = _files()[name]
    headers = {**HEADERS, "content-security-policy": _policy(http), "etag": tag}
    if http.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_TYPES[Path(name).suffix], headers=headers)


def _policy(http: HttpRequest) -> str:
    host = http.headers.get("host", "")
    return POLICY.format(socket=f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else "")


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Return the content and the entity tag of each file by its name."""
    contents = {each.name: each.read_bytes() for each in FOLDER.iterdir() if each.is_file()}
    return {
        name: (content, f'"{hashlib.sha256(content).hexdigest()[:24]}"')
        for name, content in contents.items()
    }


def _wants_html(http: HttpRequest) -> bool:
    """Whether the request accepts HTML and no media type of GraphQL."""
    accepted = [
        entry.partition(";")[0].strip().lower()
        for entry in ",".join(http.headers.getlist("accept")).split(",")
    ]
    return "text/html" in accepted and not any(each.endswith("json") for each in accepted)
