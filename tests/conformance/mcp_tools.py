"""The tools that the conformance suite of MCP expects, as exposed tasks."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import httpx

FUNCTIONS = json.dumps(
    {name: f"tests.conformance.mcp_agents:{name}" for name in ("say", "fail", "compute")}
)
_FORM = {
    "type": "object",
    "properties": {"username": {"type": "string"}, "email": {"type": "string"}},
    "required": ["username", "email"],
}
_DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {
            "type": "string",
            "enum": ["active", "inactive", "pending"],
            "default": "active",
        },
        "verified": {"type": "boolean", "default": True},
    },
}
_OPTIONS = ["option1", "option2", "option3"]
_TITLED = [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)]
_ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": _OPTIONS},
        "titledSingle": {"type": "string", "oneOf": _TITLED},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": _OPTIONS}},
        "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
    },
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
_NOTHING = {"type": "object", "properties": {}, "additionalProperties": True}


def _object(**fields: str) -> dict[str, Any]:
    properties = {name: {"type": kind} for name, kind in fields.items()}
    return {"type": "object", "properties": properties, "required": [*properties]}


def says(text: str, **settings: Any) -> dict[str, Any]:
    """Return an agent that says a text."""
    return {"runtime": {"kind": "function", "name": "say", "text": text, **settings}}


def runs(name: str, **settings: Any) -> dict[str, Any]:
    """Return an agent with this function."""
    return {"runtime": {"kind": "function", "name": name, **settings}}


def asks(schema: Mapping[str, Any] | None = None, *after: str) -> dict[str, Any]:
    """Return the action of an agent that asks a person."""
    found: dict[str, Any] = {"userInTheLoop": "the caller", "predecessors": list(after)}
    return found if schema is None else {**found, "answerSchema": schema}


Tool = tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]
"""Agents, actions and the schema of the arguments."""
TOOLS: Mapping[str, Tool] = {
    "test_simple_text": (
        {"a": says("This is a simple text response for testing.")},
        {},
        _NOTHING,
    ),
    "test_error_handling": ({"a": runs("fail")}, {}, _NOTHING),
    "test_tool_with_progress": (
        {name: says(name, seconds=0.3) for name in "abcd"},
        {after: {"predecessors": [before]} for before, after in pairwise("abcd")},
        _NOTHING,
    ),
    "test_streaming_elicitation": ({"a": says("streamed", seconds=0.3)}, {}, _NOTHING),
    "json_schema_2020_12_tool": ({"a": says("done")}, {}, SCHEMA),
    "test_elicitation": (
        {"a": says("User response: {}")},
        {"a": asks(_FORM)},
        _object(message="string"),
    ),
    "test_elicitation_sep1034_defaults": (
        {"a": says("Elicitation completed: {}")},
        {"a": asks(_DEFAULTS)},
        _NOTHING,
    ),
    "test_elicitation_sep1330_enums": (
        {"a": says("Elicitation completed: {}")},
        {"a": asks(_ENUMS)},
        _NOTHING,
    ),
    "test_input_required_result_elicitation": (
        {"a": says("Hello, {}!")},
        {"a": asks(_object(name="string"))},
        _NOTHING,
    ),
    "test_input_required_result_request_state": (
        {"a": says("state-ok")},
        {"a": asks(_object(ok="boolean"))},
        _NOTHING,
    ),
    "test_input_required_result_tampered_state": (
        {"a": says("state-ok")},
        {"a": asks(_object(ok="boolean"))},
        _NOTHING,
    ),
    "test_input_required_result_multi_round": (
        {"a": says("{}"), "b": says("{}")},
        {"a": asks(_object(name="string")), "b": asks(_object(color="string"), "a")},
        _NOTHING,
    ),
    "test_input_required_result_capabilities": (
        {"a": says("{}")},
        {"a": asks(_object(ok="boolean"))},
        _NOTHING,
    ),
    "greet": ({"a": says("Hello, {}!", path="name")}, {}, _object(name="string")),
    "test_logging_tool": ({"a": says("nothing is logged")}, {}, _NOTHING),
    "slow_compute": (
        {"a": runs("compute")},
        {},
        {
            "type": "object",
            "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}},
            "required": ["seconds"],
        },
    ),
    "failing_job": ({"a": runs("fail", seconds=1)}, {}, _NOTHING),
    "confirm_delete": (
        {"a": says("deleted: {}")},
        {"a": asks(_object(confirm="boolean"))},
        _object(filename="string"),
    ),
    "multi_input": (
        {"a": says("a: {}"), "b": says("b: {}")},
        {uuid: asks(_object(name="string", confirm="boolean")) for uuid in "ab"},
        _NOTHING,
    ),
}
_SAVE = """mutation ($uuid: String!, $agents: [JSONCamelCase], $actions: JSONCamelCase,
    $expose: JSONCamelCase) {
  insertUpdateCoordination(coordinationUuid: $uuid, coordinationName: $uuid, agents: $agents,
      updatedBy: "suite") { coordination { coordinationUuid } }
  insertUpdateTask(coordinationUuid: $uuid, taskUuid: $uuid, taskName: $uuid,
      agentActions: $actions, exposeAs: $expose, updatedBy: "suite") { task { taskUuid } }
}"""


def expose(api: str, names: Sequence[str] = tuple(TOOLS)) -> None:
    """Save the tools at a server's API."""
    for name in names:
        agents, actions, schema = TOOLS[name]
        variables = {
            "uuid": name,
            "agents": [{"agentUuid": uuid, **agent} for uuid, agent in agents.items()],
            "actions": {uuid: {"predecessors": [], **actions.get(uuid, {})} for uuid in agents},
            "expose": {"name": name, "as": ["mcp"], "inputSchema": schema},
        }
        answer = httpx.post(api, json={"query": _SAVE, "variables": variables}, timeout=60).json()
        assert "errors" not in answer, (name, answer["errors"])
