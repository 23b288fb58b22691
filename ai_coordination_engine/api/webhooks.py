"""Answer `POST /async-tasks`, with which long jobs report their result without a token.

The body is a JSON object: `tenant`, `asyncTaskUuid`, one of `result` (a text or any JSON), `error`
(a text) and `heartbeat` (true), and optionally `usage`. Headers prove the tenant: `X-Ace-Timestamp`
holds Unix seconds. `X-Ace-Signature` is `v1=` and the hexadecimal HMAC-SHA256 of the timestamp, a
dot and the body, under the tenant's key. `X-Ace-Tenant` names the tenant; without it, the text of
the body is searched for `"tenant"`. The body is parsed only after its signature has been verified.
"""

import hmac
import json
import re
from asyncio import to_thread
from collections.abc import Iterator, Mapping
from contextlib import suppress

from ai_coordination_engine.api.content import check_arguments
from ai_coordination_engine.api.identity import SEPARATOR, tenant_of
from ai_coordination_engine.api.limits import Limits
from ai_coordination_engine.api.media_types import JSON
from ai_coordination_engine.api.transport import (
    HttpError,
    check_json,
    decoded,
    failure,
    response,
    too_large,
)
from ai_coordination_engine.domain.charsets import Undecodable, decode
from ai_coordination_engine.domain.webhooks import hex_digest, tenant_key
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.waits import async_tasks
from ai_coordination_engine.errors import (
    BadUserInput,
    CoordinationError,
    NotFound,
    Throttled,
    Unauthenticated,
)
from ai_coordination_engine.http_messages import Request, Response
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import Secrets, SecretUnavailable
from ai_coordination_engine.settings import Settings

PATH = "/async-tasks"
MAX_AGE = 300
"""The largest difference in seconds between the timestamp and the server's clock."""
FRESH_SECONDS = 10.0  # the key is read again for a wrong signature, at most this often
_LIMITS = Limits()
_ENDINGS = ("result", "error", "heartbeat")
_SIGNATURE = re.compile("v1=[0-9a-f]{64}")
_NAMED = re.compile(r'"tenant"\s*:\s*("(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,600}")')
_MOST_NAMED = 4


def signature(key: str, timestamp: str, body: bytes) -> str:
    """Return the value of `X-Ace-Signature`."""
    return "v1=" + hex_digest(key, timestamp.encode() + b"." + body)


async def answer_webhook(request: Request, app: App) -> Response:
    """Return the response to one report.

    - 200 `{"ok": true}`, also for a repeated report
    - 400 for a body that is not valid
    - 401 for a signature that is not valid
    - 404 for an unknown task, or a server without a key
    - 409 for a task that has ended differently
    - 413 for a body that is too large
    """
    try:
        tenant, values = await to_thread(_verified, request, app)
        await to_thread(_report, app, tenant, values)
    except (HttpError, CoordinationError) as error:
        return failure(request, error)
    return response(200, {"ok": True}, JSON, {})


def _verified(request: Request, app: App) -> tuple[str, Mapping[str, object]]:
    """Return the tenant that signed the request and the values in its body."""
    if app.settings.webhook_key is None and app.settings.webhook_key_secret is None:
        raise NotFound("this server accepts no reports: its operator must set ACE_WEBHOOK_KEY")
    if request.method != "POST":
        raise HttpError(405, BadUserInput("use POST"), allow="POST")
    if len(request.body) > _LIMITS.body_bytes:
        raise too_large(_LIMITS.body_bytes)
    timestamp = request.headers.get("x-ace-timestamp", "")
    now = app.clock.now().timestamp()
    if not (
        timestamp.isascii() and timestamp.isdecimal() and abs(int(timestamp[:12]) - now) <= MAX_AGE
    ):
        raise Unauthenticated(
            f"X-Ace-Timestamp is missing or not within {MAX_AGE} seconds of this server's clock"
        )
    tenant = _signer(request, timestamp, app)
    values = decoded(request.body, "the request body", request.headers.get("content-type", ""))
    if not isinstance(values, dict):
        raise BadUserInput("the request body must be one JSON object")
    check_json(values, _LIMITS.json_depth)
    # The search may have found another `"tenant"` in the body than the key of the object.
    if _tenant(values.get("tenant")) != tenant:
        raise _bad_signature()
    return tenant, values


