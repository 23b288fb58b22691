"""Build the Lambda handler of the API; `graphql_api` calls `cold_start`."""

from asyncio import Runner
from collections.abc import Callable
from functools import partial

from ai_coordination_engine import bootstrap
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.api.notices import answer_notice
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.api.webhooks import answer_webhook
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws.exporting import exporting
from ai_coordination_engine.entrypoints.aws.http_events import A2APlace
from ai_coordination_engine.entrypoints.aws.invocations import Invocations, check_size
from ai_coordination_engine.http_messages import Request, Response
from ai_coordination_engine.observability import configure
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.meter import ALONE

Handler = Callable[[object, object], dict[str, object]]


def cold_start() -> Handler:
    """Create the handler from the environment."""
    settings = Settings()
    configure(settings.log_level)
    return build_handler(bootstrap.build_app(settings))


async def _answer_mcp(app: App, request: Request, tenant: Callable[[], str]) -> Response:
    # Imported here because a cold start does without it.
    from ai_coordination_engine.entrypoints.aws.served import answer_mcp  # noqa: PLC0415

    return await answer_mcp(app, request, tenant)


async def _check_run_file(app: App, request: Request, tenant: Callable[[], str]) -> Response:
    # Imported here because a cold start does without it.
    from ai_coordination_engine.entrypoints.run_file.run_file_route import (  # noqa: PLC0415
        checked_text,
        text_of,
    )

    tenant()  # who has none is refused; what is allowed is the same for all
    answered = checked_text(app, text_of(request))
    check_size(answered)
    return answered


async def _answer_a2a(
    app: App, request: Request, place: A2APlace, tenant: Callable[[], str]
) -> Response:
    # Imported here because a cold start does without it.
    from ai_coordination_engine.entrypoints.aws.a2a import answer_a2a  # noqa: PLC0415

    return await answer_a2a(app, request, place, tenant)


def build_handler(app: App, runner: Runner | None = None) -> Handler:
    """Create a Lambda handler that serves `app`.

    Raises `ValueError` for `auth="local"`, which would let anybody in.
    """
    settings = app.settings
    if settings.auth == "local":
        raise ValueError("ACE_AUTH=local does not authenticate callers: set `jwt` or `iam`")

    def context(tenant: str, method: str) -> Context:
        return Context(app, tenant, method=method, budget=ALONE)

    invocations = Invocations(
        settings,
        Documents(SCHEMA.graphql_schema),
        context,
        runner or Runner(),
        partial(answer_webhook, app=app),
        lambda request, owner: answer_notice(request, app, owner),
        {"mcp": partial(_answer_mcp, app), "run-file": partial(_check_run_file, app)},
        partial(_answer_a2a, app),
    )

    def handler(event: object, _context: object) -> dict[str, object]:
        return invocations.answer(event)

    return exporting(app, handler)
