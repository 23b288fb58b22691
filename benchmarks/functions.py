"""The agent that benchmarks run. It notes when it was called."""

import time

from ai_coordination_engine.ports import AgentRequest

started: dict[tuple[str, str], float] = {}
"""`time.perf_counter()` at each call, by session and agent."""


def sleep(request: AgentRequest) -> str:
    """Answer with the agent's uuid after `runtime.seconds`."""
    started[request.session_uuid, request.agent_uuid] = time.perf_counter()
    time.sleep(float(request.runtime.get("seconds", 0)))
    return request.agent_uuid
