"""`make house`: print how much code is on the path of a step, and how complex it is.

Nothing passes or fails.
"""

import ast
import re
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import grimp

from ai_coordination_engine.adapters.sqs import message_from_body
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.observability import configure
from benchmarks import backends, sessions
from benchmarks.calls import SESSION
from benchmarks.density import (
    MOST_COMPLEX,
    MOST_LINES,
    PACKAGE,
    ROOT,
    complexity,
    functions,
    length,
)
from benchmarks.growth import places
from benchmarks.harness.api import Worker
from benchmarks.table import Row, markdown

LONGEST = 100
_OPERATION = "An operation of the API"


def main() -> None:
    """Print the table."""
    configure("WARNING")
    print(markdown([*walks(), *rooms(), *density(), *growth()]))


# Walks


class Walk:
    """Counts the files, and the calls from file to file, within the package, in all threads."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.jumps = 0
        self._at: dict[int, list[str]] = defaultdict(list)

    def follow(self, call: Callable[[], object]) -> "Walk":
        """Count while `call` runs."""
        threading.setprofile(self._seen)
        sys.setprofile(self._seen)
        try:
            call()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        return self

    def __str__(self) -> str:
        return f"{len(self.files)} · {self.jumps}"

    def _seen(self, frame: FrameType, event: str, _: Any) -> None:
        name, at = frame.f_code.co_filename, self._at[threading.get_ident()]
        if not name.startswith(str(ROOT)):
            return
        if event == "call":
            self.files.add(name)
            self.jumps += bool(at and at[-1] != name)
            at.append(name)
        elif event == "return" and at:
            at.pop()


def walks() -> Iterator[Row]:
    """Measure one step of one agent, from the worker to the hand-off, and one mutation of a
    session.
    """
    with backends.in_process() as app, sessions.client(app) as api:
        worker = Worker(app)
        made = sessions.Plan.of(api, sessions.chain(2))
        for _ in range(2):  # the first round does what happens only once
            made.start()
            (message,) = worker.receive()
            wake, deadline = message_from_body(message["Body"]), time.time() + 1
            step = Walk().follow(partial(run_step, app, wake, deadline=deadline))
            worker.delete(message)
            worker.drain()
        for _ in range(2):
            with sessions.client(app) as fresh:
                write = Walk().follow(
                    partial(fresh.data, SESSION, c=made.coordination_uuid, t=made.task_uuid)
                )
    yield Row(
        "one agent step: files · jumps between files",
        "≤ 20 · ≤ 75",
        f"{len(step.files)} · {step.jumps}",
        "profiled",
    )
    yield Row(
        "`insertUpdateSession`: files · jumps",
        "≤ 14 · ≤ 28",
        f"{len(write.files)} · {write.jumps}",
        "profiled",
    )


# Rooms


def rooms() -> Iterator[Row]:
    """Measure the engine's modules and folders, their imports, and their layers."""
    graph, engine = grimp.build_graph(PACKAGE), f"{PACKAGE}.engine"
    children = sorted(graph.find_children(engine))
    arrows = {
        (one, other)
        for one in children
        for other in children
        if one != other
        and graph.direct_import_exists(importer=one, imported=other, as_packages=True)
    }
    floors = _floors(children, arrows)
    found = f"{len(children)} · {len(arrows)} · {floors}"
    yield Row("engine: rooms · arrows · floors", "≤ 10 · ≤ 30 · ≤ 6", found, "imports")


def _floors(rooms: Iterable[str], arrows: set[tuple[str, str]]) -> int:
    below = {room: {other for one, other in arrows if one == room} for room in rooms}
    height: dict[str, int] = {}
    for _ in below:
        height = {
            room: 1 + max((height.get(each, 0) for each in others), default=0)
            for room, others in below.items()
        }
    return max(height.values())


# Density


def density() -> Iterator[Row]:
    """Measure the complexity of functions and the length of lines."""
    texts = [path.read_text() for path in sorted(ROOT.rglob("*.py"))]
    found = [function for text in texts for function in functions(ast.parse(text))]
    complexities = [complexity(each) for each in found]
    lines = [line for text in texts for line in text.splitlines()]
    too_long = sum(len(line) > LONGEST for line in lines) / len(lines)
    anys = sum(len(re.findall(r"\bAny\b", line)) for line in lines) / len(lines) * 1_000
    within = sum(
        isinstance(each, ast.Import | ast.ImportFrom)
        for function in found
        for each in ast.walk(function)
    )
    over = sum(each > MOST_COMPLEX for each in complexities)
    yield Row(
        "mean complexity of a function · functions over 10",
        "≤ 2.9 · 0",
        f"{_mean(complexities):.1f} · {over}",
        "McCabe",
    )
    long = sum(length(each) > MOST_LINES for each in found)
    yield Row("functions over 40 lines, without docstrings", "0", str(long), "the package")
    yield Row("lines over 100 characters", "0", f"{too_long:.1%}", "the package")
    yield Row(
        "`Any` in a thousand lines · imports inside functions",
        "≤ 20 · ≤ 12",
        f"{anys:.0f} · {within}",
        "the package",
    )


# Growth


def growth() -> Iterator[Row]:
    """Count the places that an addition touches."""
    added = places()
    counts = (added[each] for each in ("A field of a record", "A runtime kind", _OPERATION))
    yield Row(
        "places to touch for a Session field · a runtime kind · a mutation",
        "2 · 2 · 3",
        " · ".join(map(str, counts)),
        "docs/contributing.md",
    )


def _mean(numbers: list[int]) -> float:
    return sum(numbers) / len(numbers)


if __name__ == "__main__":
    main()
