"""Hand off from an ended agent: release its edges, then enqueue or skip its successors.

May be repeated. `advance.conclusion` calls it after an attempt; `engine.recovery` and
`advance.gone` use its parts.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import field
from functools import partial
from typing import assert_never

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.lifecycle.phases import Phase, is_ready, is_unsatisfied, phase
from ai_coordination_engine.engine.advance import questions
from ai_coordination_engine.engine.advance.ending import record_lost
from ai_coordination_engine.engine.advance.sinks import MAX_LOGS, fail_session, finish_sink
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt.leases import ExpiringOnError, new_lease
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.edge_outcomes import (
    COUNTED,
    Edge,
    EdgeOutcome,
    Held,
    edges_of,
    evaluate,
    held_again,
)
from ai_coordination_engine.engine.graph.inputs import label
from ai_coordination_engine.engine.graph.keys import agent_key, edge_id, family
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.transitions import counter_shards
from ai_coordination_engine.store.transitions.outcome import applied

_UPSTREAM_FAILED = "Skipped because of a failure before it."
Room = Callable[[int], int]
"""How many of so many successors the caller can run now."""


def no_room(most: int) -> int:
    """Of a caller that runs no successors."""
    return 0


@dataclass
class Followers:
    """Successors whose edge was released: those that are ready, and those that were skipped."""

    ready: list[SessionAgent] = field(default_factory=list)
    skipped: list[SessionAgent] = field(default_factory=list)

    def add(self, agent: SessionAgent, found: Phase) -> None:
        """Add an agent to the list that fits its phase, if any."""
        match found:
            case Phase.ENDED:
                self.skipped += [agent] if agent.state == "skipped" else []
            case Phase.READY | Phase.ASKING | Phase.BACKOFF | Phase.MAP_EXPANDING:
                # one that began before its last predecessor ended is not ready, though it waits
                self.ready += [agent] if is_ready(agent) else []
            case Phase.WAITING_FOR_PREDECESSORS | Phase.WAITING_FOR_ELEMENTS | Phase.UNSATISFIED:
                pass  # the last predecessor to end hands off, or skips it
            case Phase.EXECUTING | Phase.ACTING | Phase.ACTION_DUE | Phase.LEASE_EXPIRED:
                pass  # it has begun
            case Phase.WAITING_FOR_JOB | Phase.WAITING_FOR_PERSON | Phase.WAITING_FOR_BUDGET:
                pass  # what ends its wait sends its message
            case Phase.PAUSED | Phase.BY_HAND:
                pass  # likewise, and a client moves the latter
            case never:
                assert_never(never)


def hand_off(
    app: App,
    agent: SessionAgent,
    room: Room = no_room,
    held: Held | None = None,
) -> list[SessionAgent]:
    """Release the edges of an ended agent; return the successors that were claimed for the caller.

    As many are claimed as the caller has `room` for. All other ready successors are enqueued. A
    successor that can never run is skipped, and so are its descendants. If the agent is a sink, the
    session counts it as ended. `held`: which conditions hold, if they were evaluated already.

    The claims are the last step: their leases begin when the attempts begin, even if the fan-out
    takes long, and an error before them leaves nothing claimed.
    """
    if questions.is_going_on(agent):
        questions.go_on(app, agent)
    outgoing_edges = evaluated(agent, held)
    if not outgoing_edges:
        finish_sink(app, agent)
        return []
    only = outgoing_edges[:1] if _is_only_child(app, agent, *outgoing_edges[0]) and room(1) else []
    ready = _followers(app, agent, outgoing_edges[len(only) :])
    if not only:
        return begin(app, agent, ready, room)
    claimed = _begin(app, agent, ready, room, child := only[0][0].ordinal)
    if any(each.ordinal == child for each in claimed):
        return claimed
    ready = _followers(app, agent, only)
    return [*claimed, *begin(app, agent, ready, no_room if claimed else room)]


def begin(
    app: App, agent: SessionAgent, ready: Sequence[SessionAgent], room: Room
) -> list[SessionAgent]:
    """Enqueue the agents that became ready with the end of `agent`, but those that are claimed for
    the caller, as many as it has `room` for; returns those.
    """
    return _begin(app, agent, ready, room, None)


def _begin(
    app: App,
    agent: SessionAgent,
    ready: Sequence[SessionAgent],
    room: Room,
    child: int | None,
) -> list[SessionAgent]:
    """Likewise; `child`: an only child, whose edge is released with its claim."""
    calls: list[Callable[[], SessionAgent | None]] = []
    if child is not None:
        calls = [partial(_claim_only_child, app, agent, child)]
    mine = [each for each in ready if _may_claim(app, agent, each)]
    mine = mine[: max(room(len(calls) + len(mine)) - len(calls), 0)]
    ours = {each.ordinal for each in mine}
    app.queue.send([wake(each) for each in ready if each.ordinal not in ours])
    return _claim_all(app, [*calls, *(partial(_claim, app, each) for each in mine)])


def ended(app: App, agent: SessionAgent) -> None:
    """Do what follows from an agent that has just failed: fail the session, or hand off."""
    if rules.fails_session(agent):
        fail_session(app, agent)
    else:
        hand_off(app, agent)


def _is_only_child(app: App, agent: SessionAgent, edge: Edge, outcome: EdgeOutcome) -> bool:
    """Whether the successor waits for this agent only, and runs here. One write then releases the
    edge and claims the successor.
    """
    is_only = (edge.in_degree, edge.join) == (1, "all") and agent.map_ordinal is None
    return outcome is EdgeOutcome.PASSES and is_only and not app.is_elsewhere(edge.needs)


def evaluated(agent: SessionAgent, held: Held | None = None) -> list[tuple[Edge, EdgeOutcome]]:
    """The edges of an ended agent with their outcomes; `held` as in `hand_off`."""
    outgoing = edges_of(agent)
    if held is None:
        held = _held(agent, outgoing)
    chosen = agent.chosen
    outcomes = evaluate(
        outgoing, agent.state, upstream_failed=bool(agent.upstream_failed), chosen=chosen, held=held
    )
    return list(zip(outgoing, outcomes, strict=True))


def _held(agent: SessionAgent, outgoing: Sequence[Edge]) -> Held:
    """Evaluate the conditions of an ended agent again.

    Each agent has a budget of its own, so the result is the same each time.
    """
    conditions = dict.fromkeys(edge.condition for edge in outgoing if edge.condition)
    if agent.state != "completed" or not conditions:
        return {}
    output = agent.read("agent_output") or ""
    try:
        return held_again(conditions, output, Budget())
    except AgentFailure:  # completed by hand with an output that the engine would have refused
        return {}


def _claim_only_child(app: App, agent: SessionAgent, ordinal: int) -> SessionAgent | None:
    key = agent_key(agent, ordinal)
    claimed = app.agents.finish_last_edge_and_claim(
        agent.partition_key, key, edge_id(agent), new_lease(app), metered=bool(agent.metered)
    )
    return applied(claimed)


def _claim_all(app: App, calls: Sequence[Callable[[], SessionAgent | None]]) -> list[SessionAgent]:
    """Make all claims at the same time; after an error, give up the agents that were claimed."""
    errors: list[Exception] = []

    def claim(call: Callable[[], SessionAgent | None]) -> SessionAgent | None:
        try:
            return call()
        except Exception as error:
            errors.append(error)
            return None

    found = app.records.parallel.run([partial(claim, each) for each in calls]) if calls else []
    claimed = [each for each in found if each is not None]
    with ExitStack() as given_up:
        for each in claimed if errors else ():
            given_up.enter_context(ExpiringOnError(app, each))
        for error in errors[:1]:
            raise error
    return claimed


def _may_claim(app: App, agent: SessionAgent, successor: SessionAgent) -> bool:
    """Whether the worker that hands off may run a ready successor itself.

    Not if the successor needs a person, a backoff or another worker, nor if the epochs differ: the
    agent may have been reset and have another output now. A worker that gets a message reads the
    agent again.
    """
    waits = successor.awaits_user or successor.not_before or app.is_elsewhere(successor.needs)
    return not waits and (successor.epoch or 0) == (agent.epoch or 0)


def _claim(app: App, ready: SessionAgent) -> SessionAgent | None:
    """Claim a ready agent. None if another worker was faster, or the agent was reset; a message for
    it was sent in both cases.
    """
    return applied(app.agents.claim_as_read(ready, new_lease(app)))


# Edges


def _followers(
    app: App, agent: SessionAgent, evaluated: Sequence[tuple[Edge, EdgeOutcome]]
) -> list[SessionAgent]:
    """Release these edges and skip agents that can never run; return the agents that are ready."""
    followers = _release(app, [(agent, edge, outcome) for edge, outcome in evaluated])
    _skip_on(app, followers)
    return followers.ready


def _release(app: App, released: Sequence[tuple[SessionAgent, Edge, EdgeOutcome]]) -> Followers:
    calls = [partial(release, app, agent, edge, outcome) for agent, edge, outcome in released]
    followers, now = Followers(), app.clock.now().timestamp()
    for each in app.records.parallel.run(calls) if calls else ():
        if each is not None:
            followers.add(each, phase(each, now))
    return followers


def release(app: App, agent: SessionAgent, edge: Edge, outcome: EdgeOutcome) -> SessionAgent | None:
    """Release one edge. Returns the successor as it is then; None while its counter shard is open.

    A successor that can never run is skipped: too few predecessors are left for its join, or all
    have ended and one that it needs did not complete.
    """
    return skip_stuck(app, agent, edge, _finish(app, agent, edge, outcome))


def skip_stuck(
    app: App, agent: SessionAgent, edge: Edge, joined: SessionAgent | None
) -> SessionAgent | None:
    """Skip the successor if it can never run; return it as it is then."""
    if joined is not None and is_unsatisfied(joined):
        note = (
            {}
            if joined.stored("notes") or not joined.upstream_failed
            else {"notes": _UPSTREAM_FAILED}
        )
        joined = app.agents.skip(
            agent.partition_key, agent_key(agent, edge.ordinal), joined.epoch or 0, note
        ).record
    if joined is not None and joined.state == "skipped" and joined.lost_runs:
        record_lost(app, joined)  # attempts of a map's expansion, or from before a reset
    return joined


def _finish(app: App, agent: SessionAgent, edge: Edge, outcome: EdgeOutcome) -> SessionAgent | None:
    passes = outcome is EdgeOutcome.PASSES
    unsatisfied = not passes and edge.join == "all"
    upstream_failed = outcome is EdgeOutcome.UPSTREAM_FAILED and edge.join != "all_terminal"
    note = _skip_note(agent) if unsatisfied and upstream_failed else None
    key = agent_key(agent, edge.ordinal)
    finish = partial(app.agents.finish_edge, agent.partition_key)
    if (counter_shard_key := counter_shard_key_of(agent, edge)) is None:
        arrives = passes and edge.join in COUNTED
        return finish(
            key,
            edge_id(agent),
            arrives=arrives,
            unsatisfied=unsatisfied,
            upstream_failed=upstream_failed,
            metered=bool(agent.metered),
            note=note,
        ).record
    counter_shard = app.counter_shards.finish_edge(
        agent.partition_key,
        counter_shard_key,
        edge_id(agent),
        unsatisfied=unsatisfied,
        upstream_failed=upstream_failed,
        metered=bool(agent.metered),
        note=note,
    ).record
    if counter_shard is None or counter_shard.in_degree:
        return None
    return finish(
        key,
        edge_id(counter_shard),
        width=counter_shard.width,
        unsatisfied=bool(counter_shard.unsatisfied),
        upstream_failed=bool(counter_shard.upstream_failed),
        metered=bool(counter_shard.metered),
        note=counter_shard.notes,
    ).record


def counter_shard_key_of(agent: SessionAgent, edge: Edge) -> Key | None:
    """The key of the counter shard that counts the edge; None if the successor counts it."""
    if not (count := counter_shards.how_many(edge.in_degree, edge.join)):
        return None
    return counter_shards.join_key(
        agent_key(agent, edge.ordinal), family(agent.ordinal), agent.ordinal % count
    )


def _skip_note(agent: SessionAgent) -> str:
    note = f"Skipped: agent {label(agent)} failed." if agent.state == "failed" else agent.notes
    return (note or _UPSTREAM_FAILED)[:MAX_LOGS]


def _skip_on(app: App, followers: Followers) -> None:
    """Release the edges of skipped agents, and of the agents that are skipped because of that.

    Skipping ends at sinks and at joins that tolerate it, which become ready.
    """
    seen: set[int] = set()
    while followers.skipped:
        skipped = {each.ordinal: each for each in followers.skipped if each.ordinal not in seen}
        seen |= set(skipped)
        followers.skipped = []
        evaluated_edges = [(each, evaluated(each)) for each in skipped.values()]
        for each, outgoing in evaluated_edges:
            if not outgoing:
                finish_sink(app, each)
        further = _release(
            app, [(each, *edge) for each, outgoing in evaluated_edges for edge in outgoing]
        )
        followers.ready.extend(further.ready)
        followers.skipped.extend(further.skipped)
    followers.ready = list({each.ordinal: each for each in followers.ready}.values())
