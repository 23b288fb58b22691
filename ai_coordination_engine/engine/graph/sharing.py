"""What many session agents hold is stored once: large values as blobs below the session's prefix,
and nothing before all of it is known to fit.
"""

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import TooCostly
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.payload import BlobReference, blob_of, to_json
from ai_coordination_engine.store.records.blob_places import blob_prefix
from ai_coordination_engine.store.records.entities import SESSION

INLINE_LIMIT = 4096  # bytes of a value that many session agents repeat
# bytes of all that one start, one fork or one map writes for its session agents
MAX_WRITTEN = 64_000_000


class Sharing:
    """Stores each value once, however many agents of the session hold it (named by itself, or by
    one of them).

    Raises `BadUserInput` as soon as they have more than `MAX_WRITTEN` bytes together: values in
    items count once for each item, blobs each time they are made. `write` stores the blobs;
    `session.has_blobs` says that there are some. An agent names the place of its blobs by a shared
    value of its own (`beside`), if that is large.
    """

    def __init__(
        self, app: App, session: Session | SessionAgent, beside: Iterable[Any] = ()
    ) -> None:
        self._app, self._session = app, session
        key = session.key
        shared = (each.key.rpartition("/")[0] for each in beside if isinstance(each, BlobReference))
        own = blob_prefix(SESSION, session.partition_key, key, session.nonce) + "agents"
        self._prefix = next(shared, own)
        self._made: dict[Hashable, Any] = {}
        self._sizes: dict[Hashable, int] = {}
        self._unwritten: dict[str, bytes] = {}
        self._left = MAX_WRITTEN

    def __call__(self, value: Any) -> Any:
        """The value itself, or the reference to the blob that will hold it."""
        if value is None:
            return None
        data = to_json(value).encode()
        self._spend(len(data))
        if len(data) <= INLINE_LIMIT:
            return value
        reference = blob_of(self._prefix, data)
        self._unwritten[reference.key] = data
        self._session.has_blobs = True
        return reference

    def once(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """The same for the value of this name, which is made and checked in once."""
        if name in self._made:
            self._spend(self._sizes[name])
            return self._made[name]
        left = self._left
        self._made[name] = stored = self(make())
        self._sizes[name] = 0 if isinstance(stored, BlobReference) else left - self._left
        return stored

    def write(self) -> None:
        """Store the blobs; storing them again is harmless."""
        puts = [
            partial(self._app.records.blobs.put, key, data) for key, data in self._unwritten.items()
        ]
        if puts:
            self._app.records.parallel.run(puts)
        self._unwritten.clear()

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise too_much()


def too_much() -> TooCostly:
    """What a start says that would write more than `MAX_WRITTEN`."""
    return TooCostly(
        f"The agents of the session would take more than {MAX_WRITTEN} bytes together: their"
        " definitions, actions, edges, and subtasks with the placeholders filled. Use fewer or"
        " smaller ones."
    )
