"""A plan is made once for equal tasks of equal coordinations, and anew after each change."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.planning import planned
from ai_coordination_engine.engine.planning.start import plan_of
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Coordination, Task
from ai_coordination_engine.store.payload import BlobReference
from tests.kit.stage import stage_of

AGENTS = [{"agent_uuid": name, "agent_name": name.upper()} for name in ("a", "b")]
ACTIONS = {"b": {"predecessors": ["a"]}}


def coordination(agents: Any = AGENTS, uuid: str = "c") -> Coordination:
    """A coordination as it is read."""
    made = Coordination("acme", uuid, partition_key="acme", agents=agents)
    return Coordination.from_raw_data(made.serialize())


def task(uuid: str = "t", **values: Any) -> Task:
    """A task as it is read."""
    values = {"agent_actions": ACTIONS, **values}
    return Task.from_raw_data(Task("c", uuid, partition_key="acme", **values).serialize())


def test_equal_tasks_of_equal_coordinations_have_one_plan() -> None:
    plan = plan_of(coordination(), task())
    assert plan_of(coordination(uuid="d"), task("u", initial_task_query="another")) is plan
    assert [each.agent.agent_uuid for each in plan.agents] == ["a", "b"]


CHANGES: dict[str, tuple[Coordination, Task]] = {
    "agents": (coordination([*AGENTS[:1], {"agent_uuid": "b", "agent_name": "Bea"}]), task()),
    "actions": (coordination(), task(agent_actions={"b": {"predecessors": ["a"], "join": "any"}})),
    "no actions": (coordination(), task(agent_actions=None)),
    "subtasks": (coordination(), task(subtask_queries=[{"agent_uuid": "a"}, {"agent_uuid": "a"}])),
    "on_failure": (coordination(), task(on_failure="continue")),
    "placeholders": (coordination(), task(placeholders="strict")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_what_a_plan_is_made_of_gives_another_one(change: str) -> None:
    before = plan_of(coordination(), task())
    after = plan_of(*CHANGES[change])
    assert after is not before
    assert after != before
    assert plan_of(coordination(), task()) is before


def test_a_session_has_what_its_coordination_says_when_it_starts(app: App) -> None:
    stage = stage_of(app)
    names = stage.define({"a": [], "b": ["a"]}, agents={"b": {"agent_name": "Ben"}})
    first = stage.start(names)
    stage.app.records.tables[Coordination].update(
        "acme",
        ("acme", names[0]),
        [Coordination.agents.set([{"agent_uuid": "a"}, {"agent_uuid": "b", "agent_name": "Bea"}])],
        Coordination.coordination_uuid.exists(),
    )
    second = stage.start(names)
    found = [
        stage.agent(each.session_uuid, "b").definition["agent_name"] for each in (first, second)
    ]
    assert found == ["Ben", "Bea"]


def test_an_error_names_the_task_that_has_it() -> None:
    for name in ("one", "two"):
        with pytest.raises(BadUserInput, match=f"The task '{name}' names the agent 'b'"):
            plan_of(coordination(AGENTS[:1]), task(task_name=name))


def test_few_plans_are_kept_and_none_that_is_large() -> None:
    plans = planned.Planned()

    def kept(agents: Any = AGENTS, **values: Any) -> int:
        found = coordination(agents), task(**values)
        plans.get(*found, lambda: plan_of(*found))
        return len(plans._kept)

    names = [f"m{number}" for number in range(60)]
    wide = [{"agent_uuid": each} for each in names]
    each_after_each = {name: {"predecessors": names[:at]} for at, name in enumerate(names) if at}
    dense = [{"agent_uuid": each} for each in names for _ in range(2)]
    assert kept(wide, agent_actions=each_after_each) == 1  # 1,770 edges
    assert kept(wide, agent_actions=each_after_each, subtask_queries=dense) == 1
    assert kept([*AGENTS, {"agent_uuid": "c", "agent_description": "x" * 50_000}]) == 1
    elsewhere = task(agent_actions=BlobReference("acme/t/actions"))
    plans.get(coordination(), elsewhere, lambda: plan_of(coordination(), task()))
    assert len(plans._kept) == 1
    for number in range(100):
        kept([*AGENTS, {"agent_uuid": f"c{number}"}])
    assert len(plans._kept) == 32
