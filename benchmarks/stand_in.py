"""Run and log the agent that every compared engine runs.

Standard library only: programs of other environments import it.
"""

import asyncio
import os
import time
from collections.abc import Iterable
from functools import cache
from hashlib import sha256

JOURNAL = "BENCHMARK_JOURNAL"
"""Environment variable: path of the file to which each call is logged."""


def answer(node: str, outputs: Iterable[str]) -> str:
    """Return the output of a node: a hash that proves which outputs of predecessors it got."""
    return f"{node} {sha256(chr(10).join(sorted(outputs)).encode()).hexdigest()[:16]}"


def work(session: str, node: str, outputs: Iterable[str], seconds: float = 0) -> str:
    """Log the call, wait `seconds`, and return the output."""
    _note("+", session, node)
    if seconds:
        time.sleep(seconds)
    output = answer(node, outputs)
    _note("-", session, node)
    return output


async def work_async(session: str, node: str, outputs: Iterable[str], seconds: float = 0) -> str:
    """Do the same as a coroutine."""
    _note("+", session, node)
    if seconds:
        await asyncio.sleep(seconds)
    output = answer(node, outputs)
    _note("-", session, node)
    return output


def _note(sign: str, session: str, node: str) -> None:
    # all processes of a machine have the same monotonic clock (Linux: CLOCK_MONOTONIC)
    os.write(_journal(), f"{sign} {session} {node} {time.monotonic()}\n".encode())


@cache
def _journal() -> int:
    return os.open(os.environ[JOURNAL], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
