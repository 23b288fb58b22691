"""Triage: an agent (the router) chooses who answers a question. Pure.

The choices are stored with the router's session agent (`Route.stored`). So the same answer gives
the same choice at every repetition, also after the coordination was changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.prompts import compose_input
from ai_coordination_engine.domain.shapes import Agent
from ai_coordination_engine.domain.structured import Structured, described, in_one_line

NONE, ASK_USER = "none", "ask_user"
OWN = (NONE, ASK_USER)
"""The choices that are not agents. An agent with such a uuid cannot be chosen."""
AGAIN = "It answered last on this thread."
"""The reason of a choice that was made without asking the router."""
SPAN = 32
"""The most session agents of one question: the router, and for each of ten hand-offs the agent, the
router again, and a question to the user.
"""
_HANDED_ON = "It has handed the question on."
_TITLE = "choice"  # of the schema


@dataclass(frozen=True)
class Choice:
    """Who answers, the reason, and the text: the query for the agent, the router's own answer
    (`none`), or the question to the user (`ask_user`).
    """

    agent: str
    reason: str
    query: str


@dataclass(frozen=True)
class Route:
    """The choices of the router `own`. While hand-offs (`hops`) are left: the `agents` of the
    coordination (as they are stored) except itself and those that have `declined` (with reasons).
    While questions to the user (`asks`) are left: the user.

    `again`: the agent that answered last on the thread answers again, if it may be chosen. `told`:
    what the user was asked, and answered, since the question.
    """

    own: str
    agents: Sequence[Mapping[str, Any]]
    declined: Mapping[str, str]
    hops: int
    asks: int
    again: bool = False
    told: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Route":
        """The route that `stored` returned."""
        return cls(**stored)

    def stored(self) -> dict[str, Any]:
        """The route as it is stored."""
        return vars(self).copy()

    def candidates(self) -> list[Agent]:
        """The agents that may be chosen now."""
        found = [Agent.model_validate(each) for each in self.agents] if self.hops > 0 else []
        return [each for each in found if each.agent_uuid not in {self.own, *self.declined, *OWN}]

    def structured(self) -> Structured:
        """The required form of the router's answer."""
        candidates = self.candidates()
        choices = [each.agent_uuid for each in candidates]
        choices += OWN if self.asks > 0 else [NONE]
        return Structured(_schema(choices), self._orders(candidates), _check)

    def _orders(self, candidates: Sequence[Agent]) -> str:
        lines = [
            "Choose who answers the question, from these:",
            *(f"- {each.agent_uuid}: {described(each)}" for each in candidates),
            f"- {NONE}: you answer it yourself; `query` is your answer to the user",
        ]
        if self.asks > 0:
            lines.append(f"- {ASK_USER}: you must know more; `query` is your question to the user")
        lines.append(
            "`agent` is the name before the colon, `reason` says in one sentence why, and `query`"
            " is what the agent is asked, complete in itself."
        )
        if self.declined:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.declined.items())
            lines.append(f"These have declined and cannot be chosen: {reasons}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Step:
    """The session agent that continues a question: its definition, query and rules, and the user
    whose answer it waits for first, if any.
    """

    definition: Mapping[str, Any]
    query: str
    rules: Mapping[str, Any]
    user: str | None = None
    notes: str | None = None


def is_router(agent: Agent, agents: Sequence[Agent], hops: int) -> bool:
    """Whether an agent that is asked outside a task chooses who answers: it is a triage agent, and
    there are agents to choose from.
    """
    return agent.agent_type == "triage" and bool(first_route(agent, agents, hops).candidates())


def first_route(agent: Agent, agents: Sequence[Agent], hops: int, *, again: bool = False) -> Route:
    """The choices of the router for a new question."""
    return Route(agent.agent_uuid, [each.stored() for each in agents], {}, hops, hops, again)


def is_choice(schema: Mapping[str, Any] | None) -> bool:
    """Whether an answer by this schema chooses who answers a question."""
    return schema is not None and schema.get("title") == _TITLE


def chosen(rules: Mapping[str, Any], value: Any, output: str) -> Choice | None:
    """Who continues the question after an agent with these rules has answered: a router with
    `value`, by its schema; any other agent with `output`. None: the output is the answer.

    A chosen agent declines with `{"decline": "why"}` and nothing else; its router chooses again.
    """
    if "route" in rules:
        return Choice(value["agent"], value["reason"], value["query"])
    if "handed" in rules and (why := _declined(output)) is not None:
        return Choice(rules["handed"]["own"], why, "")
    return None


def step(
    rules: Mapping[str, Any],
    choice: Choice,
    question: str,
    user: str | None,
    answer: str | None = None,
) -> Step:
    """The next session agent after a choice. `rules`: of the agent that made it; `question`: in the
    user's own words; `answer`: what the user answered that agent.
    """
    if "route" not in rules:
        return _declines(Route.of(rules["handed"]), choice, question, rules["chosen"])
    route = replace(Route.of(rules["route"]), again=False)
    if answer is not None:
        route = replace(route, told=compose_input(route.told, [], answer))
    if choice.agent == ASK_USER:
        told = _behind(route.told, f"The user was asked:\n{choice.query}")
        fewer = replace(route, asks=route.asks - 1, told=told)
        own, asked = _definition(route, route.own), _behind(question, told)
        return Step(own, asked, {"route": fewer.stored()}, user or "user", choice.query)
    return _hands_on(replace(route, hops=route.hops - 1), choice, _behind(question, route.told))


def _behind(text: str, more: str) -> str:
    return "\n\n".join(filter(None, (text, more)))


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
    asked = _behind(question, route.told)
    return Step(_definition(route, route.own), asked, {"route": fewer.stored()})


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
    return in_one_line(text).encode("utf-8", "replace").decode()


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
    """An agent without a query is asked the user's question. A text for the user must not be
    empty.
    """
    if value["agent"] in OWN and not value["query"].strip():
        what = "your answer" if value["agent"] == NONE else "your question"
        return [f"at /query, it is empty, but with {value['agent']!r} it is {what} to the user"]
    return []


def as_json(choice: Choice) -> str:
    """The choice as the output of the agent that made it."""
    return json_text.dumps(asdict(choice))
