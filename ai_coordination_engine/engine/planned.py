"""From a plan to the session agents that are stored."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ai_coordination_engine.domain.graph import PlannedAgent
from ai_coordination_engine.domain.prompts import fill_placeholders
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.keys import agent_key
from ai_coordination_engine.store.entities import SESSION
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.payload import BlobReference, check_in, to_json
from ai_coordination_engine.store.repository import blob_prefix

SHARED_INLINE_LIMIT = 4096  # bytes of a value that many session agents repeat
Share = Callable[[Any], Any]


def plan_hash(planned: Sequence[PlannedAgent]) -> str:
    """What tells one plan from another."""
    known: dict[str, str] = {}
    digest = hashlib.sha256()
    for each in planned:
        uuid = each.agent.agent_uuid
        if uuid not in known:
            known[uuid] = to_json([each.agent.stored(), each.action.complete()])
            digest.update(known[uuid].encode())
        digest.update(to_json([uuid, each.subtask_query, each.predecessors]).encode())
    return digest.hexdigest()


def session_agents(app: App, session: Session, planned: Sequence[PlannedAgent]) -> list[SessionAgent]:
    """The session agents of a plan. What they share and is large is written to one blob, below the session's prefix.

    Marks `session.has_blobs` when there is such a blob.
    """
    share = _sharing(app, session)
    query = app.records.opened(session.task_query) or ""
    input_files = app.records.opened(session.input_files)
    degrees = [len(each.predecessors) for each in planned]
    common = {
        "partition_key": session.partition_key,
        "coordination_uuid": session.coordination_uuid,
        "session_created_at": session.created_at,
        "created_at": session.created_at,
        "updated_at": session.created_at,
        "updated_by": session.updated_by,
        "task_query": share(query or None),
        "input_files": share(input_files),
    }
    sinks = sum(1 for each in planned if not each.successors)
    return [
        SessionAgent(
            **common,
            **_values(session, each, query, degrees, share),
            sink_count=None if each.successors else sinks,
        )
        for each in planned
    ]


def _sharing(app: App, session: Session) -> Share:
    """Checks a value in once, however many agents hold it."""
    key = (session.coordination_uuid, session.session_uuid)
    prefix = blob_prefix(SESSION, session.partition_key, key) + "agents"
    shared: dict[str, Any] = {}

    def share(value: Any) -> Any:
        if value is None:
            return None
        text = to_json(value)
        if text not in shared:
            shared[text] = check_in(app.records.blobs, prefix, value, SHARED_INLINE_LIMIT)
            if isinstance(shared[text], BlobReference):
                session.has_blobs = True
        return shared[text]

    return share


def _values(
    session: Session, each: PlannedAgent, query: str, degrees: Sequence[int], share: Share
) -> Mapping[str, Any]:
    def uuid(ordinal: int) -> str:
        return agent_key(session, ordinal)[1]

    return {
        "session_uuid": session.session_uuid,
        "session_agent_uuid": uuid(each.ordinal),
        "agent_uuid": each.agent.agent_uuid,
        "agent_action": share(each.action.complete()),
        "definition": share(each.agent.stored()),
        "query": share(fill_placeholders(each.subtask_query, query) if each.subtask_query else None),
        "ordinal": each.ordinal,
        "state": "initial",
        "in_degree": len(each.predecessors),
        "unfinished": set(each.predecessors) or None,
        "predecessors": share(list(each.predecessors) or None),
        "successors": share([[ordinal, degrees[ordinal]] for ordinal in each.successors] or None),
        "thread_uuid": uuid(each.thread_root),
        "thread": list(each.thread) or None,
        "awaits_user": each.action.user_in_the_loop or None,
    }
