"""The homes of records and queue that `ace serve` can be measured on, by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.backends import NOBODY
from benchmarks.harness import emulator


@dataclass(frozen=True)
class Home:
    """What `ace serve` is started with."""

    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


# On AWS nobody can know that a worker was killed before its lease has ended, so it is short here.
LEASE = {"ACE_AGENT_TIMEOUT_SECONDS": "2", "ACE_LEASE_MARGIN_SECONDS": "1"}

MakeHome = Callable[[Path], AbstractContextManager[Home]]
"""Given a folder for its files."""


@contextmanager
def kept(folder: Path, *options: str) -> Iterator[Home]:
    """In the data directory of the server."""
    yield Home(["--data-dir", str(folder / "data"), *options])


@contextmanager
def ministack(folder: Path) -> Iterator[Home]:
    """DynamoDB, SQS and S3 in a process of their own."""
    with emulator.running(folder) as running:
        yield Home(environment=NOBODY | LEASE | {"AWS_ENDPOINT_URL": running.url})


HOMES: dict[str, MakeHome] = {"embedded": kept, "ministack": ministack}


def offered() -> list[str]:
    """The homes that this machine has."""
    return [name for name in HOMES if name != "ministack" or emulator.PYTHON.exists()]
