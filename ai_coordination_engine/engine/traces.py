"""The trace of a session: the contexts of its spans, computed from the stored records."""

from ai_coordination_engine.domain import trace_context
from ai_coordination_engine.domain.trace_context import TraceContext
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import SessionAgent


def of_attempt(app: App, agent: SessionAgent) -> TraceContext | None:
    """What the current attempt sends to the services that it calls; None: nothing.

    A process that exports no spans passes the caller's context on unchanged.
    """
    caller = trace_context.read(agent.trace)
    if app.telemetry is None:
        return caller
    ids = agent.partition_key, agent.session_uuid
    root = app.telemetry.root(caller.trace_id if caller else trace_context.trace_id(*ids), caller)
    return root.span(trace_context.attempt_span(*ids, agent.session_agent_uuid, agent.attempt or 1))
