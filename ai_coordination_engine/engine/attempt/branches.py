"""Agents that run at the same time under one message."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol


class Branches(Protocol):
    """Threads of the process for agents that were claimed beside the one that goes on.

    A context of one message: its end waits until all of them have ended, and raises their first
    error.
    """

    def take(self, most: int) -> int:
        """Take up to `most` threads of those that are free; return how many."""

    def give_back(self, count: int) -> None:
        """Give back threads that were taken and not used."""

    def start(self, work: Callable[[], None]) -> None:
        """Start work on a thread that was taken; it is given back at the end of the work."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
