"""What the generated types have in common."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Json = Any
"""Any JSON: null, a truth value, a number, a text, a list or an object."""

T = TypeVar("T")


class Model(BaseModel):
    """A part of an answer; attributes are the fields of the API in snake_case."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Page(Model, Generic[T]):
    """One page of records; `next_cursor` is None on the last page."""

    records: list[T]
    next_cursor: str | None
