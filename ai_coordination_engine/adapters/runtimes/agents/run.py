"""Run one attempt of an agent that calls tools."""

import time
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pydantic_ai
from pydantic_ai import Agent, ModelRetry, RunContext, StructuredDict, Tool
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import Model
from pydantic_ai.output import NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai.usage import RunUsage, UsageLimits

from ai_coordination_engine.adapters.allowed import AllowedFunctions
from ai_coordination_engine.adapters.runtimes.agents import approvals
from ai_coordination_engine.adapters.runtimes.agents.chosen import Chosen
from ai_coordination_engine.adapters.runtimes.agents.failures import failure_of
from ai_coordination_engine.adapters.runtimes.agents.loop import run_in_loop
from ai_coordination_engine.adapters.runtimes.agents.models import Asked, Models
from ai_coordination_engine.adapters.runtimes.agents.recorder import Recorder, Recording
from ai_coordination_engine.adapters.runtimes.agents.streamed import Streamed
from ai_coordination_engine.adapters.runtimes.agents.tools import Tools
from ai_coordination_engine.adapters.runtimes.agents.within import WithinModel
from ai_coordination_engine.adapters.runtimes.answer import answer
from ai_coordination_engine.adapters.runtimes.deadline import DeadlinePassed
from ai_coordination_engine.adapters.runtimes.web import redacted, redacting
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_schema
from ai_coordination_engine.domain.answers import MAX_ANSWER_WORK
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.budgets import limited
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import (
    AgentFailure,
    AgentRequest,
    AgentResult,
    Question,
    ToolContext,
)
from ai_coordination_engine.settings import Settings

pydantic_ai.BANNER_ENABLED = (
    False  # it would be written over the table of `ace run` and `ace watch`
)
_RETRIES = 2  # of a tool with other arguments, and of an output that does not fit its schema
_MODES = {"tool": ToolOutput, "native": NativeOutput, "prompted": PromptedOutput}
_PARAMETERS = (
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "presence_penalty",
    "frequency_penalty",
)


@dataclass
class Run:
    """What one attempt has done so far; it is filled while the attempt runs."""

    request: AgentRequest
    recorder: Recorder
    usage: RunUsage
    model: str = ""
    provider: str | None = None
    secrets: Sequence[str] = ()

    def counts(self) -> dict[str, Any]:
        """The usage by its standard names."""
        used = self.usage
        counted = {
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "total_tokens": used.total_tokens,
            "cached_tokens": used.cache_read_tokens,
            "cache_write_tokens": used.cache_write_tokens,
            "reasoning_tokens": used.details.get("reasoning_tokens", 0),
            "requests": used.requests,
            "tool_calls": sum(
                each["outcome"] in ("completed", "failed") for each in self.recorder.calls
            ),
        }
        given = {name: count for name, count in counted.items() if count}
        named = {"model": self.model, "provider": self.provider}
        return given and {**given, **{name: text for name, text in named.items() if text}}

    def note_model(self, messages: Sequence[ModelMessage]) -> None:
        """Note which model answered."""
        for each in reversed(messages):
            if isinstance(each, ModelResponse):
                self.model = each.model_name or self.model
                self.provider = self.provider or each.provider_name
                return


class Attempts:
    """Runs attempts with the models and tools of the settings. Thread-safe."""

    def __init__(self, settings: Settings, secrets: Secrets, functions: AllowedFunctions) -> None:
        self._models = Models(settings, secrets)
        self._tools = Tools(settings, secrets, functions)
        self._settings = settings

    def run(
        self, request: AgentRequest, tools: Sequence[Chosen], limits: Mapping[str, int]
    ) -> AgentResult:
        """Run one attempt; raises `AgentFailure`, with the usage so far and the tool calls."""
        resumed = request.resumed
        state = resumed.state if resumed is not None else None
        decided = approvals.decisions(resumed.state, resumed.answer) if resumed is not None else {}
        if state is not None and self._may_have_run(state, decided, request):
            return AgentResult("", question=approvals.asked_again(state, request))
        approved = {
            each["id"]: each["digest"]
            for each in (state or {}).get("calls", ())
            if decided.get(each["id"], "") is None
        }
        run = Run(request, Recorder(request, approved), RunUsage())
        asked = self._models.find(request.runtime)
        run.model, run.provider = asked.model.model_name, asked.provider
        run.secrets = secrets = [asked.key, *self._tools.secrets_of(tools)]
        with redacting(secrets):
            try:
                result = self._result(run, asked, tools, limits, decided)
            except AgentFailure as failure:
                failure.usage = run.counts()
                failure.tool_calls = redacted(run.recorder.calls, secrets)
                raise
        return replace(result, tool_calls=redacted(run.recorder.calls, secrets))

    def close(self) -> None:
        """Close the connections to models."""
        run_in_loop(self._models.close(), 5)

    def _may_have_run(
        self, state: Mapping[str, Any], decided: Mapping[str, str | None], request: AgentRequest
    ) -> bool:
        """Whether an earlier attempt may have made a call that was approved, so that making it
        again needs another approval.
        """
        if request.attempt <= state["attempt"] + 1:
            return False
        functions = self._settings.tools
        return any(
            decided[each["id"]] is None
            and not (each["tool"] in functions and functions[each["tool"]].idempotent)
            for each in state["calls"]
        )

    def _result(
        self,
        run: Run,
        asked: Asked,
        tools: Sequence[Chosen],
        limits: Mapping[str, int],
        decided: Mapping[str, str | None],
    ) -> AgentResult:
        seconds = run.request.timeout_seconds
        work = self._work(run, asked, tools, limits, decided)
        try:
            result = run_in_loop(work, seconds)
        except AgentFailure:
            raise
        except DeadlinePassed as error:
            message = f"the agent {error}"
            raise AgentFailure(message, error_class="timeout") from error
        except Exception as error:
            raise failure_of(error, asked.service) from error
        if isinstance(result, Question):
            return AgentResult("", run.counts(), question=result)
        return AgentResult(answer(result).output, run.counts())

    async def _work(
        self,
        run: Run,
        asked: Asked,
        tools: Sequence[Chosen],
        limits: Mapping[str, int],
        decided: Mapping[str, str | None],
    ) -> Any:
        """The output of the agent, or what it asks a person. It is one task: connections to MCP
        servers are entered and left in it.
        """
        request, began = run.request, time.monotonic()
        state = request.resumed.state if request.resumed is not None else None
        used = (state or {}).get("used", {})
        async with AsyncExitStack() as stack:
            toolsets = await self._tools.open(tools, request, run.recorder, stack)
            left, is_watched = _left(limits, used), request.is_watched
            own, model = self._tools.own(tools, run.recorder), _model(run, asked, left)
            agent = _agent(request, model, toolsets, *own)
            _note_denied(run, state, decided)
            result = await agent.run(
                None if state is not None else request.input,
                message_history=_history(request, state),
                deferred_tool_results=approvals.results_of(decided) if state is not None else None,
                deps=_context(request),
                usage=run.usage,
                usage_limits=left,
                timeout=max(request.timeout_seconds - (time.monotonic() - began), 0.001),
                event_stream_handler=partial(_stream, request) if is_watched else None,
            )
            run.note_model(result.all_messages())
            if not isinstance(result.output, DeferredToolRequests):
                return result.output
            total = _total(used, run.counts())
            told = result.all_messages(), run.recorder, request, total, run.secrets
            return approvals.question_of(result.output, *told)


