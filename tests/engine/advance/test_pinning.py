"""A planning agent plans its session: its plan is checked, pinned and run."""

from ai_coordination_engine.engine.app import App
from tests.kit.planning import PLANNER, plan_of, planned
from tests.kit.promises import check_promises, check_redelivery_changes_nothing

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "bc"}


def test_a_session_starts_with_the_planning_agent_alone_and_runs_its_plan(app: App) -> None:
    stage, session = planned(app, plan_of(DIAMOND), work=lambda stage: None)
    assert stage.states(session.session_uuid) == {PLANNER: "initial"}
    stage.drain()
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    assert stage.runtime.ran() == [PLANNER, "a", "b", "c", "d"]
    assert [each.query for each in stage.runtime.requests][1:] == ["do a", "do b", "do c", "do d"]
