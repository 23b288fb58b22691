"""Maps: one session agent per element of a list, and a join over them."""

import json
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import Session
from tests.fakes import failing
from tests.sessions import Stage, check_promises, check_redelivery_changes_nothing, stage_of

GRAPH = {"a": "", "m": "a", "z": "m"}


def mapped(
    app: App, output: str, *, query: str = "", behaviours: dict[str, Any] | None = None, **rule: Any
) -> tuple[Stage, Session]:
    stage = stage_of(app, behaviours={"a": lambda request: output, **(behaviours or {})})
    subtasks = [{"agent_uuid": "m", "subtask_query": query}] if query else []
    names = stage.define(GRAPH, subtasks=subtasks, actions={"m": {"map": {"over": "a", **rule}}})
    session = stage.start(names)
    stage.drain()
    return stage, session


def inputs(stage: Stage) -> list[str]:
    return sorted(each.input for each in stage.runtime.requests if each.agent_uuid == "m")


def test_every_element_is_an_agent_and_the_map_is_the_list_of_their_outputs(app: App) -> None:
    stage, session = mapped(
        app,
        '["x", {"name": "y"}, 3]',
        query="Look at {item}",
        behaviours={"m": lambda request: json.dumps({"saw": request.query}) if "x" in request.query else request.query},
    )
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    assert inputs(stage) == ["Look at 3", "Look at x", 'Look at {"name": "y"}']
    planned = [each for each in stage.agents(session.session_uuid) if each.map_ordinal is None]
    output = json.loads(planned[1].agent_output)
    assert output == [{"saw": "Look at x"}, 'Look at {"name": "y"}', "Look at 3"]
    assert [each.agent_uuid for each in stage.agents(session.session_uuid)] == ["a", "m", "z", "m", "m", "m"]
    assert len(stage.runs(session.session_uuid)) == 6


def test_an_elements_own_keys_fill_placeholders_and_a_text_without_any_is_followed_by_it(app: App) -> None:
    stage, _ = mapped(app, '[{"name": "Ada", "n": 1}]', query="{index}: greet {name}")
    assert inputs(stage) == ["0: greet Ada"]
    stage, _ = mapped(app, '["x"]', query="Greet")
    assert inputs(stage) == ["Greet\n\nItem:\nx"]
    stage, _ = mapped(app, '["x"]')
    assert inputs(stage) == ["Item:\nx"]


def test_the_list_may_be_inside_the_output(app: App) -> None:
    stage, session = mapped(app, '{"rows": [{"id": 1}, {"id": 2}]}', items="rows[].id")
    check_promises(stage, session)
    assert inputs(stage) == ["Item:\n1", "Item:\n2"]


def test_a_map_over_nothing_completes_with_an_empty_list(app: App) -> None:
    stage, session = mapped(app, "[]")
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "m").agent_output == "[]"


@pytest.mark.parametrize(
    ("output", "note"),
    [
        ("no json", "The output of a is no JSON, but the map needs a list."),
        ('{"rows": []}', "The output of a is no list, but the map needs one."),
        (json.dumps([0] * 10_001), "The map is over 10001 elements; it takes at most 10000."),
    ],
)
def test_a_map_over_something_else_fails_and_starts_nothing(app: App, output: str, note: str) -> None:
    stage, session = mapped(app, output)
    check_promises(stage, session, status="failed")
    assert stage.agent(session.session_uuid, "m").notes == note
    assert [run.async_task.get("error_class") for run in stage.runs(session.session_uuid) if run.agent_uuid == "m"] == [
        "invalid_output"
    ]
    assert len(stage.agents(session.session_uuid)) == 3


def test_a_failed_element_fails_the_session_unless_the_join_tolerates_it(app: App) -> None:
    def second_fails(request: Any) -> str:
        return str(failing("no")(request)) if "y" in request.input else "ok"

    stage, session = mapped(app, '["x", "y", "z"]', behaviours={"m": second_fails})
    check_promises(stage, session, status="failed")
    stage, session = mapped(app, '["x", "y", "z"]', behaviours={"m": second_fails}, join="all_terminal")
    assert stage.session(session).status == "completed"
    planned = [each for each in stage.agents(session.session_uuid) if each.map_ordinal is None]
    assert json.loads(planned[1].agent_output) == ["ok", None, "ok"]


def test_elements_hear_the_other_predecessors_of_the_map(app: App) -> None:
    stage = stage_of(app, behaviours={"a": lambda request: '["x"]', "b": lambda request: "context"})
    session = stage.start(stage.define({"a": "", "b": "", "m": "ab"}, actions={"m": {"map": {"over": "a"}}}))
    stage.drain()
    check_promises(stage, session)
    assert inputs(stage) == ["Item:\nx\n\nOutput of b:\ncontext"]


def test_a_wide_map_is_written_in_pages_and_counted_in_tallies(app: App) -> None:
    stage = stage_of(app, behaviours={"a": lambda request: json.dumps(list(range(350)))}, threads=8)
    session = stage.start(stage.define(GRAPH, actions={"m": {"map": {"over": "a"}}}))
    stage.drain()
    check_promises(stage, session)
    planned = [each for each in stage.agents(session.session_uuid) if each.map_ordinal is None]
    assert (planned[1].mapped, planned[1].tallies, planned[1].elements_sent) == (350, 4, True)
    assert len(json.loads(planned[1].agent_output)) == 350
    assert len(stage.runs(session.session_uuid)) == 353
