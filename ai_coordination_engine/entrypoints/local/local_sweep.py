"""The sweep on one machine: a timer on a thread of its own."""

import threading
from collections.abc import Callable

from ai_coordination_engine.observability import logger

EVERY_SECONDS = 15.0


class LocalSweep:
    """Calls `sweep`, as `reconcile.sweep`, every so often until it is stopped."""

    def __init__(self, sweep: Callable[..., int], seconds: float = EVERY_SECONDS) -> None:
        self._sweep = sweep
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ace-sweep", daemon=True)

    def start(self) -> None:
        """Begin; the first time is one period from now."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Begin no further round, and wait up to `grace` seconds for the one that runs."""
        self._stopping.set()
        self._thread.join(grace)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                while self._has_time() and self._sweep(has_time=self._has_time):
                    pass  # until nothing is left
            except Exception:  # the next time may do better
                if not self._stopping.is_set():
                    logger.exception("could not sweep")

    def _has_time(self) -> bool:
        return not self._stopping.is_set()
