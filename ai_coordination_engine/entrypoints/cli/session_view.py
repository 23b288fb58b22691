"""A session and its agents as people see them, and their results as text and JSON."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ai_coordination_engine.client import ENDED
from ai_coordination_engine.client import SessionView as Found
from ai_coordination_engine.client.records import Session, SessionAgent
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.entrypoints.cli.output import on_one_line
from ai_coordination_engine.entrypoints.cli.questions import in_one_line

WAITS = "wait_for_user_input"
OVER = frozenset({"completed", "failed", "skipped", "cancelled"})
"""The states of an agent that has ended."""


@dataclass(frozen=True)
class Why:
    """Why an agent does not run, as a code and in words."""

    code: str
    message: str


@dataclass(frozen=True)
class AgentView:
    """A session agent; `final` when no other agent waits for it.

    `tokens` is the number that its attempts have used. `why` is set when nothing has changed for a
    while, or when it was asked for.
    """

    record: SessionAgent
    name: str
    final: bool = False
    why: Why | None = None
    tokens: int | None = None

    @property
    def uuid(self) -> str:
        """The uuid of the session agent."""
        return self.record.session_agent_uuid

    @property
    def state(self) -> str:
        """The state."""
        return self.record.state or "initial"

    @property
    def asks(self) -> str:
        """The person who is asked; empty if nobody is."""
        return str(action_of(self.record).get("userInTheLoop") or "")

    @property
    def person(self) -> str:
        """Who is asked, in words: a question of a runtime names nobody."""
        return self.asks or "somebody"

    @property
    def asking(self) -> str:
        """Whom it asks, and what its runtime asks, for example to allow a call."""
        question = in_one_line(self.record.question)
        return f"asks {self.person}: {question}" if question else f"asks {self.person}"

    @property
    def default_answer(self) -> str | None:
        """The answer that is used when the person does not answer in time."""
        answer: str | None = action_of(self.record).get("defaultAnswer")
        return answer

    @property
    def is_element(self) -> bool:
        """Whether it is one element of a map."""
        return self.record.map_session_agent_uuid is not None


@dataclass(frozen=True)
class SessionView:
    """A session and its agents, in the order of the task."""

    session: Session
    agents: list[AgentView]

    @property
    def status(self) -> str:
        """The status."""
        return self.session.status

    @property
    def has_ended(self) -> bool:
        """Whether the status is final."""
        return self.status in ENDED

    @property
    def waiting(self) -> list[AgentView]:
        """The agents that wait for a person."""
        return [agent for agent in self.agents if agent.state == WAITS]

    @property
    def is_idle(self) -> bool:
        """Whether the session has not ended and no agent is executing."""
        return not self.has_ended and all(each.state != "executing" for each in self.agents)

    def elements(self) -> dict[str, Counter[str]]:
        """How many elements of each map, by the map's uuid, are in which state."""
        counted: dict[str, Counter[str]] = {}
        for each in self.agents:
            if each.record.map_session_agent_uuid is not None:
                states = counted.setdefault(each.record.map_session_agent_uuid, Counter())
                states[each.state] += 1
        return counted

    def with_whole_maps(self) -> dict[str, AgentView]:
        """Each map with the time and the tokens of all of its elements, by its uuid."""
        below: dict[str, list[AgentView]] = {}
        for each in self.agents:
            if each.record.map_session_agent_uuid is not None:
                below.setdefault(each.record.map_session_agent_uuid, []).append(each)
        return {
            each.uuid: _whole(each, below[each.uuid]) for each in self.agents if each.uuid in below
        }

    def with_reasons(self, reasons: Mapping[str, Why]) -> "SessionView":
        """The same session with the reasons why agents do not run, by uuid."""
        return replace(
            self, agents=[replace(each, why=reasons.get(each.uuid)) for each in self.agents]
        )


