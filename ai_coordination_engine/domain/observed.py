"""What is observed of the work: an attempt that has ended, and a session that has ended. Pure.

`engine.traces` makes these from what it has just written; `domain.spans` and `domain.instruments`
turn them into spans and measurements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import trace_context
from ai_coordination_engine.domain.trace_context import TraceContext

COMPLETED, FAILED, LOST, ASKED = "completed", "failed", "lost", "asked"
EXPIRED = "expired"  # a long job: its attempt has failed


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """One attempt of a session agent. Times are epoch seconds.

    `caller`: the trace that its session continues. `epoch`: the reset after which the agent runs.
    `in_workflow`: it belongs to the task of its session, not to a question. `status`: completed,
    failed, lost, or asked (its runtime asked a person, and another attempt goes on). `usage`,
    `cost` (micro-USD) and `tool_calls` as its run has them; `cost` is None if it is not known.
    `asks_model`: its kind asks a model. `waited_for_person`: a person answered before it began.
    """

    tenant: str
    session_uuid: str
    session_agent_uuid: str
    coordination_uuid: str
    agent_uuid: str
    agent_name: str
    kind: str
    thread_uuid: str
    run_uuid: str
    attempt: int
    status: str
    started: float
    ended: float
    caller: TraceContext | None = None
    epoch: int = 0
    in_workflow: bool = True
    error_class: str | None = None
    model: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    cost: int | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    asks_model: bool = False
    waited_for_person: bool = False

    @property
    def trace_id(self) -> str:
        """The trace of its session."""
        return _trace_id(self)

    @property
    def span_id(self) -> str:
        """The span of the attempt."""
        return self._span(self.attempt)

    @property
    def earlier_span_id(self) -> str | None:
        """The span of the attempt before it; None for the first one."""
        return self._span(self.attempt - 1) if self.attempt > 1 else None

    @property
    def parent_id(self) -> str:
        """The span above it: its session's, or the caller's; empty if there is none."""
        if self.in_workflow:
            return trace_context.workflow_span(self.tenant, self.session_uuid, self.epoch)
        return self.caller.span_id if self.caller else ""

    def _span(self, attempt: int) -> str:
        names = self.tenant, self.session_uuid, self.session_agent_uuid
        return trace_context.attempt_span(*names, attempt)


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session, from its start to its end or, after a reset, to its next end. Times are epoch
    seconds.
    """

    tenant: str
    session_uuid: str
    coordination_uuid: str
    task_uuid: str
    status: str
    started: float
    ended: float
    caller: TraceContext | None = None
    epoch: int = 0

    @property
    def trace_id(self) -> str:
        """The trace of the session."""
        return _trace_id(self)

    @property
    def span_id(self) -> str:
        """The span of the session."""
        return trace_context.workflow_span(self.tenant, self.session_uuid, self.epoch)

    @property
    def parent_id(self) -> str:
        """The caller's span; empty if there is none."""
        return self.caller.span_id if self.caller else ""


def _trace_id(of: EndedAttempt | EndedSession) -> str:
    return of.caller.trace_id if of.caller else trace_context.trace_id(of.tenant, of.session_uuid)
