"""Where the values of placeholders come from, by name. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from unicodedata import normalize

V = TypeVar("V")


@dataclass(frozen=True)
class Scope:
    """Where values come from: `layers`, nearest first, then `agents`, the names and uuids of the
    predecessors. `others` are names that are meant where they stand, and have no value.
    """

    layers: Sequence[Mapping[str, object]]
    agents: Mapping[str, str] = field(default_factory=dict)  # → their uuid
    others: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, layers: Sequence[Mapping[str, object]], agents: Mapping[str, str] | None = None
    ) -> "Scope":
        """A scope in which names are found whatever their Unicode normal form."""
        return cls([_normal(each) for each in layers], _normal(agents or {}))

    def with_agents(self, agents: Mapping[str, str], others: Collection[str] = ()) -> "Scope":
        """The scope with these predecessors, and the names of `others`."""
        return Scope(
            self.layers, _normal(agents), frozenset(normalize("NFC", each) for each in others)
        )

    def with_nothing(self) -> "Scope":
        """The predecessors alone."""
        return Scope([], self.agents)

    def within(self, *layers: Mapping[str, object]) -> "Scope":
        """The scope with nearer layers."""
        return Scope([*map(_normal, layers), *self.layers], self.agents, self.others)

    def has(self, name: str) -> bool:
        """Whether anything has this name."""
        return name in self.agents or any(name in layer for layer in self.layers)


def _normal(names: Mapping[str, V]) -> Mapping[str, V]:
    odd = [name for name in names if not name.isascii()]
    return {**{normalize("NFC", name): names[name] for name in odd}, **names} if odd else names
