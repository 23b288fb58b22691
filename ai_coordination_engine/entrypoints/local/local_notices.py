"""Send notices of A2A tasks from the local server, whose threads look at what has changed.

What a process that died has not sent is found by the look at all configurations, at the start and
once a minute.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import urlsplit

from ai_coordination_engine.domain import topics
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.observability import logger
from ai_coordination_engine.served.a2a.notices import deliver
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.push_configurations import PushConfiguration

EVERY_SECONDS = 60.0
SOON_SECONDS = 0.2
"""From a change until the look: a large session changes often, and a look reads all its agents."""
AT_ONCE, AT_ONE_RECEIVER = 16, 4
"""Notices that are sent at the same time: to all receivers, and to one host, which may be slow."""


class LocalNotices:
    """Sends the notices of one server until it is stopped; does nothing without receivers."""

    def __init__(self, app: App, seconds: float = EVERY_SECONDS) -> None:
        self._app, self._seconds = app, seconds
        self._changing = threading.Condition()
        self._due: dict[Key, float] = {}  # when to look at a configuration (monotonic)
        self._busy: set[Key] = set()
        self._sending = Counter[str]()  # by host
        # what waits until a host has got another notice; a dictionary is a set with an order
        self._queued = defaultdict[str, dict[Key, None]](dict)
        self._watched: dict[Key, Callable[[], None]] = {}
        self._end: Callable[[], None] = lambda: None
        self._is_stopping = False
        self._has_new, self._list_at = False, 0.0
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ace-notice")
        self._thread = threading.Thread(target=self._run, name="ace-notices", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        if self._app.notices is not None:
            self._end = self._app.changes.watch([topics.of_notices()], self._list_soon)
            self._thread.start()

    def stop(self, grace: float) -> None:
        """Begin no further notice and wait up to `grace` seconds for the thread."""
        with self._changing:
            self._is_stopping = True
            self._changing.notify()
        if self._thread.ident is not None:
            self._thread.join(grace)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for end in (self._end, *self._watched.values()):
            end()

    # Inside; what is told comes in any thread

    def _list_soon(self) -> None:
        with self._changing:
            self._has_new = True
            self._changing.notify()

    def _look(self, key: Key) -> None:
        soon = time.monotonic() + SOON_SECONDS
        with self._changing:
            self._due[key] = min(self._due.get(key, soon), soon)
            self._changing.notify()

    def _again(self, read: PushConfiguration, seconds: float) -> None:
        with self._changing:
            self._due[read.key] = time.monotonic() + seconds
            self._changing.notify()

    def _run(self) -> None:
        while True:
            with self._changing:
                while not self._has_work():
                    self._changing.wait(self._until_the_next())
                if self._is_stopping:
                    return
                is_whole, has_new = self._list_at <= time.monotonic(), self._has_new
                self._has_new = False
                due = [key for key in self._ready() if key not in self._busy]
                for key in due:
                    del self._due[key]
                self._busy.update(due)
            if is_whole or has_new:
                self._list(is_whole=is_whole)
            for key in due:
                self._pool.submit(self._send, key)

    def _has_work(self) -> bool:
        is_listing = self._has_new or self._list_at <= time.monotonic()
        return (
            self._is_stopping or is_listing or any(key not in self._busy for key in self._ready())
        )

    def _ready(self) -> list[Key]:
        now = time.monotonic()
        return [key for key, at in self._due.items() if at <= now]

    def _until_the_next(self) -> float:
        """The seconds until something is due; what is busy wakes the thread at its end."""
        times = [at for key, at in self._due.items() if key not in self._busy]
        return max(0.0, min([self._list_at, *times]) - time.monotonic())

    def _list(self, *, is_whole: bool) -> None:
        """Watch the configurations that are new, and look at them, or at all."""
        if is_whole:
            with self._changing:
                self._list_at = time.monotonic() + self._seconds
        try:
            found = set(self._app.push_configurations.listed())
        except Exception:  # the next look may succeed
            logger.exception("could not list the push configurations")
            return
        for key in self._watched.keys() - found:
            self._watched.pop(key)()
        new = found - self._watched.keys()
        for key in new:
            self._watched[key] = self._app.changes.watch([key[0]], partial(self._look, key))
        for key in found if is_whole else new:
            self._look(key)

    def _send(self, key: Key) -> None:
        try:
            self._deliver(key)
        except Exception:  # the next look may succeed
            if not self._is_stopping:
                logger.exception("could not send a notice")
        finally:
            with self._changing:
                self._busy.discard(key)
                self._changing.notify()

    def _deliver(self, key: Key) -> None:
        read = self._app.push_configurations.get(key)
        if read is None:
            self._app.push_configurations.delete(key)  # its time is over, or it is gone
        elif (wait := self._until_its_retry(read)) > 0:
            self._again(read, wait)
        elif self._app.notices is not None and self._begins(
            host := urlsplit(read.url).hostname or "", key
        ):
            try:
                deliver(self._app, self._app.notices, read, self._again)
            finally:
                self._ends(host)

    def _begins(self, host: str, key: Key) -> bool:
        """Whether a notice may be sent to a host now; else it is queued."""
        with self._changing:
            if self._sending[host] < AT_ONE_RECEIVER:
                self._sending[host] += 1
                return True
            self._queued[host][key] = None
            return False

    def _ends(self, host: str) -> None:
        """Look at what is queued for a host for longest."""
        with self._changing:
            self._sending[host] -= 1
            queued = self._queued[host]
            if queued:
                key = next(iter(queued))
                del queued[key]
                self._due[key] = 0.0
                self._changing.notify()
            if not queued:
                del self._queued[host]
            if not self._sending[host]:
                del self._sending[host]

    def _until_its_retry(self, read: PushConfiguration) -> float:
        """The seconds until another try, which a process before this one may have had to make."""
        return (read.retry_at or 0) - self._app.clock.now().timestamp()
