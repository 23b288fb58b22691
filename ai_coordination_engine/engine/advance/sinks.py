"""End the session when its last sink has ended, or when an agent fails it (promise P6).

A sink is an agent without successors. May be repeated: a session ends exactly once.
"""

from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES, TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.advance import accounts
from ai_coordination_engine.engine.advance.ending import finish_ended
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.inputs import label
from ai_coordination_engine.engine.graph.keys import MAX_ELEMENTS, edge_id
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.transitions import counter_shards

_NOTHING = (
    "There is no result: every agent without successors was skipped, because no condition or"
    " choice led to it."
)
MAX_LOGS = 2_000  # characters: the session's own row stays small


def finish_sink(app: App, agent: SessionAgent) -> None:
    """Count a sink that has ended; the session ends with its last one."""
    if not agent.sink_count:
        accounts.count_question(app, agent)
        return  # a question (`planning.ask`): the session does not wait for it
    logs = _logs(agent) if _ends_in_failure(agent) else None
    key = agent.session_key
    if agent.sink_count == 1:
        session = _finish_only_sink(app, agent, key, logs)
    else:
        session = _finish_one_sink(app, agent, key, logs)
    if session is not None:
        accounts.count_ended(app, session)
    if session is not None and session.early and session.status in TERMINAL_SESSION_STATUSES:
        finish_ended(app, session, agent)  # agents that no join needed may still be open


def _ends_in_failure(sink: SessionAgent) -> bool:
    """Whether this sink makes the session fail."""
    is_skipped_by_failure = sink.state == "skipped" and bool(sink.upstream_failed)
    return sink.state in ("failed", "cancelled") or is_skipped_by_failure


def _finish_only_sink(
    app: App, agent: SessionAgent, key: Key, failure: str | None
) -> Session | None:
    """End a session with its only sink: as failed if there is a `failure` (its logs)."""
    values: dict[str, object] = {}
    if failure is not None:
        values = {"upstream_failed": True, "logs": failure}
    elif agent.state == "skipped":
        values = {"logs": _skipped_sink(agent)}
    if agent.metered:
        values["metered"] = True
    status = "completed" if failure is None else "failed"
    ended = app.sessions.finish_only_sink(agent.partition_key, key, edge_id(agent), status, values)
    return traces.session_ended(app, ended).record


def _finish_one_sink(
    app: App, agent: SessionAgent, key: Key, failure: str | None
) -> Session | None:
    sink, width, upstream_failed, logs = edge_id(agent), 1, failure is not None, failure
    has_result, metered = agent.state == "completed", bool(agent.metered)
    if (counter_shard_key := sink_counter_shard_key_of(agent)) is not None:
        counter_shard = app.counter_shards.finish_edge(
            agent.partition_key,
            counter_shard_key,
            edge_id(agent),
            upstream_failed=upstream_failed,
            metered=metered,
            note=failure,
        ).record
        if counter_shard is None or counter_shard.in_degree:
            return None
        sink, width, upstream_failed, logs = (
            edge_id(counter_shard),
            counter_shard.width,
            bool(counter_shard.upstream_failed),
            counter_shard.notes,
        )
        metered = bool(counter_shard.metered)
        has_result = True  # assumed: with so many sinks, one of them has completed
    session = app.sessions.finish_sink(
        agent.partition_key,
        key,
        sink,
        width=width,
        upstream_failed=upstream_failed,
        has_result=has_result,
        metered=metered,
        logs=logs,
    ).record
    has_more = session is None or session.open_sink_count != 0
    if session is None or has_more or session.status not in OPEN_SESSION_STATUSES:
        return session
    return end_session(app, session)


def sink_counter_shard_key_of(agent: SessionAgent) -> Key | None:
    """The key of the counter shard that counts the sink; None if the session counts it."""
    count = counter_shards.how_many(agent.sink_count or 0)
    return counter_shards.sink_key(agent, agent.ordinal % count) if count else None


def end_session(app: App, session: Session) -> Session | None:
    """End a session whose sinks have all ended. If none of them has a result, its logs say so."""
    key = session.key
    status = "failed" if session.upstream_failed else "completed"
    logs = _NOTHING if status == "completed" and not session.has_result else None
    ended = app.sessions.end_session(session.partition_key, key, status, logs=logs)
    return traces.session_ended(app, ended).record


def fail_session(app: App, agent: SessionAgent) -> None:
    """Fail the session of a failed agent, and skip its agents that are not claimed."""
    if agent.sink_count == 0:
        accounts.count_question(app, agent)
        return  # a question (`planning.ask`) does not fail its session
    _fail_session(app, agent, _logs(agent))


def fail_for(app: App, agent: SessionAgent, reason: str) -> None:
    """Fail the session of an agent for a `reason`, regardless of the failure policy."""
    if agent.sink_count == 0:
        return
    _fail_session(app, agent, reason[:MAX_LOGS])


def _fail_session(app: App, agent: SessionAgent, logs: str) -> None:
    key = agent.session_key
    epoch, values = agent.epoch or 0, {"logs": logs}
    failed = app.sessions.fail_session(agent.partition_key, key, epoch, values)
    session = traces.session_ended(app, failed).record
    if session is not None and session.status in TERMINAL_SESSION_STATUSES:
        finish_ended(app, session, agent)


def _skipped_sink(agent: SessionAgent) -> str:
    return (
        f"There is no result: agent {label(agent)} was skipped, because no condition or choice"
        " led to it."
    )


def _logs(agent: SessionAgent) -> str:
    note = agent.notes or "no reason was given"
    ending = agent.state if agent.state in ("failed", "cancelled") else "did not run"
    index = "" if agent.map_ordinal is None else f" #{agent.ordinal % MAX_ELEMENTS}"
    return f"Agent {label(agent)}{index} {ending}: {note}"[:MAX_LOGS]
