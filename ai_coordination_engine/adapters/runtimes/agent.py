"""Run agents that call tools: functions and MCP servers that the operator allows.

The library that runs them, pydantic-ai, is imported when the first of these agents runs (the
modules in `agents`): it takes half a second. Checking a record needs the settings alone.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ai_coordination_engine.adapters.allowed import AllowedFunctions
from ai_coordination_engine.adapters.runtimes.agents.chosen import Chosen, chosen
from ai_coordination_engine.domain.answers import check_schema
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.settings import Settings

if TYPE_CHECKING:
    from ai_coordination_engine.adapters.runtimes.agents.run import Attempts

# Cold start: see above.
# ruff: noqa: PLC0415

_OUTPUT_MODES = ("tool", "native", "prompted")
_LIMITS = {
    "max_requests": "agent_max_requests",
    "max_tool_calls": "agent_max_tool_calls",
    "max_total_tokens": "agent_max_tokens",
}


def load(settings: Settings, secrets: Secrets) -> "ToolAgentRuntime":
    """Create the runtime from the settings; raises `ImportError` without the extra."""
    if find_spec("pydantic_ai") is None:
        raise ImportError("No module named 'pydantic_ai'")
    return ToolAgentRuntime(settings, secrets)


class ToolAgentRuntime:
    """Runs the model `runtime.model`, which may call the tools in `runtime.tools`.

    The model is one of `ACE_AGENT_MODELS`, or is asked at `runtime.endpoint`, one of
    `ACE_OPENAI_ENDPOINTS`. A tool that needs approval ends the attempt with a question; the next
    attempt goes on from the stored messages. `usage` has the counts of all requests of the attempt.
    """

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self.functions = AllowedFunctions(
            {name: each.function for name, each in settings.tools.items()}
        )
        self._attempts: Attempts | None = None

    def run(self, request: AgentRequest) -> AgentResult:
        """Run one attempt and return its result; raises `AgentFailure`, with the usage so far and
        the tool calls.
        """
        tools = self.check(request.runtime)
        if self._attempts is None:
            from ai_coordination_engine.adapters.runtimes.agents.run import Attempts

            self._attempts = Attempts(self._settings, self._secrets, self.functions)
        return self._attempts.run(request, tools, limits(request.runtime, self._settings))

    def close(self) -> None:
        """Close the connections to models; they are opened again when they are needed."""
        if self._attempts is not None:
            self._attempts.close()

    def check(self, runtime: Mapping[str, object]) -> list[Chosen]:
        """Return the tools of the record; raises `AgentFailure` when the settings do not allow the
        model or a tool, or a key has a value that cannot work.
        """
        self._check_model(runtime)
        limits(runtime, self._settings)
        mode, schema = runtime.get("output_mode"), runtime.get("output_schema")
        if mode is not None and mode not in _OUTPUT_MODES:
            raise _invalid(f"`runtime.output_mode` is one of: {', '.join(_OUTPUT_MODES)}")
        if schema is not None:
            _check_schema(schema)
        return chosen(runtime.get("tools"), self._settings)

    def _check_model(self, runtime: Mapping[str, object]) -> None:
        endpoint, model = runtime.get("endpoint"), runtime.get("model")
        if endpoint is None:
            if pattern_of(model, self._settings) is None:
                raise _refused(_no_model(model, self._settings))
            return
        if not isinstance(endpoint, str) or endpoint not in self._settings.openai_endpoints:
            raise _refused(_no_endpoint(endpoint, self._settings))
        if model is None and self._settings.openai_endpoints[endpoint].model is None:
            raise _invalid("`runtime.model` must name a model: the endpoint has no default")


def _no_endpoint(endpoint: object, settings: Settings) -> str:
    known = sorted(settings.openai_endpoints)
    return (
        f"the model endpoint {endpoint!r:.100} is not configured"
        f"{did_you_mean(endpoint, known) or ';'} configured: {', '.join(known) or 'none'}"
        "; see ACE_OPENAI_ENDPOINTS"
    )


def _no_model(model: object, settings: Settings) -> str:
    known = settings.agent_models
    names = [each for each in known if not each.endswith("*")]
    return (
        f"the model {model!r:.100} is not allowed{did_you_mean(model, names) or ';'}"
        f" `runtime.model` is one of: {', '.join(known) or 'none'}, or"
        " `runtime.endpoint` names one of ACE_OPENAI_ENDPOINTS"
    )


def pattern_of(model: object, settings: Settings) -> str | None:
    """The name of the setting that allows this model; a pattern may end with `*`."""
    if not isinstance(model, str):
        return None
    if model in settings.agent_models:
        return model
    fitting = [
        each
        for each in settings.agent_models
        if each.endswith("*") and ":" in each and model.startswith(each[:-1])
    ]
    return max(fitting, key=len, default=None)


def limits(runtime: Mapping[str, object], settings: Settings) -> dict[str, int]:
    """The limits of an agent: a record may lower those of the settings. Raises `AgentFailure`."""
    found = {}
    for key, name in _LIMITS.items():
        most, given = getattr(settings, name), runtime.get(key)
        if given is not None and (type(given) is not int or given < (key != "max_tool_calls")):
            raise _invalid(f"`runtime.{key}` must be a whole number of at least 1")
        found[key] = min(most, given) if isinstance(given, int) else most
    return found


def _check_schema(schema: Any) -> None:
    try:
        check_schema(schema, Budget())
    except BadUserInput as error:
        raise _invalid(f"`runtime.output_schema`: {error.message}") from error
    if schema.get("type") != "object":
        raise _invalid("`runtime.output_schema` must have the type object")


def _refused(message: str) -> AgentFailure:
    return AgentFailure(message, error_class="not_allowed")


def _invalid(message: str) -> AgentFailure:
    return AgentFailure(message, error_class="invalid_request")
