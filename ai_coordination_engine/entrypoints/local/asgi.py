"""Create the ASGI application of the local server."""

from collections.abc import Callable, Collection
from functools import partial

from starlette.routing import Router

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.cors import LOOPBACK
from ai_coordination_engine.api.identity import local_tenant
from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.api.notices import PATH as NOTICES
from ai_coordination_engine.api.notices import answer_notice
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.api.webhooks import PATH as WEBHOOK
from ai_coordination_engine.api.webhooks import answer_webhook
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.a2a_routes import a2a_routes
from ai_coordination_engine.entrypoints.local.asgi_routes import (
    GraphQLRoutes,
    answering_route,
    not_found_route,
)
from ai_coordination_engine.entrypoints.local.console import console_for, console_routes
from ai_coordination_engine.entrypoints.local.documents import document_routes
from ai_coordination_engine.entrypoints.local.health import health_route
from ai_coordination_engine.entrypoints.local.live.connection import LiveSockets
from ai_coordination_engine.entrypoints.local.live.event_stream import EventStreams
from ai_coordination_engine.entrypoints.local.live.feeds import Feeds
from ai_coordination_engine.entrypoints.local.mcp_routes import mcp_routes
from ai_coordination_engine.entrypoints.local.run_file_routes import PATHS, run_file_answerer
from ai_coordination_engine.errors import Unauthenticated


def asgi_app(app: App, processes: Callable[[], Collection[int]] = tuple) -> Router:
    """Create the application that serves the API of `app`; `processes` returns the ids of those
    that run agents.

    When the settings ask for credentials, every request is refused, because this server cannot
    verify any.
    """
    is_local = app.settings.auth == "local"

    def tenant(endpoint_id: str | None, part_id: str | None) -> str:
        if not is_local:
            raise Unauthenticated(
                "this server cannot verify credentials: set ACE_AUTH=local to take the tenant from"
                " the path"
            )
        return local_tenant(endpoint_id, part_id)

    def context(endpoint_id: str | None, part_id: str | None, method: str) -> Context:
        return Context(app, tenant(endpoint_id, part_id), method=method)

    documents = Documents(SCHEMA.graphql_schema)
    origins = [*LOOPBACK, *app.settings.cors_origins] if is_local else app.settings.cors_origins
    feeds = Feeds(app.changes)
    sockets = LiveSockets(documents, context, feeds).serve
    streams = EventStreams(documents, feeds, origins).answer
    graphql = GraphQLRoutes(documents, context, origins, console_for, sockets, streams).routes()
    webhook = answering_route(WEBHOOK, partial(answer_webhook, app=app), documents.limits)
    notice = partial(answer_notice, app=app)
    notices = answering_route(NOTICES + "/{owner}", notice, documents.limits)
    health = health_route(app.state_problem, processes)
    check = run_file_answerer(app)
    run_files = [answering_route(path, check, documents.limits) for path in PATHS]
    mcp = mcp_routes(app, tenant, documents.limits, origins)
    pages = [*document_routes(), *console_routes()]
    a2a = a2a_routes(app, tenant, documents.limits, origins)
    others = [health, *pages, not_found_route(origins)]
    # the webhooks come first: their paths look like those of a tenant
    return Router([*graphql, *run_files, webhook, notices, *a2a, *mcp, *others])
