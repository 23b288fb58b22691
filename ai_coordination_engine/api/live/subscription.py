"""A subscription without a transport: its topics, and one execution of it.

The answer is that of the query of the same name. A transport executes it, sends the answer, waits
for a change of one of the topics, and executes it again. The topics must be watched before the
execution that answers them.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_argument_values,
    get_operation_ast,
)
from graphql.execution.collect_fields import collect_fields
from graphql.execution.values import get_variable_values

from ai_coordination_engine.api.context import NOTHING, Heard
from ai_coordination_engine.api.formatting import formatted_errors
from ai_coordination_engine.api.limits import DocumentError, Documents
from ai_coordination_engine.api.transport import Context, Parameters, executed
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text, topics
from ai_coordination_engine.domain.ids import is_id
from ai_coordination_engine.errors import BadUserInput, CoordinationError, Throttled, TooComplex

MOST_BYTES = 32_768
"""Bytes of a subscription's document and variables: a frame of API Gateway has no more."""
_PASSING = (Throttled.code,)


@dataclass(frozen=True)
class Answer:
    """The result of one execution.

    `payload` is the response object, and `text` its JSON. `is_last`: nothing will change any more.
    `refusal`: the errors, if nothing was answered. `is_passing`: something was refused because of
    load, so the subscription should be executed again after a moment. `heard`, `hears`: of
    `agentOutput`, what the client must have got before, and has got with this answer.
    """

    payload: Mapping[str, Any]
    is_last: bool = False
    heard: Heard = NOTHING
    hears: Heard = NOTHING
    refusal: list[dict[str, object]] | None = None
    is_passing: bool = False
    text: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        text = json_text.encode(self.payload).encode(errors="replace").decode()
        object.__setattr__(self, "text", text)


@dataclass(frozen=True)
class Subscription:
    """A subscription that is valid and within all limits.

    `name` is the field of `Subscription` that it selects and `alias` its name in the answer. `key`
    is the same for subscriptions of one tenant with equal answers.
    """

    parameters: Parameters
    name: str
    alias: str
    topics: frozenset[str]
    key: tuple[str, ...]
    document: DocumentNode
    _documents: Documents

    @property
    def is_of_one_client(self) -> bool:
        """Whether an answer depends on what the client has got before."""
        return self.name == "agentOutput"

    @property
    def schema(self) -> GraphQLSchema:
        """The schema of its document."""
        return self._documents.schema

    async def execute(self, context: Context) -> Answer:
        """Execute it once in a new context of its tenant."""
        payload = await executed(self.document, self.parameters, self._documents, context)
        errors: Any = payload.get("errors", ())
        is_refused = errors and (payload.get("data") or {}).get(self.alias) is None  # type: ignore[attr-defined]
        is_passing = any(each["extensions"]["code"] in _PASSING for each in errors)
        return Answer(
            payload,
            is_last=getattr(context, "is_last_answer", False) and not is_passing,
            refusal=[*errors] if is_refused else None,
            is_passing=is_passing,
            heard=getattr(context, "heard", NOTHING),
            hears=getattr(context, "hears", NOTHING),
        )


def subscription_of(
    parameters: Parameters, documents: Documents, tenant: str
) -> Subscription | None:
    """Return the subscription of a request; None if it asks for a query or a mutation.

    Raises `DocumentError` and `CoordinationError` for what must be answered in place of a stream;
    `errors_of` formats both.
    """
    document = documents.prepare(parameters.query)
    operation = get_operation_ast(document, parameters.operation_name)
    if operation is None or operation.operation != OperationType.SUBSCRIPTION:
        return None
    check_size(parameters)
    documents.prices.check(document, parameters.operation_name, parameters.variables)
    node, arguments = _root_field(document, operation, parameters, documents)
    name = node.name.value
    return Subscription(
        parameters,
        name,
        node.alias.value if node.alias else name,
        frozenset(_topics(name, arguments, tenant)),
        _key(parameters, tenant),
        document,
        documents,
    )


def check_size(parameters: Parameters) -> None:
    """Raise `TooComplex` for what is too large to be kept as long as somebody watches."""
    kept = parameters.query + json_text.encode(dict(parameters.variables))
    if len(kept.encode(errors="replace")) > MOST_BYTES:
        raise TooComplex(
            f"the document and the variables of a subscription have more than {MOST_BYTES} bytes",
            limit=MOST_BYTES,
        )


def is_subscription(parameters: Parameters, documents: Documents) -> bool:
    """Whether a request asks for a subscription; False for a document that is not valid."""
    try:
        document = documents.prepare(parameters.query)
    except (DocumentError, CoordinationError):
        return False
    operation = get_operation_ast(document, parameters.operation_name)
    return operation is not None and operation.operation == OperationType.SUBSCRIPTION


def errors_of(error: Exception) -> list[dict[str, object]]:
    """Return the errors of a response for an exception of `subscription_of`, or of a context."""
    return formatted_errors(error.errors if isinstance(error, DocumentError) else [error])


def _root_field(
    document: DocumentNode,
    operation: OperationDefinitionNode,
    parameters: Parameters,
    documents: Documents,
) -> tuple[FieldNode, Mapping[str, Any]]:
    """Return the only field of the operation, and its arguments."""
    root = documents.schema.subscription_type
    assert root is not None  # the document is valid
    values = get_variable_values(
        documents.schema,
        operation.variable_definitions,
        dict(parameters.variables),
        max_errors=documents.limits.errors,
    )
    if isinstance(values, list):
        raise DocumentError(values)
    fields = collect_fields(
        documents.schema, _fragments(document), values, root, operation.selection_set
    )
    nodes = next(iter(fields.values()), None)
    if nodes is None:
        raise BadUserInput("the subscription selects no field: a directive leaves it out")
    return nodes[0], _arguments(root, nodes[0], values)


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {
        each.name.value: each
        for each in document.definitions
        if isinstance(each, FragmentDefinitionNode)
    }


def _arguments(
    root: GraphQLObjectType, node: FieldNode, values: dict[str, Any]
) -> Mapping[str, Any]:
    try:
        return get_argument_values(root.fields[node.name.value], node, values)
    except GraphQLError as error:
        raise DocumentError([error]) from None


def _topics(name: str, given: Mapping[str, Any], tenant: str) -> list[str]:
    """Return the topics of a field of `Subscription` with these arguments."""
    if name == "session":
        return [topics.of_session(tenant, _id(given["session_uuid"]))]
    if name == "agentOutput":
        key = _id(given["session_uuid"]), _id(given["session_agent_uuid"])
        return [topics.of_session(tenant, key[0]), topics.of_output(tenant, *key)]
    return [topics.of_tenant(tenant)]


def _id(text: str) -> str:
    """The id in a topic; empty for a text that no record has as its id: it may be too long."""
    return text if is_id(text) else ""


def _key(parameters: Parameters, tenant: str) -> tuple[str, ...]:
    variables = json_text.encode(dict(sorted(parameters.variables.items())))
    return tenant, parameters.query, parameters.operation_name or "", variables
