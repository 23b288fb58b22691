"""Agent functions for tests: `Settings(functions={"sleep": "tests.kit.functions:sleep"})`."""

import json
import os
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from ai_coordination_engine import AgentFailure, AgentRequest, AgentResult


def sleep(request: AgentRequest) -> str:
    """Return the input after `runtime.seconds`."""
    time.sleep(float(request.runtime.get("seconds", 0)))
    return request.input


def where(request: AgentRequest) -> str:
    """Return the id of the process, after a moment in which another one may begin a step."""
    time.sleep(0.05)
    return str(os.getpid())


def fail(request: AgentRequest) -> str:
    """Fail with `runtime.message`."""
    raise RuntimeError(request.runtime.get("message", "told to fail"))


GATES: defaultdict[str, threading.Event] = defaultdict(threading.Event)
"""By tenant, what `write` waits for after the first word."""


def write(request: AgentRequest) -> str:
    """Write `runtime.words`, all but the first when its gate opens; return `runtime.answer`, or
    else the words.
    """
    for word in request.runtime["words"]:
        request.on_delta(word)
        if request.runtime.get("gate"):
            GATES[request.tenant].wait(30)
    return "".join(request.runtime.get("answer", request.runtime["words"]))


def write_until(request: AgentRequest) -> str:
    """Write the id of the process, and go on when there is a file `runtime.path`."""
    request.on_delta(f"{os.getpid()} ")
    for _ in range(3000):
        if Path(request.runtime["path"]).exists():
            break
        time.sleep(0.01)
    return f"{os.getpid()} has written"


def traced(request: AgentRequest) -> AgentResult:
    """Fail as `b` at first; else answer the trace that it is in, with a tool call and a usage."""
    if request.agent_uuid == "b" and request.attempt == 1:
        raise AgentFailure("content-error", retryable=True, error_class="timeout")
    _, trace, *_ = request.traceparent.split("-")
    call = {
        "name": "search",
        "started_at": datetime.now(UTC).isoformat(),
        "duration_ms": 1,
        "outcome": "completed",
        "arguments": {"q": "content-arguments"},
        "result": "content-result",
    }
    usage = {"input_tokens": 3, "output_tokens": 2, "model": "small"}
    output = json.dumps({"trace": trace, "text": "content-output"})
    return AgentResult(output, usage, tool_calls=[call])


def spend(request: AgentRequest) -> AgentResult:
    """An agent that says that it has asked a model with a price."""
    usage = {"input_tokens": 1000, "output_tokens": 234, "model": "gpt-4o-mini"}
    return AgentResult("fine", {**usage, "provider": "openai"})
