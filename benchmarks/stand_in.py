"""The agent that every engine runs in a comparison: the same work, the same notes.

Standard library only: programs of other environments import it.
"""

import asyncio
import os
import time
from collections.abc import Iterable
from functools import cache
from hashlib import sha256

JOURNAL = "BENCHMARK_JOURNAL"
"""The variable with the path of the file that notes every call."""


def answer(node: str, outputs: Iterable[str]) -> str:
    """What a node answers: it proves which outputs of predecessors reached it, in any order."""
    return f"{node} {sha256(chr(10).join(sorted(outputs)).encode()).hexdigest()[:16]}"


def work(session: str, node: str, outputs: Iterable[str], seconds: float = 0) -> str:
    """Answer after `seconds`."""
    _note("+", session, node)
    if seconds:
        time.sleep(seconds)
    output = answer(node, outputs)
    _note("-", session, node)
    return output


async def work_async(session: str, node: str, outputs: Iterable[str], seconds: float = 0) -> str:
    """The same for engines that run coroutines."""
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
