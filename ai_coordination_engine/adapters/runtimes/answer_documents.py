"""Read the document with which a service answers an attempt: an output, or a long job.

The `http`, `lambda` and `agentcore` runtimes share it.
"""

from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.adapters.runtimes.answer import answer, invalid_output, pending
from ai_coordination_engine.adapters.runtimes.error_documents import error_in
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.usage import plain_usage
from ai_coordination_engine.runtime_ports import AgentFailure, AgentResult

NOT_JSON = "a body that is not valid JSON"


def parsed(text: str) -> object:
    """The value of a JSON text; None for another text."""
    try:
        return json_text.loads(text)
    except json_text.NotJSON:
        return None


def fields_of(body: object, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keys of a body; an object with properties of the requested `schema` is the output
    itself.
    """
    fields = body if isinstance(body, dict) else {}
    is_output = any(name in fields for name in schema.get("properties", ()))
    return {"output": fields} if is_output and "output" not in fields else fields


def result_of(fields: Mapping[str, Any], service: str) -> AgentResult | None:
    """The output or the long job of a document; None if it has neither. Raises `AgentFailure`."""
    try:
        if fields.get("asyncTaskUuid") is not None:
            return pending(fields["asyncTaskUuid"], fields.get("heartbeatSeconds"))
    except ValueError as error:
        raise invalid_output(f"{service} answered: {error}") from error
    if fields.get("output") is None:
        return None
    try:
        return answer(fields["output"], fields.get("usage"))
    except ValueError as error:  # a number with more digits than Python converts
        raise invalid_output(f"{service} answered with {NOT_JSON}") from error


def no_output(body: object, service: str, retry_after: float | None = None) -> AgentFailure:
    """Return the failure for an answer without an output; its class follows from an error in the
    body.
    """
    if body is None:
        return invalid_output(f"{service} answered with {NOT_JSON}")
    problem = (
        "an `output` of null"
        if isinstance(body, dict) and "output" in body
        else "JSON without `output` or `asyncTaskUuid`"
    )
    document = error_in(body)
    error_class = document.error_class or "invalid_output"
    return AgentFailure(
        f"{service} answered {problem}{': ' if document.message else ''}{document.message}",
        retryable=document.retryable or error_class == "invalid_output",
        retry_after=retry_after,
        error_class=error_class,
        usage=plain_usage(body.get("usage") if isinstance(body, dict) else None),
    )
