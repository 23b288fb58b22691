"""What a random history is made of: the plan of a session, and what goes wrong on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


class _Brief:
    """Is shown, as Python, with what is not usual about it."""

    def __repr__(self) -> str:
        given: Any = fields(self)  # type: ignore[arg-type]
        unusual = [each.name for each in given if getattr(self, each.name) != each.default]
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in unusual)
        return f"{type(self).__name__}({values})"


@dataclass(frozen=True, repr=False)
class Node(_Brief):
    """An agent of a plan: whom it waits for and how, and what it does.

    It answers `{"go": …, "items": […]}` with so many items; the conditions on its predecessors ask
    for `go`. `stop` says no, `flaky` fails at first, `tired` fails as often as it is tried, `fail`
    at once. With `over` it is a map. It may begin when a person has answered (`default`: or when
    the time for that is over; `expires`: nobody answers, and it fails), end when a long job does
    (`silent`: the first is never heard of; `beats`: it is heard of as long as it takes; `fades`:
    the first falls silent after a while), and have an action function.
    """

    before: tuple[str, ...] = ()
    behaviour: str = "go"
    items: int = 1
    join: str = "all"
    quorum: int = 1
    conditions: tuple[str, ...] = ()
    over: str | None = None
    map_join: str = "all"
    asks: bool | str = False  # or "default", "expires"
    job: str | None = None  # "done", "silent", "beats", "fades"
    acts: bool = False


@dataclass(frozen=True)
class Plan:
    """The agents of a task in topological order."""

    agents: Mapping[str, Node]
    on_failure: str | None = None


@dataclass(frozen=True, repr=False)
class Trouble(_Brief):
    """What goes wrong, as chances at every side effect or message; `seed` draws it, and whose turn
    it is.
    """

    seed: int
    duplicates: float = 0.0
    crashes: float = 0.0
    delays: float = 0.0  # the clock jumps beyond every lease: whoever works is late
    throttles: float = 0.0  # the store or the queue refuses a call for load
    repeats: float = 0.0  # the answer to a write is lost, and the client writes again
    skew: float = 0.0  # seconds that a worker's clock may be off
    lags: float = 0.0  # a read that is not consistent is answered by a replica that is behind
    leftovers: float = 0.0  # of a batch some is left undone
    # somebody pauses the session, resumes it, reconciles it or sends the sweep
    controls: float = 0.0
    cancels: float = 0.0  # somebody cancels it
    forks: float = 0.0  # somebody forks it, or a fork of it
    deletes: float = 0.0  # somebody deletes an agent, a session or the coordination
    # two clients start the session under one uuid, and repeat that when their server dies
    starts: bool = False
    again: bool = False  # once it has ended somebody retries it, or runs one of its agents again
    # workers have no time for a second agent, so that every hand-off is a message
    deadline: bool = False
    # a client whose server dies does not repeat its call: only once nothing moves any more
    gives_up: bool = False
