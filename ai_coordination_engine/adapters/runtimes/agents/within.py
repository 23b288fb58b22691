"""A model that keeps to what a budget has reserved for an attempt."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic import TypeAdapter
from pydantic_ai import RunContext
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage

_ANY: TypeAdapter[Any] = TypeAdapter(Any)
_PER_REQUEST, _PER_MESSAGE = 64, 16  # tokens of a chat template that no text has


class WithinModel(WrapperModel):
    """Asks a model only for as much as is left of `most` tokens, whatever its input may come to.

    `used` is filled by the run. `output`: the most that one request may answer. A request for which
    nothing is left is not sent: it raises `UsageLimitExceeded`.
    """

    def __init__(self, model: Model, used: RunUsage, most: int, output: int) -> None:
        super().__init__(model)
        self._used, self._most, self._output = used, most, output

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask, within what is left."""
        capped = self._capped(messages, model_settings, model_request_parameters)
        return await super().request(messages, capped, model_request_parameters)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Likewise, as a stream."""
        capped = self._capped(messages, model_settings, model_request_parameters)
        asked = messages, capped, model_request_parameters, run_context
        async with super().request_stream(*asked) as stream:
            yield stream

    def _capped(
        self,
        messages: Sequence[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelSettings:
        given: ModelSettings = settings or {}
        left = self._most - self._used.total_tokens - _most_input(messages, parameters)
        if left < 1:
            raise UsageLimitExceeded(
                f"The next request may exceed the total_tokens_limit of {self._most}, which a"
                f" budget has reserved ({self._used.total_tokens} are used)."
            )
        return {**given, "max_tokens": min(given.get("max_tokens", self._output), left)}


def _most_input(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> int:
    """The most tokens of an input. What was asked before is counted already; of the rest, each byte
    may be a token.
    """
    for index in range(len(messages), 0, -1):
        before = messages[index - 1]
        if isinstance(before, ModelResponse) and before.usage.input_tokens:
            return before.usage.total_tokens + _bytes(messages[index:])
    return _bytes(messages) + len(_ANY.dump_json(parameters, fallback=str)) + _PER_REQUEST


def _bytes(messages: Sequence[ModelMessage]) -> int:
    return len(ModelMessagesTypeAdapter.dump_json([*messages])) + _PER_MESSAGE * len(messages)
