"""A task is checked against its coordination when it starts: what it names and the coordination
lost is told.
"""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.records.entities import COORDINATION
from tests.kit.controls import fork_from
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of

ASKED = [{"agent_uuid": "a", "subtask_query": "A"}]


def lose(stage: Stage, coordination: str, *kept: str) -> None:
    """The coordination has these agents alone from now on."""
    model = COORDINATION.model
    agents = [{"agent_uuid": uuid} for uuid in kept]
    stage.app.records.table(COORDINATION).update(
        TENANT, (TENANT, coordination), [model.agents.set(agents)], None
    )  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("graph", "defined", "words"),
    [
        ({"b": ""}, {"subtasks": ASKED}, "the agent 'a'"),  # a subtask
        ({"a": "b", "b": ""}, {}, "the agent 'a'"),  # an action
        ({"b": "a"}, {}, "the agent 'a'"),  # a predecessor
        ({"b": "", "a": "c"}, {"subtasks": ASKED}, "the agents 'a', 'c'"),
    ],
)
def test_a_task_that_names_a_lost_agent_is_not_started(
    app: App, graph: dict[str, str], defined: dict[str, Any], words: str
) -> None:
    stage = stage_of(app)
    agents: dict[str, Any] = {"a": {}, "b": {}, "c": {}}
    names = stage.define(graph, agents=agents, **defined)
    lose(stage, names[0], "b")
    stage.requests.clear()
    with pytest.raises(
        BadUserInput, match=f"^The task 't' names {words}, which its coordination does not have"
    ):
        stage.start(names)
    assert (stage.requests, stage.queue.sent) == ({"GetItem": 2}, [])


def test_a_lost_fallback_is_told_too(app: App) -> None:
    stage = stage_of(app)
    names = stage.define({"b": ""}, agents={"a": {}}, actions={"b": {"fallback": "a"}})
    lose(stage, names[0], "b")
    with pytest.raises(
        BadUserInput, match=r"^agentActions.b.fallback is not an agent of the coordination: 'a'\.$"
    ):
        stage.start(names)


def test_what_was_started_is_forked_with_the_agents_that_it_had(app: App) -> None:
    stage = stage_of(app)
    names = stage.define({"a": "", "b": "a"})
    session = stage.start(names)
    stage.drain()
    lose(stage, names[0], "b")
    forked = fork_from(stage, session, "a")
    stage.drain()
    check_promises(stage, forked)
