"""The plans of the tasks that were started last: equal tasks of equal coordinations have one plan.

A plan is found by all that it is made of, as it is stored, so a change of the task or of the
coordination gives another plan.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

from ai_coordination_engine.engine.attempt.limits import budgets_of
from ai_coordination_engine.engine.graph.session_agents import Plan
from ai_coordination_engine.store.models import Coordination, Task
from ai_coordination_engine.store.payload import to_json

LONGEST = 50_000  # characters of what a plan that is kept is made of
MOST_EDGES = 2_000  # of a plan that is kept
_KEPT = 32

Texts = Sequence[str | None]
"""What a plan is made of: JSON of the coordination and of the task, and values of the task."""


class Planned:
    """Keeps the plans that were used last. Thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Texts, Plan] = OrderedDict()
        self._lock = Lock()

    def get(self, coordination: Coordination, task: Task, make: Callable[[], Plan]) -> Plan:
        """The plan that is kept, else the one that `make` returns or raises an error for."""
        texts = _texts(coordination, task)
        if texts is None:
            return make()
        with self._lock:
            if (kept := self._kept.get(texts)) is not None:
                self._kept.move_to_end(texts)
                return kept
        made = make()
        if sum(len(each.predecessors) for each in made.agents) <= MOST_EDGES:
            with self._lock:
                self._kept[texts] = made
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return made


def _texts(coordination: Coordination, task: Task) -> Texts | None:
    """What the plan is made of; None if that is long, or is stored elsewhere."""
    if task.plan:
        return None
    texts: list[str | None] = [
        task.on_failure,
        task.placeholders,
        to_json(budgets_of(coordination, task)),
    ]
    for record, name in (
        (coordination, "agents"),
        (task, "agent_actions"),
        (task, "subtask_queries"),
    ):
        text = record.json_of(name)
        if text is None and record.stored(name) is not None:
            return None
        texts.append(text)
    is_short = sum(len(each or "") for each in texts) <= LONGEST
    return tuple(texts) if is_short else None
