"""Let an agent wait for a person whom its runtime asks: the attempt ends with a question.

The attempt leaves a run with the status `asked`, which keeps the question, so that a crash before
the agent waits loses nothing. The answer (`engine.waits.people`) makes the agent ready, and another
attempt goes on with the state that its runtime has given with the question. `engine.step` and
`engine.beginning` are the callers.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ai_coordination_engine.domain.answers import check_schema
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.engine.advance import accounts, ending, timers
from ai_coordination_engine.engine.advance import hand_off as advance
from ai_coordination_engine.engine.advance.ending import lease_lost
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.chain import Chain
from ai_coordination_engine.engine.attempt.persistence import persist, persist_together
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.runtime_ports import AgentFailure, Question
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.payload import BlobReference, to_json
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.outcome import Applied

MAX_QUESTIONS = 50
"""Questions of one agent, until it is run again on request."""
MAX_QUESTION = 20_000
"""Characters of a question's text."""


def asks_of(agent: SessionAgent, question: Question) -> dict[str, Any]:
    """What is stored of a question. Raises `AgentFailure` if nobody could answer it.

    `id` distinguishes the question from the next one of the same agent.
    """
    number = (agent.asks["number"] if agent.stored("asks") is not None else 0) + 1
    if number > MAX_QUESTIONS:
        raise AgentFailure(f"The agent has asked {MAX_QUESTIONS} questions; it may ask no more.")
    asks = {
        "id": agent.run_uuid,
        "number": number,
        "text": question.text,
        "answer_schema": question.answer_schema,
        "details": dict(question.details) or None,
        "state": question.state,
    }
    if why := _why_unfit(question, asks):
        raise AgentFailure(f"The question of the agent {why}.", error_class="invalid_output")
    return {name: value for name, value in asks.items() if value is not None}


def _why_unfit(question: Question, asks: Mapping[str, Any]) -> str | None:
    if not question.text.strip():
        return "is empty"
    if len(question.text) > MAX_QUESTION:
        return f"has {len(question.text)} characters; it may have {MAX_QUESTION}"
    try:
        to_json(asks)
        if question.answer_schema is not None:
            check_schema(question.answer_schema, Budget())
    except BadUserInput as error:
        return f"cannot be asked: {error.message.rstrip('.')}"
    return None


def record_asked(
    app: App, agent: SessionAgent, chain: Chain, record: Any, asks: Mapping[str, Any]
) -> None:
    """Write the run of an attempt that ended with a question, and let the agent wait, in one
    transaction if there are any.
    """

    def write() -> None:
        stored = persist(app, agent, chain, partial(_stored, app, agent, {"asks": asks}))
        persist(app, agent, chain, partial(record, outcome="asked", output=stored["asks"]))
        persist(app, agent, chain, partial(park, app, agent, stored["asks"]))
        chain.ending(None)

    persist_together(app, agent, chain, write)


def ask_later(app: App, agent: SessionAgent, question: Question) -> None:
    """Let the agent wait whose long job has ended with a question. Raises `AgentFailure`."""
    park(app, agent, _stored(app, agent, {"asks": asks_of(agent, question)})["asks"])


def park(app: App, agent: SessionAgent, asks: Any) -> None:
    """Let an agent wait whose question is recorded; `asks`: its stored form. In a session that has
    ended, nobody is asked any more.
    """
    if ending.is_over(app, agent):
        _fail(app, agent)
        return
    within = (agent.agent_action or {}).get("answer_within_seconds")
    due_at = app.clock.now().timestamp() + within if within is not None else None
    has_blob = {"has_blobs": True} if isinstance(asks, BlobReference) else {}
    values = {"asks": asks, **has_blob, **accounts.noted(agent)}
    asked = app.agents.ask(agent, values, due_at)
    if not isinstance(asked, Applied):
        lease_lost(app, agent, asked.record)
    elif asked.record.due_at is not None:
        timers.wake_at(app, asked.record, asked.record.due_at)


def is_asking(agent: SessionAgent) -> bool:
    """Whether the agent waits for a person because its runtime has asked."""
    return agent.state == "wait_for_user_input" and agent.stored("asks") is not None


def _fail(app: App, agent: SessionAgent) -> None:
    note = "The session ended before its question could be asked."
    failed = app.agents.fail(agent, _stored(app, agent, {"notes": note} | accounts.noted(agent)))
    if isinstance(failed, Applied):
        advance.ended(app, failed.record)
    else:
        lease_lost(app, agent, failed.record)


def _stored(app: App, agent: SessionAgent, values: Mapping[str, Any]) -> dict[str, Any]:
    return app.records.store(
        SESSION_AGENT, agent.partition_key, agent.key, dict(values), agent.nonce
    )