def _signer(request: Request, timestamp: str, app: App) -> str:
    """Return the tenant whose key signed the body; raises `Unauthenticated` when there is none."""
    given = request.headers.get("x-ace-signature", "")
    if not _SIGNATURE.fullmatch(given):
        raise _bad_signature()
    named = request.headers.get("x-ace-tenant")
    for tenant in [_tenant(named)] if named is not None else _named_in(request):
        for master in master_keys(app.settings, app.secrets):
            if hmac.compare_digest(
                signature(tenant_key(master, tenant), timestamp, request.body), given
            ):
                return tenant
    raise _bad_signature()


def _named_in(request: Request) -> list[str]:
    """Return the tenants that occur in the text of a body, at most `_MOST_NAMED` to limit
    the cost.
    """
    try:
        text = decode(request.body, request.headers.get("content-type", ""))
    except Undecodable as error:
        raise BadUserInput(f"the request body {error}") from None
    found: list[str] = []
    problem = BadUserInput("the request body must be a JSON object with `tenant`")
    for match in _NAMED.finditer(text):
        try:
            tenant = _tenant(json.loads(match[1], strict=False))
        except BadUserInput as error:
            problem = error
            continue
        if tenant not in found:
            found.append(tenant)
        if len(found) == _MOST_NAMED:
            break
    if not found:
        raise problem
    return found


def _bad_signature() -> Unauthenticated:
    return Unauthenticated(
        "X-Ace-Signature does not match the body, the timestamp and the tenant's key"
    )


def master_keys(settings: Settings, secrets: Secrets) -> Iterator[str]:
    """Yield the master keys that may have signed, the most likely first.

    After a rotation, both the new secret and the previous one count, since jobs may have started
    with the previous. Raises `Throttled` when the secret cannot be read.
    """
    name, key = settings.webhook_key_secret, settings.webhook_key
    if name is None:
        yield from [key.get_secret_value()] if key else []
        return
    try:
        yield secrets.value(name)
        yield secrets.value(name, max_age=FRESH_SECONDS)
    except SecretUnavailable as error:
        logger.error("could not read the secret of the webhook key", extra={"reason": str(error)})
        raise Throttled("The key for signatures cannot be read now; try again later.") from error
    with suppress(SecretUnavailable):  # there is no previous value before the first rotation
        yield secrets.value(name, previous=True, max_age=FRESH_SECONDS)


def _report(app: App, tenant: str, values: Mapping[str, object]) -> None:
    uuid = values.get("asyncTaskUuid")
    if not isinstance(uuid, str):
        raise BadUserInput("`asyncTaskUuid` must be a string")
    check_arguments({"async_task_uuid": uuid})
    endings = [name for name in _ENDINGS if values.get(name) is not None]
    if len(endings) != 1:
        raise BadUserInput("give one of `result`, `error` and `heartbeat`")
    usage = values.get("usage")
    if usage is not None and not isinstance(usage, dict):
        raise BadUserInput("`usage` must be an object or null")
    if endings == ["heartbeat"]:
        if values["heartbeat"] is not True:
            raise BadUserInput("`heartbeat` must be true")
        async_tasks.heartbeat(app, tenant, uuid)
        return
    error = values.get("error")
    if error is not None and not isinstance(error, str):
        raise BadUserInput("`error` must be a string")
    async_tasks.complete_async_task(
        app, tenant, uuid, result=values.get("result"), error=error, usage=usage
    )


def _tenant(value: object) -> str:
    if not isinstance(value, str):
        raise BadUserInput("`tenant` must be a string: the endpoint id, or `endpointId#partId`")
    endpoint_id, separator, part_id = value.partition(SEPARATOR)
    return tenant_of(endpoint_id, part_id if separator else None)
