"""Run the agents in this process and in child processes, until told to stop.

The children are worker processes like those of `ace worker` (`child_process`). A child that ends
is started again, and none outlives this process: the standard input of each is a pipe that closes
when this process ends, however that happens.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.home import Home, Place
from ai_coordination_engine.entrypoints.local.local_worker import LocalWorker
from ai_coordination_engine.entrypoints.local.process_watch import ProcessWatch
from ai_coordination_engine.forks import close_in_children
from ai_coordination_engine.observability import logger

GRACE_SECONDS = 5.0
EXPORT_SECONDS = 2.0  # for spans and metrics that are not sent at the end
_LATE_SECONDS = 2.0  # that a child may take longer than this process
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0  # seconds before a child is started again
_LONG_LIFE = 10.0  # seconds; then the next pause is the first one again
_COMMAND = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1))\n"
    "from ai_coordination_engine.entrypoints.local.child_process import main; main()"
)


@contextmanager
def working(app: App, home: Home, workers: int, *, reload: bool = False) -> Iterator[App]:
    """Run agents on `workers` processes, this one included, while the context is open; yields the
    app whose messages reach them. `reload`: the others load functions anew when their files change.
    """
    with ExitStack() as stack:
        if app.telemetry is not None:
            stack.callback(app.telemetry.close, EXPORT_SECONDS)
        app, worker = LocalWorker.of(app)
        if home.processes is not None:
            watch = ProcessWatch(app, home.processes, begins=home.is_server)
            watch.start()
            stack.callback(watch.stop)
        children = (
            [Child(home.place, app.state_problem, reload=reload) for _ in range(workers - 1)]
            if home.place
            else []
        )
        stack.callback(_stop, worker, home, children)
        worker.start()
        for each in children:
            each.start()
        yield app


def _stop(worker: LocalWorker, home: Home, children: Sequence["Child"]) -> None:
    """Let all processes end their steps at the same time."""
    for each in children:
        each.tell_to_end()
    is_done = worker.stop(GRACE_SECONDS)
    if home.processes is not None:
        home.processes.leaves_work = not is_done
    for each in children:
        each.end(_LATE_SECONDS)


class Child:
    """A child process that runs agents; it is started again when it ends, unless there is a
    `problem`: then no process can do anything.
    """

    def __init__(
        self, place: Place, problem: Callable[[], str | None], *, reload: bool = False
    ) -> None:
        given = json.dumps([str(place.folder.absolute()), place.durability, reload])
        self._command = [sys.executable, "-c", _COMMAND, json.dumps(sys.path), given]
        self._problem = problem
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="ace-child", daemon=True)

    def start(self) -> None:
        """Start the process."""
        self._thread.start()

    def tell_to_end(self) -> None:
        """Let the process end when its steps have ended."""
        with self._starting:
            self._stopping.set()
            if self._process is not None:
                self._process.terminate()

    def end(self, grace: float) -> None:
        """Wait up to `grace` seconds for the end of the process, then kill it."""
        self._thread.join(grace)
        if self._process is not None:
            self._process.kill()
        self._thread.join()

    def _keep(self) -> None:
        """Keep a process running; the pauses between short lives become longer."""
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            begun = time.monotonic()
            end = self._live()
            if self._stopping.is_set() or self._problem() is not None:
                return
            if time.monotonic() - begun >= _LONG_LIFE:
                pause = _FIRST_PAUSE
            if self._stopping.wait(pause):  # what ended the child has ended this process, too
                return
            logger.warning("worker ended and is started again", extra=end | {"seconds": pause})
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _live(self) -> dict[str, Any]:
        """Start the process and wait for its end; return what the log says of it."""
        try:
            with self._starting:
                if self._stopping.is_set():
                    return {}
                process = subprocess.Popen(self._command, stdin=subprocess.PIPE)  # noqa: S603
                self._process = process
        except OSError as error:  # the system has no room for it now
            return {"reason": str(error)}
        assert process.stdin
        close_in_children(process.stdin)
        with process:
            return {"pid": process.pid, "exit_code": process.wait()}
