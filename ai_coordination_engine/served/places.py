"""Places: how many callers wait for their sessions in one process at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from ai_coordination_engine.errors import Throttled

MOST_WAITING = 200
"""The callers of one protocol that wait in one process, by streams or for an answer."""


class Place:
    """A place of one caller until it is given back, at the latest when it is forgotten: nobody may
    ever begin to read a stream.
    """

    def __init__(self, places: "Places") -> None:
        self._places: Places | None = places
        self.is_kept = False

    def keep(self) -> "Place":
        """Let it outlast its context, until `leave`."""
        self.is_kept = True
        return self

    def leave(self) -> None:
        """Give the place back."""
        places, self._places = self._places, None
        if places is not None:
            places.left()

    __del__ = leave


class Places:
    """The places of one process. Thread-safe."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.most, self.taken = most, 0
        self._lock = Lock()

    def take(self) -> Place | None:
        """Take a place, in one step; None if there is none."""
        with self._lock:
            if self.taken >= self.most:
                return None
            self.taken += 1
        return Place(self)

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Take a place while the context is open; raises `Throttled` if there is none."""
        if (place := self.take()) is None:
            raise Throttled(
                f"{self.most} callers wait for their sessions here already: try again later"
            )
        try:
            yield place
        except BaseException:
            place.leave()
            raise
        if not place.is_kept:
            place.leave()

    def left(self) -> None:
        """A place was given back."""
        with self._lock:
            self.taken -= 1
