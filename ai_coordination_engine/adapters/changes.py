"""`Changes` within one process. What other processes write is noticed by looking."""

from collections.abc import Callable, Iterable
from threading import Lock

_Calls = dict[object, Callable[[], None]]


class ProcessChanges:
    """The watched topics of this process.

    `others_wrote` returns whether other processes may have changed anything since it was called
    last. Where nobody can tell, they may have.
    """

    def __init__(
        self, others_wrote: Callable[[], bool] = lambda: True, look_seconds: float = 1.0
    ) -> None:
        self.look_seconds = look_seconds
        self._others_wrote = others_wrote
        self._watched: dict[str, _Calls] = {}
        self._changing = Lock()

    @property
    def is_watched(self) -> bool:
        """Whether anybody watches anything."""
        return bool(self._watched)

    def watch(self, topics: Iterable[str], call: Callable[[], None]) -> Callable[[], None]:
        """Call `call` after each change of one of these topics, until the returned function is
        called.
        """
        watch, own = object(), tuple(topics)
        with self._changing:
            # dictionaries are replaced, never changed: `announce` reads them without the lock
            for each in own:
                self._watched[each] = {**self._watched.get(each, {}), watch: call}

        def end() -> None:
            with self._changing:
                for each in own:
                    left = {**self._watched.get(each, {})}
                    left.pop(watch, None)
                    if left:
                        self._watched[each] = left
                    else:
                        self._watched.pop(each, None)

        return end

    def announce(self, topics: Iterable[str]) -> None:
        """Something of these topics has changed."""
        for each in topics:
            for call in self._watched.get(each, {}).values():
                call()

    def look(self) -> None:
        """Announce all topics if other processes may have changed something."""
        if self._others_wrote():
            with self._changing:
                calls = [call for each in self._watched.values() for call in each.values()]
            for call in dict.fromkeys(calls):
                call()
