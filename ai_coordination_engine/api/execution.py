"""Execute GraphQL within the request's budget, which is counted per object and not per field."""

import asyncio
import json
from collections.abc import AsyncIterable, Awaitable, Iterable
from dataclasses import replace
from inspect import isawaitable
from typing import Any, TypeVar

from graphql import (
    DocumentNode,
    ExecutionContext,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLLeafType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    OperationType,
    get_operation_ast,
)
from graphql.pyutils import AwaitableOrValue, Path, Undefined

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.store.meter import MUTATION_ANSWER, Meter, OverBudget

OBJECT = 4  # units of cost for an object, in addition to one for each of its fields
_SHORT = 200  # characters of a text whose bytes are not counted
_NUMBER = 8  # bytes that a leaf other than text or JSON counts
AWAITED = 15  # units more for an object that waits for nested objects
Fields = dict[str, list[FieldNode]]
T = TypeVar("T")


async def to_its_end(result: Awaitable[T]) -> T:
    """Await an execution, to its end also when this task is cancelled: graphql-core would drop
    fields that have not begun, and Python warns of each.
    """
    running = asyncio.ensure_future(_ended(result))
    try:
        ended = await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(asyncio.shield(running), return_exceptions=True)
        raise
    if isinstance(ended, _Exit):
        raise ended.reason
    return ended


@dataclass(frozen=True, slots=True)
class _Exit:
    """The end of the process, as a value: a task that raises it ends its loop, and whoever awaits
    that task would end the loop once more when it runs next.
    """

    reason: BaseException


async def _ended(result: Awaitable[T]) -> T | _Exit:
    try:
        return await result
    except (KeyboardInterrupt, SystemExit) as reason:
        return _Exit(reason)


class MeteredExecution(ExecutionContext):
    """Executes until the meter of the context refuses; then resolves no more fields and begins no
    write.

    A query that exceeds the budget returns no data. A mutation returns the fields that were
    finished before. The field that exceeded the budget has been carried out, later fields have not;
    their errors say so.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._meter: Meter = getattr(self.context_value, "meter", None) or Meter()
        if self.operation.operation == OperationType.MUTATION:
            self._meter.budget = replace(self._meter.budget, answer=MUTATION_ANSWER)

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: object,
        path: Path | None,
        fields: Fields,
    ) -> AwaitableOrValue[dict[str, object]]:
        """Execute the fields of one object; none after the meter has refused."""
        if not self._meter.add(OBJECT + len(fields)):
            return {}
        result = super().execute_fields(parent_type, source_value, path, fields)
        if not isinstance(result, dict):
            self._meter.add(AWAITED)
        return result

    async def execute_fields_serially(
        self,
        parent_type: GraphQLObjectType,
        source_value: object,
        path: Path | None,
        fields: Fields,
    ) -> dict[str, object]:
        """Execute the fields of a mutation one after the other."""
        results: dict[str, object] = {}
        for name, nodes in fields.items():
            field_path = Path(path, name, parent_type.name)
            if not self._meter.may_write():
                self._refuse("this field was not carried out", nodes, field_path)
                results[name] = None
                continue
            result = self.execute_field(parent_type, source_value, nodes, field_path)
            result = await result if isawaitable(result) else result
            if self._meter.refusal:
                self._refuse(
                    "this field was carried out, and only its answer is missing", nodes, field_path
                )
                result = None
            if result is not Undefined:
                results[name] = result
        return results

    def complete_list_value(
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_nodes: list[FieldNode],
        info: GraphQLResolveInfo,
        path: Path,
        result: AsyncIterable[object] | Iterable[object],
    ) -> AwaitableOrValue[list[object]]:
        """Complete a list; empty after the meter has refused, since walking through it takes time,
        too.
        """
        if self._meter.refusal:
            return []
        return super().complete_list_value(return_type, field_nodes, info, path, result)

    def complete_leaf_value(  # type: ignore[override]  # graphql-core calls it on the instance
        self, return_type: GraphQLLeafType, result: object
    ) -> object:
        """Complete a leaf; null after the meter has refused."""
        value = super().complete_leaf_value(return_type, result)
        return value if self._meter.add(answer=_size(value)) else None

    def _refuse(self, what: str, nodes: list[FieldNode], path: Path) -> None:
        refusal = self._meter.refusal
        if refusal is None or any(
            error.path == path.as_list() for error in self.collected_errors.errors
        ):
            return  # the field has an error of its own
        error = OverBudget(f"{what}: {refusal.message}")
        self.collected_errors.add(
            GraphQLError(error.message, nodes, path=path.as_list(), original_error=error), path
        )


def within_budget(
    result: ExecutionResult, context: object, document: DocumentNode, operation_name: str | None
) -> tuple[ExecutionResult, OverBudget | None]:
    """Remove from a result what is left over when the budget was exceeded.

    Returns the result and, for a query, the one error that replaces its errors.
    """
    refusal = getattr(getattr(context, "meter", None), "refusal", None)
    operation = get_operation_ast(document, operation_name)
    if refusal is None or operation is None:
        return result, None
    if operation.operation == OperationType.MUTATION:  # each field has its own error
        return (
            ExecutionResult(
                result.data, [error for error in result.errors or () if not _is_nested(error)]
            ),
            None,
        )
    return ExecutionResult(None, []), refusal


def _is_nested(error: GraphQLError) -> bool:
    return isinstance(error.original_error, OverBudget) and len(error.path or ()) > 1


def _size(value: object) -> int:
    """Return the approximate size of a leaf in bytes of JSON."""
    if isinstance(value, str) and len(value) < _SHORT:
        return len(value)
    if isinstance(value, str | dict | list):
        return len(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return _NUMBER
