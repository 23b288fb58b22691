"""The names that a placeholder can use, and their values. Pure.

`domain.placeholders` looks names up in a `Scope`, which `engine.planning` and
`engine.advance.maps` build.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import TypeVar
from unicodedata import normalize

from ai_coordination_engine.data_classes import dataclass

V = TypeVar("V")


@dataclass(frozen=True)
class Scope:
    """The values of placeholders by name.

    `layers` are searched first, in order; then `agents`, the names and uuids of the predecessors
    (→ uuid). `others` are the names of all other agents: a placeholder that uses one is reported
    as a placeholder without a value, not left as plain text.
    """

    layers: Sequence[Mapping[str, object]]
    agents: Mapping[str, str] = field(default_factory=dict)
    others: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, layers: Sequence[Mapping[str, object]], agents: Mapping[str, str] | None = None
    ) -> "Scope":
        """A scope that also finds a name in the Unicode normal form NFC."""
        return cls([_normal(each) for each in layers], _normal(agents or {}))

    def with_agents(self, agents: Mapping[str, str], others: Collection[str] = ()) -> "Scope":
        """A copy with these predecessors and these names of other agents."""
        return Scope(
            self.layers, _normal(agents), frozenset(normalize("NFC", each) for each in others)
        )

    def with_nothing(self) -> "Scope":
        """A copy with the predecessors only."""
        return Scope([], self.agents)

    def within(self, *layers: Mapping[str, object]) -> "Scope":
        """A copy in which `layers` are searched before the others."""
        return Scope([*map(_normal, layers), *self.layers], self.agents, self.others)

    def has(self, name: str) -> bool:
        """Whether a layer or a predecessor has this name."""
        return name in self.agents or any(name in layer for layer in self.layers)


def _normal(names: Mapping[str, V]) -> Mapping[str, V]:
    odd = [name for name in names if not name.isascii()]
    return {**{normalize("NFC", name): names[name] for name in odd}, **names} if odd else names
