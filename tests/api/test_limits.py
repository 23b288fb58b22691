import tracemalloc
from typing import Any

import graphene
import pytest
from graphql import GraphQLSchema, get_introspection_query, parse

from ai_coordination_engine.api import limits
from ai_coordination_engine.api.document_cache import DocumentCache
from ai_coordination_engine.api.limits import DocumentError, Documents, Limits
from ai_coordination_engine.errors import TooComplex


class Node(graphene.ObjectType):
    name = graphene.String(filter=graphene.String())
    tags = graphene.List(graphene.String)
    up = graphene.Field(lambda: Node)
    children = graphene.NonNull(graphene.List(lambda: Node))


class Query(graphene.ObjectType):
    node = graphene.Field(Node)


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return graphene.Schema(query=Query).graphql_schema


def nested(field: str, levels: int) -> str:
    return f"{{ node {{ {f'{field} {{ ' * levels} name {'}' * levels} }} }}"


def refused(schema: GraphQLSchema, limits: Limits, source: str) -> str:
    with pytest.raises(TooComplex) as refusal:
        Documents(schema, limits).prepare(source)
    return refusal.value.message


def test_a_document_is_prepared_once(schema: GraphQLSchema) -> None:
    documents = Documents(schema)
    assert documents.prepare("{ node { name } }") is documents.prepare("{ node { name } }")
    assert documents.prepare("{ node { name } }") is not documents.prepare("{ node { name  } }")


def test_only_the_latest_documents_of_moderate_length_are_kept(schema: GraphQLSchema) -> None:
    documents = Documents(schema, Limits(cached_length=30, cached_total=40))
    first, long = "{ node { name } }", "{ node { name } } # " + "x" * 20
    kept = documents.prepare(first)
    assert documents.prepare(long) is not documents.prepare(long)
    assert documents.prepare(first) is kept
    second = documents.prepare("{ node { tags } }")  # 34 characters in all
    assert documents.prepare(first) is kept
    documents.prepare("{ a: node { name } }")
    assert documents.prepare(first) is kept
    assert documents.prepare("{ node { tags } }") is not second


def test_documents_that_are_kept_take_350_bytes_a_character_at_most() -> None:
    cache = DocumentCache(longest=20_000, total=10_000)
    tracemalloc.start()
    for number in range(8):
        source = f"query Q{number} {{ a(b: [{'1 ' * 1_500}]) }}"
        cache.put(source, parse(source))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 1_000_000 < taken < 3_500_000


