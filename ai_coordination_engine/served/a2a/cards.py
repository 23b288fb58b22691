"""The card of a tenant: what its exposed tasks are as skills, and how they are called."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ai_coordination_engine.domain import a2a, json_text
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import NotFound
from ai_coordination_engine.served.a2a.wire import OUTPUT_MODES
from ai_coordination_engine.served.tasks import ServedTask, served_tasks

PROTOCOL = "a2a"
MOST_SKILLS = 500
SCHEMAS = "https://a2a-protocol.org/extensions/input-schemas"
_INPUT_MODES = ("text/plain", "application/json")
_SCHEMES: Mapping[str, Mapping[str, Any]] = {
    "jwt": {"bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer", "bearerFormat": "JWT"}}},
    "iam": {"sigv4": {"httpAuthSecurityScheme": {"scheme": "AWS4-HMAC-SHA256"}}},
    "local": {},
}


def skills_of(app: App, tenant: str) -> list[ServedTask]:
    """The tasks that the tenant exposes, at most `MOST_SKILLS`; raises `NotFound` for none."""
    found: list[ServedTask] = []
    cursor: str | None = None
    while len(found) < MOST_SKILLS:
        tasks, cursor = served_tasks(app, tenant, PROTOCOL, cursor)
        found += tasks
        if cursor is None:
            break
    if not found:
        raise NotFound("nothing is exposed here: set exposeAs of a task, with a2a in its `as`")
    return found[:MOST_SKILLS]


def card_of(
    app: App,
    skills: Sequence[ServedTask],
    url: str,
    *,
    streaming: bool,
    pushes: bool,
    with_schemas: bool = False,
) -> dict[str, Any]:
    """The card. `url` is that of both bindings. `with_schemas`: the extended card, which has the
    JSON Schemas of the arguments.
    """
    schemes = _SCHEMES[app.settings.auth]
    bindings = (a2a.HTTP_JSON, a2a.JSON_RPC)
    card = {
        "name": "AI Coordination Engine",
        "description": "Each skill starts a session of agents, which may take a while, and may ask"
        " people. Name the skill in the metadata of the message, as `skill`; its arguments are the"
        " keys of a data part, or the text.",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": each, "protocolVersion": a2a.VERSION}
            for each in bindings
        ],
        "capabilities": {
            "streaming": streaming,
            "pushNotifications": pushes,
            "extendedAgentCard": True,
            **({"extensions": [_schemas(skills)]} if with_schemas else {}),
        },
        "defaultInputModes": list(_INPUT_MODES),
        "defaultOutputModes": list(OUTPUT_MODES),
        "skills": [_skill(each) for each in skills],
        **(
            {"securitySchemes": schemes, "securityRequirements": _requirements(schemes)}
            if schemes
            else {}
        ),
    }
    return {**card, "version": version_of(card)}


def version_of(card: Mapping[str, Any]) -> str:
    """A version that changes with the card."""
    return hashlib.sha256(json_text.dumps(dict(card)).encode()).hexdigest()[:16]


def _skill(task: ServedTask) -> dict[str, Any]:
    needed = ", ".join(task.input_schema.get("required", ()))
    return {
        "id": task.name,
        "name": task.title,
        "description": task.description or f"Starts {task.title}.",
        "tags": ["session", *_arguments(task)],
        "examples": [f"Arguments: {needed}"] if needed else [],
    }


def _arguments(task: ServedTask) -> Iterator[str]:
    for name in task.input_schema.get("properties", {}):
        yield f"argument:{name}"


def _schemas(skills: Sequence[ServedTask]) -> dict[str, Any]:
    return {
        "uri": SCHEMAS,
        "description": "The JSON Schemas of the skills' arguments, by the ids of the skills.",
        "required": False,
        "params": {each.name: dict(each.input_schema) for each in skills},
    }


def _requirements(schemes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"schemes": {name: {"list": []}}} for name in schemes]
