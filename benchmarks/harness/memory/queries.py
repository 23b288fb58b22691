"""A Query of DynamoDB in memory: its candidates, its page, and what an index projects."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.harness.memory.expressions import Invalid, condition
from benchmarks.harness.memory.requests import bound, projected
from benchmarks.harness.memory.table import Table, key_names
from benchmarks.harness.memory.values import Item, Stored, comparable

PAGE_BYTES = 1_048_576


def query(table: Table, request: Mapping[str, Any], *, lagging: bool) -> dict[str, Any]:
    """Return the response to a Query; `lagging`: of items as they were before their last change."""
    names, values = bound(request)
    key_condition = condition(request["KeyConditionExpression"])
    candidates = _candidates(
        table, request, lambda item: key_condition(item, names, values), lagging
    )
    if not request.get("ScanIndexForward", True):
        candidates.reverse()
    start = request.get("ExclusiveStartKey")
    if start is not None:
        candidates = candidates[_after(candidates, start, request, table) :]
    page, last = _page(candidates, request.get("Limit"))
    if text := request.get("FilterExpression"):
        found = [each for each in page if condition(text)(each, names, values)]
    else:
        found = page
    answer: dict[str, Any] = {"Count": len(found), "ScannedCount": len(page)}
    if request.get("Select") != "COUNT":
        projection = (
            table.index(request["IndexName"])["Projection"] if "IndexName" in request else None
        )
        answer["Items"] = [
            projected(_in_index(each, projection, request, table), request) for each in found
        ]
    if last:
        answer["LastEvaluatedKey"] = {
            name: page[-1][name] for name in _names_of_keys(request, table)
        }
    return answer


def _candidates(
    table: Table, request: Mapping[str, Any], meets_key: Callable[..., bool], lagging: bool
) -> list[Stored]:
    """Return the items that match the key condition, in the order of their range key."""
    if "IndexName" in request:
        if request.get("ConsistentRead"):
            raise Invalid("Consistent reads are not supported on global secondary indexes")
        hash_name, range_name = key_names(table.index(request["IndexName"]))
        everything = (
            table.read(key, lagging=lagging)
            for key in {**table.items, **(table.older if lagging else {})}
        )
        inside = [each for each in everything if each and hash_name in each and range_name in each]
        found = [each for each in inside if meets_key(each)]
        return sorted(found, key=lambda each: (comparable(each[range_name])[1], table.key_of(each)))
    hash_value = _hash_value(request, table.names[0])
    ranges = sorted({*table.ranges.get(hash_value, ()), *_gone(table, hash_value, lagging)})
    read = (table.read((hash_value, each), lagging=lagging) for each in ranges)
    return [each for each in read if each and meets_key(each)]


def _gone(table: Table, hash_value: str, lagging: bool) -> set[str]:
    return {key[1] for key in table.older if key[0] == hash_value} if lagging else set()


def _hash_value(request: Mapping[str, Any], hash_name: str) -> str:
    """Return the value of the hash key in the key condition; PynamoDB writes it first."""
    names, values = bound(request)
    one, operator, other = (
        request["KeyConditionExpression"].replace("(", " ").replace(")", " ").split()[:3]
    )
    if names.get(one, one) != hash_name or operator != "=":
        raise Invalid("Query condition missed key schema element")
    return str(values[other]["S"])


def _in_index(
    item: Item, projection: Mapping[str, Any] | None, request: Mapping[str, Any], table: Table
) -> Item:
    if projection is None or projection["ProjectionType"] == "ALL":
        return item
    kept = {*_names_of_keys(request, table), *projection.get("NonKeyAttributes", ())}
    return {name: value for name, value in item.items() if name in kept}


def _names_of_keys(request: Mapping[str, Any], table: Table) -> list[str]:
    own = table.names
    return [
        *dict.fromkeys(
            [
                *own,
                *(key_names(table.index(request["IndexName"])) if "IndexName" in request else ()),
            ]
        )
    ]


def _after(
    candidates: Sequence[Item], start: Mapping[str, Any], request: Mapping[str, Any], table: Table
) -> int:
    """Return the index of the first candidate after a key, whose item may have been deleted."""
    range_name = (
        key_names(table.index(request["IndexName"]))[1]
        if "IndexName" in request
        else table.names[1]
    )
    own = table.names
    places = [
        (comparable(each[range_name])[1], each[own[0]]["S"], each[own[1]]["S"])
        for each in candidates
    ]
    place = (comparable(start[range_name])[1], start[own[0]]["S"], start[own[1]]["S"])
    if request.get("ScanIndexForward", True):
        return bisect_right(places, place)
    return len(places) - bisect_left(places[::-1], place)


def _page(candidates: list[Stored], limit: int | None) -> tuple[list[Stored], bool]:
    """Return the items of one page, and whether there are more."""
    page: list[Stored] = []
    total = 0
    for each in candidates:
        page.append(each)
        total += each.size
        if total >= PAGE_BYTES or len(page) == limit:
            break
    return page, len(page) < len(candidates)
