"""The sessions of one coordination lie in shards: found by key in one of them, listed, counted and
guarded in each.
"""

from uuid import uuid4

import pytest

from ai_coordination_engine.errors import HasDependents
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.parent_keys import ParentKey, ShardedParentKey
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION
from ai_coordination_engine.store.records.lists import Page, read_page
from ai_coordination_engine.store.tables import shards
from tests.kit.dynamodb_local import Store

MANY = 23
UUIDS = [f"s {number:02}" for number in range(MANY)]
NEWEST = UUIDS[::-1]


@pytest.fixture(scope="module")
def tenant(store: Store) -> str:
    """A tenant with a coordination `c` whose sessions lie in both shards, and `b` and `d` with one
    each.
    """
    tenant = f"a tenant {uuid4()}"
    for above, uuids in (("b", ["s 00"]), ("c", UUIDS), ("d", ["s 22"])):
        put(store, tenant, above, *uuids)
    return tenant


def put(store: Store, tenant: str, above: str, *uuids: str) -> None:
    store.records.create(
        COORDINATION, tenant, (tenant, above), lambda parent, new: {}, parent_key=None
    )
    for number, uuid in enumerate(uuids):
        values = {
            "user_id": "ann" if number % 4 == 0 else "ben",
            "status": "failed" if number % 3 else "completed",
        }
        store.records.create(
            SESSION,
            tenant,
            (above, uuid),
            lambda *_, values=values: values,
            parent_key=(tenant, above),
        )


def page(
    store: Store,
    tenant: str,
    *,
    limit: int = 5,
    number: int | None = None,
    cursor: str | None = None,
    **where: object,
) -> Page:
    filters = {"coordination_uuid": "c", **where}
    return read_page(
        store.records,
        SESSION,
        tenant,
        filters,
        limit=limit,
        page_number=number,
        cursor=cursor,
        with_total=True,
    )


def names(found: Page) -> list[str]:
    return [each.session_uuid for each in found.records]


def shard(uuid: str) -> int:
    return ShardedParentKey.shard_of(uuid)


def test_sessions_are_spread_over_the_shards_and_found_by_key(store: Store, tenant: str) -> None:
    assert {shard(each) for each in UUIDS} == {0, 1}
    keys = [("c", each) for each in UUIDS]
    assert [store.records.get(SESSION, tenant, key).session_uuid for key in keys] == UUIDS
    assert set(store.records.get_many(SESSION, tenant, keys)) == set(keys)
    assert store.records.get(SESSION, tenant, ("b", "s 01")) is None
    table = store.records.table(SESSION)
    for number in (0, 1):
        rows, _ = table.query(tenant, "c", shard=number)
        assert [each.session_uuid for each in rows] == [
            each for each in UUIDS if shard(each) == number
        ]


@pytest.mark.parametrize("limit", [1, 2, 5, 11, 22, 23, 50])
@pytest.mark.parametrize("share", [None, 1, 2], ids=["as ever", "one a request", "two a request"])
def test_pages_go_over_all_shards_in_order(
    store: Store, tenant: str, limit: int, share: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if share is not None:  # a shard has more of what is wanted than was read of it
        monkeypatch.setattr(shards, "share", lambda wanted, shards: share)
    found: list[str] = []
    cursor = None
    while cursor or not found:
        read = page(store, tenant, limit=limit, cursor=cursor)
        assert len(read.records) == min(limit, MANY - len(found))
        assert read.total == MANY
        found += names(read)
        cursor = read.next_cursor
    assert found == NEWEST
    for number in range(1, MANY // limit + 3):
        read = page(store, tenant, limit=limit, number=number)
        assert names(read) == NEWEST[(number - 1) * limit : number * limit]
        assert (read.total, read.next_cursor is None) == (MANY, number * limit >= MANY)


@pytest.mark.parametrize(
    "where",
    [
        {"user_id": "ann"},
        {"statuses": ["failed"]},
        {"statuses": ["failed", "completed"], "user_id": "ben"},
    ],
)
def test_filters_and_statuses_go_over_all_shards(
    store: Store, tenant: str, where: dict[str, object]
) -> None:
    def passes(number: int) -> bool:
        user, status = "ann" if number % 4 == 0 else "ben", "failed" if number % 3 else "completed"
        return where.get("user_id", user) == user and status in where.get("statuses", [status])  # type: ignore[operator]

    expected = [f"s {number:02}" for number in range(MANY - 1, -1, -1) if passes(number)]
    found: list[str] = []
    cursor = None
    while cursor or not found:
        read = page(store, tenant, limit=3, cursor=cursor, **where)
        found += names(read)
        assert read.total == len(expected)
        cursor = read.next_cursor
    assert found == expected


def test_a_session_in_any_shard_keeps_its_coordination(store: Store) -> None:
    for number in range(ShardedParentKey.shards):
        tenant, uuid = str(uuid4()), next(each for each in UUIDS if shard(each) == number)
        put(store, tenant, "c", uuid)
        with pytest.raises(HasDependents) as refused:
            guards.delete(store.records, COORDINATION, tenant, (tenant, "c"))
        assert refused.value.extensions["dependents"] == {"session": 1}
        guards.delete(store.records, SESSION, tenant, ("c", uuid))
        guards.delete(store.records, COORDINATION, tenant, (tenant, "c"))


@pytest.mark.parametrize(
    ("count", "told"), [(24, "24"), (25, "25"), (26, "at least 25"), (60, "at least 25")]
)
def test_sessions_of_all_shards_are_counted_to_25(store: Store, count: int, told: str) -> None:
    tenant = str(uuid4())
    put(store, tenant, "c", *(f"s{number}" for number in range(count)))
    with pytest.raises(HasDependents, match=f"still has {told} sessions"):
        guards.delete(store.records, COORDINATION, tenant, (tenant, "c"))


@pytest.mark.parametrize("uuid", ["brief", "two words", "1 x", "%20"])
@pytest.mark.parametrize("tenant", ["acme", "a tenant#part", "50%"])
def test_a_stored_key_says_its_uuid_and_no_two_are_one(tenant: str, uuid: str) -> None:
    key = ShardedParentKey(hash_key=True)
    stored = [key.stored(tenant, uuid, number) for number in range(key.shards)]
    assert [key.deserialize(each) for each in stored] == [uuid] * key.shards
    assert len({*stored, ParentKey.stored(tenant, uuid)}) == key.shards + 1


@pytest.mark.parametrize("stored", ["brief", "acme brief", "acme two words", "acme 1 x"])
def test_a_session_of_an_earlier_layout_is_told(stored: str) -> None:
    item = {
        "coordination_uuid": {"S": stored},
        "session_uuid": {"S": "s"},
        "partition_key": {"S": "acme"},
    }
    with pytest.raises(ValueError, match="earlier layout: create the tables anew"):
        Session.from_raw_data(item)


@pytest.mark.parametrize(
    ("wanted", "read"), [(1, 1), (2, 2), (11, 11), (51, 40), (201, 129), (1001, 564)]
)
def test_little_more_is_read_of_a_shard_than_its_part(wanted: int, read: int) -> None:
    assert shards.share(wanted, 2) == read
    assert shards.share(wanted, 1) == wanted
