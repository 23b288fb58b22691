"""Write and delete records as the resolvers of the API do."""

from typing import Any

from ai_coordination_engine.api import resources
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.crud import Resource, key_of
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import guards
from tests.kit.stage import TENANT, Stage


def written(stage: Stage, resource: Resource, **given: Any) -> object:
    """Write a record with the given uuids and values."""
    return resource.write(Context(stage.app, TENANT), resource, given)


def deleted(stage: Stage, resource: Resource, **given: str) -> None:
    """Delete the record with these uuids."""
    condition, conflict = resource.delete_condition(Context(stage.app, TENANT), given)
    key = key_of(resource.entity, TENANT, given)
    guards.delete(
        stage.app.records, resource.entity, TENANT, key, condition=condition, conflict=conflict
    )


def emptied(stage: Stage, session: Session) -> None:
    """Delete all runs and agents of a session that has ended."""
    above = session.session_uuid
    for run in stage.runs(above):
        deleted(stage, resources.SESSION_RUN, session_uuid=above, run_uuid=run.run_uuid)
    for agent in stage.agents(above):
        uuid = agent.session_agent_uuid
        deleted(stage, resources.SESSION_AGENT, session_uuid=above, session_agent_uuid=uuid)
