"""The rules by which a planning agent is asked and its answer is read. Pure.

They are stored with the session agent when the session starts. So the same answer gives the same
plan, also after the coordination or the task was changed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, fields
from functools import cached_property, partial
from typing import Any, Self

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.plan_checks import PlanRules, problems
from ai_coordination_engine.domain.plan_limits import PlanLimits
from ai_coordination_engine.domain.plans import JOINS, SCHEMA, Made, Plan
from ai_coordination_engine.domain.shapes import Agent
from ai_coordination_engine.domain.structured import Structured, described

PLANNERS = ("planning", "decompose")
"""The types of agents that plan. If a coordination has both, the first type is used."""
MAX_PLAN = 256 * 1024
"""Characters of an answer."""
MAX_SHOWN = 2 * MAX_PLAN
"""Characters of a plan as people see it: with all of its keys, in lines."""
_NULLABLE = {"type": ["string", "null"]}
_NULL = {"type": "null"}
_ORDERS = """\
Make a plan: which of these agents do what, and in which order. Do not do the task yourself.
{agents}
A plan has at most {steps} steps, at most {depth} of them one after another. The `id` of the first
is s1, of the second s2, and so on. `agent` is the name before the colon, `query` what the agent is
asked, complete in itself; it is given the outputs of the steps in `after`, which are earlier steps
that it waits for. Steps that need not wait for each other run at the same time. `final` is the step
whose output is the result; every other step must lead to it. `join` is all, unless one output is
enough (any). `when` is null, or a JMESPath condition on the outputs of the steps in `after`. `map`
is null, or has the step be done once for each item of the list that the step `over` answers.
`cannotDo` is null; if these agents cannot do the task, it says why, and `steps` is empty."""


class _PlanAnswer(Structured):
    """An answer that is checked as a plan, which says more exactly what is wrong than its
    schema.
    """

    def read(self, text: str, budget: Budget) -> Any:
        """The value of the plan; raises `Unfit`."""
        return self._read(text, budget, self.check)


@dataclass(frozen=True)
class Planning:
    """The agents of the coordination except the planning one, as they are stored, and the task's
    actions for them and its limits.

    `on_failure` and `strict` are the task's. With `fallback`, the task's own graph (`subtasks` and
    the actions) runs if the agent makes no plan.
    """

    agents: Sequence[Mapping[str, Any]]
    limits: Mapping[str, int]
    actions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    on_failure: str | None = None
    strict: bool = False
    fallback: bool = False
    subtasks: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The planning that `stored` returned."""
        return cls(**stored)

    def stored(self) -> dict[str, Any]:
        """The planning as it is stored; empty values are left out."""
        kept = [each.name for each in fields(self)]
        return {name: value for name, value in vars(self).items() if name in kept and value}

    @cached_property
    def most(self) -> PlanLimits:
        """The limits."""
        return PlanLimits.of(self.limits)

    @cached_property
    def by_uuid(self) -> dict[str, Agent]:
        """All agents except the planning one, by uuid."""
        return {each["agent_uuid"]: Agent.model_validate(each) for each in self.agents}

    @property
    def candidates(self) -> list[Agent]:
        """The agents that a plan may name: those of type `task`."""
        return [each for each in self.by_uuid.values() if each.agent_type in (None, "task")]

    def structured(self, most: int = MAX_PLAN) -> Structured:
        """What the planning agent has to answer, in at most so many characters."""
        names = [each.agent_uuid for each in self.candidates]
        asking = [uuid for uuid, action in self.actions.items() if action.get("user_in_the_loop")]
        rules = PlanRules(names, self.most, asking)
        return _PlanAnswer(
            schema_of(names, self.most),
            self._orders(),
            partial(_checked, rules),
            self.most.attempts,
            most,
        )

    def read(self, text: str, most: int = MAX_PLAN) -> Made:
        """The plan in an answer of an agent or a person; raises `Unfit`."""
        return Plan.of(self.structured(most).read(text, Budget()))

    def _orders(self) -> str:
        lines = [f"- {each.agent_uuid}: {described(each)}" for each in self.candidates]
        limits = self.most
        return _ORDERS.format(agents="\n".join(lines), steps=limits.steps, depth=limits.depth)


NO_FALLBACK = (
    "planFallback: static has no effect: the task has no subtaskQueries and no agentActions of its"
    " own to run instead of a plan."
)
NO_PLANNER = (
    'plan: the coordination has no agent with agentType: "planning" or "decompose"; until it has'
    " one, a start is refused."
)


def has_own_graph(planner: str, asked: Iterable[str], acting: Iterable[str]) -> bool:
    """Whether a task says who runs without a plan: it has subtasks or actions of agents other than
    the planning one (uuids).
    """
    return bool({*asked, *acting} - {planner})


def planner_of(agents: Sequence[Agent]) -> Agent | None:
    """The agent that plans the coordination's tasks: the first of type `planning`, else the first
    of type `decompose`.
    """
    found = [each for kind in PLANNERS for each in agents if each.agent_type == kind]
    return found[0] if found else None


def _checked(rules: PlanRules, value: Any) -> list[str]:
    return problems(value, rules, Budget())


def schema_of(agents: Sequence[str], limits: PlanLimits) -> dict[str, Any]:
    """The JSON Schema of a plan: every object names all of its keys, and allows no others, as
    "Structured outputs" of the OpenAI API asks.
    """
    names = [f"s{number}" for number in range(1, limits.steps + 1)]
    before = {"type": "string", **({"enum": names[:-1]} if names[1:] else {})}
    mapped = {"type": ["object", "null"], **_object({"over": before, "items": _NULLABLE})}
    step = _object(
        {
            "id": {"type": "string", "enum": names},
            "agent": {"type": "string", "enum": list(agents)},
            "query": {"type": "string"},
            "after": {"type": "array", "maxItems": len(names) - 1, "items": before},
            "join": {"type": "string", "enum": list(JOINS)},
            # the only step of a plan has no other before it
            "when": _NULLABLE if names[1:] else _NULL,
            "map": mapped if names[1:] else _NULL,
            "reason": _NULLABLE,
        }
    )
    plan = {
        "schema": {"type": "string", "enum": [SCHEMA]},
        "goal": {"type": "string"},
        "steps": {"type": "array", "maxItems": limits.steps, "items": {"type": "object", **step}},
        "final": {"type": "string", "enum": names},
        "cannotDo": _NULLABLE,
    }
    return {"title": "plan", "type": "object", **_object(plan)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
