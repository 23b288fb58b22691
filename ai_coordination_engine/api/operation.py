"""An operation of the API other than CRUD: a request dataclass and the function that runs it.

`operations` declares all of them. Each field of the request becomes an argument, required when it
has no default. Its description is the second part of an `Annotated`, or else the one in
`api.descriptions`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.content import check_arguments
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.prices import WRITE
from ai_coordination_engine.api.scalars import DateTime, JSONCamelCase
from ai_coordination_engine.api.types import SessionType
from ai_coordination_engine.data_classes import dataclass

R = TypeVar("R")
_SCALARS: Mapping[object, Callable[..., object]] = {
    str: graphene.String,
    int: graphene.Int,
    bool: graphene.Boolean,
    datetime: DateTime,
    Sequence: lambda **given: graphene.List(JSONCamelCase, **given),
    Mapping: JSONCamelCase,
}


@dataclass(frozen=True)
class Operation(Generic[R]):
    """A mutation. `run` is called with the context and the request, outside the event loop.

    `output` holds the fields of the payload, which `answer` fills from the result of `run`; or it
    is the type of an answer without a payload. `description` is shown in the schema. `price` is the
    cost in units of `api.prices`. `run` raises errors with a code.
    """

    name: str
    request: type[R]
    run: Callable[[Context, R], object]
    description: str
    output: Mapping[str, object] | type[graphene.ObjectType]
    answer: Callable[[Any], object]
    price: int = WRITE

    @property
    def arguments(self) -> dict[str, object]:
        """The arguments by name: first the request's own fields, then those that it inherits."""
        hints = get_type_hints(self.request, include_extras=True)
        own = self.request.__annotations__
        return {
            each.name: _argument(each.name, hints[each.name], required=each.default is MISSING)
            for each in sorted(fields(self.request), key=lambda each: each.name not in own)  # type: ignore[arg-type]
        }

    async def resolve(self, root: object, info: GraphQLResolveInfo, **given: object) -> object:
        """Check the arguments, run the operation and return its answer."""
        context: Context = info.context
        check_arguments(given)
        return self.answer(await context.change(self.run, context, self.request(**given)))

    def mutation(self) -> graphene.Field:
        """Return the field of the mutation type."""
        if not isinstance(self.output, Mapping):
            return graphene.Field(
                self.output, **self.arguments, resolver=self.resolve, description=self.description
            )
        name = self.name[0].upper() + self.name[1:]
        body = {
            "Arguments": type("Arguments", (), self.arguments),
            "mutate": self.resolve,
            "__doc__": self.description,
            **self.output,
        }
        payload: type[graphene.Mutation] = type(name, (graphene.Mutation,), body)
        return payload.Field()


def of_session(
    name: str,
    request: type[R],
    run: Callable[[Context, R], object],
    description: str,
    price: int = WRITE,
) -> Operation[R]:
    """Return an operation that answers with the session after the change."""
    output = {"session": graphene.Field(SessionType)}
    return Operation(
        name, request, run, description, output, lambda session: {"session": session}, price
    )


def of_success(
    name: str,
    request: type[R],
    run: Callable[[Context, R], object],
    description: str,
    price: int = WRITE,
) -> Operation[R]:
    """Return an operation that answers `ok`."""
    return Operation(
        name, request, run, description, {"ok": graphene.Boolean()}, lambda _: {"ok": True}, price
    )


def _argument(name: str, hint: object, *, required: bool) -> object:
    """Return the argument for a field of a request.

    A field such as `from_` becomes the argument `from`, which Python does not allow as a name.
    """
    description = None
    named = {"name": name[:-1]} if name.endswith("_") else {}
    if get_origin(hint) is Annotated:
        hint, description, *_ = get_args(hint)
    if get_origin(hint) is UnionType:
        (hint,) = (each for each in get_args(hint) if each is not NoneType)
    return _SCALARS[get_origin(hint) or hint](required=required, description=description, **named)
