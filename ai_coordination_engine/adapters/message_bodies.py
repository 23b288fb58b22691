"""Convert the engine's messages to JSON bodies and back; every queue uses them."""

import re
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)

from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import Backfill, CancelJob, Fire, QueueMessage, Wake

_DELAY = re.compile(r',"delay":([0-9.]+)}$')
_KEPT = 64  # messages: one is read when its agent is claimed, and when its step begins


class _Body(BaseModel):
    """The JSON body of a message.

    `v` changes only when a reader of the old form would misread the new one.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    v: Literal[1] = 1
    tenant: str = Field(min_length=1)


class _WakeBody(_Body):
    session_uuid: str = Field(min_length=1)
    session_agent_uuid: str = Field(min_length=1)
    # None: the agent was never reset, or the sender is of a version without epochs.
    epoch: int | None = Field(None, ge=0)
    needs: str | None = None

    def message(self) -> Wake:
        key = self.tenant, self.session_uuid, self.session_agent_uuid
        return Wake(*key, self.epoch or 0, self.needs or "")


class _FireBody(_Body):
    task_uuid: str = Field(min_length=1)
    schedule_uuid: str = Field(min_length=1)
    nominal: int
    revision: str
    sent_at: float = Field(allow_inf_nan=False)

    def message(self) -> Fire:
        return Fire(**{name: value for name, value in self if name != "v"})


class _BackfillBody(_Body):
    kind: Literal["backfill"] = "backfill"
    task_uuid: str = Field(min_length=1)
    schedule_uuid: str = Field(min_length=1)

    def message(self) -> Backfill:
        return Backfill(self.tenant, self.task_uuid, self.schedule_uuid)


class _CancelJobBody(_Body):
    kind: Literal["cancel_job"] = "cancel_job"
    session_uuid: str = Field(min_length=1)
    session_agent_uuid: str = Field(min_length=1)
    run_uuid: str
    async_task_uuid: str = Field(min_length=1)
    runtime: str
    tries: int = Field(0, ge=0)

    def message(self) -> CancelJob:
        return CancelJob(**{name: value for name, value in self if name not in ("v", "kind")})


def _kind(body: Any) -> str:
    if not isinstance(body, dict) or "schedule_uuid" not in body:
        is_of_job = isinstance(body, dict) and "async_task_uuid" in body
        return "cancel_job" if is_of_job else "wake"
    return "backfill" if "kind" in body else "fire"


_BODY: TypeAdapter[_WakeBody | _FireBody | _BackfillBody | _CancelJobBody] = TypeAdapter(
    Annotated[
        Annotated[_WakeBody, Tag("wake")]
        | Annotated[_FireBody, Tag("fire")]
        | Annotated[_BackfillBody, Tag("backfill")]
        | Annotated[_CancelJobBody, Tag("cancel_job")],
        Discriminator(_kind),
    ]
)


def body_of(message: QueueMessage, delay: float = 0) -> str:
    """Return the body of a message: compact JSON. It says after which delay (seconds) the message
    becomes visible.
    """
    body = _body_of(message)
    return f'{body[:-1]},"delay":{delay:.3f}}}' if delay > 0 else body


def delay_of(body: str) -> float:
    """Return the delay that a body says; 0 if it says none."""
    found = _DELAY.search(body)
    return float(found[1]) if found else 0.0


def _body_of(message: QueueMessage) -> str:
    fields = {name: getattr(message, name) for name in message.__slots__}
    if isinstance(message, Fire):
        return _FireBody(**fields).model_dump_json()
    if isinstance(message, Backfill):
        return _BackfillBody(**fields).model_dump_json()
    if isinstance(message, CancelJob):
        return _CancelJobBody(**fields).model_dump_json()
    beside = {"epoch": message.epoch or None, "needs": message.needs or None}
    return _WakeBody(**{**fields, **beside}).model_dump_json(exclude_none=True)


@lru_cache(_KEPT)
def message_from_body(body: str) -> QueueMessage:
    """Return the message in a body; raises `BadUserInput` when the body is not a valid message."""
    try:
        return _BODY.validate_json(body).message()
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, e['loc'][1:]))} {e['msg']}".strip() for e in error.errors()
        )
        raise BadUserInput(f"the body is not a message of the engine: {reasons}") from error
