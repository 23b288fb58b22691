"""Estimate the cost of a request before it is executed.

A list costs its `limit` times the cost of one record, so nested lists multiply; a mutation costs
what it writes. `docs/limits.md` lists the prices.
"""

from collections.abc import Mapping

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLOutputType,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_operation_ast,
    is_composite_type,
    is_list_type,
)
from graphql.language import BooleanValueNode, InlineFragmentNode

from ai_coordination_engine.api.execution import OBJECT
from ai_coordination_engine.api.scheduled import SHOWN
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.errors import TooComplex
from ai_coordination_engine.store.meter import ADVICE, CALL, LIST, RECORD
from ai_coordination_engine.store.records.lists import DEFAULT_LIMIT, MAX_LIMIT

FIELD = 1
CHILDREN = 10  # number of records in a nested list without a limit
NESTED = 10  # a nested record, which several records of a list often share
WRITE = 1_000  # a mutation without a price of its own
START = 8_000  # a mutation that starts a session or runs agents again
COUNTS = 4 * LIST
PRICES: Mapping[str, int] = {
    "Query.askOperationHub": START,
    "Query.planSession": START,
    "Query.sessionCounts": FIELD,
    "SessionCountsType.byStatus": COUNTS,
    "SessionCountsType.waitsForPerson": LIST,
    "Query.__schema": 2 * START,
    "Query.__type": WRITE,
    "TaskScheduleType.upcoming": RECORD,
    "TaskScheduleType.whyNotFired": RECORD,
    "SessionType.budgets": CALL + 3 * RECORD,
    "SessionType.waitsFor": CALL + CHILDREN * RECORD,
    "SessionType.cost": CALL + CHILDREN * RECORD,
    "CoordinationType.cost": LIST,
    "SessionType.definition": CALL + CHILDREN * RECORD,
    "SessionAgentType.agentInput": RECORD,
    "SessionAgentType.whyNotRunning": RECORD,
    "SessionAgentType.successors": FIELD,  # its conditions have a budget of their own
    "SessionAgentType.sessionRuns": FIELD,  # taken from the session's runs, which are read once
    "SessionRunType.asyncTask": 2,
}
"""Units of the fields that cost more than others of their kind, without their subfields."""
SIZES: Mapping[str, int] = {"SessionAgentType.sessionRuns": 2, "SessionType.budgets": 3}
"""The number of records in nested lists that are known to be short."""
LIMITS: Mapping[str, int] = {"TaskScheduleType.sessions": SHOWN}
"""The number of records in lists without a `limit`, where it is not the default of root lists."""
FILTERED = 1_000  # a list that must search for records that match its filters
TOTAL = 5_000  # counting a list
_PRICE = "price"
_LEAVES_OUT = {"skip": True, "include": False}  # the condition that removes a selection
_PAGING = frozenset({"limit", "pageNumber", "cursor"})


def set_price(schema: GraphQLSchema, mutation: str, price: int) -> None:
    """Store the price of a mutation in the schema."""
    if schema.mutation_type is not None:
        schema.mutation_type.fields[mutation].extensions[_PRICE] = price


@dataclass(frozen=True)
class Prices:
    """The prices of one schema; `allowed` is the largest expected cost of a request."""

    schema: GraphQLSchema
    allowed: int

    def check(
        self, document: DocumentNode, operation_name: str | None, variables: Mapping[str, object]
    ) -> None:
        """Raise `TooComplex` when the operation of a valid document would cost more than is
        allowed.
        """
        operation = get_operation_ast(document, operation_name)
        root = self.schema.get_root_type(operation.operation) if operation else None
        if operation is None or root is None:  # execution reports the wrong operation name
            return
        cost = _Expected(document, operation, variables, self.schema).selections(
            operation.selection_set, root, None
        )
        if cost > self.allowed:
            raise TooComplex(
                f"the request costs {cost:,} units; at most {self.allowed:,} are allowed: {ADVICE}",
                cost=cost,
                limit=self.allowed,
            )


