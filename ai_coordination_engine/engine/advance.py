"""What follows from a terminal agent: edges go, successors wake or are skipped, the session ends. May be repeated."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.statuses import (
    OPEN_SESSION_STATUSES,
    TERMINAL_AGENT_STATES,
    TERMINAL_SESSION_STATUSES,
)
from ai_coordination_engine.engine import rules, timers
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.busy import Busy
from ai_coordination_engine.engine.ending import record_lost, settle_ended
from ai_coordination_engine.engine.inputs import label
from ai_coordination_engine.engine.keys import MAX_ELEMENTS, agent_key, edge, family, is_handed_on
from ai_coordination_engine.engine.leases import new_lease
from ai_coordination_engine.engine.verdicts import COUNTED, Edge, Held, Verdict, edges, held_again, judge
from ai_coordination_engine.ports import AgentFailure, Wake
from ai_coordination_engine.store import tallies
from ai_coordination_engine.store.entities import SESSION
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.table import Key, Refused

_BLAMED = "Skipped because of a failure before it."
_NOTHING = (
    "There is no result: every agent that nobody waits for was skipped, because no condition or choice led to it."
)
MAX_LOGS = 2_000  # characters: the session's own row stays small


@dataclass
class Followers:
    """The successors as they are after an edge is gone: those that are ready, and those that are skipped by it."""

    ready: list[SessionAgent] = field(default_factory=list)
    skipped: list[SessionAgent] = field(default_factory=list)

    def add(self, agent: SessionAgent | None) -> None:
        """Sort an agent in."""
        if agent is None:
            return
        if agent.state == "skipped":
            self.skipped.append(agent)
        elif is_ready(agent):
            self.ready.append(agent)


def hand_on(
    app: App, agent: SessionAgent, has_time: Callable[[], bool] = lambda: False, held: Held | None = None
) -> SessionAgent | None:
    """Release the edges that start at an agent that has ended, and return a ready successor that was claimed.

    That is only when the caller `has_time` to run it. Every other ready successor is enqueued, what cannot run any more
    is skipped and what follows from that too; a sink ends its part of the session. `held` says which of its conditions
    hold, where that is known.

    The claim comes last: its lease runs from the attempt, however long the fan-out takes, and when something else
    fails nothing is held.
    """
    judged = _judged(app, agent, held)
    if not judged:
        finish_sink(app, agent)
        return None
    only = judged[:1] if _is_only_child(agent, *judged[0]) and has_time() else []
    ready = _followers(app, agent, judged[len(only) :])
    if only:
        app.queue.send([wake(each) for each in ready])
        if (claimed := _claim_only_child(app, agent, only[0][0].ordinal)) is not None:
            return claimed
        ready = _followers(app, agent, only)
    first = next((each for each in ready if _may_claim(agent, each)), None) if has_time() else None
    app.queue.send([wake(each) for each in ready if each is not first])
    return _claim(app, first) if first is not None else None


def ended(app: App, agent: SessionAgent) -> None:
    """Everything that follows from an agent that has just ended as failed."""
    if rules.fails_session(app, agent):
        fail_session(app, agent)
    else:
        hand_on(app, agent)


def is_ready(agent: SessionAgent) -> bool:
    """Whether an agent could be claimed, or parked for its person, by whoever gets its message; perhaps later."""
    return (
        agent.state in ("initial", "pending")
        and agent.run_uuid is None
        and agent.paused is None
        and not is_stuck(agent)
        and (agent.in_degree == 0 if agent.missing is None else agent.missing <= 0)
    )


def _is_only_child(agent: SessionAgent, way: Edge, verdict: Verdict) -> bool:
    """Whether a successor waits for this agent alone, so that its edge can go with the claim, in one write."""
    return verdict is Verdict.PASSES and (way.in_degree, way.join) == (1, "all") and agent.map_ordinal is None


def _judged(app: App, agent: SessionAgent, held: Held | None = None) -> list[tuple[Edge, Verdict]]:
    outgoing = edges(app.records.opened(agent.successors))
    if held is None:
        held = _held(app, agent, outgoing)
    chosen = app.records.opened(agent.chosen)
    verdicts = judge(outgoing, agent.state, blamed=bool(agent.blamed), chosen=chosen, held=held)
    return list(zip(outgoing, verdicts, strict=True))


def _held(app: App, agent: SessionAgent, outgoing: Sequence[Edge]) -> Held:
    """Which conditions hold, found out again. Each agent has a whole budget: what was found before is found again."""
    conditions = dict.fromkeys(way.condition for way in outgoing if way.condition)
    if agent.state != "completed" or not conditions:
        return {}
    output = app.records.opened(agent.agent_output) or ""
    try:
        return held_again(conditions, output, Budget())
    except AgentFailure:  # completed by hand with an output that the engine would have refused
        return {}


def _claim_only_child(app: App, agent: SessionAgent, ordinal: int) -> SessionAgent | None:
    try:
        key = agent_key(agent, ordinal)
        return app.transitions.finish_last_edge_and_claim(agent.partition_key, key, edge(agent), new_lease(app))
    except Refused:
        return None


def _may_claim(agent: SessionAgent, successor: SessionAgent) -> bool:
    """Whether what hands on may run a ready successor itself: it needs no person, and both are of one epoch.

    Of another epoch, the agent may have been set back and have another output since; whoever gets a message reads it.
    """
    return not (successor.awaits_user or successor.not_before) and (successor.epoch or 0) == (agent.epoch or 0)


def _claim(app: App, ready: SessionAgent) -> SessionAgent | None:
    try:
        return app.transitions.claim_as_read(ready, new_lease(app))
    except Refused:
        return None  # whoever was faster has a message of its own, and so has who set it back


# Edges


def _followers(app: App, agent: SessionAgent, judged: Sequence[tuple[Edge, Verdict]]) -> list[SessionAgent]:
    """Release these edges of an agent and skip what they led past; the agents that are ready then."""
    followers = _release(app, [(agent, way, verdict) for way, verdict in judged])
    _skip_on(app, followers)
    return followers.ready


def _release(app: App, released: Sequence[tuple[SessionAgent, Edge, Verdict]]) -> Followers:
    calls = [partial(release, app, agent, way, verdict) for agent, way, verdict in released]
    followers = Followers()
    for each in app.records.parallel.run(calls) if calls else ():
        followers.add(each)
    return followers


def release(app: App, agent: SessionAgent, way: Edge, verdict: Verdict) -> SessionAgent | None:
    """Take one edge off its successor; the successor as it is afterwards, None while a tally of it is open.

    A successor that can never run is skipped once that is certain: when too few are left of those it needs, or all
    have ended and it needed them all.
    """
    joined = _finish(app, agent, way, verdict)
    if joined is not None and is_stuck(joined):
        note = {} if joined.notes or not joined.blamed else {"notes": _BLAMED}
        joined = app.transitions.skip(agent.partition_key, agent_key(agent, way.ordinal), joined.epoch or 0, note)
    if joined is not None and joined.state == "skipped" and joined.lost_runs:
        record_lost(app, joined)  # of a map that was being expanded, or from before it was set back
    return joined


def is_stuck(agent: SessionAgent) -> bool:
    """Whether an agent that has not begun can never run."""
    if agent.state not in ("initial", "pending"):
        return False
    if agent.missing is not None:
        return bool(agent.missing > agent.in_degree)
    return bool(agent.in_degree == 0 and agent.off)


def _finish(app: App, agent: SessionAgent, way: Edge, verdict: Verdict) -> SessionAgent | None:
    passes = verdict is Verdict.PASSES
    off = not passes and way.join == "all"
    blamed = verdict is Verdict.BLAMED and way.join != "all_terminal"
    note = _skip_note(app, agent) if off and blamed else None
    key = agent_key(agent, way.ordinal)
    finish = partial(app.transitions.finish_edge, agent.partition_key)
    count = tallies.how_many(way.in_degree, way.join)
    if not count:
        arrives = passes and way.join in COUNTED
        return finish(key, edge(agent), arrives=arrives, off=off, blamed=blamed, note=note)
    tally_key = tallies.join_key(key, family(agent.ordinal), agent.ordinal % count)
    tally = finish(tally_key, edge(agent), off=off, blamed=blamed, note=note)
    if tally is None or tally.in_degree:
        return None
    told = app.records.opened(tally.notes)
    return finish(key, edge(tally), width=tally.width, off=bool(tally.off), blamed=bool(tally.blamed), note=told)


def _skip_note(app: App, agent: SessionAgent) -> str:
    note = f"Skipped: agent {label(app, agent)} failed." if agent.state == "failed" else app.records.opened(agent.notes)
    return (note or _BLAMED)[:MAX_LOGS]


def _skip_on(app: App, followers: Followers) -> None:
    """What follows from skipped agents: skips go on until the sinks, and joins that tolerate them become ready."""
    seen: set[int] = set()
    while followers.skipped:
        skipped = {each.ordinal: each for each in followers.skipped if each.ordinal not in seen}
        seen |= set(skipped)
        followers.skipped = []
        edges_of = [(each, *judged) for each in skipped.values() for judged in _judged(app, each)]
        for each in skipped.values():
            if not app.records.opened(each.successors):
                finish_sink(app, each)
        further = _release(app, edges_of)
        followers.ready.extend(further.ready)
        followers.skipped.extend(further.skipped)
    followers.ready = list({each.ordinal: each for each in followers.ready}.values())


# The session


def finish_sink(app: App, agent: SessionAgent) -> None:
    """A sink is terminal: the session ends when it was the last (promise P6)."""
    if not agent.sink_count:
        return  # asked outside a task: nothing ends with it
    blamed = agent.state in ("failed", "cancelled") or (agent.state == "skipped" and bool(agent.blamed))
    logs = _logs(app, agent) if blamed else None
    key = (agent.coordination_uuid, agent.session_uuid)
    if agent.sink_count == 1:
        values: dict[str, object] = {} if logs is None else {"blamed": True, "logs": logs}
        if agent.state == "skipped" and not blamed:
            values["logs"] = _skipped_sink(app, agent)
        status = "failed" if blamed else "completed"
        session = app.transitions.session.finish_only_sink(agent.partition_key, key, edge(agent), status, values)
    else:
        session = _finish_one_sink(app, agent, key, blamed, logs)
    if session is not None and session.early and session.status in TERMINAL_SESSION_STATUSES:
        settle_ended(app, session, agent)  # a join that needed only some has left others behind


def _finish_one_sink(app: App, agent: SessionAgent, key: Key, blamed: bool, logs: str | None) -> Session | None:
    sink, width, told, has_result = edge(agent), 1, logs, agent.state == "completed"
    if count := tallies.how_many(agent.sink_count):
        tally_key = tallies.sink_key(agent, agent.ordinal % count)
        tally = app.transitions.finish_edge(agent.partition_key, tally_key, edge(agent), blamed=blamed, note=logs)
        if tally is None or tally.in_degree:
            return None
        sink, width, blamed, told = edge(tally), tally.width, bool(tally.blamed), app.records.opened(tally.notes)
        has_result = True  # of so many, some
    session = app.transitions.session.finish_sink(
        agent.partition_key, key, sink, width=width, blamed=blamed, has_result=has_result, logs=told
    )
    if session is None or session.open_sink_count != 0 or session.status not in OPEN_SESSION_STATUSES:
        return session
    return end_session(app, session)


def end_session(app: App, session: Session) -> Session | None:
    """End a session whose sinks are all terminal; its logs say so when none of them has a result."""
    key = (session.coordination_uuid, session.session_uuid)
    if session.blamed:
        return app.transitions.session.end_session(session.partition_key, key, "failed")
    logs = None if session.has_result else _NOTHING
    return app.transitions.session.end_session(session.partition_key, key, "completed", logs=logs)


def fail_session(app: App, agent: SessionAgent) -> None:
    """A failed agent fails its session, and what nobody has claimed is skipped."""
    if agent.sink_count == 0:
        return  # asked outside a task: nothing ends with it
    _fail_session(app, agent, _logs(app, agent))


def fail_for(app: App, agent: SessionAgent, reason: str) -> None:
    """The session fails with the agent, whatever its policy says."""
    if agent.sink_count == 0:
        return
    _fail_session(app, agent, reason[:MAX_LOGS])


def _fail_session(app: App, agent: SessionAgent, logs: str) -> None:
    key = (agent.coordination_uuid, agent.session_uuid)
    failed = app.transitions.session.fail_session(agent.partition_key, key, agent.epoch or 0, {"logs": logs})
    if failed is not None and failed.status in TERMINAL_SESSION_STATUSES:
        settle_ended(app, failed, agent)


def _skipped_sink(app: App, agent: SessionAgent) -> str:
    return f"There is no result: agent {label(app, agent)} was skipped, because no condition or choice led to it."


def _logs(app: App, agent: SessionAgent) -> str:
    note = app.records.opened(agent.notes) or "no reason was given"
    ending = agent.state if agent.state in ("failed", "cancelled") else "did not run"
    index = "" if agent.map_ordinal is None else f" #{agent.ordinal % MAX_ELEMENTS}"
    return f"Agent {label(app, agent)}{index} {ending}: {note}"[:MAX_LOGS]


# Recovery


def recover(app: App, agent: SessionAgent) -> None:
    """Finish what a terminal agent owes, and what follows from it: its first worker may have died anywhere after.

    A chain runs under the message of its first agent, so that a redelivery walks down the terminal ones until it finds
    what stands still. Raises `Busy` while somebody holds a lease below.
    """
    key = (agent.coordination_uuid, agent.session_uuid)
    session = app.records.table(SESSION).get(agent.partition_key, key, consistent=True)
    if session is None:
        return
    if session.status in TERMINAL_SESSION_STATUSES:
        if held_until := settle_ended(app, session, agent):
            raise Busy(held_until - app.clock.now().timestamp())
        return
    frontier, expanded = [agent], {agent.ordinal: agent}
    standing: dict[int, SessionAgent] = {}  # an agent may be reached on several ways: its latest state counts
    unsent: set[int] = set()
    while frontier:
        fresh = [each for each in frontier if not is_handed_on(each)]
        sent = [each for each in frontier if is_handed_on(each)]
        below = settle(app, fresh)
        unsent |= {each.ordinal for each in below}.union(*(map(int, each.held_after or ()) for each in sent))
        below += settle(app, sent)
        frontier = []
        for each in below:
            if each.ordinal in expanded:
                continue
            standing[each.ordinal] = each
            if each.state in TERMINAL_AGENT_STATES:
                expanded[each.ordinal] = each
                frontier.append(standing.pop(each.ordinal))
    held = _held_after(app, expanded.values(), standing.values())
    try:
        rouse(app, list(standing.values()), unsent)
    except Busy:  # the message comes back
        news = [(each, held[each.ordinal]) for each in expanded.values() if _is_news(each, held[each.ordinal])]
        app.records.parallel.run([partial(app.transitions.handed_on, *each) for each in news] or [lambda: None])
        raise


def _held_after(app: App, ended: Collection[SessionAgent], standing: Collection[SessionAgent]) -> dict[int, set[int]]:
    """By the ordinals of those that ended: which of their successors others hold. Those have no message of their own
    when whoever ran one before them claimed them.
    """
    lost_before = app.lost_before()
    held = [each for each in standing if each.lease_until is not None and each.lease_until >= lost_before]
    before = [(each.ordinal, set(app.records.opened(each.predecessors) or ())) for each in held]
    return {
        each.ordinal: {ordinal for ordinal, names in before if {each.ordinal, each.map_ordinal} & {ordinal, *names}}
        for each in ended
    }


def _is_news(agent: SessionAgent, held: set[int]) -> bool:
    return not is_handed_on(agent) or held != {int(each) for each in agent.held_after or ()}


def settle(app: App, terminal: Iterable[SessionAgent]) -> list[SessionAgent]:
    """Do what these agents owe, and return their successors as they are now."""
    calls: list[Callable[[], SessionAgent | None]] = []
    for agent in terminal:
        if agent.state == "failed" and rules.fails_session(app, agent):
            fail_session(app, agent)
            continue
        judged = _judged(app, agent)
        if not judged:
            finish_sink(app, agent)
        calls.extend(partial(release, app, agent, way, verdict) for way, verdict in judged)
    latest: dict[int, SessionAgent] = {}
    for found in app.records.parallel.run(calls) if calls else ():
        if found is not None:
            known = latest.get(found.ordinal)
            if known is None or found.state in TERMINAL_AGENT_STATES or found.in_degree < known.in_degree:
                latest[found.ordinal] = found
    return list(latest.values())


def rouse(app: App, standing: Sequence[SessionAgent], unsent: Collection[int] | None = None) -> None:
    """Send what is owed to agents that have not ended; raises `Busy` when some are held by a lease.

    Where `unsent` (ordinals) is given, the others have messages of their own, unless their worker has died.
    """
    lost_before = app.lost_before()
    held = [each.lease_until for each in standing if each.lease_until is not None and each.lease_until >= lost_before]
    now: list[Wake] = []
    for each in standing:
        sent = unsent is not None and each.ordinal not in unsent and each.lease_until is None
        if each.paused is not None or sent:
            continue
        if each.state == "wait_for_user_input":
            if each.due_at is not None:
                timers.wake_at(app, each, each.due_at)
        elif each.not_before is not None and (is_ready(each) or each.acting):
            timers.wake_at(app, each, each.not_before)
        elif _can_move(each, lost_before):
            now.append(wake(each))
    app.queue.send(now)
    if held:
        raise Busy(max(held) - app.clock.now().timestamp())


def _can_move(agent: SessionAgent, lost_before: float) -> bool:
    """Whether a wake-up may have something to do: a claim, a takeover, a long job's end, a map's elements."""
    if agent.lease_until is not None:
        return bool(agent.lease_until < lost_before)
    waits = agent.async_task_uuid is not None or (agent.mapped is not None and not agent.elements_sent)
    return is_ready(agent) or (agent.state == "pending" and waits)
