"""Questions that are asked outside a task.

An agent that is asked may choose who goes on with the question. It completes with its choice; then
the session agent that goes on is written, whose key and content follow from the choice, and the
edge to it is released. A later question on the same thread waits for the end of the one before: it
is written first, and then the edge to it is added to the agent that has the question before.

All of it may be repeated: a later call finds what is done and finishes the rest.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from ai_coordination_engine.domain import routing
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.routing import NONE, Choice, Route
from ai_coordination_engine.domain.shapes import AgentAction
from ai_coordination_engine.domain.statuses import OPEN_AGENT_STATES
from ai_coordination_engine.engine.advance.ending import end_those
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import budgets, limits, structured
from ai_coordination_engine.engine.attempt.cancelling import cancel_jobs
from ai_coordination_engine.engine.graph import inputs, rules
from ai_coordination_engine.engine.graph.edge_outcomes import Edge
from ai_coordination_engine.engine.graph.keys import agent_key, edge_id, ordinal_of
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records import guards, write_tokens
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions.outcome import Applied, applied


def is_asked(agent: SessionAgent) -> bool:
    """Whether the agent was asked outside a task: as the first one, or chosen by another."""
    return agent.sink_count == 0


def is_first(agent: SessionAgent) -> bool:
    """Whether it is the agent that its question was asked first."""
    return agent.question is None or bool(agent.question == agent.ordinal)


# Who goes on


def choice_of(agent: SessionAgent, value: Any) -> Any:
    """What of a structured answer is the choice of who goes on; None when it is none."""
    return value if "route" in rules.of(agent) else None


def decided(agent: SessionAgent, output: str) -> dict[str, object]:
    """The values that follow from what an agent answered, in place of the output or beside it: who
    goes on with its question. Empty when the output is the answer. Raises `AgentFailure`.

    It has a budget of its own: an answer that the attempt could read can be read again.
    """
    value = structured.read(agent, output, Budget())
    given = rules.of(agent)
    choice = routing.chosen(given, value, output)
    if choice is None:
        return {}
    if choice.agent == NONE:
        return {"agent_output": choice.query}
    routed: dict[str, object] = {"routed": {**asdict(choice), "ordinal": agent.ordinal + 1}}
    return {**routed, "agent_output": routing.as_json(choice)} if "route" in given else routed


def again(app: App, agent: SessionAgent) -> str | None:
    """The answer of a router that need not be asked: the agent that answered last on its thread
    goes on. None when the router chooses. At most one BatchGetItem, and one per hand-off.
    """
    given = rules.of(agent).get("route")
    if given is None or not given["again"]:
        return None
    answers = inputs.answering(app, agent, agent.thread or ())
    last = next((each.agent_uuid for each in reversed(answers.values())), None)
    if last not in [each.agent_uuid for each in Route.of(given).candidates()]:
        return None
    return routing.as_json(Choice(last, routing.AGAIN, ""))


def go_on(app: App, agent: SessionAgent) -> None:
    """Write the session agent that goes on with a question, unless that is done; it does not begin
    before the edge to it is released.

    It is taken back when its session was deleted meanwhile (promise P1), cancelled when that was
    cancelled, and paused when it is paused.
    """
    if agent.went_on:
        return
    after = _after(app, agent)
    if not app.agents.reserve(after):
        _remove_in_vain(app, after)
    look = partial(app.records.living_parent, SESSION, agent.partition_key, agent.session_key)
    session, _ = app.records.parallel.pair(look, partial(app.agents.went_on, agent))
    if session is None:
        if applied(app.agents.take_back(after)) is not None:
            guards.remove_blobs(app.records, SESSION_AGENT, after)
    elif session.status == "cancelled":
        end_those(app, session, [after])
    elif session.status == "paused" and session.pause_token is not None:
        pause(app, session, after)


def _remove_in_vain(app: App, agent: SessionAgent) -> None:
    """Remove the blobs of an agent that somebody else has written, but for a repeated write."""
    if agent.has_blobs:
        there = app.records.get_stored(SESSION_AGENT, agent.partition_key, agent.key)
        if there is None or there.nonce != agent.nonce:
            guards.remove_blobs(app.records, SESSION_AGENT, agent)


def _after(app: App, agent: SessionAgent) -> SessionAgent:
    routed = dict(agent.routed)
    key, now = agent_key(agent, routed.pop("ordinal")), app.clock.now()
    question = inputs.task_query(agent)
    user = agent.updated_by if agent.updated_by != "engine" else None
    step = routing.step(rules.of(agent), Choice(**routed), question, user, agent.user_input)
    action = AgentAction(user_in_the_loop=step.user) if step.user else AgentAction()
    values = {
        "agent_action": action.complete(),
        "definition": step.definition,
        "query": step.query,
        "task_query": question,
        "input_files": agent.input_files,
        "rules": {**step.rules, **limits.kept(agent)},
        "notes": step.notes,
        "successors": agent.successors,
        "thread": agent.thread,
    }
    nonce = write_tokens.new_nonce()
    return SessionAgent(
        *key,
        partition_key=agent.partition_key,
        nonce=nonce,
        coordination_uuid=agent.coordination_uuid,
        agent_uuid=step.definition["agent_uuid"],
        ordinal=agent.ordinal + 1,
        question=agent.question if agent.question is not None else agent.ordinal,
        sink_count=0,
        in_degree=1,
        unfinished={edge_id(agent)},
        state="initial",
        awaits_user=step.user,
        needs=app.needs(step.definition.get("runtime")),
        thread_uuid=agent.thread_uuid,
        trace=agent.trace,
        created_at=now,
        updated_at=now,
        updated_by=agent.updated_by,
        **app.records.store(SESSION_AGENT, agent.partition_key, key, values, nonce),
    )


def pause(app: App, session: Session, agent: SessionAgent) -> None:
    """Pause an agent with its session. When that was resumed meanwhile, who resumed it may not have
    seen the agent.
    """
    app.agents.pause(agent, session.pause_token)
    now = app.records.get_stored(SESSION, session.partition_key, session.key)
    if now is not None and now.pause_token != session.pause_token:
        agent.paused = session.pause_token
        app.agents.unpause(agent)


# Whom a question waits for


def is_waiting(agent: SessionAgent) -> bool:
    """Whether it is a question that waits for the one before."""
    is_open = agent.state in OPEN_AGENT_STATES and bool(agent.unfinished)
    return is_asked(agent) and is_first(agent) and is_open


def follow(app: App, waiting: SessionAgent) -> SessionAgent | None:
    """Let a question begin when the one before on its thread has ended; at once where it has.
    Returns the question as it is then.
    """
    (name,) = waiting.unfinished
    edge = Edge(waiting.ordinal, 1, "all_terminal").stored()
    while (last := _last(app, waiting, ordinal_of(int(name)))) is not None:
        known = last.successors or []
        if edge in known:
            return waiting
        if isinstance(app.agents.add_successor(last, [*known, edge]), Applied):
            return waiting
    return app.agents.finish_edge(waiting.partition_key, waiting.key, int(name)).record


def _last(app: App, of: SessionAgent, ordinal: int) -> SessionAgent | None:
    """The open agent that has a question, which the agent `ordinal` was asked first; None when it
    has ended, or is not there.
    """
    agent = _stored(app, of, ordinal)
    while agent is not None and agent.routed is not None:
        go_on(app, agent)
        agent = _stored(app, of, agent.routed["ordinal"])
    if agent is None or agent.state not in OPEN_AGENT_STATES:
        return None
    return agent if is_there(app, agent) else None


def is_there(app: App, agent: SessionAgent) -> bool:
    """Whether an agent is confirmed, or somebody may be about to confirm it."""
    return agent.unconfirmed is None or write_tokens.is_live(agent.unconfirmed, app.clock.now())


def _stored(app: App, of: SessionAgent, ordinal: int) -> SessionAgent | None:
    return app.records.get_stored(SESSION_AGENT, of.partition_key, agent_key(of, ordinal))


def interrupt(app: App, asked: Sequence[SessionAgent]) -> None:
    """Cancel the open agents of these questions. The next agent of each is written first, so that
    none follows later.

    Attempts that run are fenced; a message to each records it, also where its worker dies.
    """
    to_end = [each for each in asked if each.state in OPEN_AGENT_STATES]
    app.queue.send([wake(each) for each in to_end if each.lease_until is not None])
    for each in asked:
        if each.routed is not None:
            go_on(app, each)
    if to_end:
        cancel_jobs(app, to_end)
        budgets.drop_all(app, to_end)
        app.records.parallel.run([partial(app.agents.interrupt, each) for each in to_end])


def is_open(asked: Sequence[SessionAgent]) -> bool:
    """Whether one of these questions is still being answered."""
    return any(each.state in OPEN_AGENT_STATES or is_going_on(each) for each in asked)


def is_going_on(agent: SessionAgent) -> bool:
    """Whether who goes on with its question is chosen, but perhaps not written."""
    return agent.stored("routed") is not None and not agent.went_on
