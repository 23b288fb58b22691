"""The exposed tasks of a tenant, as other systems see them."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.exposure import Exposure
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.session_agents import Plan
from ai_coordination_engine.engine.planning.start import plan_of
from ai_coordination_engine.errors import BadUserInput, NotFound
from ai_coordination_engine.served import arguments, outputs
from ai_coordination_engine.store.models import Coordination, Task
from ai_coordination_engine.store.records.entities import COORDINATION
from ai_coordination_engine.store.records.exposed import (
    MAX_PAGE,
    Exposed,
    exposed_as,
    exposed_page,
    is_any_exposed,
)

_SHOWN = 100  # characters of a name in a message


@dataclass(frozen=True)
class ServedTask:
    """A task under the name by which it is called.

    `title`: the task's own name. `input_schema`: of its arguments. `output_schema`: of the value
    of its one output; None if it has several, or answers in plain text.
    """

    name: str
    title: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None
    task: Task = field(repr=False)
    coordination: Coordination = field(repr=False)
    plan: Plan = field(repr=False)

    @property
    def coordination_uuid(self) -> str:
        """The uuid of its coordination."""
        return str(self.task.coordination_uuid)

    def query(self, given: Mapping[str, Any]) -> str:
        """The query of a session with these arguments; raises `BadUserInput`."""
        arguments.check(self.input_schema, given)
        return arguments.query_of(self.task, self.plan, given)


def is_anything_served(app: App, tenant: str) -> bool:
    """Whether the tenant exposes any task, to whomever. One Query of one key."""
    return is_any_exposed(app.records, tenant)


def served_tasks(
    app: App, tenant: str, protocol: str, cursor: str | None = None, limit: int = MAX_PAGE
) -> tuple[list[ServedTask], str | None]:
    """One page of the tasks that are exposed by a protocol, by name, and the cursor of the next
    (None at the end).

    A page may be short, or empty, although another follows; a task that cannot run is left out.
    One Query and one BatchGetItem. Raises `BadUserInput` for the cursor of another list.
    """
    found, after = exposed_page(app.records, tenant, cursor, limit)
    tasks = []
    for each in found:
        try:
            served = _served(each, protocol)
        except BadUserInput:  # its coordination has changed
            continue
        if served is not None:
            tasks.append(served)
    return tasks, after


def served_task(app: App, tenant: str, protocol: str, name: str) -> ServedTask:
    """The task that is exposed by a protocol under a name.

    One Query and one BatchGetItem. Raises `NotFound`, and `BadUserInput` if the task cannot run.
    """
    found = exposed_as(app.records, tenant, name)
    served = None if found is None else _served(found, protocol)
    if served is None:
        raise NotFound(f'Nothing is exposed as "{name[:_SHOWN]}".')
    return served


def output_schema_of(app: App, task: Task) -> Mapping[str, Any] | None:
    """The JSON Schema of the one output of a task; None if it has none. One GetItem."""
    key = (task.partition_key, task.coordination_uuid)
    coordination = app.records.get(COORDINATION, task.partition_key, key)
    try:
        return outputs.schema_of(plan_of(coordination, task)) if coordination is not None else None
    except BadUserInput:  # its coordination has changed
        return None


def _served(exposed: Exposed, protocol: str) -> ServedTask | None:
    """The exposed task; None if it is not exposed by this protocol. Raises `BadUserInput`."""
    task, coordination = exposed
    exposure = Exposure.of(task.expose_as)
    if exposure is None or protocol not in exposure.protocols:
        return None
    plan = plan_of(coordination, task)
    schema = exposure.input_schema
    return ServedTask(
        exposure.name,
        task.task_name or exposure.name,
        exposure.description
        or task.task_description
        or coordination.coordination_description
        or task.task_name
        or exposure.name,
        arguments.schema_of(task, plan) if schema is None else schema,
        outputs.schema_of(plan),
        task,
        coordination,
        plan,
    )