def test_document_that_is_kept_is_parsed_and_validated_once(
    schema: GraphQLSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("parse", "validate"):
        done = getattr(limits, name)

        def counted(*given: Any, name: str = name, done: Any = done, **options: Any) -> Any:
            calls.append(name)
            return done(*given, **options)

        monkeypatch.setattr(limits, name, counted)
    documents = Documents(schema)
    for _ in range(3):
        documents.prepare("{ node { name } }")
    assert calls == ["parse", "validate"]


def test_document_that_is_refused_is_refused_again(schema: GraphQLSchema) -> None:
    documents = Documents(schema, Limits(fields=2))
    for _ in range(2):
        with pytest.raises(TooComplex, match="limit of 2 fields"):
            documents.prepare("{ node { name tags up { name } } }")
        with pytest.raises(DocumentError, match="Cannot query field 'nothing'"):
            documents.prepare("{ nothing }")


def test_the_standard_introspection_query_is_within_the_limits(schema: GraphQLSchema) -> None:
    Documents(schema).prepare(get_introspection_query(input_value_deprecation=True))


@pytest.mark.parametrize(
    ("fits", "exceeds", "message"),
    [
        (nested("up", 2), nested("up", 3), "the document exceeds the limit of 4 levels of fields"),
        (
            nested("children", 1),
            nested("children", 2),
            "the document exceeds the limit of 1 lists of objects inside one another",
        ),
        (
            "{ node { " + "name " * 9 + "} }",
            "{ node { " + "name " * 10 + "} }",
            "the document exceeds the limit of 10 fields",
        ),
        (
            (
                "{ node { ...N x: up { ...N } } } fragment N on Node { a: name b: name c: name d:"
                " name }"
            ),
            (
                "{ node { ...N x: up { ...N } } } fragment N on Node { a: name b: name c: name d:"
                " name e: name }"
            ),
            "the document exceeds the limit of 10 fields",
        ),
        (
            "{ node { up { ... on Node { up { tags } } } } }",
            "{ node { up { ... on Node { up { ... { up { tags } } } } } } }",
            "the document exceeds the limit of 4 levels of fields",
        ),
    ],
)
def test_the_last_document_within_a_limit_is_accepted_and_the_next_refused(
    schema: GraphQLSchema, fits: str, exceeds: str, message: str
) -> None:
    limits = Limits(fields=10, depth=4, lists=1)
    Documents(schema, limits).prepare(fits)
    assert refused(schema, limits, exceeds) == message


def test_fragments_that_nothing_spreads_count_too(schema: GraphQLSchema) -> None:
    source = "{ node { name } } fragment Unused on Node { " + "name " * 10 + "}"
    assert (
        refused(schema, Limits(fields=10), source) == "the document exceeds the limit of 10 fields"
    )


def test_fragments_that_double_at_each_level_are_refused_at_once(schema: GraphQLSchema) -> None:
    doubling = " ".join(
        f"fragment F{i} on Node {{ a: up {{ ...F{i + 1} }} b: up {{ ...F{i + 1} }} }}"
        for i in range(9)
    )
    source = f"{{ node {{ ...F0 }} }} {doubling} fragment F9 on Node {{ name }}"
    assert refused(schema, Limits(), source) == "the document exceeds the limit of 500 fields"


def test_what_exhausts_the_stack_is_too_complex(schema: GraphQLSchema) -> None:
    chain = " ".join(f"fragment F{i} on Node {{ ...F{i + 1} }}" for i in range(1_200))
    source = f"{{ node {{ ...F0 }} }} {chain} fragment F1200 on Node {{ name }}"
    assert refused(schema, Limits(), source) == "the request is nested too deeply"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (nested("up", 5_000), "Document is nested too deeply. Parsing aborted."),
        (
            "{ node { " + "name " * 20_000 + "} }",
            "Document contains more than 10000 tokens. Parsing aborted.",
        ),
        (
            "#\n" * 2_000 + "{ node { name } }",
            "Document contains more than 1000 comments. Parsing aborted.",
        ),
        (" " * 1_000_001, "Source contains more than 1000000 code points. Parsing aborted."),
        ("{", "Expected Name, found <EOF>."),
        ('{ node { name(filter: "\\ud800") } }', "Invalid Unicode escape sequence: '\\ud800'."),
        ("{ node { nam } }", "Cannot query field 'nam' on type 'Node'. Did you mean 'name'?"),
        ("{ node { ...N } }", "Unknown fragment 'N'."),
        (
            "{ node { ...A } } fragment A on Node { ...A }",
            "Cannot spread fragment 'A' within itself.",
        ),
        ("{ nope { x { y } } }", "Cannot query field 'nope' on type 'Query'. Did you mean 'node'?"),
    ],
)
def test_an_invalid_document_says_what_is_wrong(
    schema: GraphQLSchema, source: str, message: str
) -> None:
    with pytest.raises(DocumentError) as invalid:
        Documents(schema).prepare(source)
    assert invalid.value.errors[0].message.removeprefix("Syntax Error: ") == message


def test_suggestions_can_be_hidden(schema: GraphQLSchema) -> None:
    with pytest.raises(DocumentError) as invalid:
        Documents(schema, Limits(suggestions=False)).prepare("{ node { nam } }")
    assert [error.message for error in invalid.value.errors] == [
        "Cannot query field 'nam' on type 'Node'."
    ]


def test_introspection_of_types_in_types_in_types_is_refused(schema: GraphQLSchema) -> None:
    fields = "fields { type { " * 3 + "name" + "}}" * 3
    with pytest.raises(DocumentError) as invalid:
        Documents(schema).prepare(f"{{ __schema {{ types {{ {fields} }} }} }}")
    assert [error.message for error in invalid.value.errors] == [
        "Maximum introspection depth exceeded"
    ]


def test_validation_stops_after_a_number_of_errors(schema: GraphQLSchema) -> None:
    with pytest.raises(DocumentError) as invalid:
        Documents(schema, Limits(errors=3)).prepare(
            "{ " + " ".join(f"x{i}" for i in range(9)) + " }"
        )
    assert len(invalid.value.errors) == 4
