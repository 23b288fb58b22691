"""The deadline of one attempt, kept whatever the attempt is waiting for."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class DeadlinePassed(Exception):
    """The call was not done in time. It may still be running: Python cannot stop a thread."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"did not finish within {max(seconds, 0):.3g} s")


def run_within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` returns or raises; `DeadlinePassed` once `seconds` are over, or when there are
    none.

    The call runs in a daemon thread (an executor's thread would keep the process from ending) and
    sees the caller's context variables, so that its log lines carry the same ids.
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
    # Not `future.result(seconds)`: its TimeoutError could not be told from one that the call itself
    # raised.
    if not wait([future], timeout=seconds).done:
        raise DeadlinePassed(seconds)
    return future.result()