def _total(used: Mapping[str, int], counted: Mapping[str, int]) -> dict[str, int]:
    """What counts towards the limits, of the parts before this one and of this one."""
    names = ("requests", "tool_calls", "total_tokens")
    return {name: used.get(name, 0) + counted.get(name, 0) for name in names}


def _left(limits: Mapping[str, int], used: Mapping[str, int]) -> UsageLimits:
    """What the parts of the agent before this one have left."""
    return UsageLimits(
        request_limit=max(limits["max_requests"] - used.get("requests", 0), 0),
        tool_calls_limit=max(limits["max_tool_calls"] - used.get("tool_calls", 0), 0),
        total_tokens_limit=max(limits["max_total_tokens"] - used.get("total_tokens", 0), 0),
    )


def _model(run: Run, asked: Asked, left: UsageLimits) -> Model:
    """The model; where a budget applies, all requests together keep to what it has reserved."""
    model = Streamed(asked.model) if run.request.is_watched else asked.model
    output, most = run.request.max_tokens, left.total_tokens_limit
    if output is None or most is None:
        return model
    return WithinModel(model, run.usage, most, output)


def _agent(
    request: AgentRequest,
    model: Model,
    toolsets: Sequence[Any],
    functions: Sequence[Tool[ToolContext]],
    recording: Recording,
) -> Agent[ToolContext, Any]:
    runtime = request.runtime
    schema = request.output_schema or runtime.get("output_schema")
    output: Any = str
    if schema is not None:
        structured = StructuredDict(dict(schema), name=str(schema.get("title") or "answer"))
        output = _MODES[runtime.get("output_mode") or "tool"](structured)
    given = {name: runtime[name] for name in _PARAMETERS if runtime.get(name) is not None}
    parameters = limited(given, request.max_tokens, "max_tokens")
    agent: Agent[ToolContext, Any] = Agent(
        model,
        output_type=[output, DeferredToolRequests],
        instructions=request.instructions or None,
        deps_type=ToolContext,
        tools=functions,
        toolsets=toolsets,
        capabilities=[recording] if functions else (),
        retries=_RETRIES,
        model_settings=ModelSettings(**parameters),  # type: ignore[typeddict-item]
    )
    if schema is not None:
        agent.output_validator(partial(_check, schema))
    return agent


def _check(schema: Mapping[str, Any], value: Any) -> Any:
    """The structured output; the model is told what does not conform to its schema."""
    if isinstance(value, dict):
        (problem,) = json_schema.problems(schema, [value], Budget(MAX_ANSWER_WORK), by="the schema")
        if problem:
            raise ModelRetry(problem)
    return value


def _history(request: AgentRequest, state: Mapping[str, Any] | None) -> list[ModelMessage]:
    if state is not None:
        return approvals.messages_of(state)
    return [
        ModelRequest([UserPromptPart(each.content)])
        if each.role == "user"
        else ModelResponse([TextPart(each.content)])
        for each in request.thread
    ]


def _note_denied(
    run: Run, state: Mapping[str, Any] | None, decided: Mapping[str, str | None]
) -> None:
    for each in (state or {}).get("calls", ()):
        if (why := decided[each["id"]]) is not None:
            run.recorder.add(each["tool"], "denied", each["arguments"], why)


def _context(request: AgentRequest) -> ToolContext:
    return ToolContext(
        tenant=request.tenant,
        session_uuid=request.session_uuid,
        session_agent_uuid=request.session_agent_uuid,
        agent_uuid=request.agent_uuid,
        agent_name=request.agent_name,
        run_uuid=request.run_uuid,
        attempt=request.attempt,
        idempotency_key=request.idempotency_key,
        traceparent=request.traceparent,
        tracestate=request.tracestate,
    )


async def _stream(
    request: AgentRequest, _: RunContext[ToolContext], events: AsyncIterable[Any]
) -> None:
    """Show the text while it is written."""
    async for event in events:
        match event:
            case PartStartEvent(part=TextPart(content=text)) if text:
                request.on_delta(text)
            case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
                request.on_delta(text)
