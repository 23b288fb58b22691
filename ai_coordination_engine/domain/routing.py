"""Triage: an agent (the router) chooses who answers a question. Pure.

What a router may choose is stored with its session agent (`Route.stored`), so that the same answer
is the same choice at every repetition, whatever has become of the coordination since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.shapes import Agent
from ai_coordination_engine.domain.structured import Structured

NONE, ASK_USER = "none", "ask_user"
OWN = (NONE, ASK_USER)
"""The choices beside the agents. An agent with such a uuid cannot be chosen."""
AGAIN = "It answered last on this thread."
"""The reason of a choice that is made without the router."""
SPAN = 32
"""How many session agents one question takes at most: the router, and for each of ten hand-offs the
agent, the router again, and a question to the user.
"""
_HANDED_ON = "It has handed the question on."
_TITLE = "choice"  # of the schema
_TOLD = 500  # characters of what a router is told of an agent


@dataclass(frozen=True)
class Choice:
    """Who answers, why, and the text that is handed on: what the agent is asked, the answer itself
    (`none`), or what the user is asked (`ask_user`).
    """

    agent: str
    reason: str
    query: str


@dataclass(frozen=True)
class Route:
    """What the router `own` may choose: the `agents` of the coordination (as they are stored) but
    itself and those that have `declined` (with their reasons), while hand-offs (`hops`) are left;
    and the user while questions to them (`asks`) are.

    `again`: the agent that answered last on the thread goes on, where it may be chosen.
    """

    own: str
    agents: Sequence[Mapping[str, Any]]
    declined: Mapping[str, str]
    hops: int
    asks: int
    again: bool = False

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Route":
        """The route that `stored` gave."""
        return cls(**stored)

    def stored(self) -> dict[str, Any]:
        """As it is stored."""
        return vars(self).copy()

    def candidates(self) -> list[Agent]:
        """The agents that may be chosen now."""
        found = [Agent.model_validate(each) for each in self.agents] if self.hops > 0 else []
        return [each for each in found if each.agent_uuid not in {self.own, *self.declined, *OWN}]

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
            told = "; ".join(f"{name}: {why}" for name, why in self.declined.items())
            lines.append(f"These have declined and cannot be chosen: {told}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Step:
    """The session agent that goes on with a question: its definition, what it is asked, by which
    rules, and of whom it waits for an answer first.
    """

    definition: Mapping[str, Any]
    query: str
    rules: Mapping[str, Any]
    user: str | None = None
    notes: str | None = None


def is_router(agent: Agent, agents: Sequence[Agent], hops: int) -> bool:
    """Whether an agent that is asked outside a task chooses: it is one for triage, and there is
    somebody to choose.
    """
    return agent.agent_type == "triage" and bool(first_route(agent, agents, hops).candidates())


def first_route(agent: Agent, agents: Sequence[Agent], hops: int, *, again: bool = False) -> Route:
    """What the router may choose for a new question."""
    return Route(agent.agent_uuid, [each.stored() for each in agents], {}, hops, hops, again)


def is_choice(schema: Mapping[str, Any] | None) -> bool:
    """Whether an answer by this schema chooses who answers a question."""
    return schema is not None and schema.get("title") == _TITLE


def chosen(rules: Mapping[str, Any], value: Any, output: str) -> Choice | None:
    """Who goes on with the question after an agent with these rules has answered: `value` of a
    router's schema, or any `output`. None: the output is the answer, or not asked for.

    An agent that was chosen declines with `{"decline": "why"}` and nothing else; its router chooses
    again.
    """
    if "route" in rules:
        return Choice(value["agent"], value["reason"], value["query"])
    if "handed" in rules and (why := _declined(output)) is not None:
        return Choice(rules["handed"]["own"], why, "")
    return None


def step(rules: Mapping[str, Any], choice: Choice, question: str, user: str | None) -> Step:
    """What goes on after a choice by an agent with these rules. `question` is the user's own."""
    if "route" not in rules:
        return _declines(Route.of(rules["handed"]), choice, question, rules["chosen"])
    route = replace(Route.of(rules["route"]), again=False)
    if choice.agent == ASK_USER:
        asked = f"{question}\n\nYou asked the user:\n{choice.query}"
        fewer = replace(route, asks=route.asks - 1)
        own = _definition(route, route.own)
        return Step(own, asked, {"route": fewer.stored()}, user or "user", choice.query)
    return _hands_on(replace(route, hops=route.hops - 1), choice, question)


def _hands_on(route: Route, choice: Choice, question: str) -> Step:
    definition = _definition(route, choice.agent)
    query = choice.query if choice.query.strip() else question
    if definition.get("agent_type") != "triage":
        return Step(definition, query, {"handed": route.stored(), "chosen": choice.agent})
    declined = {**route.declined, route.own: _HANDED_ON}
    theirs = replace(route, own=choice.agent, declined=declined)
    return Step(definition, query, {"route": theirs.stored()})


def _declines(route: Route, choice: Choice, question: str, who: str) -> Step:
    """The router chooses again, from those that have not declined."""
    fewer = replace(route, declined={**route.declined, who: choice.reason})
    return Step(_definition(route, route.own), question, {"route": fewer.stored()})


def _definition(route: Route, uuid: str) -> Mapping[str, Any]:
    return next(each for each in route.agents if each["agent_uuid"] == uuid)


def _declined(output: str) -> str | None:
    try:
        value = json_text.loads(output)
    except json_text.NotJSON:
        return None
    if not isinstance(value, dict) or set(value) != {"decline"}:
        return None
    why = value["decline"]
    text = why if isinstance(why, str) else json_text.dumps(why)
    return text[:_TOLD].encode("utf-8", "replace").decode()


def _schema(choices: Sequence[str]) -> dict[str, Any]:
    return {
        "title": _TITLE,
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
    """An agent without a query of its own is asked the user's question; the user must get a
    text.
    """
    if value["agent"] in OWN and not value["query"].strip():
        what = "your answer" if value["agent"] == NONE else "your question"
        return [f"at /query, it is empty, but with {value['agent']!r} it is {what} to the user"]
    return []


def _told(agent: Agent) -> str:
    words = [each for each in (agent.agent_name, agent.agent_description) if each]
    return ". ".join(words)[:_TOLD] or "no description"


def as_json(choice: Choice) -> str:
    """The choice as the output of the agent that made it."""
    return json_text.dumps(asdict(choice))
