"""The sweep of the local server: fires due schedules and checks stalled sessions from a thread."""

import threading
import time
from collections.abc import Callable

from ai_coordination_engine.errors import FileUnusable
from ai_coordination_engine.observability import logger

EVERY_SECONDS = 15.0
_PAST = 0.01  # seconds; a wait may end slightly early when the clock is adjusted meanwhile


class LocalSweep:
    """Calls `send_due`, `sweep` (as `reconcile.sweep`) and `remove_expired` every `seconds` until
    it is stopped.
    """

    def __init__(
        self,
        sweep: Callable[..., int],
        send_due: Callable[[], int],
        remove_expired: Callable[[], int] = lambda: 0,
        seconds: float = EVERY_SECONDS,
    ) -> None:
        self._sweep = sweep
        self._send_due = send_due
        self._remove_expired = remove_expired
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ace-sweep", daemon=True)

    def start(self) -> None:
        """Start the thread: due schedules are sent at once, the rest follows within one period."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Start no further round and wait up to `grace` seconds for the one that runs."""
        self._stopping.set()
        self._thread.join(grace)

    def _run(self) -> None:
        self._try(self._send_due)
        while not self._stopping.wait(self._until_the_next()):
            self._try(self._send_due)
            self._try(self._sweep_all)
            self._try(self._remove_expired)

    def _until_the_next(self) -> float:
        """Return the seconds until the clock reaches the next multiple of the period.

        Rounds thus begin with a second, so that messages sent with a delay of whole seconds arrive
        on time.
        """
        return self._seconds - (time.time() - _PAST) % self._seconds

    def _sweep_all(self) -> None:
        while self._has_time() and self._sweep(has_time=self._has_time):
            pass  # until nothing is left

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except FileUnusable:  # it is logged where it was noticed
            self._stopping.set()
        except Exception:  # the next round tries again
            if not self._stopping.is_set():
                logger.exception("could not sweep")

    def _has_time(self) -> bool:
        return not self._stopping.is_set()
