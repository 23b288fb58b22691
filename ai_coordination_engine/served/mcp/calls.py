"""Calls of tools: a call starts a session, and answers what has become of it.

- A client with the Tasks extension gets a task at once.
- Another one waits: until the session ends or asks a person, or as long as the connection allows.
  A client of the stateless revision then sends the call again with a state, and with the answers of
  its user; a client of 2025 is told how to look at the session later.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import trace_context
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput, NotFound
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.mcp import forms, results, state
from ai_coordination_engine.served.mcp.results import Result
from ai_coordination_engine.served.mcp.wire import INVALID_PARAMS, Call, WireError
from ai_coordination_engine.served.sessions import Question, ServedSession
from ai_coordination_engine.served.tasks import ServedTask, served_task
from ai_coordination_engine.served.waiting import seen_until

MCP = "mcp"
WAIT_SECONDS = 20.0
"""The seconds that a call waits without a stream: an HTTP API and its function have 29."""
IDEMPOTENCY_KEY = "ai-coordination-engine/idempotencyKey"
"""The key in `_meta` under which a client may repeat a call."""
LOOK_TOOL: Mapping[str, Any] = {
    "name": "get_session_result",
    "title": "Result of a session",
    "description": "Wait for a session that had not ended when its tool answered.",
    "inputSchema": {
        "type": "object",
        "properties": {"session": {"type": "string"}},
        "required": ["session"],
        "additionalProperties": False,
    },
    "annotations": {"readOnlyHint": True},
}
"""A tool for clients of 2025, which cannot send a call again with its state."""


@dataclass(frozen=True)
class Begun:
    """A call of a tool and its session. `note`: why an answer was not taken; `is_declined`: the
    client's user did not answer.
    """

    call: Call
    task: ServedTask
    arguments: Mapping[str, Any]
    session: ServedSession
    note: str = ""
    is_declined: bool = False


@dataclass(frozen=True)
class Calls:
    """The calls of one tenant."""

    app: App
    tenant: str

    async def begin(self, call: Call, headers: Mapping[str, str]) -> Begun | Result:
        """Start the session of a call, or find that of a call that is sent again.

        Returns a result if the call did not begin for a reason that the model can mend. Raises
        `WireError` for a tool that does not exist, and `CoordinationError`.
        """
        name, arguments = _tool_of(call)
        if not call.is_modern and name == LOOK_TOOL["name"]:
            return await self._later(call, arguments)
        task = await asyncio.to_thread(self._task, name)
        if call.is_modern and call.params.get("requestState") is not None:
            return await asyncio.to_thread(self._again, call, task, arguments)
        key = _key_of(call)
        given = trace_context.given(call.meta) or trace_context.given(headers)

        def start() -> ServedSession:
            return sessions.start(
                self.app,
                self.tenant,
                task,
                arguments,
                protocol=MCP,
                idempotency_key=key,
                trace=given,
            )

        try:
            return Begun(call, task, arguments, await asyncio.to_thread(start))
        except BadUserInput as error:
            return results.text_result(error.message, is_error=True)

    async def wait(
        self, begun: Begun, seconds: float, tell: Callable[[ServedSession], None] = lambda _: None
    ) -> ServedSession:
        """Wait until the session has ended, or asks, or the time is over."""
        seen = begun.session
        if begun.note or begun.is_declined:
            return seen
        looks = seen_until(self.app, self.tenant, seen, MCP, seconds)
        async with aclosing(looks):
            async for seen in looks:
                tell(seen)
                if seen.questions:
                    break
        return seen

    def conclude(self, begun: Begun, seen: ServedSession) -> Result:
        """The result of a call whose session is so far."""
        call, schema = begun.call, begun.task.output_schema
        if seen.has_ended:
            return results.of(call, results.ended(seen, schema))
        if not call.is_modern:
            return results.unfinished(seen, schema, str(LOOK_TOOL["name"]))
        if seen.questions and (begun.is_declined or not call.takes_forms):
            return results.of(call, results.unfinished(seen, schema, None))
        answered: Result = {
            "requestState": state.write(
                self.tenant,
                begun.task.name,
                begun.arguments,
                seen.handle,
                [each.key for each in seen.questions],
            )
        }
        if seen.questions:
            answered["inputRequests"] = _noted(results.input_requests(seen.questions), begun.note)
        return results.of(call, answered, "input_required")

    def answer(self, handle: str, responses: Mapping[str, Any]) -> tuple[str, bool]:
        """Give the answers of a client's user to the questions that are asked now.

        Returns why one was not taken (else empty), and whether the user has declined one. Answers
        to other questions are ignored.
        """
        note, is_declined = "", False
        for question in sessions.look(self.app, self.tenant, handle, MCP).questions:
            response = responses.get(question.key)
            if not isinstance(response, Mapping):
                continue
            try:
                is_declined |= not self._answer(handle, question, response)
            except BadUserInput as error:
                note = error.message
        return note, is_declined

    # Inside

    def _answer(self, handle: str, question: Question, response: Mapping[str, Any]) -> bool:
        """Give one answer; return whether there is one. Raises `BadUserInput`."""
        text = forms.answer_in(question, response)
        if text is None:
            return False
        of = (self.app, self.tenant, handle, MCP)
        sessions.answer(*of, text, question.uuid, asked_id=question.asked_id)
        return True

    def _task(self, name: str) -> ServedTask:
        try:
            return served_task(self.app, self.tenant, MCP, name)
        except NotFound:
            raise WireError(INVALID_PARAMS, f"Unknown tool: {name[:200]}") from None

    def _again(self, call: Call, task: ServedTask, arguments: Mapping[str, Any]) -> Begun:
        """A call that its client sends again, with the answers of its user."""
        handle = state.read(self.tenant, task.name, arguments, call.params["requestState"])
        responses = call.params.get("inputResponses", {})
        if not isinstance(responses, Mapping):
            raise WireError(INVALID_PARAMS, "inputResponses must be an object.")
        note, is_declined = self.answer(handle, responses) if responses else ("", False)
        seen = sessions.look(self.app, self.tenant, handle, MCP)
        return Begun(call, task, arguments, seen, note, is_declined)

    async def _later(self, call: Call, arguments: Mapping[str, Any]) -> Result:
        """The result of a session that its call did not wait for."""
        handle = arguments.get("session")
        if not isinstance(handle, str):
            return results.text_result("session must be a text.", is_error=True)
        try:
            seen = await asyncio.to_thread(sessions.look, self.app, self.tenant, handle, MCP)
        except NotFound as error:
            return results.text_result(error.message, is_error=True)
        async with aclosing(seen_until(self.app, self.tenant, seen, MCP, WAIT_SECONDS)) as looks:
            async for seen in looks:
                if seen.questions:
                    break
        if seen.has_ended:
            return results.ended(seen, None)
        return results.unfinished(seen, None, str(LOOK_TOOL["name"]))


def _tool_of(call: Call) -> tuple[str, Mapping[str, Any]]:
    name, arguments = call.params.get("name"), call.params.get("arguments")
    if not isinstance(name, str):
        raise WireError(INVALID_PARAMS, "params.name must be the name of a tool.")
    if arguments is not None and not isinstance(arguments, Mapping):
        raise WireError(INVALID_PARAMS, "params.arguments must be an object.")
    return name, arguments or {}


def _key_of(call: Call) -> str | None:
    key = call.meta.get(IDEMPOTENCY_KEY)
    if key is not None and (not isinstance(key, str) or not sessions.is_key(key)):
        raise WireError(
            INVALID_PARAMS, f"{IDEMPOTENCY_KEY} must have 1 to 256 printable characters."
        )
    return key


def _noted(requests: dict[str, Any], note: str) -> dict[str, Any]:
    """The requests, each with a note before its message."""
    if note:
        for each in requests.values():
            each["params"]["message"] = f"{note}\n\n{each['params']['message']}"
    return requests
