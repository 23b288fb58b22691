"""A text in which the outputs of predecessors are still to be filled in: its parts. Pure."""

from typing import Any

from ai_coordination_engine.data_classes import dataclass


@dataclass(frozen=True, slots=True)
class OutputPart:
    """A placeholder for the output of a predecessor, or for what `path` finds in it; `written` is
    the placeholder as it stands in the text.
    """

    agent_uuid: str
    path: str | None
    written: str

    def stored(self) -> list[str | None]:
        """The part as it is stored."""
        return [self.agent_uuid, self.path, self.written]


Part = str | OutputPart


def output_name(ordinal: int) -> str:
    """The name in an `OutputPart` that waits for the output of one session agent, by its ordinal.
    No agent has such a uuid.
    """
    return f" {ordinal}"


def parts_of(stored: object) -> list[Part]:
    """The parts of a text that `Filled.stored` returned."""
    parts: list[Any] = stored if isinstance(stored, list) else [stored or ""]
    return [each if isinstance(each, str) else OutputPart(*each) for each in parts]


def written(stored: object) -> object:
    """A stored text as it is shown to people: the remaining placeholders as they were written."""
    if not isinstance(stored, list):
        return stored
    return "".join(each if isinstance(each, str) else each.written for each in parts_of(stored))


def named_agents(stored: object) -> set[str]:
    """The uuids of the predecessors whose outputs a stored text needs."""
    return {each.agent_uuid for each in parts_of(stored) if isinstance(each, OutputPart)}
