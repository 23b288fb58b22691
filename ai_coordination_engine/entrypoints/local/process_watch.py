"""Watch the processes beside this one: free what dead ones held, and let them wake this one."""

import threading
from collections.abc import Callable
from typing import Protocol, cast

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import lost_workers
from ai_coordination_engine.entrypoints.local.processes import Dead, Processes
from ai_coordination_engine.errors import FileUnusable, Throttled
from ai_coordination_engine.observability import logger

EVERY_SECONDS = 0.25
_PAUSE_SECONDS = 1.0  # between looks at whether this process waits for messages


class SharedQueue(lost_workers.HeldMessages, Protocol):
    """A queue that other processes use, too."""

    def notice(self) -> None:
        """Another process has sent messages."""

    def wait_for_waiting(self, seconds: float, stopping: threading.Event) -> bool:
        """Wait until somebody waits for messages, or for the end; whether somebody waits."""


class ProcessWatch:
    """Looks for dead processes every `seconds`, and passes on the wake-ups of others, on two
    threads. `begins`: first free what no living process holds, as the only server does.
    """

    def __init__(
        self,
        app: App,
        processes: Processes,
        *,
        begins: bool = False,
        seconds: float = EVERY_SECONDS,
    ) -> None:
        self._begins, self._problem = begins, ""
        self._app, self._processes, self._seconds = app, processes, seconds
        self._queue = cast(SharedQueue, app.queue)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, name="ace-processes", daemon=True),
            threading.Thread(target=self._listen, name="ace-wake", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads."""
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """End the threads."""
        self._stopping.set()
        self._queue.notice()
        self._processes.stop_waiting()
        for each in self._threads:
            each.join()

    def _watch(self) -> None:
        self._try(self._begin)
        while not self._stopping.wait(self._seconds):
            self._try(self._look)

    def _begin(self) -> None:
        begins, self._begins = self._begins, False
        try:
            if begins:
                free_all_lost(self._app, self._processes)
        except Throttled:  # another process writes, or the disk is full
            self._begins = True
            raise

    def _look(self) -> None:
        self._begin()
        for each in self._processes.dead():
            free_dead(self._app, self._queue, self._processes, each)

    def _listen(self) -> None:
        """Take the wake-ups of others only while somebody here waits for messages."""
        while not self._stopping.is_set():
            waits = self._queue.wait_for_waiting(_PAUSE_SECONDS, self._stopping)
            if waits and not self._stopping.is_set():
                if not self._processes.wait():
                    return
                self._queue.notice()

    def _try(self, work: Callable[[], object]) -> None:
        """Do the work. The next round tries again; the same error is logged once."""
        try:
            work()
            self._problem = ""
        except FileUnusable:  # it is logged where it was noticed
            self._stopping.set()
        except Exception as error:
            if self._app.state_problem() is not None:  # such as a directory that was deleted
                self._stopping.set()
            known, self._problem = self._problem, repr(error)
            if self._problem != known and not self._stopping.is_set():
                logger.exception("could not look after other processes")


def free_dead(app: App, queue: lost_workers.HeldMessages, processes: Processes, dead: Dead) -> None:
    """Free what a dead process held; if that fails, another process tries again."""
    try:
        freed = lost_workers.free(app, queue, lambda name: name == dead.name, died=not dead.stopped)
        processes.forget(dead)
        app.changes.announce_all()
        event = "worker stopped before its attempts ended" if dead.stopped else "worker died"
        logger.warning(event, extra={"pid": dead.pid, "attempts_freed": freed})
    finally:
        dead.lock.close()


def free_all_lost(app: App, processes: Processes) -> None:
    """Free what no living process holds, for a server that begins: no process without a name is
    left.
    """
    queue = cast(SharedQueue, app.queue)
    for each in processes.dead():
        free_dead(app, queue, processes, each)
    living = {processes.name}

    def is_lost(name: str) -> bool:
        if name not in living:
            living.update(processes.others())  # it may have begun just now
        return name not in living

    lost_workers.free(app, queue, is_lost)
