"""`Changes` of one process. Others tell it what they write; a look notices what nobody tells."""

from collections.abc import Callable, Iterable
from threading import Lock

from ai_coordination_engine.adapters.change_fifos import ChangeFifos
from ai_coordination_engine.domain.topics import is_stored

_Calls = dict[object, Callable[[], None]]


class ProcessChanges:
    """The watched topics of this process.

    `others_wrote` returns whether other processes may have changed anything since it was called
    last. Where nobody can say, they may have. `others`: the processes that tell each other.
    """

    def __init__(
        self,
        others_wrote: Callable[[], bool] = lambda: True,
        look_seconds: float = 1.0,
        others: ChangeFifos | None = None,
    ) -> None:
        self.look_seconds = look_seconds
        self._others_wrote, self._others = others_wrote, others
        self._is_unexplained = False  # others have written, and have told nothing yet
        self._watched: dict[str, _Calls] = {}
        self._changing = Lock()

    @property
    def is_watched(self) -> bool:
        """Whether anybody watches anything."""
        return bool(self._watched)

    @property
    def hears_all(self) -> bool:
        """Whether the changes of other processes are told here while somebody watches."""
        return self._others is not None and self._others.is_hearing

    @property
    def is_told(self) -> bool:
        """Whether anybody watches here, or in a process that this one tells."""
        return bool(self._watched) or (self._others is not None and self._others.was_watched)

    def watch(self, topics: Iterable[str], call: Callable[[], None]) -> Callable[[], None]:
        """Call `call` after each change of one of these topics, until the returned function is
        called.
        """
        watch, own = object(), tuple(topics)
        with self._changing:
            if self._others is not None and not self._watched:
                self._others.begin(self._hear)
            # dictionaries are replaced, never changed: `announce` reads them without the lock
            for each in own:
                self._watched[each] = {**self._watched.get(each, {}), watch: call}

        def end() -> None:
            with self._changing:
                was_watched = bool(self._watched)
                for each in own:
                    left = {**self._watched.get(each, {})}
                    left.pop(watch, None)
                    if left:
                        self._watched[each] = left
                    else:
                        self._watched.pop(each, None)
                if self._others is not None and was_watched and not self._watched:
                    self._others.end()

        return end

    def announce(self, topics: Iterable[str]) -> None:
        """Something of these topics has changed."""
        changed = [*topics]
        self._call(changed)
        if self._others is not None:
            self._others.tell(filter(is_stored, changed))

    def announce_all(self) -> None:
        """Anything may have changed."""
        self._call_all()
        if self._others is not None:
            self._others.tell(None)

    def look(self) -> bool:
        """Tell all who watch if other processes have written and told nothing; whether it did.

        A commit is seen a moment before it is told, so they have until the next look.
        """
        told = self._others.was_told() if self._others is not None else None
        wrote, before = self._others_wrote(), self._is_unexplained
        self._is_unexplained = False
        if told or not (wrote or before):
            return False
        if told is False and not before:
            self._is_unexplained = True
            return False
        self._call_all()
        return True

    # Inside

    def _hear(self, topics: Iterable[str] | None) -> None:
        if topics is None:
            self._call_all()
        else:
            self._call(topics)

    def _call(self, topics: Iterable[str]) -> None:
        for each in topics:
            for call in self._watched.get(each, {}).values():
                call()

    def _call_all(self) -> None:
        with self._changing:
            calls = [call for each in self._watched.values() for call in each.values()]
        for call in dict.fromkeys(calls):
            call()
