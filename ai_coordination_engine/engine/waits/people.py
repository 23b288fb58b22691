"""End an agent's wait for a person: by an answer, or when the time for it is over.

The mutation `executeForUserInput` and `engine.step` are the callers.
"""

from typing import Any

from ai_coordination_engine.domain.answers import check_answer
from ai_coordination_engine.engine.advance import asking, pinning, timers
from ai_coordination_engine.engine.advance import hand_off as advance
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
    app: App,
    tenant: str,
    session_uuid: str,
    session_agent_uuid: str,
    user_input: str,
    question_id: str | None = None,
    *,
    message: str | None = None,
) -> None:
    """Store a person's answer and wake the agent that waits for it.

    The same answer again is a success without effect. In a paused session the answer is stored, and
    the agent runs when the session is resumed. Raises `NotFound`; `Conflict` if the agent does not
    wait for an answer; `BadUserInput` if the answer is empty, has more than `MAX_TEXT` characters,
    or does not conform to the `answerSchema` of the question or of the action, or is not a review
    of the plan. `question_id`: the question of the agent's runtime that is answered; it is a
    `Conflict` when the agent asks another one. `message`: identifies the message with the answer;
    the same message again answers no later question.
    """
    _check_text(user_input)
    key = (session_uuid, session_agent_uuid)
    waiting = app.records.get(SESSION_AGENT, tenant, key, consistent=True)
    if waiting is None:
        raise SESSION_AGENT.missing(key)
    if message in (waiting.answered_by or ()):
        _go_on(app, waiting)
        return
    if question_id is not None:
        _check_question(waiting, question_id)
    if waiting.state == "wait_for_user_input":
        _check(waiting, user_input)
    name = _name_of_answer(waiting)
    stored_values = app.records.store(SESSION_AGENT, tenant, key, {name: user_input}, waiting.nonce)
    if is_waiting := waiting.state == "wait_for_user_input":
        timers.keep_watching(app, waiting)
    answered = app.agents.answer(waiting, stored_values, message=message)
    agent = applied(answered)
    if agent is None:
        agent = _answered_before(tenant, key, answered.record, name, stored_values[name])
    _go_on(app, agent, is_watched=is_waiting)


def _check_text(user_input: str) -> None:
    if not user_input.strip():
        raise BadUserInput("userInput is empty; an answer cannot be taken back.")
    if len(user_input) > MAX_TEXT:
        raise BadUserInput(f"userInput has {len(user_input)} characters; it takes {MAX_TEXT}.")


def _go_on(app: App, agent: SessionAgent, *, is_watched: bool = False) -> None:
    """Wake an agent that has its answer."""
    if agent.state == "pending":
        if not is_watched:  # it waits since then, or this is a repetition
            timers.keep_watching(app, agent)
        app.queue.send([wake(agent)])


def _name_of_answer(agent: SessionAgent) -> str:
    """The attribute of the answer that the agent waits for, or has got last."""
    if agent.state == "wait_for_user_input":
        return "reply" if asking.is_asking(agent) else "user_input"
    return "user_input" if agent.stored("reply") is None else "reply"


def _check_question(agent: SessionAgent, question_id: str) -> None:
    """Raise `Conflict` if the agent asks another question, or its latest one was another."""
    asked = agent.asks.get("id") if agent.stored("asks") is not None else None
    is_over = asked is None and agent.state != "wait_for_user_input"  # perhaps it was the last one
    if asked != question_id and not is_over:
        raise Conflict("The session agent asks another question by now.", state=agent.state)


def _check(waiting: SessionAgent, user_input: str) -> None:
    """Raise `BadUserInput` for an answer that the agent cannot go on with."""
    if asking.is_asking(waiting):
        if (schema := waiting.asks.get("answer_schema")) is not None:
            check_answer(schema, user_input)
    elif pinning.is_planner(waiting):
        pinning.check_review(waiting, user_input)
    elif (schema := _action(waiting).get("answer_schema")) is not None:
        check_answer(schema, user_input)


def expire(app: App, agent: SessionAgent) -> None:
    """End a wait whose time is over: the agent gets the default answer, or fails.

    May be repeated.
    """
    action = _action(agent)
    key = agent.key
    asks = asking.is_asking(agent)  # the default answers the task's question, not the runtime's
    if not asks and (default := action.get("default_answer")) is not None:
        _answer_by_default(app, agent, key, default)
        return
    to_what = " to its question" if asks else ""
    note = f"No answer{to_what} came within {action.get('answer_within_seconds', 0):g} seconds."
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
    tenant: str, key: tuple[str, str], old: SessionAgent | None, name: str, stored_value: object
) -> SessionAgent:
    if old is None or old.partition_key != tenant or old.unconfirmed is not None:
        raise SESSION_AGENT.missing(key)
    answer = old.stored(name)
    if answer is not None and answer == stored_value and old.awaits_user is None:
        return old
    raise Conflict(
        f"The session agent does not wait for an answer: its state is {old.state}.", state=old.state
    )
