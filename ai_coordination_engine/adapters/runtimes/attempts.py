"""What the other side is told of an attempt: its identity, and the whole request as a document."""

from ai_coordination_engine.domain.budgets import is_limit
from ai_coordination_engine.runtime_ports import AgentRequest


def identity(request: AgentRequest) -> dict[str, str]:
    """Return `idempotencyKey`, the same for all attempts of an agent, and `runUuid` of this
    attempt.
    """
    return {
        "idempotencyKey": request.idempotency_key or request.run_uuid,
        "runUuid": request.run_uuid,
    }


def attempt_headers(request: AgentRequest) -> dict[str, str]:
    """Return the identity of the attempt as HTTP headers, `Idempotency-Key` and `X-Ace-Run`, and
    those of its trace.
    """
    own = identity(request)
    names = {"Idempotency-Key": own["idempotencyKey"], "X-Ace-Run": own["runUuid"]}
    return names | trace_headers(request)


def trace_headers(request: AgentRequest) -> dict[str, str]:
    """Return `traceparent` and `tracestate` (W3C Trace Context), where there is a trace."""
    given = {"traceparent": request.traceparent, "tracestate": request.tracestate}
    return {name: value for name, value in given.items() if value}


def payload(request: AgentRequest) -> dict[str, object]:
    """Return the attempt as a document in camelCase, without its `runtime`."""
    structured = {"outputSchema": request.output_schema, "correction": request.correction}
    most = request.max_tokens or request.runtime.get("max_tokens")
    return {
        "tenant": request.tenant,
        "sessionUuid": request.session_uuid,
        "sessionAgentUuid": request.session_agent_uuid,
        **identity(request),
        "attempt": request.attempt,
        "agentUuid": request.agent_uuid,
        "agentName": request.agent_name,
        "instructions": request.instructions,
        "input": request.input,
        "query": request.query,
        "taskQuery": request.task_query,
        "userInput": request.user_input,
        "predecessors": [
            {"agentUuid": each.agent_uuid, "agentName": each.agent_name, "output": each.output}
            for each in request.predecessors
        ],
        "inputFiles": list(request.input_files),
        "threadUuid": request.thread_uuid,
        "thread": [{"role": each.role, "content": each.content} for each in request.thread],
        "timeoutSeconds": request.timeout_seconds,
        **(structured if request.output_schema is not None else {}),
        **({"maxTokens": most} if is_limit(most) else {}),
    }
