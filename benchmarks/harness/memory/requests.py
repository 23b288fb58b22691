"""What the operations of DynamoDB share: conditions, returned values, projections, refusals."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness.memory.expressions import Invalid, condition
from benchmarks.harness.memory.table import Table
from benchmarks.harness.memory.values import Item


class Refusal(Exception):
    """An error response of the service."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = {"Error": {"Code": code, "Message": message}, "message": message, **more}


def bound(request: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """Return the names and the values that the expressions of a request use."""
    return request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})


def check(request: Mapping[str, Any], old: Item | None) -> None:
    """Raise `Refusal` unless the item meets the condition of a write."""
    text = request.get("ConditionExpression")
    if not text or condition(text)(old or {}, *bound(request)):
        return
    shown = (
        {"Item": old}
        if old and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        else {}
    )
    raise Refusal("ConditionalCheckFailedException", "The conditional request failed", **shown)


def place(table: Table, part: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return which item a part of a transaction writes."""
    return part["TableName"], *table.key_of(part.get("Item") or part["Key"])


def check_batch(keys: Sequence[tuple[Any, ...]], most: int) -> None:
    """Raise `Invalid` unless the keys are distinct and at most so many."""
    if not 1 <= len(keys) <= most:
        raise Invalid(f"1 validation error detected: a batch has from 1 to {most} items")
    if len(set(keys)) < len(keys):
        raise Invalid("Provided list of item keys contains duplicates")


def returned(request: Mapping[str, Any], old: Item | None, new: Item | None) -> dict[str, Any]:
    """Return the response to a write."""
    wanted = request.get("ReturnValues", "NONE")
    if wanted not in ("NONE", "ALL_OLD", "ALL_NEW"):
        raise NotImplementedError(wanted)
    shown = {"ALL_OLD": old, "ALL_NEW": new}.get(wanted)
    return {"Attributes": shown} if shown else {}


def projected(item: Item, request: Mapping[str, Any]) -> Item:
    """Return the attributes of an item that a request reads."""
    if "ProjectionExpression" not in request:
        return item
    names = request.get("ExpressionAttributeNames", {})
    wanted = [
        names.get(each.strip(), each.strip()) for each in request["ProjectionExpression"].split(",")
    ]
    return {name: item[name] for name in wanted if name in item}
