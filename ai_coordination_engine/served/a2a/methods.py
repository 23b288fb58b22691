"""The methods of the protocol that answer at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.a2a import Reason
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import Conflict
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.a2a import cards, pushes, wire
from ai_coordination_engine.served.a2a.cards import PROTOCOL
from ai_coordination_engine.served.a2a.errors import ProtocolError
from ai_coordination_engine.served.a2a.lists import list_tasks
from ai_coordination_engine.served.a2a.messages import begin, find
from ai_coordination_engine.served.a2a.streams import settled
from ai_coordination_engine.served.a2a.tasks import state_of, task_of
from ai_coordination_engine.served.places import Places
from ai_coordination_engine.served.sessions import ServedSession

Result = dict[str, Any]
Params = Mapping[str, Any]
STREAMS = ("SendStreamingMessage", "SubscribeToTask")


@dataclass(frozen=True)
class Caller:
    """Who asks. `url`: the address. `wait_seconds`: for which a message waits for its result, if
    there is one of the `places` for it.
    """

    app: App
    tenant: str
    url: str
    trace: str | None
    wait_seconds: float
    places: Places
    streaming: bool

    def card(self, *, with_schemas: bool = False) -> Result:
        """The card, or the extended one; raises `NotFound` if nothing is exposed."""
        skills = cards.skills_of(self.app, self.tenant)
        can = {"streaming": self.streaming, "pushes": self.app.notices is not None}
        return cards.card_of(self.app, skills, self.url, **can, with_schemas=with_schemas)


async def _send(caller: Caller, params: Params) -> Result:
    sent = wire.sent(params)
    seen = await begun(caller, sent)
    if sent.is_waiting and not _is_settled(seen) and (place := caller.places.take()) is not None:
        try:
            seen = await settled(caller.app, caller.tenant, seen, caller.wait_seconds)
        finally:
            place.leave()
    return {"task": task_of(seen, sent.history_length)}


async def begun(caller: Caller, sent: wire.Sent) -> ServedSession:
    """The session that a message begins, or answers."""
    return await asyncio.to_thread(_begun, caller, sent)


def _begun(caller: Caller, sent: wire.Sent) -> ServedSession:
    app, tenant = caller.app, caller.tenant
    if sent.push is not None:  # before anything begins
        pushes.check(app, sent.push)
    seen = begin(app, tenant, sent, caller.trace)
    if sent.push is not None:
        pushes.tell(app, tenant, seen, sent.push)
    return seen


async def _get(caller: Caller, params: Params) -> Result:
    length = wire.history_length(params)
    seen = await asyncio.to_thread(find, caller.app, caller.tenant, wire.task_id(params))
    return task_of(seen, length)


async def _list(caller: Caller, params: Params) -> Result:
    return await asyncio.to_thread(list_tasks, caller.app, caller.tenant, wire.listing(params))


async def _cancel(caller: Caller, params: Params) -> Result:
    task_id = wire.task_id(params)
    await asyncio.to_thread(find, caller.app, caller.tenant, task_id)
    try:
        seen = await asyncio.to_thread(
            sessions.cancel, caller.app, caller.tenant, task_id, PROTOCOL
        )
    except Conflict as error:
        raise ProtocolError(Reason.TASK_NOT_CANCELABLE, error.message, taskId=task_id) from error
    return task_of(seen)


async def subscribed(caller: Caller, params: Params) -> ServedSession:
    """The session of a task that goes on; raises `ProtocolError`."""
    task_id = wire.task_id(params)
    seen = await asyncio.to_thread(find, caller.app, caller.tenant, task_id)
    if seen.has_ended:
        message = f"the task is {state_of(seen)}: nothing will change any more"
        raise ProtocolError(Reason.UNSUPPORTED_OPERATION, message, taskId=task_id)
    return seen


async def _extended(caller: Caller, params: Params) -> Result:
    return await asyncio.to_thread(caller.card, with_schemas=True)


def _of_pushes(
    method: Callable[[App, str, Params], Result],
) -> Callable[[Caller, Params], Awaitable[Result]]:
    async def called(caller: Caller, params: Params) -> Result:
        return await asyncio.to_thread(method, caller.app, caller.tenant, params)

    return called


def _is_settled(seen: ServedSession) -> bool:
    return seen.has_ended or bool(seen.questions)


METHODS: Mapping[str, Callable[[Caller, Params], Awaitable[Result]]] = {
    "SendMessage": _send,
    "GetTask": _get,
    "ListTasks": _list,
    "CancelTask": _cancel,
    "GetExtendedAgentCard": _extended,
    "CreateTaskPushNotificationConfig": _of_pushes(pushes.create),
    "GetTaskPushNotificationConfig": _of_pushes(pushes.get),
    "ListTaskPushNotificationConfigs": _of_pushes(pushes.listed),
    "DeleteTaskPushNotificationConfig": _of_pushes(pushes.delete),
}
