"""The parts of a random history: the plan of a session and its faults."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


class _Brief:
    """Shows only the values that differ from the defaults, as Python."""

    def __repr__(self) -> str:
        given: Any = fields(self)  # type: ignore[arg-type]
        unusual = [each.name for each in given if getattr(self, each.name) != each.default]
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in unusual)
        return f"{type(self).__name__}({values})"


@dataclass(frozen=True, repr=False)
class Node(_Brief):
    """An agent of a plan: its predecessors and what it does.

    It answers `{"go": …, "items": […]}` with so many items; conditions on its edges use `go`.

    - `behaviour`: `go`; `stop` answers no; `flaky` fails at first; `tired` fails on every attempt;
      `fail` fails finally.
    - `over`: makes it a map.
    - `asks`: it waits for a person (`default`: or until the time for the answer is over; `expires`:
      nobody answers and it fails).
    - `job`: it waits for a long job (`silent`: the first one never reports; `beats`: it sends
      heartbeats until it ends; `fades`: the first one stops sending them).
    - `acts`: it has an action function.
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
    """The faults, as chances per side effect or message; `seed` draws them and the turns."""

    seed: int
    duplicates: float = 0.0
    crashes: float = 0.0
    delays: float = 0.0  # the clock jumps beyond every lease
    throttles: float = 0.0  # the store or the queue throttles a call
    repeats: float = 0.0  # the response to a write is lost, and the client repeats it
    skew: float = 0.0  # seconds by which a worker's clock may be wrong
    lags: float = 0.0  # an eventually consistent read is stale
    leftovers: float = 0.0  # a batch is not completely processed
    controls: float = 0.0  # a client pauses, resumes or reconciles the session
    cancels: float = 0.0  # a client cancels it
    forks: float = 0.0  # a client forks it, or a fork of it
    deletes: float = 0.0  # a client deletes an agent, a session or the coordination
    # Two clients start the session with the same uuid and repeat it when their server dies.
    starts: bool = False
    again: bool = False  # after its end, a client retries it or reruns an agent
    # Workers have no time for a second agent, so that every hand-off is a message.
    deadline: bool = False
    # A client whose server dies repeats its call only when there is no progress any more.
    gives_up: bool = False
