"""The index of exposed tasks: names, writes at the same time, and deleted records."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import Conflict
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import COORDINATION, TASK
from ai_coordination_engine.store.records.exposed import (
    check_name,
    exposed_as,
    exposed_page,
    is_any_exposed,
)

TENANT = "acme"


def expose(app: App, coordination: str, task: str, name: str | None) -> None:
    """Save a task without the check of its name, as a write at the same time does."""
    above = (TENANT, coordination)
    if app.records.get(COORDINATION, TENANT, above) is None:
        app.records.create(COORDINATION, TENANT, above, lambda *_: {}, parent_key=None)
    values: dict[str, Any] = {"task_name": task, "expose_as": name and {"name": name}}
    app.records.write(TASK, TENANT, (coordination, task), lambda *_: values, parent_key=above)


def names(app: App, limit: int = 100) -> list[str]:
    found, cursor = [], None
    while True:
        page, cursor = exposed_page(app.records, TENANT, cursor, limit)
        found += [f"{task.task_uuid}:{task.exposed_name.partition(' ')[0]}" for task, _ in page]
        if cursor is None:
            return found


def holder(app: App, name: str) -> str | None:
    found = exposed_as(app.records, TENANT, name)
    return found and found[0].task_uuid


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_of_two_tasks_that_got_a_name_at_the_same_time_the_older_has_it(
    app: App, limit: int
) -> None:
    for coordination, task in (("c2", "t1"), ("c1", "t2"), ("c1", "t3")):
        expose(app, coordination, task, "report")
    expose(app, "c1", "t0", "report-2")
    assert holder(app, "report") == "t1"
    assert names(app, limit) == ["t1:report", "t0:report-2"]
    expose(app, "c2", "t1", None)
    assert holder(app, "report") == "t2"
    assert names(app, limit) == ["t2:report", "t0:report-2"]


def test_a_name_that_is_taken_is_refused_and_that_of_the_task_itself_is_not(app: App) -> None:
    expose(app, "c", "t", "report")
    check_name(app.records, TENANT, "report", ("c", "t"))
    check_name(app.records, TENANT, "repor", ("c", "u"))
    check_name(app.records, "other", "report", ("c", "u"))
    with pytest.raises(Conflict) as refused:
        check_name(app.records, TENANT, "report", ("c", "u"))
    assert refused.value.message == (
        'exposeAs.name: report is taken by the task "t"; choose another name.'
    )


def test_a_deleted_task_is_exposed_to_nobody(app: App) -> None:
    expose(app, "c", "t", "report")
    assert is_any_exposed(app.records, TENANT)
    guards.delete(app.records, TASK, TENANT, ("c", "t"))
    assert (holder(app, "report"), names(app), is_any_exposed(app.records, TENANT)) == (
        None,
        [],
        False,
    )
    guards.delete(app.records, COORDINATION, TENANT, (TENANT, "c"))
    expose(app, "c", "t", None)
    assert not is_any_exposed(app.records, TENANT)


def test_a_task_that_keeps_its_exposure_keeps_its_place_in_the_index(app: App) -> None:
    expose(app, "c", "t", "report")
    app.records.write(
        TASK, TENANT, ("c", "t"), lambda *_: {"task_name": "other"}, parent_key=(TENANT, "c")
    )
    found = exposed_as(app.records, TENANT, "report")
    assert found is not None
    assert (found[0].task_name, found[1].coordination_uuid) == ("other", "c")
