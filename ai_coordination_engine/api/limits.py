"""Parse and validate documents within limits on their size, and cache the valid ones.

`transport` calls `Documents.prepare`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    parse,
    validate,
)

from ai_coordination_engine.api.document_cache import DocumentCache
from ai_coordination_engine.api.prices import Prices, is_list_of_objects
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.errors import CoordinationError, TooComplex

_INTROSPECTION = ("__schema", "__type")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one request. Lengths are in characters unless the name says bytes."""

    body_bytes: int = 10_000_000
    json_depth: int = 100
    json_values: int = 200_000
    document_length: int = 1_000_000
    tokens: int = 10_000
    comments: int = 1_000
    fields: int = 500
    """Fields and aliases of all operations; a fragment counts wherever it is spread."""
    depth: int = 15
    lists: int = 3
    """Levels of lists of objects within lists of objects, which multiply the size of a response."""
    cost: int = 100_000
    """The expected cost of a request in units, see `prices`."""
    errors: int = 20
    suggestions: bool = True
    """Whether errors may suggest names of the schema ("Did you mean …")."""
    cached_length: int = 20_000
    """The longest document that is kept once it is valid."""
    cached_total: int = 100_000
    """The length of all documents that are kept: 10 to 35 MB."""


class DocumentError(Exception):
    """The document does not parse or is not valid; `errors` says where."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class Documents:
    """Parses and validates documents of one schema and keeps the latest ones."""

    def __init__(self, schema: GraphQLSchema, limits: Limits | None = None) -> None:
        self.schema = schema
        self.limits = limits or Limits()
        self.prices = Prices(schema, self.limits.cost)
        self._cache = DocumentCache(self.limits.cached_length, self.limits.cached_total)

    def prepare(self, source: str) -> DocumentNode:
        """Return the document, ready to execute; raises `DocumentError`, or `TooComplex` beyond a
        limit.
        """
        document = self._cache.get(source)
        if document is None:
            document = self._prepare(source)
            self._cache.put(source, document)
        return document

    def _prepare(self, source: str) -> DocumentNode:
        try:
            document = self._parse(source)
            # Checked first: the time for validation grows faster than the number of fields.
            self._check_cost(document)
            errors = validate(
                self.schema,
                document,
                max_errors=self.limits.errors,
                hide_suggestions=not self.limits.suggestions,
            )
        except RecursionError:
            raise too_deep() from None
        if errors:
            raise DocumentError(errors)
        return document

    def _parse(self, source: str) -> DocumentNode:
        try:
            return parse(
                source,
                max_lexical_tokens=self.limits.tokens,
                max_comments=self.limits.comments,
                max_source_length=self.limits.document_length,
            )
        except GraphQLError as error:
            raise DocumentError([error]) from None

    def _check_cost(self, document: DocumentNode) -> None:
        cost = _Estimate(self.schema, document).total()
        for name, value in zip(cost._fields, cost, strict=True):
            allowed = getattr(self.limits, name)
            if value > allowed:
                raise TooComplex(
                    f"the document exceeds the limit of {allowed} {_MEANING[name]}", limit=allowed
                )


def too_deep() -> CoordinationError:
    """Return the error for a request that is nested too deeply for the interpreter's stack."""
    return TooComplex("the request is nested too deeply")


class _Cost(NamedTuple):
    """The number of fields, the longest chain of fields, and the longest chain of lists
    of objects.
    """

    fields: int = 0
    depth: int = 0
    lists: int = 0


_MEANING = {
    "fields": "fields",
    "depth": "levels of fields",
    "lists": "lists of objects inside one another",
}


class _Estimate:
    """Measures a document and visits each fragment once.

    graphene's `depth_limit_validator` visits a fragment at every spread: thirty fragments that each
    spread the next one twice keep it busy for hours. It also fails on unknown fragments, while this
    class accepts documents that are not valid.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._definitions = document.definitions
        self._fragments: Mapping[str, FragmentDefinitionNode] = {
            node.name.value: node
            for node in self._definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, _Cost] = {}

    def total(self) -> _Cost:
        """Measure all definitions, including fragments that are never spread, which are validated
        too.
        """
        costs = []
        for node in self._definitions:
            if isinstance(node, OperationDefinitionNode):
                root = self._schema.get_root_type(node.operation)
                costs.append(self._selection_set(node.selection_set, root))
        unspread = [name for name in self._fragments if name not in self._known]
        return _combined(costs + [self._fragment(name) for name in unspread])

    def _selection_set(
        self, node: SelectionSetNode | None, parent: GraphQLNamedType | None
    ) -> _Cost:
        if node is None:
            return _Cost()
        costs = []
        for selection in node.selections:
            if isinstance(selection, FieldNode):
                costs.append(self._field(selection, parent))
            elif isinstance(selection, FragmentSpreadNode):
                costs.append(self._fragment(selection.name.value))
            elif isinstance(selection, InlineFragmentNode):
                inner = self._condition(selection.type_condition) or parent
                costs.append(self._selection_set(selection.selection_set, inner))
        return _combined(costs)

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> _Cost:
        field = getattr(parent, "fields", {}).get(node.name.value)
        inner = self._selection_set(
            node.selection_set, get_named_type(field.type) if field else None
        )
        # graphql-core's MaxIntrospectionDepthRule measures these
        if node.name.value in _INTROSPECTION:
            return _Cost(1 + inner.fields, 1, 0)
        return _Cost(
            1 + inner.fields,
            1 + inner.depth,
            inner.lists + is_list_of_objects(field.type if field else None),
        )

    def _fragment(self, name: str) -> _Cost:
        if name not in self._known and name in self._fragments:
            self._known[name] = _Cost()  # ends a cycle; validation reports it
            node = self._fragments[name]
            self._known[name] = self._selection_set(
                node.selection_set, self._condition(node.type_condition)
            )
        return self._known.get(name, _Cost())

    def _condition(self, node: NamedTypeNode | None) -> GraphQLNamedType | None:
        return self._schema.get_type(node.name.value) if node is not None else None


def _combined(costs: list[_Cost]) -> _Cost:
    if not costs:
        return _Cost()
    fields, depths, lists = zip(*costs, strict=True)
    return _Cost(sum(fields), max(depths), max(lists))
