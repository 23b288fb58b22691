"""Record the tool calls of an attempt, give each an idempotency key, and ask before some."""

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Set
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from pydantic_ai import RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ModelRetry, ToolFailed
from pydantic_ai.messages import ToolReturn
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset

from ai_coordination_engine.adapters.allowed import reason_of
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.ids import name_uuid
from ai_coordination_engine.observability import logger
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, ToolContext

_ANY: TypeAdapter[Any] = TypeAdapter(Any)
Call = Callable[[RunContext[ToolContext]], Awaitable[Any]]


def digest_of(label: str, arguments: object) -> str:
    """What identifies a call: its tool and its arguments."""
    return name_uuid(json.dumps([label, arguments], sort_keys=True, default=str))


class Recorder:
    """The tool calls of one attempt, in order.

    `approved`: the digests of the calls that a person has allowed, by the id of the call. `asked`:
    the labels of the calls that a person must be asked about, by id.
    """

    def __init__(self, request: AgentRequest, approved: Mapping[str, str]) -> None:
        self.calls: list[dict[str, Any]] = []
        self.asked: dict[str, str] = {}
        self._key = request.idempotency_key or request.run_uuid
        self._approved = approved
        self._equal: Counter[str] = Counter()

    def add(self, label: str, outcome: str, arguments: Any, result: Any = None) -> dict[str, Any]:
        """Record a call that begins now, or is not made."""
        call = {
            "name": label,
            "outcome": outcome,
            "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "duration_ms": 0,
            "arguments": arguments,
            "result": result,
        }
        self.calls.append(call)
        return call

    async def run(
        self,
        label: str,
        arguments: dict[str, Any],
        context: RunContext[ToolContext],
        make: Call,
        *,
        needs_approval: bool,
    ) -> Any:
        """Make a call and record it. Raises what the library expects of a tool that failed, or that
        a person must allow; an `AgentFailure` of a tool ends the attempt.
        """
        digest = digest_of(label, arguments)
        if needs_approval and not self._is_approved(context, digest):
            self.asked[str(context.tool_call_id)] = label
            self.add(label, "asked", arguments)
            raise ApprovalRequired
        self._equal[digest] += 1
        key = name_uuid(f"{self._key}/{digest}/{self._equal[digest]}")
        call, began = self.add(label, "failed", arguments), time.monotonic()
        try:
            result = await make(replace(context, deps=replace(context.deps, idempotency_key=key)))
        except (ModelRetry, ToolFailed, AgentFailure) as error:
            call["result"] = str(error)
            raise
        except (ApprovalRequired, CallDeferred):
            call["outcome"] = "asked"
            self.asked[str(context.tool_call_id)] = label
            raise
        except Exception as error:
            logger.warning("a tool raised", exc_info=error)
            call["result"] = reason_of(error)
            raise ToolFailed(reason_of(error)) from error
        finally:
            call["duration_ms"] = (time.monotonic() - began) * 1000
        call |= {"outcome": "completed", "result": _plain(result)}
        return result

    def _is_approved(self, context: RunContext[ToolContext], digest: str) -> bool:
        known = self._approved.get(str(context.tool_call_id))
        return context.tool_call_approved and known == digest


@dataclass
class Recorded(WrapperToolset[ToolContext]):
    """A toolset whose calls are recorded, all or those of `names`. `prefix` comes before the names
    in records and questions; `needs_approval` says which of its tools a person must allow.
    """

    recorder: Recorder
    needs_approval: Callable[[str], bool]
    prefix: str = ""
    names: Set[str] | None = None

    async def call_tool(
        self,
        name: str,
        tool_args: dict[str, Any],
        ctx: RunContext[ToolContext],
        tool: ToolsetTool[ToolContext],
    ) -> Any:
        """Make a call through the recorder."""
        if self.names is not None and name not in self.names:
            return await self.wrapped.call_tool(name, tool_args, ctx, tool)

        async def make(context: RunContext[ToolContext]) -> Any:
            return await self.wrapped.call_tool(name, tool_args, context, tool)

        return await self.recorder.run(
            self.prefix + name, tool_args, ctx, make, needs_approval=self.needs_approval(name)
        )


@dataclass
class Recording(AbstractCapability[ToolContext]):
    """Records the calls of an agent's own functions.

    They stay in the agent's one toolset: the library starts three tasks a request for each further
    one.
    """

    recorder: Recorder
    needs_approval: Callable[[str], bool]
    names: Set[str]

    def get_wrapper_toolset(
        self, toolset: AbstractToolset[ToolContext]
    ) -> AbstractToolset[ToolContext]:
        """The agent's tools, those of `names` with the recorder around them."""
        return Recorded(toolset, self.recorder, self.needs_approval, names=self.names)


def _plain(result: Any) -> Any:
    value = result.return_value if isinstance(result, ToolReturn) else result
    try:
        return _ANY.dump_python(value, mode="json", fallback=str)
    except Exception:  # a value of the operator's own may raise anything
        return f"<{type(value).__name__}>"
