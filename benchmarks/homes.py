"""Define the homes on which `ace serve` can be measured, by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.backends import NOBODY
from benchmarks.harness import emulator


@dataclass(frozen=True)
class Home:
    """Options and environment of `ace serve`."""

    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


# On AWS, a killed worker is noticed when its lease ends, so the lease is short here.
LEASE = {"ACE_AGENT_TIMEOUT_SECONDS": "2", "ACE_LEASE_MARGIN_SECONDS": "1"}

MakeHome = Callable[[Path], AbstractContextManager[Home]]
"""Creates a home whose files are in the given folder."""


@contextmanager
def kept(folder: Path, *options: str) -> Iterator[Home]:
    """Yield a home in a data directory; `options` are further options of `ace serve`."""
    yield Home(["--data-dir", str(folder / "data"), *options])


@contextmanager
def ministack(folder: Path) -> Iterator[Home]:
    """Yield a home on DynamoDB, SQS and S3, emulated in another process."""
    with emulator.running(folder) as running:
        yield Home(environment=NOBODY | LEASE | {"AWS_ENDPOINT_URL": running.url})


@contextmanager
def ministack_by_botocore(folder: Path) -> Iterator[Home]:
    """Yield the same home, called with botocore's unchanged clients."""
    with ministack(folder) as home:
        yield Home(environment={**home.environment, "ACE_AWS_CLIENT": "botocore"})


@contextmanager
def survives_kills(folder: Path) -> Iterator[Home]:
    """Yield a home in a data directory that survives the death of the process, not a power
    failure.
    """
    with kept(folder, "--durability", "process") as home:
        yield home


@contextmanager
def two_workers(folder: Path) -> Iterator[Home]:
    """Yield a home in a data directory with two processes that run agents: the server and a child
    of it.
    """
    with kept(folder, "--workers", "2") as home:
        yield home


HOMES: dict[str, MakeHome] = {
    "sqlite": kept,
    "sqlite, 2 workers": two_workers,
    "sqlite, process": survives_kills,
    "ministack": ministack,
    "ministack, botocore": ministack_by_botocore,
}


def offered() -> list[str]:
    """Return the homes that this machine has."""
    others = {"ministack, botocore"} | (set() if emulator.PYTHON.exists() else {"ministack"})
    return [name for name in HOMES if name not in others]
