"""Compare an agent that calls tools in a session with the same agent run by pydantic-ai alone.

Both are of the same run, in turn, in one process and without a network: a scripted model answers at
once, so that all that is measured is overhead. Alone: `Agent.run_sync` with the same function as
its tool. By the engine: a step of a session on SQLite, from its claim to its completion, the
session's start left out; it finds the tools, records the calls, and stores the run and the output.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from pydantic_ai import Agent, Tool
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import UsageLimits

from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.adapters.secrets import SecretsManager
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.settings import Settings
from benchmarks import backends, sessions
from benchmarks.statements import drain
from benchmarks.table import Row

CALLS, FEW = 40, 10  # of a tool in a run, one after the other
ROUNDS = 9
MODEL = "scripted:one"
_calls = [0]


def look(item: str) -> str:
    """Look something up."""
    return item.upper()


def model() -> FunctionModel:
    """A model that calls the tool as often as is left, and then answers."""
    return FunctionModel(_answer, model_name="scripted")


def _answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    _calls[0] -= 1
    if _calls[0] < 0:
        return ModelResponse([TextPart("done")])
    return ModelResponse([ToolCallPart("look", {"item": "tea"})])


def measure() -> Iterator[Row]:
    with backends.sqlite() as app, sessions.client(app) as api:
        runtime = {"kind": "agent", "model": MODEL, "tools": ["look"]}
        plan = sessions.Plan.of(api, {"a": ()}, runtimes={"a": runtime})
        found = list(_in_turn(_alone(), _by_engine(_with_tools(app), plan)))
    whole = [engine[CALLS] / alone[CALLS] for alone, engine in found]
    one = [(engine[CALLS] - engine[FEW]) / (alone[CALLS] - alone[FEW]) for alone, engine in found]
    alone_ms = statistics.median(alone[CALLS] for alone, _ in found) * 1000
    how = f"CPU of the process, medians of {ROUNDS} rounds in turn; scripted model, no network"
    yield Row(
        f"an agent of {CALLS} tool calls by the engine, sqlite, beside pydantic-ai alone",
        "≤ 1.2 ×",
        f"{statistics.median(whole):.2f} × (alone {alone_ms:.0f} ms)",
        f"claim to completion, beside `Agent.run_sync`; {how}",
    )
    yield Row(
        "one more tool call of it",
        "≤ 1.2 ×",
        f"{statistics.median(one):.2f} ×",
        f"runs of {CALLS} less runs of {FEW}; {how}",
    )


Timed = Callable[[int], float]


def _in_turn(alone: Timed, by_engine: Timed) -> Iterator[tuple[dict[int, float], dict[int, float]]]:
    for timed in (alone, by_engine):  # what happens only once
        timed(FEW)
    for _ in range(ROUNDS):
        yield tuple({count: timed(count) for count in (FEW, CALLS)} for timed in (alone, by_engine))


def _alone() -> Timed:
    agent = Agent(model(), tools=[Tool(look)])
    limits = UsageLimits(request_limit=CALLS + 1)

    def timed(count: int) -> float:
        _calls[0] = count
        began = time.process_time()
        agent.run_sync("Look.", usage_limits=limits)
        return time.process_time() - began

    return timed


def _by_engine(app: App, plan: sessions.Plan) -> Timed:
    def timed(count: int) -> float:
        plan.start()
        _calls[0] = count
        began = time.process_time()
        drain(app)
        taken = time.process_time() - began
        if _calls[0] != -1:
            raise RuntimeError(f"the agent has made {count - _calls[0]} requests")
        return taken

    return timed


def _with_tools(app: App) -> App:
    settings = Settings(
        auth="local",
        agent_models={MODEL: {"factory": f"{__name__}:model"}},
        tools={"look": f"{__name__}:look"},
        agent_max_requests=CALLS + 1,
    )
    return replace(app, runtimes=RuntimeRegistry(settings, SecretsManager()))
