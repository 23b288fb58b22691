"""Build GraphQL documents for one root field from the schema and send them.

Variables are declared with the contract's types.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from graphql import GraphQLField, GraphQLObjectType, get_named_type, is_leaf_type

from ai_coordination_engine.api.schema import SCHEMA
from benchmarks.harness.api import Api

ROOTS: Mapping[str, GraphQLObjectType] = {
    "mutation": SCHEMA.graphql_schema.mutation_type,
    "query": SCHEMA.graphql_schema.query_type,
}

ELSEWHERE = ("definition", "agentName", "waitsFor")  # leaf fields that are read from other records


def root_of(field: str) -> str:
    """Return whether the field is a mutation or a query; a field that is both counts as a
    mutation.
    """
    return "mutation" if field in ROOTS["mutation"].fields else "query"


def field_of(field: str) -> GraphQLField:
    """Return the root field of this name."""
    return cast(GraphQLField, ROOTS[root_of(field)].fields[field])


@cache
def leaves(type_name: str) -> str:
    """Return a selection of all leaf fields of a type, except those read from other records."""
    fields = cast(GraphQLObjectType, SCHEMA.graphql_schema.type_map[type_name]).fields
    own = (name for name, field in fields.items() if is_leaf_type(get_named_type(field.type)))
    return " ".join(name for name in own if name not in ELSEWHERE)


def selection_of(field: str) -> str:
    """Return a selection of all that a root field answers, without nested records; empty for a
    leaf.
    """
    answer = get_named_type(field_of(field).type)
    if not isinstance(answer, GraphQLObjectType):
        return ""
    inner = [
        name if is_leaf_type(named) else f"{name} {{ {leaves(named.name)} }}"
        for name, part in answer.fields.items()
        if name not in ELSEWHERE
        if is_leaf_type(named := get_named_type(part.type))
        or not answer.name.endswith("Type")
        or "List" in name
    ]
    return f"{{ {' '.join(inner)} }}"


def document(
    field: str, names: tuple[str, ...], selection: str | None = None, root: str | None = None
) -> str:
    """Return the document that passes these arguments as variables."""
    arguments = field_of(field).args
    declared = ", ".join(f"${name}: {arguments[name].type}" for name in names)
    passed = ", ".join(f"{name}: ${name}" for name in names)
    head = f"({declared})" if names else ""
    call = f"({passed})" if names else ""
    body = selection_of(field) if selection is None else selection
    return f"{root or root_of(field)}{head} {{ {field}{call} {body} }}"


def send(api: Api, field: str, selection: str | None = None, /, **arguments: Any) -> dict[str, Any]:
    """Return the whole response."""
    return api.send(document(field, tuple(arguments), selection), **arguments)


def data(api: Api, field: str, selection: str | None = None, /, **arguments: Any) -> Any:
    """Return the data of the field; there must be no errors."""
    return api.data(document(field, tuple(arguments), selection), **arguments)[field]


def error(api: Api, field: str, /, **arguments: Any) -> dict[str, Any]:
    """Return the message and the extensions of the response's only error."""
    answer = api.send(document(field, tuple(arguments)), **arguments)
    (found,) = answer["errors"]
    assert not (answer.get("data") or {}).get(field)
    return {"message": found["message"], **found["extensions"]}


def code(api: Api, field: str, /, **arguments: Any) -> str:
    """Return the code of the response's only error."""
    return str(error(api, field, **arguments)["code"])
