"""Answer `POST /async-tasks/a2a/{owner}`, with which remote A2A agents report that a task changed.

The body is not read: a worker asks the agent for the state of the task. The token of the push
configuration (`X-A2A-Notification-Token`, or `Authorization: Bearer`) proves that the notice is for
this owner, the session agent that waits.
"""

import hmac
from asyncio import to_thread

from ai_coordination_engine.api.media_types import JSON
from ai_coordination_engine.api.transport import HttpError, failure, response
from ai_coordination_engine.api.webhooks import master_keys
from ai_coordination_engine.domain import a2a
from ai_coordination_engine.domain.webhooks import JobOwner
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.waits import async_tasks
from ai_coordination_engine.errors import BadUserInput, CoordinationError, NotFound, Unauthenticated
from ai_coordination_engine.http_messages import Request, Response

PATH = "/async-tasks/a2a"
_BEARER = "bearer "


async def answer_notice(request: Request, app: App, owner: str) -> Response:
    """Return the response to one notice.

    - 200 `{"ok": true}`, also for a repeated notice, and for one that is not needed any more
    - 401 for a token that is not valid
    - 404 for an agent that is gone, or a server without a key
    """
    try:
        if request.method != "POST":
            raise HttpError(405, BadUserInput("use POST"), allow="POST")
        proven = await to_thread(_proven, request, app, owner)
        names = proven.tenant, proven.session_uuid, proven.session_agent_uuid
        await to_thread(async_tasks.notice, app, *names)
    except (HttpError, CoordinationError) as error:
        return failure(request, error)
    return response(200, {"ok": True}, JSON, {})


def _proven(request: Request, app: App, handle: str) -> JobOwner:
    """The owner whose token the request carries."""
    if app.settings.webhook_key is None and app.settings.webhook_key_secret is None:
        raise NotFound("this server accepts no reports: its operator must set ACE_WEBHOOK_KEY")
    owner, given = JobOwner.of(handle), _token(request)
    if owner is not None and given:
        for master in master_keys(app.settings, app.secrets):
            if hmac.compare_digest(owner.token(master).encode(), given.encode(errors="replace")):
                return owner
    raise Unauthenticated(f"{a2a.TOKEN_HEADER} is not the token of this address")


def _token(request: Request) -> str:
    given = request.headers.get(a2a.TOKEN_HEADER.lower(), "")
    authorization = request.headers.get("authorization", "")
    is_bearer = authorization.lower().startswith(_BEARER)
    return given or (authorization[len(_BEARER) :].strip() if is_bearer else "")
