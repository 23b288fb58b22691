"""Everything in the schema has a description, and every declared description is used."""

from collections.abc import Iterator

from ai_coordination_engine.api.argument_descriptions import ARGUMENTS, FILTERS
from ai_coordination_engine.api.descriptions import FIELDS, TYPES
from ai_coordination_engine.api.schema import SCHEMA

TYPE_MAP = {
    name: each for name, each in SCHEMA.graphql_schema.type_map.items() if not name.startswith("__")
}

BUILT_IN = ("String", "Int", "Boolean", "ID", "Float")


def described() -> Iterator[tuple[str, str | None]]:
    """Yield every type, field and argument with its description."""
    for name, each in TYPE_MAP.items():
        yield name, each.description
        for field, value in getattr(each, "fields", {}).items():
            yield f"{name}.{field}", value.description
            for argument, given in value.args.items():
                yield f"{name}.{field}({argument})", given.description
    for directive in SCHEMA.graphql_schema.directives:
        yield f"@{directive.name}", directive.description


def test_everything_is_described_in_sentences() -> None:
    places = dict(described())
    assert len(places) > 400
    assert [place for place, words in places.items() if not words] == []
    own = {
        place: words or ""
        for place, words in places.items()
        if not place.startswith("@") and place not in BUILT_IN
    }
    assert [
        place for place, words in own.items() if not (words[0].isupper() or words[0] == "`")
    ] == []
    assert [place for place, words in own.items() if not words.endswith(".")] == []


def test_no_words_are_left_without_a_use() -> None:
    used = {words for _, words in described()}
    for table in (TYPES, FIELDS, ARGUMENTS, FILTERS):
        assert [name for name, words in table.items() if words not in used] == []


def test_an_argument_means_what_it_does_in_its_field() -> None:
    fields = SCHEMA.graphql_schema.query_type.fields
    assert (
        fields["taskList"].args["taskName"].description
        == "Only those whose name contains this text."
    )
    assert fields["task"].args["taskUuid"].description == "The task's uuid."
    fork = SCHEMA.graphql_schema.mutation_type.fields["forkSession"]
    assert (
        fork.args["taskQuery"].description
        == "The query of the fork. Omitted: that of the original session."
    )
    assert fork.type.fields["session"].description == "The record after the change."