class _Expected:
    """Adds up the cost of one operation; `page` is the number of records of the enclosing page."""

    def __init__(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, object],
        schema: GraphQLSchema,
    ) -> None:
        self._schema = schema
        self._roots = (schema.query_type, schema.subscription_type)
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._variables = {
            node.variable.name.value: _constant(node.default_value)
            for node in operation.variable_definitions or ()
            if node.default_value is not None
        } | dict(variables)
        self._known: dict[tuple[str, int | None], int] = {}

    def selections(
        self, node: SelectionSetNode | None, parent: GraphQLNamedType | None, page: int | None
    ) -> int:
        """Return the cost of a selection on one object."""
        cost = 0
        for selection in node.selections if node else ():
            if self._is_left_out(selection):
                continue
            if isinstance(selection, FieldNode):
                cost += self._field(selection, parent, page)
            elif isinstance(selection, FragmentSpreadNode):
                cost += self._fragment(selection.name.value, page)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                inner = parent if condition is None else self._schema.get_type(condition.name.value)
                cost += self.selections(selection.selection_set, inner, page)
        return cost

    def _fragment(self, name: str, page: int | None) -> int:
        if (name, page) not in self._known:
            node = self._fragments[name]
            on = self._schema.get_type(node.type_condition.name.value)
            self._known[name, page] = self.selections(node.selection_set, on, page)
        return self._known[name, page]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, page: int | None) -> int:
        name = node.name.value
        full_name = f"{parent.name if parent else ''}.{name}"
        field: GraphQLField | None = getattr(parent, "fields", {}).get(name)
        if field is None:  # introspection
            return PRICES.get(full_name, FIELD)
        price: int | None = PRICES.get(full_name, field.extensions.get(_PRICE))
        named = get_named_type(field.type)
        if not is_composite_type(named):
            return FIELD + (price or _leaf_price(name, page))
        own = price if price is not None else self._object_price(node, field, parent, page)
        default = LIMITS.get(full_name, DEFAULT_LIMIT)
        limit = self._limit(node, default) if "limit" in field.args else None
        if not is_list_of_objects(field.type):
            return FIELD + own + OBJECT + self.selections(node.selection_set, named, limit)
        size = limit or page or SIZES.get(full_name, CHILDREN)
        return (
            FIELD
            + own
            + size * (RECORD + OBJECT + self.selections(node.selection_set, named, None))
        )

    def _object_price(
        self,
        node: FieldNode,
        field: GraphQLField,
        parent: GraphQLNamedType | None,
        page: int | None,
    ) -> int:
        """Return the cost of a field of objects without its subfields."""
        if parent is self._schema.mutation_type:
            return WRITE
        if parent in self._roots or page is not None:
            names = {argument.name.value for argument in node.arguments}
            if "limit" not in field.args:
                return CALL
            return LIST + (FILTERED if names - _PAGING else 0)
        return CALL if is_list_of_objects(field.type) else NESTED

    def _limit(self, node: FieldNode, default: int) -> int:
        """Return the number of records that a list asks for."""
        value = next((each.value for each in node.arguments if each.name.value == "limit"), None)
        limit = self._value(value)
        if value is None or limit is None:
            return default
        if isinstance(limit, bool) or not isinstance(limit, int | float):
            return 1  # execution refuses this value
        return int(limit) if 0 < limit <= MAX_LIMIT else 1

    def _is_left_out(self, node: SelectionNode) -> bool:
        """Whether `@skip` or `@include` certainly removes the selection."""
        for directive in node.directives or ():
            leaves_out = _LEAVES_OUT.get(directive.name.value)
            if leaves_out is None:
                continue
            value = next(
                (each.value for each in directive.arguments if each.name.value == "if"), None
            )
            if self._value(value) is leaves_out:
                return True
        return False

    def _value(self, value: ValueNode | None) -> object:
        return (
            self._variables.get(value.name.value)
            if isinstance(value, VariableNode)
            else _constant(value)
        )


def _leaf_price(name: str, page: int | None) -> int:
    """Return the extra cost of a plain field: only `total` has one, for counting."""
    return TOTAL if name == "total" and page is not None else 0


def _constant(value: ValueNode | None) -> object:
    """Return the value of a literal that may be a limit or a condition; None for others."""
    if isinstance(value, IntValueNode):
        return int(value.value) if len(value.value) < 10 else 0  # no limit has so many digits
    return value.value if isinstance(value, BooleanValueNode) else None


def is_list_of_objects(field_type: GraphQLOutputType | None) -> bool:
    """Whether a field of this type returns a list of objects."""
    if isinstance(field_type, GraphQLNonNull):
        field_type = field_type.of_type
    return is_list_type(field_type) and is_composite_type(get_named_type(field_type))
