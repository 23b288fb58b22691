"""Store large values that many session agents share once, as blobs under the session's prefix.

Nothing is written until all values are known to fit. Starts, forks and maps use it.
"""

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import TooCostly
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.payload import BlobReference, blob_of, inline
from ai_coordination_engine.store.records.blob_places import blob_prefix
from ai_coordination_engine.store.records.entities import SESSION

INLINE_LIMIT = 4096  # bytes of a value that many session agents repeat
# bytes that one start, fork or map may write for its session agents
MAX_WRITTEN = 64_000_000


class Sharing:
    """Collects the values of a session's agents, and writes each large one once.

    Call it with each value, then call `write`. `session`: the session, or the agent of a map for
    its elements; its `has_blobs` is set if there are blobs. `beside`: stored values of that agent;
    if one of them is a blob, the new blobs get the same prefix. Raises `BadUserInput` as soon as
    all values together have more than `MAX_WRITTEN` bytes: an inline value counts once per item, a
    blob each time it is made.
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
        """The value as it is stored inline if it is small, else the reference to the blob that will
        hold it. It may be an `Inline` already.
        """
        if value is None:
            return None
        made = inline(value)
        self._spend(made.size)
        if made.size <= INLINE_LIMIT:
            return made
        data = made.text.encode()
        reference = blob_of(self._prefix, data)
        self._unwritten[reference.key] = data
        self._session.has_blobs = True
        return reference

    def once(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """The same for the value that `make` returns; it is made once for each `name`."""
        if name in self._made:
            self._spend(self._sizes[name])
            return self._made[name]
        left = self._left
        self._made[name] = stored = self(make())
        self._sizes[name] = 0 if isinstance(stored, BlobReference) else left - self._left
        return stored

    def write(self) -> None:
        """Write the blobs. May be repeated."""
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
    """The error of a start that would write more than `MAX_WRITTEN` bytes."""
    return TooCostly(
        f"The agents of the session would take more than {MAX_WRITTEN} bytes together: their"
        " definitions, actions, edges, and subtasks with the placeholders filled. Use fewer or"
        " smaller ones."
    )
