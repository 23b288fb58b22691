"""The local server is killed repeatedly while it works; everything that it acknowledged happens."""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.kit.servers import (
    COORDINATION,
    DIAMOND,
    START,
    TASK,
    Server,
    Servers,
    attempts_of,
)

SESSIONS, KILLS = 50, 10
EACH = SESSIONS // KILLS
FEWEST, OF_SESSION = 7, 9  # rows that a server writes until it is killed, and for a session
SLEEP = {"kind": "function", "name": "sleep", "seconds": 0.01}


def start(server: Server, session: str) -> bool:
    """Return whether the start was acknowledged before the server died."""
    try:
        server.data(START, s=session)
    except httpx.TransportError:
        return False
    return True


def unanswered(starts: dict[str, Future[bool]]) -> list[str]:
    return [session for session, answered in starts.items() if not answered.result()]


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_server_killed_ten_times_completes_fifty_sessions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Servers(tmp_path / "log")) as servers:
        attempts, repeated = killed_again_and_again(
            lambda: closing(Server(servers, tmp_path / "data"))
        )
    with capsys.disabled():
        print(f"\n{KILLS} kills: {repeated} starts repeated, {attempts['lost']} attempts lost")  # noqa: T201
    assert set(attempts) == {"completed", "lost"}


def killed_again_and_again(
    serving: Callable[[], AbstractContextManager[Server]],
) -> tuple[Counter[str], int]:
    """Return how the attempts of all sessions ended, and how many starts were repeated."""
    random = Random(3)
    with serving() as server:
        server.data(
            COORDINATION, agents=[{"agentUuid": name, "runtime": SLEEP} for name in DIAMOND]
        )
        server.data(
            TASK, actions={name: {"predecessors": before} for name, before in DIAMOND.items()}
        )
    names = [f"session-{number}" for number in range(SESSIONS)]
    owed: list[str] = []
    repeated = writes = 0
    with ThreadPoolExecutor(EACH) as pool:
        for life in range(KILLS):
            with serving() as server:
                asked = [*owed, *names[life * EACH : (life + 1) * EACH]]
                starts = {each: pool.submit(start, server, each) for each in asked}
                left = (life + 1) * EACH * OF_SESSION - writes
                server.wait_for_writes(random.randrange(FEWEST, max(left, FEWEST + 1)))
                server.kill()
                writes += server.count()
                owed = unanswered(starts)
                repeated += len(owed)
    with serving() as server:
        assert all(start(server, session) for session in owed)
        return Counter(attempt for name in names for attempt in attempts_of(server, name)), repeated
