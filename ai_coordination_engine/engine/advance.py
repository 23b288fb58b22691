"""What follows from a terminal agent: edges go, successors wake, the session ends. All of it may be repeated."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from ai_coordination_engine.domain.statuses import (
    OPEN_SESSION_STATUSES,
    TERMINAL_AGENT_STATES,
    TERMINAL_SESSION_STATUSES,
)
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.busy import Busy
from ai_coordination_engine.engine.control import give_up_lost, skip_waiting
from ai_coordination_engine.engine.keys import agent_key
from ai_coordination_engine.store.entities import SESSION
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.table import Refused
from ai_coordination_engine.store.transitions import Lease


def hand_on(app: App, agent: SessionAgent, lease: Lease | None) -> SessionAgent | None:
    """Remove the edges that start at a completed agent, and return a ready successor claimed with `lease`, if any.

    Without a lease nothing is claimed. Every other ready successor is enqueued; a sink ends its part of the session.
    """
    successors: Sequence[tuple[int, int]] = app.records.opened(agent.successors) or ()
    if not successors:
        finish_sink(app, agent)
        return None
    claimed, rest = None, list(successors)
    if lease and rest[0][1] == 1:
        claimed = _claim_only_child(app, agent, rest[0][0], lease)
        rest = rest[1:] if claimed else rest
    edges = [partial(app.transitions.finish_edge, agent_key(agent, each), agent.ordinal) for each, _ in rest]
    ready = [each for each in app.records.parallel.run(edges) if each is not None and is_ready(each)] if edges else []
    if lease and claimed is None:
        claimed, ready = _claim_first(app, ready, lease)
    app.queue.send([wake(each) for each in ready])
    return claimed


def is_ready(agent: SessionAgent) -> bool:
    """Whether an agent could be claimed, or parked for its person, by whoever gets its message."""
    return agent.in_degree == 0 and agent.state in ("initial", "pending")


def _claim_only_child(app: App, agent: SessionAgent, ordinal: int, lease: Lease) -> SessionAgent | None:
    try:
        return app.transitions.finish_last_edge_and_claim(agent_key(agent, ordinal), agent.ordinal, lease)
    except Refused:
        return None


def _claim_first(app: App, ready: list[SessionAgent], lease: Lease) -> tuple[SessionAgent | None, list[SessionAgent]]:
    """Claim the first ready agent that needs no person, and the others."""
    for index, each in enumerate(ready):
        if each.awaits_user:
            continue
        rest = ready[:index] + ready[index + 1 :]
        try:
            return app.transitions.claim(each.partition_key, (each.session_uuid, each.session_agent_uuid), lease), rest
        except Refused:
            return None, rest  # whoever was faster has a message of its own
    return None, ready


def finish_sink(app: App, agent: SessionAgent) -> None:
    """A sink is terminal: the session is completed when it was the last (promise P6)."""
    if not agent.sink_count:
        return  # asked outside a task: nothing ends with it
    key = (agent.coordination_uuid, agent.session_uuid)
    if agent.sink_count == 1:
        app.transitions.finish_only_sink(key, agent.ordinal)
        return
    session = app.transitions.finish_sink(key, agent.ordinal)
    if session is not None and session.open_sink_count == 0 and session.status in OPEN_SESSION_STATUSES:
        app.transitions.complete_session(key)


def fail_session(app: App, agent: SessionAgent) -> None:
    """A failed agent fails its session, and what nobody has claimed is skipped."""
    if agent.sink_count == 0:
        return  # asked outside a task: nothing ends with it
    note = app.records.opened(agent.notes) or "no reason was given"
    name = (app.records.opened(agent.definition) or {}).get("agent_name") or agent.agent_uuid
    key = (agent.coordination_uuid, agent.session_uuid)
    text = f"Agent {name} failed: {note}"
    logs = app.records.packed(SESSION, agent.partition_key, key, {"logs": text})
    app.transitions.fail_session(key, logs)
    skip_waiting(app, agent.partition_key, key)


def recover(app: App, agent: SessionAgent) -> None:
    """Finish what a terminal agent owes, and what follows from it: its first worker may have died anywhere after.

    A chain runs under the message of its first agent, so that a redelivery walks down the terminal ones until it finds
    what stands still. Raises `Busy` while somebody holds a lease below.
    """
    key = (agent.coordination_uuid, agent.session_uuid)
    session = app.records.table(SESSION).get(key, consistent=True)
    if session is None or session.status == "completed":
        return
    if session.status in TERMINAL_SESSION_STATUSES:
        skip_waiting(app, agent.partition_key, key)
        if held_until := give_up_lost(app, agent.partition_key, key):
            raise Busy(held_until - app.clock.now().timestamp())
        return
    frontier, expanded = [agent], {agent.ordinal}
    standing: dict[int, SessionAgent] = {}  # an agent may be reached on several ways: its latest state counts
    while frontier:
        below = _settle(app, frontier)
        frontier = []
        for each in below:
            if each.ordinal in expanded:
                continue
            standing[each.ordinal] = each
            if each.state in TERMINAL_AGENT_STATES:
                expanded.add(each.ordinal)
                frontier.append(standing.pop(each.ordinal))
    _wake_standing(app, list(standing.values()))


def _wake_standing(app: App, standing: Sequence[SessionAgent]) -> None:
    """Enqueue who could be claimed; raises `Busy` when others are held by a lease."""
    lost_before = app.lost_before()
    executing = [each for each in standing if each.state == "executing"]
    lost = [each for each in executing if (each.lease_until or 0) < lost_before]
    app.queue.send([wake(each) for each in [*filter(is_ready, standing), *lost]])
    held = [each.lease_until for each in executing if (each.lease_until or 0) >= lost_before]
    if held:
        raise Busy(max(held) - app.clock.now().timestamp())


def _settle(app: App, terminal: Iterable[SessionAgent]) -> list[SessionAgent]:
    """Do what these agents owe, and return their successors as they are now.

    Completed ones release their edges. What follows from an agent that a person skipped or cancelled is skipped.
    """
    calls: list[Callable[[], SessionAgent | None]] = []
    for agent in terminal:
        successors = app.records.opened(agent.successors) or ()
        if agent.state == "failed":
            fail_session(app, agent)
        elif not successors:
            finish_sink(app, agent)
        elif agent.state == "completed":
            calls.extend(
                partial(app.transitions.finish_edge, agent_key(agent, each), agent.ordinal) for each, _ in successors
            )
        else:
            calls.extend(partial(app.transitions.skip, agent_key(agent, each)) for each, _ in successors)
    latest: dict[int, SessionAgent] = {}
    for found in app.records.parallel.run(calls) if calls else ():
        if found is not None:
            known = latest.get(found.ordinal)
            if known is None or found.state in TERMINAL_AGENT_STATES or found.in_degree < known.in_degree:
                latest[found.ordinal] = found
    return list(latest.values())
