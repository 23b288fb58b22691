"""What follows from a terminal agent: edges go, successors wake or are skipped, the session ends. May be repeated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.lifecycle.phases import is_ready, is_unsatisfied
from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES, TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine import rules
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.ending import record_lost, settle_ended
from ai_coordination_engine.engine.inputs import label
from ai_coordination_engine.engine.keys import MAX_ELEMENTS, agent_key, edge, family
from ai_coordination_engine.engine.leases import new_lease
from ai_coordination_engine.engine.verdicts import COUNTED, Edge, Held, Verdict, edges, held_again, judge
from ai_coordination_engine.ports import AgentFailure
from ai_coordination_engine.store import tallies
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
    ways = judged(app, agent, held)
    if not ways:
        finish_sink(app, agent)
        return None
    only = ways[:1] if _is_only_child(agent, *ways[0]) and has_time() else []
    ready = _followers(app, agent, ways[len(only) :])
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


def _is_only_child(agent: SessionAgent, way: Edge, verdict: Verdict) -> bool:
    """Whether a successor waits for this agent alone, so that its edge can go with the claim, in one write."""
    return verdict is Verdict.PASSES and (way.in_degree, way.join) == (1, "all") and agent.map_ordinal is None


def judged(app: App, agent: SessionAgent, held: Held | None = None) -> list[tuple[Edge, Verdict]]:
    """The edges of an agent that has ended, and what its end means for each; as `hand_on`."""
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
    return skip_stuck(app, agent, way, _finish(app, agent, way, verdict))


def skip_stuck(app: App, agent: SessionAgent, way: Edge, joined: SessionAgent | None) -> SessionAgent | None:
    """The successor as it is once it is skipped where it can never run; `agent` has left it by this `way`."""
    if joined is not None and is_unsatisfied(joined):
        note = {} if joined.notes or not joined.blamed else {"notes": _BLAMED}
        joined = app.transitions.skip(agent.partition_key, agent_key(agent, way.ordinal), joined.epoch or 0, note)
    if joined is not None and joined.state == "skipped" and joined.lost_runs:
        record_lost(app, joined)  # of a map that was being expanded, or from before it was set back
    return joined


def _finish(app: App, agent: SessionAgent, way: Edge, verdict: Verdict) -> SessionAgent | None:
    passes = verdict is Verdict.PASSES
    off = not passes and way.join == "all"
    blamed = verdict is Verdict.BLAMED and way.join != "all_terminal"
    note = _skip_note(app, agent) if off and blamed else None
    key = agent_key(agent, way.ordinal)
    finish = partial(app.transitions.finish_edge, agent.partition_key)
    if (tally_key := tally_key_of(agent, way)) is None:
        arrives = passes and way.join in COUNTED
        return finish(key, edge(agent), arrives=arrives, off=off, blamed=blamed, note=note)
    tally = finish(tally_key, edge(agent), off=off, blamed=blamed, note=note)
    if tally is None or tally.in_degree:
        return None
    told = app.records.opened(tally.notes)
    return finish(key, edge(tally), width=tally.width, off=bool(tally.off), blamed=bool(tally.blamed), note=told)


def tally_key_of(agent: SessionAgent, way: Edge) -> Key | None:
    """The key of the tally that the agent leaves by this way; None: it leaves the successor itself."""
    if not (count := tallies.how_many(way.in_degree, way.join)):
        return None
    return tallies.join_key(agent_key(agent, way.ordinal), family(agent.ordinal), agent.ordinal % count)


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
        edges_of = [(each, *way) for each in skipped.values() for way in judged(app, each)]
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
    if (tally_key := sink_tally_key_of(agent)) is not None:
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


def sink_tally_key_of(agent: SessionAgent) -> Key | None:
    """The key of the tally that the sink leaves; None: it leaves the session itself."""
    count = tallies.how_many(agent.sink_count or 0)
    return tallies.sink_key(agent, agent.ordinal % count) if count else None


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
