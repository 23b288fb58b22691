"""Run agents that are models of Amazon Bedrock, by Converse."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ai_coordination_engine.adapters.runtimes import converse
from ai_coordination_engine.adapters.runtimes.aws_service import AwsService, Called, chosen
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.runtime_settings import BedrockModel
from ai_coordination_engine.settings import Settings

_SETTING = "ACE_BEDROCK_MODELS"


def load(settings: Settings, _: Secrets) -> "BedrockRuntime":
    """Create the runtime from the settings."""
    return BedrockRuntime(settings.bedrock_models)


class BedrockRuntime:
    """Asks the model that `runtime.model` names in `models`, or the one named `default`.

    The instructions become the system prompt; the thread and the input follow. While somebody
    watches, the answer is read as a stream, unless the model has none. `usage` is in the standard
    names, also of answers that cannot be used. A text that was cut off at the token limit is kept,
    with `finish_reason: length` in `usage`.
    """

    def __init__(self, models: Mapping[str, BedrockModel]) -> None:
        self._models = models
        self._service = AwsService("bedrock-runtime")

    def run(self, request: AgentRequest) -> AgentResult:
        """Ask once and return the result; raises `AgentFailure`."""
        name, model = self.check(request.runtime)
        asked = {"modelId": model.model_id, **converse.question(request), **model.guarded()}
        body = self._service.call(
            partial(_answered, asked, request, model.model_id),
            Called(f"the Bedrock model {name!r}", "bedrock:InvokeModel*", _SETTING),
            seconds=request.timeout_seconds,
            region=model.region,
        )
        return converse.read(body, request, model.model_id)

    def check(self, runtime: Mapping[str, object]) -> tuple[str, BedrockModel]:
        """Return the name and the model; raises `AgentFailure` when it is not allowed."""
        name = runtime.get("model") or "default"
        model = chosen(self._models, {"model": name}, "model", "the Bedrock model")
        more = runtime.get("additional_model_request_fields")
        if more is not None and not isinstance(more, dict):
            message = "`runtime.additionalModelRequestFields` must be an object"
            raise AgentFailure(message, error_class="invalid_request")
        return str(name), model


def _answered(asked: Mapping[str, Any], request: AgentRequest, model: str, client: Any) -> Any:
    if request.is_watched:
        try:
            events = client.converse_stream(**asked)["stream"]
        except client.exceptions.ValidationException as error:
            if "stream" not in str(error):
                raise
        else:
            return converse.whole(events, request.on_delta, model)
    return client.converse(**asked)
