"""Tell receivers what has become of their tasks: at least once, and in the order of the states.

A notice is sent under the lease of its configuration, which then keeps the state that the receiver
has got. A process that dies in between leaves both, so the notice is sent again. What a receiver
does not take is tried again, each time after a longer while, until it is given up.
"""

import zlib
from collections.abc import Callable

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import NotFound
from ai_coordination_engine.live_ports import Notices
from ai_coordination_engine.observability import logger
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.served.a2a.cards import PROTOCOL
from ai_coordination_engine.served.a2a.tasks import context_of, state_of, status_of, task_of
from ai_coordination_engine.served.sessions import ServedSession, look
from ai_coordination_engine.store.push_configurations import PushConfiguration

TRIES = 10
FIRST_SECONDS, LONGEST_SECONDS = 5.0, 900.0
"""The waits between two tries; a wait is twice as long as the one before."""
BUSY_SECONDS = 2.0
EARLY_SECONDS = 1.0
"""By which a try that is due may seem too early, where another machine's clock has set it."""
LARGE = 250_000  # bytes; what is larger is told without its artifacts
Again = Callable[[PushConfiguration, float], None]
"""Looks at a configuration again after some seconds, whatever happens until then."""


def has_news(app: App, read: PushConfiguration) -> bool:
    """Whether the receiver may have to be told anything now; no write, and raises nothing: who asks
    goes on with other work, and `deliver` fails then.
    """
    if _waits(app, read):
        return False
    try:
        seen = _seen(app, read)
    except NotFound:
        return True  # to be deleted
    except Exception:
        logger.exception("could not read what a receiver is to be told")
        return True
    return _is_news(read, state_to_tell(seen))


def deliver(app: App, notices: Notices, read: PushConfiguration, again: Again) -> None:
    """Send the news to a receiver, if there is any. `read`: the configuration as it is now.

    When it fails, or another process is sending, `again` is called before anything is written.
    Before the next try is due, nothing is sent, whoever looks: there is an `again` for it.
    """
    try:
        seen = _seen(app, read)
    except NotFound:  # the session was deleted, or other systems do not see it any more
        app.push_configurations.delete(read.key)
        return
    state = state_to_tell(seen)
    if not _is_news(read, state) or _waits(app, read, EARLY_SECONDS):
        return
    # the state was read after the one before was sent, or this is refused
    claimed = app.push_configurations.claim(read)
    if claimed is None:
        again(read, BUSY_SECONDS)
        return
    try:
        notices.post(claimed.url, body_of(seen))
    except AgentFailure as failure:
        if _is_tried_again(app, claimed, state, failure, again):
            return
    if seen.has_ended:
        app.push_configurations.end(claimed)
    else:
        app.push_configurations.delivered(claimed, state)


def state_to_tell(seen: ServedSession) -> str:
    """What identifies a state that is worth a notice: the task has ended, or asks; else empty."""
    if seen.questions:
        asked = " ".join(sorted(each.key for each in seen.questions))
        return f"{state_of(seen)} {zlib.crc32(asked.encode()):08x}"
    return str(state_of(seen)) if seen.has_ended else ""


def body_of(seen: ServedSession) -> bytes:
    """The notice, a StreamResponse: the task without its history, or if that is large, its status
    (section 4.3.3).
    """
    body = json_text.dumps({"task": task_of(seen, 0)}, compact=True).encode(errors="replace")
    if len(body) <= LARGE:
        return body
    update = {"taskId": seen.handle, "contextId": context_of(seen), "status": status_of(seen)}
    return json_text.dumps({"statusUpdate": update}, compact=True).encode(errors="replace")


def _seen(app: App, read: PushConfiguration) -> ServedSession:
    return look(app, read.partition_key, read.task, PROTOCOL)


def _is_news(read: PushConfiguration, state: str) -> bool:
    return bool(state) and state != read.delivered


def _waits(app: App, read: PushConfiguration, early: float = 0.0) -> bool:
    """Whether the next try is not due yet."""
    return (read.retry_at or 0) - early > app.clock.now().timestamp()


def _is_tried_again(
    app: App, claimed: PushConfiguration, state: str, failure: AgentFailure, again: Again
) -> bool:
    """Note a failure; return whether the state is sent again later."""
    failures = 1 + ((claimed.failures or 0) if claimed.tried == state else 0)
    told = {"task": claimed.task, "reason": failure.message, "failures": failures}
    if failures >= TRIES or failure.error_class == "not_allowed":
        logger.warning("a receiver was not told: its notice is given up", extra=told)
        return False
    wait = min(FIRST_SECONDS * 2 ** (failures - 1), LONGEST_SECONDS)
    logger.info("a receiver was not told: its notice is sent again", extra=told)
    retry_at = app.clock.now().timestamp() + wait  # before: who looks again is not too early
    again(claimed, wait)
    app.push_configurations.failed(claimed, state, failures, retry_at)
    return True
