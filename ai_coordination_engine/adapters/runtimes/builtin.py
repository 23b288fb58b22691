"""The built-in agent functions, for example `{"kind": "function", "name": "echo"}`."""

from collections.abc import Callable, Mapping

from ai_coordination_engine.ports import AgentFailure, AgentRequest


def echo(request: AgentRequest) -> str:
    """Return the input unchanged."""
    return request.input


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
