"""The tasks that a tenant exposes to other systems, by name; read from a sparse index."""

from collections.abc import Sequence

from ai_coordination_engine.errors import Conflict
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Coordination, Task
from ai_coordination_engine.store.records import cursors, exposed_keys
from ai_coordination_engine.store.records.entities import TASK
from ai_coordination_engine.store.records.repository import Repository

INDEX = "exposed"
MAX_PAGE = 100
_SAME_NAME = 10  # tasks with one name of which the first that is still exposed is looked for
Exposed = tuple[Task, Coordination]
"""An exposed task and its coordination."""


def is_any_exposed(repository: Repository, tenant: str) -> bool:
    """Whether the tenant exposes any task. One Query of one key."""
    return bool(repository.table(TASK).query_index(INDEX, tenant, limit=1)[0])


def exposed_page(
    repository: Repository, tenant: str, cursor: str | None = None, limit: int = MAX_PAGE
) -> tuple[list[Exposed], str | None]:
    """One page of the exposed tasks, by name, and the cursor of the next (None at the end).

    A page may be short although another follows. One Query and one BatchGetItem. Raises
    `BadUserInput` for the cursor of another list.
    """
    table, query = repository.table(TASK), cursors.fingerprint(INDEX, tenant)
    start, before = None, ""
    if cursor is not None:
        above, before, own = cursors.decode(query, cursor)
        key = {table.hash_key: above, table.range_key: own, "exposed": tenant}
        start = table.raw_key(tenant, {**key, "exposed_name": exposed_keys.range_key(before, own)})
    keys, last = table.query_index(INDEX, tenant, after=start, limit=limit)
    ours: list[Key] = []
    for each in keys:  # of several with one name, the first has it
        name = exposed_keys.name_in(each.exposed_name)
        if name != before:
            ours.append(each.key)
        before = name
    after = None
    if last is not None:
        above, own = keys[-1].key
        after = cursors.encode(query, [above, before, own])
    return _read(repository, tenant, ours), after


def exposed_as(repository: Repository, tenant: str, name: str) -> Exposed | None:
    """The task that the tenant exposes under a name; None if there is none.

    One Query and one BatchGetItem.
    """
    found = _read(repository, tenant, [each.key for each in _named(repository, tenant, name)])
    return next((each for each in found if _name_of(each[0]) == name), None)


def check_name(repository: Repository, tenant: str, name: str, task: Key) -> None:
    """Raise `Conflict` if another task of the tenant has the name already. One Query or two calls.

    Two writes at the same time may both pass: then the older task has the name, and the other one
    is not offered until it gets another.
    """
    others = [each.key for each in _named(repository, tenant, name) if each.key != task]
    taken = [each for each, _ in _read(repository, tenant, others) if _name_of(each) == name]
    if taken:
        raise Conflict(
            f"exposeAs.name: {name} is taken by the task"
            f' "{(taken[0].task_name or taken[0].task_uuid)[:100]}"; choose another name.'
        )


def _named(repository: Repository, tenant: str, name: str) -> list[Task]:
    begins = Task.exposed_name.between(*exposed_keys.range_of(name))
    table = repository.table(TASK)
    return table.query_index(INDEX, tenant, limit=_SAME_NAME, range_condition=begins)[0]


def _name_of(task: Task) -> str:
    return exposed_keys.name_in(task.exposed_name or "")


def _read(repository: Repository, tenant: str, keys: Sequence[Key]) -> list[Exposed]:
    """Those of the tasks that are exposed now, with their coordinations."""
    if not keys:
        return []
    above = [(tenant, each) for each in dict.fromkeys(key[0] for key in keys)]
    found = repository.get_many_of(tenant, {Task: list(keys), Coordination: above}, consistent=True)
    pairs = ((found[Task].get(key), found[Coordination].get((tenant, key[0]))) for key in keys)
    return [
        (task, coordination)
        for task, coordination in pairs
        if task is not None and coordination is not None and task.exposed == tenant
    ]
