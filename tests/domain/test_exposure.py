"""What `exposeAs` of a task may say."""

from typing import Any

import pytest

from ai_coordination_engine.domain.exposure import Exposure, wire
from ai_coordination_engine.errors import BadUserInput

SCHEMA = {"type": "object", "properties": {"topic": {"type": "string"}}}


def test_only_the_name_is_needed_and_both_protocols_are_the_default() -> None:
    exposure = Exposure.of({"name": "report"})
    assert exposure == Exposure("report", None, ("mcp", "a2a"), None)
    assert exposure.stored() == {"name": "report", "as": ["mcp", "a2a"]}


def test_null_exposes_to_nobody() -> None:
    assert Exposure.of(None) is None


@pytest.mark.parametrize("key", ["inputSchema", "input_schema"])
def test_both_spellings_are_stored_as_one(key: str) -> None:
    exposure = Exposure.of({"name": "a.b-C_9", "as": ["a2a"], "description": "d", key: SCHEMA})
    assert exposure is not None
    assert exposure.stored() == {
        "name": "a.b-C_9",
        "description": "d",
        "as": ["a2a"],
        "input_schema": SCHEMA,
    }
    assert wire(exposure.stored())["inputSchema"] == SCHEMA


@pytest.mark.parametrize("name", ["", "a b", "größe", "a/b", "x" * 129, "a\n", 3, True, ["a"]])
def test_a_name_that_a_protocol_does_not_allow_is_refused(name: Any) -> None:
    with pytest.raises(BadUserInput, match=r"^exposeAs\.name must have 1 to 128 characters"):
        Exposure.of({"name": name})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], 'exposeAs must be an object, for example {name: "report"}.'),
        ("report", 'exposeAs must be an object, for example {name: "report"}.'),
        ({}, 'exposeAs.name is needed, for example {name: "report"}.'),
        (
            {"name": "a", "nam": 1},
            'exposeAs: the key "nam" is unknown; it takes name, description, as, inputSchema; did'
            ' you mean "name"?',
        ),
        (
            {"name": "a", "description": 3},
            "exposeAs.description must be a text of at most 4096 characters.",
        ),
        (
            {"name": "a", "inputSchema": SCHEMA, "input_schema": SCHEMA},
            "exposeAs.inputSchema is given twice, also as input_schema.",
        ),
        (
            {"name": "a", "inputSchema": {"type": "string"}},
            'exposeAs.inputSchema must be a JSON Schema with the type "object": arguments have'
            " names.",
        ),
    ],
)
def test_what_else_is_wrong_is_said(given: Any, message: str) -> None:
    with pytest.raises(BadUserInput) as refused:
        Exposure.of(given)
    assert refused.value.message == message


@pytest.mark.parametrize("value", [[], "mcp", ["soap"], ["mcp", 1], {"mcp": True}, [["mcp"]]])
def test_only_known_protocols_are_taken(value: Any) -> None:
    with pytest.raises(BadUserInput, match=r"^exposeAs\.as must be a list of some of: mcp, a2a\."):
        Exposure.of({"name": "a", "as": value})


def test_a_tool_of_the_server_itself_is_no_name() -> None:
    with pytest.raises(BadUserInput, match=r"^exposeAs\.name: get_session_result is a tool of the"):
        Exposure.of({"name": "get_session_result"})


def test_headers_for_arguments_are_refused() -> None:
    field = {"type": "string", "x-mcp-header": "Region"}
    schema = {"type": "object", "properties": {"a": {"properties": {"region": field}}}}
    with pytest.raises(BadUserInput, match=r"^exposeAs\.inputSchema: x-mcp-header is not supp"):
        Exposure.of({"name": "a", "inputSchema": schema})


def test_a_schema_that_cannot_be_checked_is_refused() -> None:
    endless = {"type": "object", "properties": {"a": {"pattern": "(a+)+"}}}
    with pytest.raises(BadUserInput, match=r"^exposeAs\.inputSchema: "):
        Exposure.of({"name": "a", "inputSchema": endless})
