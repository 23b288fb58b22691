"""Plans of planning agents: `ace.plan/1`. Pure.

A plan has steps: which agent is asked what, and which steps it waits for. It has no keys for
runtimes, addresses, functions and policies, so it cannot set them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text

SCHEMA = "ace.plan/1"
JOINS = ("all", "any", "all_terminal")


class Made(Protocol):
    """The answer of a planning agent: a plan, or the subtask of each agent. `cannot_do` is the
    reason if the agent made none.
    """

    @property
    def cannot_do(self) -> str | None:
        """The reason why there is no plan; None if there is one."""

    def wire(self) -> dict[str, Any]:
        """As it is pinned and as people see it."""


@dataclass(frozen=True)
class StepMap:
    """The step runs once for each element of the output of the step `over`, or of the list that the
    JMESPath expression `items` finds in that output.
    """

    over: str
    items: str | None = None


@dataclass(frozen=True)
class Step:
    """One step: its agent (a uuid), the agent's query (None: the task query), and the steps that it
    comes `after`. `when`: JMESPath conditions on their outputs, by step.
    """

    id: str
    agent: str
    query: str | None
    after: tuple[str, ...]
    join: str
    when: Mapping[str, str]
    map: StepMap | None
    reason: str | None

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Step":
        """The step of a value that `plan_checks` has accepted. A single condition applies to every
        step in `after`.
        """
        after = tuple(dict.fromkeys(value.get("after") or ()))
        when = value.get("when") or {}
        mapped = value.get("map")
        return cls(
            id=value["id"],
            agent=value["agent"],
            query=value.get("query") or None,
            after=after,
            join=value.get("join") or "all",
            when=dict.fromkeys(after, when) if isinstance(when, str) else dict(when),
            map=StepMap(mapped["over"], mapped.get("items") or None) if mapped else None,
            reason=value.get("reason") or None,
        )

    def wire(self) -> dict[str, Any]:
        """The step with every key of the schema, as it is pinned and shown to people."""
        conditions = set(self.when.values())
        is_one = len(conditions) == 1 and len(self.when) == len(self.after)
        return {
            "id": self.id,
            "agent": self.agent,
            "query": self.query,
            "after": list(self.after),
            "join": self.join,
            "when": next(iter(conditions)) if is_one else dict(self.when) or None,
            "map": {"over": self.map.over, "items": self.map.items} if self.map else None,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Plan:
    """A valid plan: every other step leads to the `final` one. With `cannot_do`, the reason why
    there is no plan, there are no steps.
    """

    goal: str | None
    steps: Sequence[Step]
    final: str | None
    cannot_do: str | None = None

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Plan":
        """The plan of a value that `plan_checks` has accepted."""
        if cannot_do := (value.get("cannotDo") or "").strip():
            return cls(value.get("goal") or None, (), None, cannot_do)
        steps = [Step.of(each) for each in value["steps"]]
        return cls(value.get("goal") or None, steps, value["final"])

    def wire(self) -> dict[str, Any]:
        """The plan as it is pinned and shown to people."""
        return {
            "schema": SCHEMA,
            "goal": self.goal,
            "steps": [each.wire() for each in self.steps],
            "final": self.final,
            "cannotDo": self.cannot_do,
        }


def shown(plan: Mapping[str, Any]) -> str:
    """A plan as a text that people can read and edit."""
    return json.dumps(plan, ensure_ascii=False, indent=2)


def plan_hash(plan: object) -> str:
    """The SHA-256 of the compact JSON text of a plan, in hexadecimal digits; it identifies a pinned
    plan.
    """
    return hashlib.sha256(json_text.dumps(plan, compact=True).encode()).hexdigest()
