"""A child of the test process that can never go on as a second test process."""

import os
import signal
import traceback
from collections.abc import Callable

LONGEST = 60  # seconds that a child lives


def forked(run: Callable[[], object]) -> int:
    """Fork a child that calls `run` and ends: with status 0, or 1 after an error, which is
    printed. A child that hangs is ended by SIGALRM. Returns its process id.
    """
    if child := os.fork():
        return child
    status = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LONGEST)
        run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def stay_until(read: int, write: int, starts: int) -> None:
    """In a child: tell at the pipe `starts` that it runs, and stay until its parent closes `write`,
    the other end of the pipe `read`.
    """
    os.close(write)
    os.write(starts, b".")
    os.read(read, 1)
