"""One event loop for all attempts of this process, in a thread of its own.

Connections to models are kept between attempts; they belong to the loop that opened them.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as NotDone
from typing import Any, TypeVar

from ai_coordination_engine.adapters.runtimes.deadline import DeadlinePassed

T = TypeVar("T")
_GRACE_SECONDS = 1.0  # for an attempt to end by itself, with what it has used
_lock = threading.Lock()
_loops: list[asyncio.AbstractEventLoop] = []


def _forget() -> None:
    """Begin anew in a forked child, which has no such thread."""
    _loops.clear()


os.register_at_fork(after_in_child=_forget)


def _loop() -> asyncio.AbstractEventLoop:
    with _lock:
        if not _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="ace-agents", daemon=True).start()
            _loops.append(loop)
        return _loops[0]


def run_in_loop(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Return or raise what `work` does, with the caller's context variables; it is one task.

    Raises `DeadlinePassed` when it has not ended some time after `seconds`; then it is cancelled.
    """
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result(seconds + _GRACE_SECONDS)
    except NotDone:
        if future.done():  # the work itself has raised it
            raise
        future.cancel()
        raise DeadlinePassed(seconds) from None
