"""A session and its agents as the API shows them, and their results as text and JSON."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ai_coordination_engine.entrypoints.cli.output import on_one_line


@dataclass(frozen=True)
class AgentView:
    """A session agent as the API shows it; `final` when no other agent waits for it.

    `default_answer` is used when the person does not answer in time. `why` says what the agent
    waits for; it is set when nothing has changed for a while.
    """

    session_agent_uuid: str
    agent_uuid: str
    name: str
    state: str
    output: str | None
    notes: str | None
    asks: str | None
    final: bool
    default_answer: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class SessionView:
    """A session as the API shows it."""

    session_uuid: str
    status: str
    logs: str | None
    agents: list[AgentView]

    @property
    def waiting(self) -> list[AgentView]:
        """The agents that wait for a person."""
        return [agent for agent in self.agents if agent.state == "wait_for_user_input"]


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
        return "".join(agent.output or "" for agent in final)
    completed = [agent for agent in final if agent.state == "completed"]
    return "\n\n".join(f"{on_one_line(agent.name)}:\n{agent.output or ''}" for agent in completed)


def as_json(view: SessionView) -> str:
    """Return the session as JSON for programs."""
    agents = [
        {
            "agentUuid": agent.agent_uuid,
            "agentName": agent.name,
            "state": agent.state,
            "output": agent.output,
            "notes": agent.notes,
            "final": agent.final,
        }
        for agent in view.agents
    ]
    session = {
        "sessionUuid": view.session_uuid,
        "status": view.status,
        "logs": view.logs,
        "agents": agents,
    }
    return json.dumps(session, ensure_ascii=False, indent=2)
