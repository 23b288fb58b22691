"""Data classes that cost a start little: their methods are compiled at first use.

`dataclasses.dataclass` compiles up to six methods of each class when its module is imported, half a
millisecond a class. A process uses few of the classes at its start, and of most of them only
`__init__`.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

_METHODS = ("__init__", "__repr__", "__eq__", "__hash__")

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        cls: type | None = None,
        /,
        *,
        init: bool = True,
        eq: bool = True,
        frozen: bool = False,
        slots: bool = False,
        kw_only: bool = False,
    ) -> Any:
        """Make a data class, as `dataclasses.dataclass` with these parameters does."""

        def decorate(cls: type) -> type:
            own = {name for name in _METHODS if cls.__dict__.get(name) is not None}
            made = dataclasses.dataclass(
                init=False, repr=False, eq=False, slots=slots, kw_only=kw_only
            )(cls)
            left = {"__repr__", *(["__init__"] if init else ()), *(["__eq__"] if eq else ())}
            if eq and frozen:
                left.add("__hash__")
            elif eq and "__hash__" not in own:
                made.__hash__ = None
            for name in left - own:
                setattr(made, name, _at_first_call(made, name, frozen=frozen))
            if frozen:
                _freeze(made, slots=slots)
            return made

        return decorate if cls is None else decorate(cls)


def _at_first_call(cls: type, name: str, *, frozen: bool) -> Callable[..., Any]:
    """The method that replaces itself by the one that `dataclasses` makes."""

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        compiled = getattr(_compiled(cls, name, frozen=frozen), name)
        compiled.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, compiled)  # another thread may have done the same
        return compiled(self, *arguments, **named)

    return method


def _compiled(cls: Any, name: str, *, frozen: bool) -> type:
    """A data class with the same fields, and this method alone."""
    kept = ("default", "default_factory", "init", "repr", "hash", "compare", "kw_only")
    fields = [
        (each.name, Any, dataclasses.field(**{key: getattr(each, key) for key in kept}))
        for each in dataclasses.fields(cls)
    ]
    wanted = name.strip("_")
    return dataclasses.make_dataclass(
        cls.__name__,
        fields,
        namespace={"__post_init__": None} if hasattr(cls, "__post_init__") else {},
        init=wanted == "init",
        repr=wanted == "repr",
        eq=wanted == "eq",
        unsafe_hash=wanted == "hash",
        frozen=frozen and wanted == "init",
    )


def _freeze(cls: Any, *, slots: bool) -> None:
    """Refuse changes of the instances; those with slots can be copied nevertheless."""

    def refuse(self: Any, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def keep(self: Any, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    cls.__setattr__, cls.__delattr__ = refuse, keep
    if slots:
        names = [each.name for each in dataclasses.fields(cls)]

        def state(self: Any) -> list[Any]:
            return [getattr(self, name) for name in names]

        def restore(self: Any, values: list[Any]) -> None:
            for name, value in zip(names, values, strict=True):
                object.__setattr__(self, name, value)

        cls.__getstate__, cls.__setstate__ = state, restore
