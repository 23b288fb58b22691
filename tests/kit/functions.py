"""Agent functions for tests: `Settings(functions={"sleep": "tests.kit.functions:sleep"})`."""

import time

from ai_coordination_engine import AgentRequest


def sleep(request: AgentRequest) -> str:
    """Return the input after `runtime.seconds`."""
    time.sleep(float(request.runtime.get("seconds", 0)))
    return request.input


def fail(request: AgentRequest) -> str:
    """Fail with `runtime.message`."""
    raise RuntimeError(request.runtime.get("message", "told to fail"))


def write(request: AgentRequest) -> str:
    """Write each of `runtime.words` when `runtime.seconds` have passed; return all of them."""
    for word in request.runtime["words"]:
        time.sleep(float(request.runtime.get("seconds", 0)))
        request.on_delta(word)
    return "".join(request.runtime.get("answer", request.runtime["words"]))
