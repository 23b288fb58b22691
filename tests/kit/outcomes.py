"""A model of the engine: how the agents and the session of a plan must end, in any interleaving.

It knows the rules of joins, conditions and failures, and deliberately shares no code with the
engine.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tests.kit.plans import Node, Plan

ENDS = {
    "go": "completed",
    "stop": "completed",
    "flaky": "completed",
    "tired": "failed",
    "fail": "failed",
}


@dataclass
class Fate:
    """How an agent ends in the model.

    - `state`: its state.
    - `upstream_failed`: for a skipped agent, whether it is because of a failure; both, if the order
      decides.
    - `elements`: the states of a map's elements.
    - `needs`: the predecessors without which it cannot end.
    """

    state: str
    upstream_failed: Collection[bool] = ()
    elements: list[str] = field(default_factory=list)
    needs: Collection[str] = ()


@dataclass
class Outcomes:
    """The statuses and states in which a history may end; `exact` when no agent can be
    cut short.
    """

    statuses: set[str]
    states: Mapping[str, set[str]]
    elements: Mapping[str, list[str]]
    exact: bool


def outcomes(plan: Plan) -> Outcomes:
    """Return how a session of the plan may end."""
    fates: dict[str, Fate] = {}
    for name, node in plan.agents.items():
        fates[name] = _fate(plan, node, fates, name)
    waited_for = {before for node in plan.agents.values() for before in node.before}
    sinks = [name for name in plan.agents if name not in waited_for]
    needed = _needed(fates, sinks)
    must = any(
        fates[name].state == "failed" or set(fates[name].upstream_failed) == {True}
        for name in sinks
    )
    may = must or any(True in fates[name].upstream_failed for name in sinks)
    ending = (
        []
        if plan.on_failure == "continue"
        else [name for name in fates if _ends_session(plan, fates, name)]
    )
    must = must or any(name in needed for name in ending)
    may = may or bool(ending)
    cut_short = set(fates) if ending else set(fates) - needed
    return Outcomes(
        {*(["failed"] if may else []), *([] if must else ["completed"])},
        {
            name: {fate.state, *(_early(plan, name) if name in cut_short else [])}
            for name, fate in fates.items()
        },
        {name: fate.elements for name, fate in fates.items()},
        not cut_short
        and not any("failed" in fate.elements and fate.upstream_failed for fate in fates.values()),
    )


def _early(plan: Plan, name: str) -> set[str]:
    """Return how an agent may end whose session ends before it."""
    node = plan.agents[name]
    fails = node.behaviour == "flaky" or node.job in ("silent", "fades")
    return {"skipped", *(["failed"] if fails else [])}


def _fate(plan: Plan, node: Node, fates: Mapping[str, Fate], name: str) -> Fate:
    passing = [each for each in node.before if _passes(plan, node, fates, each)]
    unsatisfied = [each for each in node.before if each not in passing]
    if node.join == "all":
        if unsatisfied:
            return Fate(
                "skipped",
                _upstream_failed(fates, unsatisfied, 1),
                needs=unsatisfied if len(unsatisfied) == 1 else (),
            )
        return _run(plan, node, fates, node.before)
    if node.join == "all_terminal" or not node.before:
        return _run(plan, node, fates, node.before)
    least = node.quorum if node.join == "quorum" else 1
    if len(passing) >= least:
        return _run(plan, node, fates, passing if len(passing) == least else ())
    most = len(node.before) - least + 1  # edges that are unsatisfied until it is given up
    return Fate(
        "skipped",
        _upstream_failed(fates, unsatisfied, most),
        needs=unsatisfied if len(unsatisfied) == most else (),
    )


def _upstream_failed(fates: Mapping[str, Fate], unsatisfied: list[str], most: int) -> set[bool]:
    """Return whether a failure is among the first `most` unsatisfied edges, in any order."""
    kinds = [
        {True} if fates[each].state == "failed" else set(fates[each].upstream_failed) or {False}
        for each in unsatisfied
    ]
    upstream_failed = {True} if any(True in kind for kind in kinds) else set()
    return upstream_failed | ({False} if sum(False in kind for kind in kinds) >= most else set())


def _run(plan: Plan, node: Node, fates: Mapping[str, Fate], needs: Collection[str]) -> Fate:
    if node.over is None:
        return Fate("failed" if node.asks == "expires" else ENDS[node.behaviour], needs=needs)
    elements = [ENDS[node.behaviour]] * _length(plan, fates, node.over)
    if "failed" in elements and node.map_join == "all":
        return Fate("skipped", {True}, elements, needs)
    return Fate("completed", (), elements, needs)


def _length(plan: Plan, fates: Mapping[str, Fate], name: str) -> int:
    return plan.agents[name].items if plan.agents[name].over is None else len(fates[name].elements)


def _passes(plan: Plan, node: Node, fates: Mapping[str, Fate], before: str) -> bool:
    if fates[before].state != "completed":
        return False
    if before not in node.conditions:
        return True
    other = plan.agents[before]
    if other.over is not None:  # the condition wants an element that has completed
        return "completed" in fates[before].elements
    return other.behaviour != "stop"


def _needed(fates: Mapping[str, Fate], sinks: list[str]) -> set[str]:
    """Return the agents that must end before the session can."""
    needed: set[str] = set()
    todo = list(sinks)
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo.extend(fates[name].needs)
    return needed


def _ends_session(plan: Plan, fates: Mapping[str, Fate], name: str) -> bool:
    """Whether the agent or one of its elements fails, and the session with it at once."""
    node = plan.agents[name]
    if "failed" in fates[name].elements:
        return node.map_join == "all"
    if fates[name].state != "failed":
        return False
    after = [each for each in plan.agents.values() if name in each.before]
    return not after or any(each.join == "all" for each in after)
