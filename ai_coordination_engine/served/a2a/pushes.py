"""The methods about push configurations (section 3.1.7 to 3.1.10): who is told of a task, where."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ai_coordination_engine.domain import topics
from ai_coordination_engine.domain.a2a import Reason
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.live_ports import Notices
from ai_coordination_engine.served.a2a.errors import ProtocolError, invalid
from ai_coordination_engine.served.a2a.messages import find
from ai_coordination_engine.served.a2a.wire import Push, push, task_id
from ai_coordination_engine.served.sessions import ServedSession
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.push_configurations import PushConfiguration, push_key

MOST = 10  # of one task
Result = dict[str, Any]
Params = Mapping[str, Any]


def check(app: App, wanted: Push) -> Notices:
    """What sends the notices; raises `ProtocolError` if nothing can be sent to this URL."""
    notices = _notices(app)
    if (problem := notices.problem(wanted.url)) is not None:
        raise invalid(wanted.place, problem)
    return notices


def tell(app: App, tenant: str, seen: ServedSession, wanted: Push) -> Result:
    """Tell a receiver of a task from now on, and of the state in which it is, if that is worth a
    notice. The same again changes nothing. Raises `ProtocolError`.
    """
    notices = check(app, wanted)
    topic = topics.of_session(tenant, seen.session.session_uuid)
    name = wanted.id or sha256(wanted.url.encode(errors="replace")).hexdigest()[:24]
    known = {each.id: each for each in app.push_configurations.of(topic)}
    found = known.get(name)
    is_new = found is None
    if is_new and len(known) >= MOST:
        raise _too_many()
    if found is None or found.url != wanted.url:
        key = push_key(topic, name)
        found = PushConfiguration(*key, partition_key=tenant, task=seen.handle, url=wanted.url)
        app.push_configurations.put(found)
    if is_new and len(app.push_configurations.of(topic)) > MOST:  # others came in between
        app.push_configurations.delete(found.key)
        raise _too_many()
    notices.look(*found.key)
    return _shown(found)


def create(app: App, tenant: str, params: Params) -> Result:
    """CreateTaskPushNotificationConfig."""
    _notices(app)
    wanted = push(params)
    return tell(app, tenant, find(app, tenant, task_id(params, "taskId")), wanted)


def get(app: App, tenant: str, params: Params) -> Result:
    """GetTaskPushNotificationConfig."""
    found = app.push_configurations.get(_named(app, tenant, params))
    if found is None:
        message = "the task has no such push configuration; it ends with the task"
        raise ProtocolError(Reason.TASK_NOT_FOUND, message, taskId=params["taskId"])
    return _shown(found)


def listed(app: App, tenant: str, params: Params) -> Result:
    """ListTaskPushNotificationConfigs: all of them, because there are few."""
    _notices(app)
    found = app.push_configurations.of(_topic(app, tenant, params))
    return {"configs": [_shown(each) for each in found], "nextPageToken": ""}


def delete(app: App, tenant: str, params: Params) -> Result:
    """DeleteTaskPushNotificationConfig; deleting what does not exist changes nothing."""
    app.push_configurations.delete(_named(app, tenant, params))
    return {}


def _too_many() -> ProtocolError:
    return invalid("taskId", f"the task has {MOST} push configurations: delete one first")


def _named(app: App, tenant: str, params: Params) -> Key:
    """The key of a configuration that a request names."""
    _notices(app)
    name = task_id(params)
    return push_key(_topic(app, tenant, params), name)


def _topic(app: App, tenant: str, params: Params) -> str:
    """The topic of the session of a task."""
    seen = find(app, tenant, task_id(params, "taskId"))
    return topics.of_session(tenant, seen.session.session_uuid)


def _notices(app: App) -> Notices:
    if app.notices is None:
        raise ProtocolError(
            Reason.PUSH_NOTIFICATION_NOT_SUPPORTED,
            "this agent sends no notices: look at the task, or subscribe to it",
        )
    return app.notices


def _shown(found: PushConfiguration) -> Result:
    return {"id": found.id, "taskId": found.task, "url": found.url}
