"""The schema as code generators want it: fields that hold one of a few texts are enums.

On the wire these fields are strings, and arguments stay `String`, so that documents fit both
schemas. The name of a text with spaces has underscores; `TEXTS` has the texts. A generator makes a
union of texts from an enum; a later version may add values.
"""

from collections.abc import Mapping

from graphql import (
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    print_schema,
)

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.lifecycle.phases import MEANINGS
from ai_coordination_engine.domain.meanings import (
    AGENT_STATES,
    ERROR_CLASSES,
    OVERLAP_POLICIES,
    REASONS,
    RUN_STATUSES,
    SCHEDULE_STATUSES,
    SESSION_STATUSES,
)


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum: its values with what they mean, and the fields that hold them."""

    name: str
    description: str
    values: Mapping[str, str]
    fields: tuple[tuple[str, str], ...]


ENUMS = (
    Enum(
        "SessionStatus",
        "The status of a session.",
        SESSION_STATUSES,
        (("SessionType", "status"), ("SessionCountType", "status")),
    ),
    Enum(
        "SessionAgentState",
        "The state of a session agent.",
        AGENT_STATES,
        (("SessionAgentType", "state"),),
    ),
    Enum(
        "SessionAgentPhase",
        "What a session agent is doing, or waits for.",
        {str(phase): f"{words[0].upper()}{words[1:]}." for phase, words in MEANINGS.items()},
        (("SessionAgentType", "phase"),),
    ),
    Enum(
        "SessionRunStatus",
        "How an attempt ended.",
        RUN_STATUSES,
        (("SessionRunType", "status"),),
    ),
    Enum(
        "ErrorClass",
        "The class of the error of an attempt.",
        ERROR_CLASSES,
        (("SessionRunType", "errorClass"),),
    ),
    Enum(
        "TaskScheduleStatus",
        "The status of a task schedule.",
        SCHEDULE_STATUSES,
        (("TaskScheduleType", "status"),),
    ),
    Enum(
        "OverlapPolicy",
        "What happens at a time of a schedule while an earlier session of it runs.",
        OVERLAP_POLICIES,
        (("TaskScheduleType", "overlapPolicy"),),
    ),
    Enum(
        "WhyNotRunningCode",
        "Why a session agent does not run.",
        REASONS,
        (("WhyNotRunningType", "code"),),
    ),
)
TEXTS: Mapping[str, tuple[str, ...]] = {each.name: tuple(each.values) for each in ENUMS}
"""What is on the wire, in the order of the values of an enum."""


def with_enums(sdl: str) -> str:
    """Return the SDL of a schema with the enums in place of `String`."""
    schema = build_schema(sdl)
    for enum in ENUMS:
        made = GraphQLEnumType(
            enum.name,
            {
                text.replace(" ", "_"): GraphQLEnumValue(text, description=meaning)
                for text, meaning in enum.values.items()
            },
            description=enum.description,
        )
        for type_name, field_name in enum.fields:
            _replace(schema, type_name, field_name, made)
    return print_schema(
        GraphQLSchema(schema.query_type, schema.mutation_type, schema.subscription_type)
    )


def _replace(schema: GraphQLSchema, type_name: str, field_name: str, enum: GraphQLEnumType) -> None:
    of_type = schema.type_map[type_name]
    assert isinstance(of_type, GraphQLObjectType)
    field = of_type.fields[field_name]
    field.type = GraphQLNonNull(enum) if isinstance(field.type, GraphQLNonNull) else enum
