"""End an agent's wait for a person: by an answer, or when the time for it is over.

The mutation `executeForUserInput` and `engine.step` are the callers.
"""

from typing import Any

from ai_coordination_engine.domain.answers import check_answer
from ai_coordination_engine.engine.advance import hand_off as advance
from ai_coordination_engine.engine.advance import pinning, timers
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import runs
from ai_coordination_engine.engine.graph.inputs import MAX_TEXT
from ai_coordination_engine.errors import BadUserInput, Conflict
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.attempts import lost
from ai_coordination_engine.store.transitions.outcome import applied


def execute_for_user_input(
    app: App, tenant: str, session_uuid: str, session_agent_uuid: str, user_input: str
) -> None:
    """Store a person's answer and wake the agent that waits for it.

    The same answer again is a success without effect. In a paused session the answer is stored, and
    the agent runs when the session is resumed. Raises `NotFound`; `Conflict` if the agent does not
    wait for an answer; `BadUserInput` if the answer is empty, has more than `MAX_TEXT` characters,
    or does not conform to the action's `answerSchema`, or is not a review of the plan.
    """
    if not user_input.strip():
        raise BadUserInput("userInput is empty; an answer cannot be taken back.")
    if len(user_input) > MAX_TEXT:
        raise BadUserInput(f"userInput has {len(user_input)} characters; it takes {MAX_TEXT}.")
    key = (session_uuid, session_agent_uuid)
    waiting = app.records.get(SESSION_AGENT, tenant, key, consistent=True)
    if waiting is None:
        raise SESSION_AGENT.missing(key)
    if waiting.state == "wait_for_user_input":
        _check(waiting, user_input)
    stored_values = app.records.store(
        SESSION_AGENT, tenant, key, {"user_input": user_input}, waiting.nonce
    )
    if is_waiting := waiting.state == "wait_for_user_input":
        timers.keep_watching(app, waiting)
    answered = app.agents.answer(waiting, stored_values)
    agent = applied(answered)
    if agent is None:
        agent = _answered_before(tenant, key, answered.record, stored_values["user_input"])
    if agent.state == "pending":
        if not is_waiting:  # it waits since then, or this is a repetition
            timers.keep_watching(app, agent)
        app.queue.send([wake(agent)])


def _check(waiting: SessionAgent, user_input: str) -> None:
    """Raise `BadUserInput` for an answer that the agent cannot go on with."""
    if pinning.is_planner(waiting):
        pinning.check_review(waiting, user_input)
    elif (schema := _action(waiting).get("answer_schema")) is not None:
        check_answer(schema, user_input)


def expire(app: App, agent: SessionAgent) -> None:
    """End a wait whose time is over: the agent gets the default answer, or fails.

    May be repeated.
    """
    action = _action(agent)
    key = agent.key
    if (default := action.get("default_answer")) is not None:
        _answer_by_default(app, agent, key, default)
        return
    note = f"No answer came within {action.get('answer_within_seconds', 0):g} seconds."
    stored_values = app.records.store(
        SESSION_AGENT, agent.partition_key, key, {"notes": note}, agent.nonce
    )
    for attempt, run_uuid in lost(agent):
        runs.record_lost(app, agent, attempt, run_uuid)
    failed = app.agents.fail_waiting(agent, stored_values).record
    if failed is not None and failed.state == "failed":
        advance.ended(app, failed)


def _answer_by_default(app: App, waiting: SessionAgent, key: Key, answer: str) -> None:
    tenant = waiting.partition_key
    stored_values = app.records.store(
        SESSION_AGENT, tenant, key, {"user_input": answer}, waiting.nonce
    )
    timers.keep_watching(app, waiting)
    # if the person was faster, the process that stored the answer may have died: wake the agent
    agent = app.agents.answer(waiting, stored_values, by_default=True).record
    if agent is not None and agent.state == "pending":
        app.queue.send([wake(agent)])


def _action(agent: SessionAgent) -> dict[str, Any]:
    return agent.agent_action or {}


def _answered_before(
    tenant: str, key: tuple[str, str], old: SessionAgent | None, stored_values: object
) -> SessionAgent:
    if old is None or old.partition_key != tenant or old.unconfirmed is not None:
        raise SESSION_AGENT.missing(key)
    answer = old.stored("user_input")
    if answer is not None and answer == stored_values and old.awaits_user is None:
        return old
    raise Conflict(
        f"The session agent does not wait for an answer: its state is {old.state}.", state=old.state
    )
