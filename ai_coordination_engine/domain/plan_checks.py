"""Check whether a value is a plan that may run. Each problem follows the JSON Pointer (RFC 6901) of
its place. Pure.

The shape is checked first. The graph is checked only if the shape is right: one malformed step
would cause many problems there.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import conditions
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.graph import find_cycle
from ai_coordination_engine.domain.plan_limits import PlanLimits
from ai_coordination_engine.domain.plans import JOINS, SCHEMA, Step
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.errors import BadUserInput

MAX_PROBLEMS = 20
_SHOWN = 100  # characters of a word of the plan that a message repeats
_MOST_NAMES = 20
_PLAN_KEYS = ("schema", "goal", "steps", "final", "cannotDo")
_STEP_KEYS = ("id", "agent", "query", "after", "join", "when", "map", "reason")
_MAP_KEYS = ("over", "items")
_ID = re.compile(r"[\w-]{1,64}")
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")
_KINDS = {
    "NoneType": "null",
    "bool": "true or false",
    "str": "a text",
    "list": "a list",
    "dict": "an object",
}


@dataclass(frozen=True)
class PlanRules:
    """What a plan must keep to: the `agents` (uuids) it may name, its limits, and which agents wait
    for a `person`.
    """

    agents: Collection[str]
    limits: PlanLimits
    asking: Collection[str] = ()


def problems(value: object, rules: PlanRules, budget: Budget) -> list[str]:
    """What is wrong with a plan, the first of it; nothing when it may run."""
    return list(islice(_problems(value, rules, budget), MAX_PROBLEMS))


def _problems(value: object, rules: PlanRules, budget: Budget) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _at("", f"is {_kind(value)}; a plan is an object")
        return
    found = list(islice(_about_plan(value), MAX_PROBLEMS))
    yield from found
    cannot_do = value.get("cannotDo")
    if isinstance(cannot_do, str) and cannot_do.strip():
        return
    steps = value.get("steps")
    if not isinstance(steps, list) or not 1 <= len(steps) <= rules.limits.steps:
        yield _about_number(steps, rules.limits.steps)
        return
    unfit = [each for index, step in enumerate(steps) for each in _about_step(index, step, rules)]
    yield from unfit
    if not unfit:
        yield from _about_graph([Step.of(each) for each in steps], steps, value, rules, budget)


# Its shape


def _about_plan(value: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown("", value, _PLAN_KEYS, "a plan")
    if value.get("schema") != SCHEMA:
        yield _at("/schema", f'must be "{SCHEMA}"')
    for name in ("goal", "cannotDo"):
        yield from _texts(f"/{name}", value.get(name))


def _about_number(steps: object, most: int) -> str:
    if not isinstance(steps, list):
        return _at("/steps", f"is {_kind(steps)}; it must be a list of steps")
    if not steps:
        return _at("/steps", "is empty; a plan has one step at least, or says cannotDo")
    return _at("/steps", f"has {len(steps)} steps; a plan takes at most {most}")


def _about_step(index: int, step: object, rules: PlanRules) -> Iterator[str]:
    place = f"/steps/{index}"
    if not isinstance(step, dict):
        yield _at(place, f"is {_kind(step)}; a step is an object")
        return
    yield from _unknown(place, step, _STEP_KEYS, "a step")
    yield from _about_id(place, step.get("id"))
    yield from _about_agent(place, step.get("agent"), rules.agents)
    for name in ("query", "reason"):
        yield from _texts(f"{place}/{name}", step.get(name))
    yield from _about_after(place, step.get("after"))
    if (join := step.get("join")) is not None and join not in JOINS:
        yield _at(f"{place}/join", f"must be one of {_names(JOINS)}")
    yield from _about_when(place, step.get("when"))
    yield from _about_map(place, step.get("map"))


def _about_id(place: str, given: object) -> Iterator[str]:
    if not isinstance(given, str) or not _ID.fullmatch(given):
        yield _at(f"{place}/id", "must be a text of 1 to 64 letters, digits, `_` or `-`")


def _about_agent(place: str, given: object, agents: Collection[str]) -> Iterator[str]:
    if isinstance(given, str) and given in agents:
        return
    word = given[:_SHOWN] if isinstance(given, str) else ""
    said = f"{word!r} is not one of the agents" if word else "must name one of the agents"
    hint = did_you_mean(word, agents) if word else ""
    yield _at(f"{place}/agent", f"{said}: {_names(agents)}{hint}")


def _about_after(place: str, given: object) -> Iterator[str]:
    if given is None:
        return
    if not isinstance(given, list):
        yield _at(f"{place}/after", f"is {_kind(given)}; it must be a list of ids of steps")
        return
    for index, each in enumerate(given):
        if not isinstance(each, str):
            yield _at(f"{place}/after/{index}", f"is {_kind(each)}; it must be the id of a step")


def _about_when(place: str, given: object) -> Iterator[str]:
    expressions = given if isinstance(given, dict) else {}
    for name, each in expressions.items():
        if not isinstance(each, str) or not each.strip():
            yield _at(f"{place}/when/{_escaped(name)}", "must be a JMESPath expression")
        else:
            yield from _texts(f"{place}/when/{_escaped(name)}", each)
    if not isinstance(given, dict):
        yield from _texts(f"{place}/when", given)


def _about_map(place: str, given: object) -> Iterator[str]:
    if given is None:
        return
    if not isinstance(given, dict):
        yield _at(f"{place}/map", f"is {_kind(given)}; it must be an object with `over`, or null")
        return
    yield from _unknown(f"{place}/map", given, _MAP_KEYS, "a map")
    if not isinstance(given.get("over"), str):
        yield _at(f"{place}/map/over", "must be the id of a step")
    yield from _texts(f"{place}/map/items", given.get("items"))


# Who waits for whom


def _about_graph(
    steps: Sequence[Step],
    given: Sequence[Mapping[str, Any]],
    plan: Mapping[str, Any],
    rules: PlanRules,
    budget: Budget,
) -> Iterator[str]:
    names = [each.id for each in steps]
    wrong = [*_given_twice(names), *_about_references(steps, given), *_about_final(names, plan)]
    for index, each in enumerate(steps):
        wrong += _about_expressions(f"/steps/{index}", each, given[index], budget)
        wrong += _about_maps(f"/steps/{index}", each, rules)
        wrong += _about_conditions(f"/steps/{index}", each, steps)
    yield from wrong
    if not wrong:
        yield from _too_deep(steps, rules.limits.depth)
        yield from _orphans(steps, str(plan["final"]))


def _given_twice(names: Sequence[str]) -> Iterator[str]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            yield _at(f"/steps/{index}/id", f"{name!r} is the id of /steps/{first[name]}, too")


def _about_references(steps: Sequence[Step], given: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known, earlier = {each.id for each in steps}, set[str]()
    cycle = find_cycle({each.id: [name for name in each.after if name in known] for each in steps})
    for index, each in enumerate(steps):
        for place, name in enumerate(given[index].get("after") or ()):
            if name not in earlier:
                why = _why_not(name, each.id, known, cycle)
                yield _at(f"/steps/{index}/after/{place}", why)
        earlier.add(each.id)


def _why_not(name: str, own: str, known: Collection[str], cycle: Sequence[str]) -> str:
    shown = repr(name[:_SHOWN])
    if name not in known:
        return f"no step has the id {shown}"
    if name == own:
        return f"{shown} waits for itself"
    if name in cycle and own in cycle:
        return f"these steps wait for each other: {' -> '.join(cycle)}"
    return f"{shown} is a later step; a step comes after earlier ones only"


def _about_final(names: Sequence[str], plan: Mapping[str, Any]) -> Iterator[str]:
    final = plan.get("final")
    if not isinstance(final, str) or not final:
        yield _at("/final", "must be the id of the step whose output is the result")
    elif final not in names:
        yield _at("/final", f"no step has the id {final[:_SHOWN]!r}")


def _about_expressions(
    place: str, step: Step, given: Mapping[str, Any], budget: Budget
) -> Iterator[str]:
    if given.get("when") and not step.after:
        yield _at(f"{place}/when", "has no output to look at: the step comes after no other")
        return
    for name in step.when:
        if name not in step.after:
            yield _at(f"{place}/when/{_escaped(name)}", "is not among the steps in `after`")
    for at, expression in _expressions(place, step, given).items():
        try:
            conditions.check(expression, budget)
        except BadUserInput as error:
            yield _at(at, error.message.rstrip("."))


def _expressions(place: str, step: Step, given: Mapping[str, Any]) -> dict[str, str]:
    """The expressions of a step by their places."""
    found = {f"{place}/when/{_escaped(name)}": each for name, each in step.when.items()}
    if isinstance(when := given.get("when"), str) and when:
        found = {f"{place}/when": when}
    if step.map and step.map.items:
        found[f"{place}/map/items"] = step.map.items
    return found


def _about_maps(place: str, step: Step, rules: PlanRules) -> Iterator[str]:
    if step.map is None:
        return
    if step.map.over not in step.after:
        yield _at(f"{place}/map/over", f"{step.map.over[:_SHOWN]!r} is not among `after`")
    if step.agent in rules.asking:
        yield _at(f"{place}/map", f"{step.agent} waits for a person, and cannot run for each item")


def _about_conditions(place: str, step: Step, steps: Sequence[Step]) -> Iterator[str]:
    """All steps of one agent have the same condition: the edges of the graph connect agents."""
    agents = {each.id: each.agent for each in steps}
    seen: dict[str, str | None] = {}
    for name in step.after:
        agent = agents.get(name)
        if agent is not None and seen.setdefault(agent, step.when.get(name)) != step.when.get(name):
            yield _at(
                f"{place}/when", f"the steps of {agent} in `after` must have the same condition"
            )
            return


def _too_deep(steps: Sequence[Step], most: int) -> Iterator[str]:
    depth: dict[str, int] = {}
    for index, each in enumerate(steps):
        depth[each.id] = 1 + max((depth[name] for name in each.after), default=0)
        if depth[each.id] > most:
            yield _at(
                f"/steps/{index}/after",
                f"{each.id!r} is number {depth[each.id]} in a row of steps; a plan takes {most}",
            )
            return


def _orphans(steps: Sequence[Step], final: str) -> Iterator[str]:
    needed = {final}
    for each in reversed(steps):
        if each.id in needed:
            needed.update(each.after)
    for index, each in enumerate(steps):
        if each.id not in needed:
            yield _at(
                f"/steps/{index}", f"nothing needs {each.id!r}: it does not lead to {final!r}"
            )


# Words


def _unknown(
    place: str, value: Mapping[str, Any], known: Sequence[str], what: str
) -> Iterator[str]:
    for name in value:
        if name not in known:
            why = f"is not a key of {what}; it has {_names(known)}"
            yield _at(f"{place}/{_escaped(name)}", why)


def _texts(place: str, value: object) -> Iterator[str]:
    if not isinstance(value, str | None):
        yield _at(place, f"is {_kind(value)}; it must be a text or null")
    elif value and _HALF_OF_A_PAIR.search(value):
        yield _at(place, "holds an invalid character: half of a surrogate pair")


def _at(pointer: str, message: str) -> str:
    return f"at {pointer or '/'}, {message}"


def _escaped(name: str) -> str:
    return name[:_SHOWN].replace("~", "~0").replace("/", "~1")


def _kind(value: object) -> str:
    return _KINDS.get(type(value).__name__, "a number")


def _names(names: Collection[str]) -> str:
    shown = ", ".join(str(each)[:_SHOWN] for each in islice(names, _MOST_NAMES))
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
