"""The agent functions that benchmarks run; they record when they are called and when they
return.
"""

import time

from ai_coordination_engine import AgentFailure, AgentRequest, AgentResult
from benchmarks.stand_in import work

started: dict[tuple[str, str], float] = {}
"""`time.perf_counter()` at each call, by session and agent."""
ended: dict[tuple[str, str], float] = {}
"""`time.perf_counter()` at each return, by session and agent."""


def sleep(request: AgentRequest) -> str:
    """Return the agent's uuid, or `runtime.size` bytes of text, after `runtime.seconds`."""
    started[request.session_uuid, request.agent_uuid] = time.perf_counter()
    time.sleep(float(request.runtime.get("seconds", 0)))
    size = request.runtime.get("size")
    output = "x" * int(size) if size else request.agent_uuid
    ended[request.session_uuid, request.agent_uuid] = time.perf_counter()
    return output


def model(request: AgentRequest) -> AgentResult:
    """Answer at once, and report `runtime.usage`."""
    return AgentResult("ok", request.runtime.get("usage"))


def numbers(request: AgentRequest) -> list[int]:
    """Return a list of `runtime.count` numbers, for a map."""
    return list(range(int(request.runtime["count"])))


def job(request: AgentRequest) -> AgentResult:
    """Start a long job that goes on elsewhere."""
    return AgentResult("", async_task_uuid=request.run_uuid, heartbeat_seconds=600)


def refused(request: AgentRequest) -> str:
    """Fail with an error that may be retried after ten minutes."""
    raise AgentFailure(
        "the model is busy", retryable=True, retry_after=600, error_class="rate_limit"
    )


def stand_in(request: AgentRequest) -> str:
    """Run the agent of comparisons; the subtask query names one of several copies."""
    several = request.runtime.get("copies")
    node = f"{request.agent_uuid}/{request.query}" if several else request.agent_uuid
    outputs = [each.output for each in request.predecessors]
    return work(request.session_uuid, node, outputs, float(request.runtime.get("seconds", 0)))
