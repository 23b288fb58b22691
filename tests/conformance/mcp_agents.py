"""The agents of the tools that the conformance suite of MCP calls."""

import json
import time

from ai_coordination_engine import AgentFailure, AgentRequest, AgentResult

LONG = 5  # seconds from which on a job goes on elsewhere


def say(request: AgentRequest) -> str:
    """Return the text of the runtime, with what was said in place of `{}`: the answer of a person,
    or the argument `path`.
    """
    time.sleep(float(request.runtime.get("seconds", 0)))
    path = request.runtime.get("path")
    said = json.loads(request.input)[path] if path else request.user_input or request.input
    return str(request.runtime["text"]).replace("{}", said)


def fail(request: AgentRequest) -> str:
    """Fail after `seconds`."""
    time.sleep(float(request.runtime.get("seconds", 0)))
    raise AgentFailure("This tool intentionally returns an error for testing", retryable=False)


def compute(request: AgentRequest) -> AgentResult:
    """Take as long as the query says; a long job is never reported as done."""
    seconds = float(json.loads(request.input)["seconds"])
    if seconds > LONG:
        return AgentResult("", async_task_uuid=f"{request.run_uuid}-job")
    time.sleep(seconds)
    return AgentResult("computed")
