"""Cancel long jobs whose results are no longer wanted, by messages to the workers.

A message is sent before the write that ends the agent's wait, so that it is sent again if the
process dies between them. A job that is cancelled twice, or after its end, is not harmed.
"""

import json
from collections.abc import Iterable
from dataclasses import replace

from ai_coordination_engine.domain.runtimes import cancels
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.request import bare_request
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import CancelJob
from ai_coordination_engine.runtime_ports import (
    JOB_OF_QUESTION,
    AgentFailure,
    AgentRequest,
    FollowsJobs,
)
from ai_coordination_engine.store.models import SessionAgent

TIMEOUT_SECONDS = 30.0
_TRIES = 8
_FIRST_WAIT = 2.0  # seconds; it doubles with each try


def cancel_jobs(app: App, agents: Iterable[SessionAgent]) -> None:
    """Send a message for each of these agents that waits for a long job which can be cancelled, or
    for the answer to what it asks.
    """
    waiting = [(each, uuid) for each in agents if (uuid := _job_of(each)) is not None]
    messages = [_message(app, each, uuid) for each, uuid in waiting]
    if wanted := [each for each in messages if each is not None]:
        app.queue.send(wanted)


def _job_of(agent: SessionAgent) -> str | None:
    """The uuid of the job that goes on if nobody cancels it; None if there is none."""
    if agent.state == "pending":
        uuid: str | None = agent.async_task_uuid
        return uuid
    if agent.state != "wait_for_user_input" or agent.stored("asks") is None:
        return None
    state = (agent.asks or {}).get("state")
    found = state.get(JOB_OF_QUESTION) if isinstance(state, dict) else None
    return found if isinstance(found, str) else None


def cancel_job(app: App, agent: SessionAgent, async_task_uuid: str) -> None:
    """Send the message for the long job that an attempt of this agent has begun."""
    if (message := _message(app, agent, async_task_uuid)) is not None:
        app.queue.send([message])


def _message(app: App, agent: SessionAgent, async_task_uuid: str) -> CancelJob | None:
    request = bare_request(app, agent, TIMEOUT_SECONDS)
    if not cancels(str(request.runtime.get("kind"))):
        return None
    names = {name: each for name, each in request.runtime.items() if name != "instructions"}
    ids = agent.partition_key, agent.session_uuid, agent.session_agent_uuid, request.run_uuid
    return CancelJob(*ids, async_task_uuid, json.dumps(names))


def cancel(app: App, message: CancelJob) -> None:
    """Tell the service of a long job to cancel it; a failed call is repeated later, some times."""
    request = AgentRequest(
        tenant=message.tenant,
        session_uuid=message.session_uuid,
        session_agent_uuid=message.session_agent_uuid,
        run_uuid=message.run_uuid,
        runtime=json.loads(message.runtime),
        timeout_seconds=TIMEOUT_SECONDS,
    )
    try:
        runtime = app.runtimes.find(str(request.runtime.get("kind")))
        if isinstance(runtime, FollowsJobs):
            runtime.cancel(request, message.async_task_uuid)
    except AgentFailure as failure:
        again = failure.retryable and message.tries + 1 < _TRIES
        extra = {"reason": failure.message, "is_tried_again": again}
        logger.warning("could not cancel a long job", extra=extra)
        if again:
            later = replace(message, tries=message.tries + 1)
            app.queue.send([later], delay=_FIRST_WAIT * 2**message.tries)
