"""One GraphQL operation with its variables and the type of its result."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from ai_coordination_engine.client.errors import UnexpectedAnswer

T = TypeVar("T")


_ONLY_SUBSCRIPTION = "agentOutput"


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""An argument that is not sent. It differs from `None`, which is sent as null."""


@dataclass(frozen=True)
class Operation(Generic[T]):
    """What to send, and how to read the answer.

    `field` is the path of the result in the data. `repeatable` says whether a second execution
    has no further effect, so that the client may retry.
    """

    name: str
    document: str
    variables: Mapping[str, Any]
    field: tuple[str, ...]
    result: Any
    repeatable: bool = False

    def at(self, cursor: str) -> "Operation[T]":
        """Return the operation for the page at `cursor`."""
        return replace(self, variables={**self.variables, "cursor": cursor})

    @property
    def is_query_too(self) -> bool:
        """Whether there is a query of the same name."""
        return self.name != _ONLY_SUBSCRIPTION

    def as_query(self) -> "Operation[T]":
        """Return the query with the result of a subscription; both have the same fields."""
        return replace(self, document=self.document.replace("subscription", "query", 1))

    def read(self, data: Any) -> T:
        """Return the typed result; raises `UnexpectedAnswer`."""
        for name in self.field:
            data = data.get(name) if isinstance(data, dict) else None
        try:
            read: T = _adapter(self.result).validate_python(data)
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors()[:3])
            raise UnexpectedAnswer(
                f"the answer to {self.name} does not fit the client ({fields or 'the result'}):"
                " client and server may have different versions"
            ) from None
        return read


@cache
def _adapter(of_type: Any) -> TypeAdapter[Any]:
    return TypeAdapter(of_type)


def given(variables: Mapping[str, object]) -> dict[str, object]:
    """Return the variables as they are sent, without those that are `UNSET`."""
    return {name: _sent(value) for name, value in variables.items() if value is not UNSET}


def _sent(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("a date and time must have a time zone: datetime.now(UTC)")
    return value.isoformat()
