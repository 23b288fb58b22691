"""Enforce the deadline of one attempt, whatever the attempt is waiting for."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class DeadlinePassed(Exception):
    """The call did not finish in time. It may still be running: Python cannot stop a thread."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"did not finish within {max(seconds, 0):.3g} s")


def run_within(seconds: float, call: Callable[[], T]) -> T:
    """Return or raise what `call` does; raises `DeadlinePassed` after `seconds`, or at once if not
    positive.

    The call runs in a daemon thread, since an executor's thread would keep the process from
    exiting. The thread has the caller's context variables, so its log lines carry the same ids.
    """
    if seconds <= 0:
        raise DeadlinePassed(seconds)
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            future.set_result(context.run(call))
        except BaseException as error:  # the caller's thread raises it
            future.set_exception(error)

    threading.Thread(target=work, name="agent-attempt", daemon=True).start()
    # `future.result(seconds)` would raise a TimeoutError that looks like one of the call itself.
    if not wait([future], timeout=seconds).done:
        raise DeadlinePassed(seconds)
    return future.result()
