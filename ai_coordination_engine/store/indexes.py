"""The global secondary indexes of the tables; `store.models` declares which table has which."""

from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.indexes import (
    AllProjection,
    GlobalSecondaryIndex,
    IncludeProjection,
    KeysOnlyProjection,
)


class _ByTenant(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    partition_key = UnicodeAttribute(hash_key=True)


class TasksByTenant(_ByTenant):  # type: ignore[no-untyped-call]
    """All tasks of a tenant, in order of creation."""

    task_uuid = UnicodeAttribute(range_key=True)

    class Meta:
        index_name = "by_tenant"
        projection = AllProjection()


class TasksExposed(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """The tasks that a tenant exposes to other systems, by name; sparse."""

    exposed = UnicodeAttribute(hash_key=True)
    exposed_name = UnicodeAttribute(range_key=True)

    class Meta:
        index_name = "exposed"
        projection = KeysOnlyProjection()


class TaskSchedulesByTenant(_ByTenant):  # type: ignore[no-untyped-call]
    """All schedules of a tenant, in order of creation."""

    schedule_uuid = UnicodeAttribute(range_key=True)

    class Meta:
        index_name = "by_tenant"
        projection = AllProjection()


class TaskSchedulesToFire(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Active schedules, by the time at which they fire next; sparse. The sweep reads it."""

    fire = UnicodeAttribute(hash_key=True)
    fire_at = NumberAttribute(range_key=True)

    class Meta:
        index_name = "to_fire"
        projection = IncludeProjection(["partition_key", "next_fire_at", "buffered", "revision"])


class SessionsByTenant(_ByTenant):  # type: ignore[no-untyped-call]
    """All sessions of a tenant, in order of creation.

    It has keys only, so that updates of a session do not write to it.
    """

    session_uuid = UnicodeAttribute(range_key=True)

    class Meta:
        index_name = "by_tenant"
        projection = KeysOnlyProjection()


class SessionsByStatus(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Sessions by tenant and status (`store.records.session_status`), in order of creation;
    sparse.
    """

    by_status = UnicodeAttribute(hash_key=True)
    session_uuid = UnicodeAttribute(range_key=True)

    class Meta:
        index_name = "by_status"
        projection = KeysOnlyProjection()


class SessionsToWatch(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Open sessions, by the time at which the sweep looks at them; sparse."""

    watch = UnicodeAttribute(hash_key=True)
    watch_at = NumberAttribute(range_key=True)

    class Meta:
        index_name = "to_watch"
        projection = IncludeProjection(["partition_key"])


class Inbox(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Session agents that wait for a person, by tenant and by when they began to wait; sparse."""

    inbox = UnicodeAttribute(hash_key=True)
    waits_since = UnicodeAttribute(range_key=True)

    class Meta:
        index_name = "inbox"
        projection = AllProjection()
