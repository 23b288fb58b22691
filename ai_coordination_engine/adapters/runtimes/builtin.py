"""The built-in agent functions, for example `{"kind": "function", "name": "echo"}`."""

import json
from collections.abc import Callable, Mapping

from ai_coordination_engine.domain.routing import NONE, is_choice
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest


def echo(request: AgentRequest) -> str:
    """Return the input unchanged. A triage agent answers a question that is no JSON itself: a
    coordination can be tried before its agents have a model.
    """
    if not is_choice(request.output_schema) or request.input.lstrip().startswith("{"):
        return request.input
    return json.dumps({"agent": NONE, "reason": "echo has no model", "query": request.input})


def upper(request: AgentRequest) -> str:
    """Return the input in upper case."""
    return request.input.upper()


def word_count(request: AgentRequest) -> Mapping[str, int]:
    """Return the number of words in the input, as `{"words": n}`."""
    return {"words": len(request.input.split())}


def answer(request: AgentRequest) -> str:
    """Return the person's answer unchanged; the agent must ask a person."""
    if request.user_input is None:
        raise AgentFailure(
            "the function answer returns a person's answer, but the agent asks no person: set"
            " userInTheLoop"
        )
    return request.user_input


FUNCTIONS: Mapping[str, Callable[[AgentRequest], object]] = {
    "answer": answer,
    "echo": echo,
    "upper": upper,
    "word_count": word_count,
}
