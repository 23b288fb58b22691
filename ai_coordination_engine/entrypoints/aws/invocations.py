"""Answer the events of the API's Lambda function: HTTP requests and invocations by other
services.
"""

import json
from asyncio import Runner
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from ai_coordination_engine.api.formatting import formatted_errors
from ai_coordination_engine.api.identity import tenant_of
from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.api.transport import Context, answer, failure, parameters_from, run
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import trace_context
from ai_coordination_engine.entrypoints.aws.http_events import (
    A2APlace,
    Kind,
    a2a_place,
    check_path,
    is_webhook,
    kind_of,
    notice_owner,
    request_from,
    response_to,
    served_at,
    tenant_at,
    tenant_from,
)
from ai_coordination_engine.errors import BadUserInput, TooComplex
from ai_coordination_engine.http_messages import Request, Response
from ai_coordination_engine.settings import Settings

LAMBDA_BYTES = 6_291_456
"""The largest response of a synchronous invocation (AWS Lambda developer guide, "Lambda
quotas").
"""


@dataclass(frozen=True)
class Invocations:
    """Answers the events of one Lambda container, one at a time, on one event loop.

    `context` creates the GraphQL context for a tenant and an HTTP method. `webhook` answers the
    reports of long jobs, `notice` those of remote agents for an owner, `served` the requests that
    `served_at` names, `a2a` those of the Agent2Agent protocol, for the tenant that a function
    returns.
    """

    settings: Settings
    documents: Documents
    context: Callable[[str, str], Context]
    runner: Runner
    webhook: Callable[[Request], Awaitable[Response]]
    notice: Callable[[Request, str], Awaitable[Response]]
    served: Mapping[str, Callable[[Request, Callable[[], str]], Awaitable[Response]]]
    a2a: Callable[[Request, A2APlace, Callable[[], str]], Awaitable[Response]]

    def answer(self, event: object) -> dict[str, object]:
        """Return the answer to any event; never raises."""
        kind = kind_of(event) if isinstance(event, Mapping) else None
        if isinstance(event, Mapping) and kind is not None:
            return self.runner.run(self._http(event, kind))
        return self.runner.run(self._direct(event))

    async def _http(self, event: Mapping[str, object], kind: Kind) -> dict[str, object]:
        origins = self.settings.cors_origins
        request = Request("POST", {})
        try:
            request = request_from(event, kind)
            if is_webhook(event, kind):
                return response_to(event, kind, await self.webhook(request))
            if (owner := notice_owner(event, kind)) is not None:
                return response_to(event, kind, await self.notice(request, owner))
            if (place := a2a_place(event, kind)) is not None:
                response = await self._a2a(event, kind, request, place)
                return response_to(event, kind, response)
            check_path(event, kind)
            if (serve := self.served.get(served_at(event, kind) or "")) is not None:
                tenant = partial(tenant_from, event, kind, self.settings)
                return response_to(event, kind, await serve(request, tenant))
            made = partial(self._proven_context, event, kind, request.method)
            response = await answer(request, self.documents, made, origins)
            check_size(response)
        except Exception as error:
            response = failure(request, error, origins)
        return response_to(event, kind, response)

    async def _a2a(
        self, event: Mapping[str, object], kind: Kind, request: Request, place: A2APlace
    ) -> Response:
        tenant = partial(tenant_at, event, kind, self.settings, place.endpoint_id)
        response = await self.a2a(request, place, tenant)
        check_size(response)
        return response

    def _proven_context(self, event: Mapping[str, object], kind: Kind, method: str) -> Context:
        return self.context(tenant_from(event, kind, self.settings), method)

    async def _direct(self, event: object) -> dict[str, object]:
        """Answer a service that invokes the function directly.

        IAM decides who may do so; the service names the tenant that it acts for. Keys of
        its trace are `traceparent` and `tracestate`; further keys of the payload are ignored.
        """
        try:
            if not isinstance(event, Mapping) or "query" not in event:
                raise BadUserInput(
                    "the event is neither HTTP nor an object with `query` and `endpoint_id`"
                )
            tenant = tenant_of(event.get("endpoint_id", ""), event.get("part_id"))
            parameters = parameters_from(event, self.documents.limits)
            context = self.context(tenant, "POST")
            context.trace = trace_context.given(event)
            payload = await run(parameters, self.documents, context)
            if len(json.dumps(payload, allow_nan=False)) > LAMBDA_BYTES:
                raise _too_large()
        except Exception as error:
            return {"errors": formatted_errors([error])}
        return payload


def check_size(response: Response) -> None:
    """Raise `TooComplex` when the response exceeds Lambda's limit.

    Lambda counts the JSON form, where one byte may take six; headers take a few hundred more.
    """
    if len(response.body) * 6 < LAMBDA_BYTES - 2_000:
        return
    if len(json.dumps(response.body.decode())) > LAMBDA_BYTES - 2_000:
        raise _too_large()


def _too_large() -> TooComplex:
    return TooComplex(
        f"the response is larger than {LAMBDA_BYTES} bytes: ask for fewer records or fields"
    )