def _whole(agent: AgentView, elements: Sequence[AgentView]) -> AgentView:
    begun = [each.record.started_at for each in elements if each.record.started_at is not None]
    ended = [each.record.ended_at for each in elements if each.record.ended_at is not None]
    has_ended = len(ended) == len(elements)
    times = {
        "started_at": min(begun, default=agent.record.started_at),
        "ended_at": max(ended) if has_ended else None,
        "attempt": None,
    }
    tokens = [each.tokens for each in (agent, *elements) if each.tokens is not None]
    record = agent.record.model_copy(update=times)
    return replace(agent, record=record, tokens=sum(tokens) if tokens else None)


def view_of(
    found: Found, tokens: Mapping[str, int] | None = None, planner: str | None = None
) -> SessionView:
    """The view of a session; `planner` is the uuid of the agent that plans it, if it is known."""
    records = found.session_agents
    waited_for = {each for record in records for each in predecessors(record)}
    if planner is not None and len(records) > 1:
        waited_for.add(planner)
    agents = [
        AgentView(
            record,
            _name(record),
            final=step_of(record) not in waited_for and record.map_session_agent_uuid is None,
            tokens=(tokens or {}).get(record.session_agent_uuid),
        )
        for record in records
    ]
    return SessionView(found, agents)


def _name(record: SessionAgent) -> str:
    name = record.agent_name or record.agent_uuid or record.session_agent_uuid
    return name if record.map_index is None else f"{name}[{record.map_index}]"


def action_of(record: SessionAgent) -> Mapping[str, Any]:
    """The action of a session agent."""
    return record.agent_action if isinstance(record.agent_action, dict) else {}


def step_of(record: SessionAgent) -> str:
    """What others call it that wait for it: the step of a plan, or else its agent's uuid."""
    step = action_of(record).get("planStep") or {}
    return str(step.get("id") or record.agent_uuid)


def predecessors(record: SessionAgent) -> Sequence[str]:
    """The agents, or the steps of a plan, that a session agent waits for."""
    step = action_of(record).get("planStep") or {}
    before = step.get("after")
    found = action_of(record).get("predecessors") if before is None else before
    return [str(each) for each in found or ()]


def results(view: SessionView) -> Iterator[AgentView]:
    """Yield the agents whose outputs are the session's result."""
    return (agent for agent in view.agents if agent.final)


def as_text(view: SessionView) -> str:
    """Return the result for people: the output of the final agent, or of several with their names.

    Of several final agents, those that did not complete (branches that were not taken) are left
    out.
    """
    final = list(results(view))
    if len(final) <= 1:
        return "".join(agent.record.agent_output or "" for agent in final)
    completed = [agent for agent in final if agent.state == "completed"]
    return "\n\n".join(
        f"{on_one_line(agent.name)}:\n{agent.record.agent_output or ''}" for agent in completed
    )


def as_json(view: SessionView) -> str:
    """Return the session as JSON for programs."""
    session = {
        "sessionUuid": view.session.session_uuid,
        "coordinationUuid": view.session.coordination_uuid,
        "status": view.status,
        "logs": view.session.logs,
        "agents": [_agent_json(agent) for agent in view.agents],
    }
    return json.dumps(session, ensure_ascii=False, indent=2, default=str)


def _agent_json(agent: AgentView) -> dict[str, object]:
    record = agent.record
    return {
        "sessionAgentUuid": agent.uuid,
        "agentUuid": record.agent_uuid,
        "agentName": agent.name,
        "state": agent.state,
        "attempt": record.attempt,
        "startedAt": record.started_at and record.started_at.isoformat(),
        "endedAt": record.ended_at and record.ended_at.isoformat(),
        "asks": agent.asks or None,
        "output": record.agent_output,
        "notes": record.notes,
        "totalTokens": agent.tokens,
        "whyNotRunning": agent.why and {"code": agent.why.code, "message": agent.why.message},
        "final": agent.final,
    }
