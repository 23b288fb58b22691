"""Stream the answers of any model, so that who watches an agent changes nothing of its outcome."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.exceptions import ModelRequestRejectedError
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import CompletedStreamedResponse, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings


class Streamed(WrapperModel):
    """A model that answers in one piece when it cannot stream."""

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncIterator[StreamedResponse]:
        """The answer as a stream; a model that streams no answers is asked for the whole one."""
        asked = messages, model_settings, model_request_parameters
        async with AsyncExitStack() as stack:
            try:
                opening = self.wrapped.request_stream(*asked, run_context)
                stream = await stack.enter_async_context(opening)
            except Exception as error:
                if not _says_that_it_cannot(error):
                    raise
                stream = CompletedStreamedResponse(
                    await self.wrapped.request(*asked),
                    model_request_parameters=model_request_parameters,
                    replay_events=True,
                )
            yield stream


def _says_that_it_cannot(error: Exception) -> bool:
    """Whether the model has no streams (a class may assert it), or its provider refuses them."""
    if isinstance(error, NotImplementedError | AssertionError):
        return True
    rejected = getattr(error, "status_code", None) == 400
    rejected = rejected or isinstance(error, ModelRequestRejectedError)
    return rejected and "stream" in str(error).lower()
