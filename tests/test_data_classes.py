"""Data classes whose methods are compiled at first use are those of `dataclasses`."""

import copy
import dataclasses
import pickle
from typing import Any, ClassVar

import pytest

from ai_coordination_engine import data_classes
from ai_coordination_engine.ports import Wake

MAKERS = [dataclasses.dataclass, data_classes.dataclass]
KINDS = [
    {},
    {"frozen": True},
    {"frozen": True, "slots": True},
    {"frozen": True, "kw_only": True},
    {"frozen": True, "slots": True, "eq": False},
    {"eq": False},
    {"slots": True},
]


def made(maker: Any, **kind: Any) -> Any:
    @maker(**kind)
    class Base:
        """A base."""

        shared: ClassVar[int] = 3
        name: str

    @maker(**kind)
    class Record(Base):
        """A record."""

        given: list[int] = dataclasses.field(default_factory=list, compare=False)
        secret: str = dataclasses.field(default="s", repr=False)
        counted: int = dataclasses.field(default=0, init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "counted", len(self.given))

    return Record


def told(call: Any) -> Any:
    try:
        return call()
    except Exception as error:  # what is compared: whether and how it fails
        return type(error), str(error)


def behaviour(cls: Any) -> dict[str, Any]:
    """All that is seen of a class; calls come in an order in which each method is a first one."""
    one, same, other = cls(name="a", given=[1]), cls(name="a", given=[2, 3]), cls(name="b")
    other_last = dataclasses.replace(other, secret="t")
    return {
        "repr": repr(one),
        "equal": (
            one == same,
            one == other,
            one == 3,
            one != other,
            other == other_last,
        ),
        "hash": told(lambda: hash(one) == hash(cls(name="a", given=[1]))),
        "fields": [(each.name, each.init, each.repr) for each in dataclasses.fields(cls)],
        "missing": told(cls),
        "unknown": told(lambda: cls(name="a", more=1)),
        "positional": told(lambda: cls("x", [1], "y").secret),
        "set": told(lambda: setattr(one, "name", "x")),
        "delete": told(lambda: delattr(one, "secret")),
        "as a dict": dataclasses.asdict(other_last),
        "copied": told(lambda: dataclasses.asdict(copy.copy(same))),
        "matched": cls.__match_args__,
        "has a dict": hasattr(one, "__dict__"),
        "documented": cls.__doc__,
    }


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_it_behaves_as_a_data_class_of_the_library(kind: dict[str, Any]) -> None:
    library, own = (behaviour(made(maker, **kind)) for maker in MAKERS)

    assert own == library


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_method_of_the_class_is_kept(kind: dict[str, Any]) -> None:
    def told_by(maker: Any) -> Any:
        @maker(**kind)
        class Told:
            """A class with methods of its own."""

            name: str = "x"

            def __repr__(self) -> str:
                return "told"

            def __eq__(self, other: object) -> bool:
                return True

            def __hash__(self) -> int:
                return 7

        return repr(Told()), Told(name="a") == Told(name="b"), hash(Told())

    library, own = map(told_by, MAKERS)
    assert own == library == ("told", True, 7)


def test_an_initializer_of_the_class_is_kept() -> None:
    @data_classes.dataclass(frozen=True, slots=True, init=False)
    class Parts:
        """Has parts."""

        parts: tuple[int, ...]

        def __init__(self, *parts: int) -> None:
            object.__setattr__(self, "parts", parts)

    assert (repr(Parts(1, 2)).rpartition(".")[2], Parts(1) == Parts(1)) == (
        "Parts(parts=(1, 2))",
        True,
    )


def test_a_subclass_without_fields_uses_what_its_base_compiles() -> None:
    @data_classes.dataclass(frozen=True)
    class Base:
        """A base."""

        name: str

    class Below(Base):
        """Adds nothing."""

    assert (Below("a").name, Base("b").name, Below("a") == Base("a")) == ("a", "b", False)


def test_instances_with_slots_are_pickled() -> None:
    wake = Wake("t", "s", "a", 2)

    assert pickle.loads(pickle.dumps(wake)) == wake  # noqa: S301


def test_nothing_is_compiled_before_the_first_call() -> None:
    @data_classes.dataclass(frozen=True)
    class Record:
        """A record."""

        name: str

    before = {
        name: Record.__dict__[name] for name in ("__init__", "__repr__", "__eq__", "__hash__")
    }
    Record("a")
    compiled = [name for name, method in before.items() if Record.__dict__[name] is not method]
    assert compiled == ["__init__"]
