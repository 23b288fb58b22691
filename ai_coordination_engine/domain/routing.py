"""Triage: an agent chooses who answers a question. Pure.

What it may choose is stored with the session agent, as `Route.stored`: the same answer is the same
choice, whatever has become of the coordination since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai_coordination_engine.domain.shapes import Agent
from ai_coordination_engine.domain.structured import Structured

NONE, ASK_USER = "none", "ask_user"
OWN = (NONE, ASK_USER)
"""The choices beside the agents; an agent of such a name cannot be chosen."""
_TOLD = 500  # characters of what a router is told of an agent


@dataclass(frozen=True)
class Choice:
    """Who answers, why, and the text to hand on: what the agent is asked, the answer itself
    (`none`), or what the user is asked (`ask_user`).
    """

    agent: str
    reason: str
    query: str


@dataclass(frozen=True)
class Route:
    """What a router may choose: these agents (as they are stored) but those that have `declined`,
    while hand-offs (`hops`) are left, and the user while questions (`asks`) are.
    """

    agents: Sequence[Mapping[str, Any]]
    declined: Mapping[str, str]
    hops: int
    asks: int

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Route":
        """The route that `stored` gave."""
        return cls(**stored)

    def stored(self) -> dict[str, Any]:
        """As it is stored."""
        return vars(self).copy()

    def candidates(self) -> list[Agent]:
        """The agents that may be chosen."""
        found = [Agent.model_validate(each) for each in self.agents] if self.hops > 0 else []
        return [each for each in found if each.agent_uuid not in {*self.declined, *OWN}]

    def structured(self) -> Structured:
        """What the router has to answer."""
        candidates = self.candidates()
        choices = [each.agent_uuid for each in candidates]
        choices += OWN if self.asks > 0 else [NONE]
        return Structured(_schema(choices), self._orders(candidates), _check)

    def _orders(self, candidates: Sequence[Agent]) -> str:
        lines = [
            "Choose who answers the question, from these:",
            *(f"- {each.agent_uuid}: {_told(each)}" for each in candidates),
            f"- {NONE}: you answer it yourself; `query` is your answer to the user",
        ]
        if self.asks > 0:
            lines.append(f"- {ASK_USER}: you must know more; `query` is your question to the user")
        lines.append(
            "`agent` is the name before the colon, `reason` says in one sentence why, and `query`"
            " is what the agent is asked, complete in itself."
        )
        if self.declined:
            told = "; ".join(f"{name}: {why}"[:_TOLD] for name, why in self.declined.items())
            lines.append(f"These have declined and cannot be chosen: {told}.")
        return "\n".join(lines)


def choice_of(value: Mapping[str, Any]) -> Choice:
    """The choice that a value of the schema is."""
    return Choice(value["agent"], value["reason"], value["query"])


def _schema(choices: Sequence[str]) -> dict[str, Any]:
    return {
        "title": "choice",
        "type": "object",
        "properties": {
            "agent": {"type": "string", "enum": list(choices)},
            "reason": {"type": "string"},
            "query": {"type": "string"},
        },
        "required": ["agent", "reason", "query"],
        "additionalProperties": False,
    }


def _check(value: Mapping[str, Any]) -> list[str]:
    """An agent without a query of its own is given the user's question."""
    if value["agent"] in OWN and not value["query"].strip():
        what = "your answer" if value["agent"] == NONE else "your question"
        return [f"at /query, it is empty, but with {value['agent']!r} it is {what} to the user"]
    return []


def _told(agent: Agent) -> str:
    words = [each for each in (agent.agent_name, agent.agent_description) if each]
    return ". ".join(words)[:_TOLD] or "no description"
