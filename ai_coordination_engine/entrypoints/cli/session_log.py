"""What happened in a session, in order of time, for `ace logs`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ai_coordination_engine.client.records import SessionRun
from ai_coordination_engine.entrypoints.cli.output import on_one_line
from ai_coordination_engine.entrypoints.cli.progress import elapsed
from ai_coordination_engine.entrypoints.cli.session_view import (
    WAITS,
    AgentView,
    SessionView,
)


@dataclass(frozen=True, order=True)
class Event:
    """One event: when it happened, of which agent ("" for the session), what, and details."""

    at: datetime
    agent: str
    what: str
    details: str = ""

    def line(self, width: int) -> str:
        """The event for people; the agents' names are `width` wide."""
        name = on_one_line(self.agent or "session")
        moment = self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        return f"{moment}Z  {name:<{width}}  {self.what}  {on_one_line(self.details)}".rstrip()

    def json(self) -> str:
        """The event as JSON on one line."""
        found = {
            "at": self.at.isoformat(),
            "agentName": self.agent or None,
            "event": self.what,
            "details": self.details or None,
        }
        return json.dumps(found, ensure_ascii=False)


def events(view: SessionView, runs: Sequence[SessionRun]) -> list[Event]:
    """The events of a session up to now, the earliest first."""
    agents = {each.uuid: each for each in view.agents}
    found = [*_of_session(view)]
    for run in runs:
        agent = agents.get(str(run.session_agent_uuid))
        found += _of_run(agent.name if agent else str(run.agent_uuid), run)
    for agent in view.agents:
        found += _of_agent(agent)
    return sorted(set(found))


def _of_session(view: SessionView) -> Iterator[Event]:
    session = view.session
    yield Event(session.created_at, "", "created", session.task_query or "")
    if view.has_ended:
        yield Event(session.updated_at, "", view.status, session.logs or "")


def _of_run(name: str, run: SessionRun) -> Iterator[Event]:
    number = f"attempt {run.attempt or 1}"
    if run.started_at is not None:
        yield Event(run.started_at, name, "started", number)
    details = ", ".join([number, *_measured(run)])
    what = "asked a person" if run.status == "asked" else run.status or "recorded"
    yield Event(run.ended_at or run.created_at, name, what, details)


def _measured(run: SessionRun) -> Iterator[str]:
    if run.started_at is not None and run.ended_at is not None:
        yield elapsed(run.ended_at - run.started_at)
    if run.total_tokens:
        yield f"{run.total_tokens:,} tokens"
    if run.model:
        yield run.model
    if run.error:
        yield f"{run.error_class or 'error'}: {run.error}"


def _of_agent(agent: AgentView) -> Iterator[Event]:
    record = agent.record
    if agent.state == "executing" and record.started_at is not None:
        yield Event(record.started_at, agent.name, "started", f"attempt {record.attempt or 1}")
    if agent.state == WAITS:
        yield Event(record.updated_at, agent.name, "asks", agent.asking.removeprefix("asks "))
    if agent.state in ("skipped", "cancelled"):
        why = agent.why.message if agent.why else ""
        yield Event(record.updated_at, agent.name, agent.state, record.notes or why)
