"""The functions that every server offers: `{"kind": "function", "name": "echo"}`."""

from collections.abc import Callable, Mapping

from ai_coordination_engine.ports import AgentFailure, AgentRequest


def echo(request: AgentRequest) -> str:
    """The input, unchanged."""
    return request.input


def upper(request: AgentRequest) -> str:
    """The input in capital letters."""
    return request.input.upper()


def word_count(request: AgentRequest) -> Mapping[str, int]:
    """How many words the input has, as `{"words": n}`."""
    return {"words": len(request.input.split())}


def answer(request: AgentRequest) -> str:
    """What the person answered, as it is; needs an agent that waits for one."""
    if request.user_input is None:
        raise AgentFailure(
            "the function answer gives a person's answer, but nobody is asked: set userInTheLoop"
        )
    return request.user_input


FUNCTIONS: Mapping[str, Callable[[AgentRequest], object]] = {
    "answer": answer,
    "echo": echo,
    "upper": upper,
    "word_count": word_count,
}
