"""Decomposition: the task has agents and edges, and a decompose agent writes their subtasks. Pure.

It is planning with a given graph: the result is stored, shown to a person and pinned in the same
way.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.planning import MAX_PLAN, Planning
from ai_coordination_engine.domain.shapes import SubtaskQuery
from ai_coordination_engine.domain.structured import Structured, described, in_one_line

SCHEMA = "ace.subtasks/1"
_ORDERS = """\
Divide the task among these agents: write what each of them is asked. Do not do the task yourself.
{agents}
Write one entry of `subtaskQueries` for each line, in this order. `agentUuid` is the name before the
colon. `subtaskQuery` is what the agent is asked, complete in itself: beside it the agent is given
the outputs of the agents that it waits for, and nothing else. `cannotDo` is null; if these agents
cannot do the task, it says why, and `subtaskQueries` is empty."""


@dataclass(frozen=True)
class Subtasks:
    """The query of each agent, in the order of the answer. With `cannot_do`, the reason why there
    are none, `queries` is empty.
    """

    queries: Sequence[SubtaskQuery]
    cannot_do: str | None = None

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Subtasks":
        """The subtasks of a valid answer."""
        if cannot_do := (value.get("cannotDo") or "").strip():
            return cls((), cannot_do)
        return cls([SubtaskQuery.model_validate(each) for each in value["subtaskQueries"]])

    def wire(self) -> dict[str, Any]:
        """The subtasks as they are pinned and shown to people."""
        queries = [each.wire() for each in self.queries]
        return {"schema": SCHEMA, "subtaskQueries": queries, "cannotDo": self.cannot_do}


class _Answer(Structured):
    """Keys that say nothing may be left out, though models are asked for all of them."""

    def read(self, text: str, budget: Budget) -> Any:
        """The value of an answer; raises `Unfit`."""
        accepted = {**self.schema, "required": []}
        return Structured(accepted, check=self.check, most=self.most).read(text, budget)


@dataclass(frozen=True)
class Decomposition(Planning):
    """The rules by which a decompose agent is asked and its answer is read.

    `subtasks` are the task's own. `order`: the agents (uuids) that run, once for each subtask.
    """

    order: Sequence[str] = ()

    def structured(self, most: int = MAX_PLAN) -> Structured:
        """What the decompose agent has to answer, in at most so many characters."""
        return _Answer(
            _schema(self.order),
            self._orders(),
            partial(_problems, self.order),
            self.most.attempts,
            most,
        )

    def read(self, text: str, most: int = MAX_PLAN) -> Subtasks:
        """The subtasks in an answer of an agent or a person; raises `Unfit`."""
        return Subtasks.of(self.structured(most).read(text, Budget()))

    def _orders(self) -> str:
        own: dict[str, list[str]] = {}
        for each in self.subtasks:
            own.setdefault(each["agent_uuid"], []).append(each.get("subtask_query") or "")
        drafts = {uuid: iter(texts) for uuid, texts in own.items()}
        lines = [self._line(uuid, next(drafts.get(uuid, iter(())), "")) for uuid in self.order]
        return _ORDERS.format(agents="\n".join(lines))

    def _line(self, uuid: str, draft: str) -> str:
        before = (self.actions.get(uuid) or {}).get("predecessors") or ()
        parts = [
            f"- {uuid}: {described(self.by_uuid[uuid])}",
            f"It waits for {', '.join(before)}" if before else "",
            f"A draft of its subtask: {in_one_line(draft)}" if draft else "",
        ]
        return ". ".join(filter(None, parts))


def planning_of(stored: Mapping[str, Any]) -> Planning:
    """The planning or decomposition that `stored` returned."""
    return Decomposition.of(stored) if "order" in stored else Planning.of(stored)


def _problems(order: Sequence[str], value: Mapping[str, Any]) -> list[str]:
    """What is wrong with a value of the schema."""
    if (value.get("cannotDo") or "").strip():
        return []
    given = value.get("subtaskQueries", ())
    counts = Counter(each["agentUuid"] for each in given)
    return [
        *(
            f"at /subtaskQueries/{index}/subtaskQuery, it is empty"
            for index, each in enumerate(given)
            if not each["subtaskQuery"].strip()
        ),
        *(
            f"at /subtaskQueries, {uuid} has {counts[uuid]} entries; it needs {needed}"
            for uuid, needed in Counter(order).items()
            if counts[uuid] != needed
        ),
    ]


def _schema(order: Sequence[str]) -> dict[str, Any]:
    subtask = _object(
        {
            "agentUuid": {"type": "string", "enum": list(dict.fromkeys(order))},
            "subtaskQuery": {"type": "string"},
        }
    )
    keys = {
        "schema": {"type": "string", "enum": [SCHEMA]},
        "subtaskQueries": {"type": "array", "items": subtask},
        "cannotDo": {"type": ["string", "null"]},
    }
    return {"title": "subtasks", **_object(keys)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
