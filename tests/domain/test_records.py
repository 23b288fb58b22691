"""A field of a record is declared once: what follows from it is in the schema, the store and the
documentation.
"""

from typing import Any

import pytest
from graphql import get_named_type
from pydantic.alias_generators import to_camel

from ai_coordination_engine.api.fields import other_fields
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.domain import records
from ai_coordination_engine.domain.records import Field, Filter, Kind
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import ENTITIES, Entity

GRAPH: Any = SCHEMA.graphql_schema
PAIRS = list(zip(ENTITIES, records.RECORDS, strict=True))


@pytest.mark.parametrize(("entity", "record"), PAIRS, ids=lambda each: getattr(each, "name", ""))
def test_a_declared_field_is_everywhere(entity: Entity, record: tuple[Field, ...]) -> None:
    name = "".join(part.title() for part in entity.name.split())
    written = GRAPH.mutation_type.fields[f"insertUpdate{name}"].args
    listed = GRAPH.query_type.fields[f"{name[0].lower()}{name[1:]}List"].args
    shown = GRAPH.type_map[f"{name}Type"].fields
    assert {*written} == {to_camel(each.name) for each in record}
    for each in record:
        assert each.name in entity.model.get_attributes()
        assert to_camel(each.name) in shown
        assert str(written[to_camel(each.name)].type).endswith("!") == each.needed
    for argument, each in records.filters(record):
        assert to_camel(argument) in listed
        assert (argument in entity.filters) == (each.filter is not Filter.PARENT)


def test_a_field_that_a_type_does_not_place_is_shown_with_its_kind() -> None:
    made = other_fields(
        (Field("iteration_count", Kind.WHOLE), Field("logs"), Field("status")), Session, {"status"}
    )
    assert {name: str(each.type) for name, each in made.items()} == {
        "iteration_count": "Int",
        "logs": "String",
    }


def test_the_words_of_a_field_describe_it() -> None:
    undescribed = [
        f"{kind}.{name}"
        for kind in (
            "SessionType",
            "SessionAgentType",
            "SessionRunType",
            "TaskType",
            "CoordinationType",
        )
        for name, field in GRAPH.type_map[kind].fields.items()
        if not field.description and not get_named_type(field.type).description
    ]
    assert undescribed == []
