"""How the time and the cost of a session grow with the number of its agents."""

from collections.abc import Iterator
from statistics import median

from benchmarks import backends, sessions
from benchmarks.meter import Meter
from benchmarks.table import Row

RUNS = {50: 7, 100: 5, 200: 3, 500: 1}
"""How often each width is run."""


def measure() -> Iterator[Row]:
    each: dict[int, float] = {}
    with backends.embedded() as made, backends.working(made) as app, sessions.client(app) as api:
        meter = Meter(made)
        sessions.Plan.of(api, sessions.fan(min(RUNS))).run()
        for width, runs in RUNS.items():
            plan = sessions.Plan.of(api, sessions.fan(width))
            meter.taken()
            seconds = median(plan.run()[1] for _ in range(runs))
            units = meter.taken().writes / runs / width
            each[width] = seconds / width * 1000
            yield Row(
                f"fan-out 1 → {width} → 1, embedded",
                "completes",
                f"{seconds:.2f} s, {each[width]:.1f} ms an agent",
                f"request to completing write, median of {runs}; {units:.1f} WCU an agent",
            )
    first, last = min(RUNS), max(RUNS)
    yield Row(
        f"an agent's time at {last} against {first}",
        "grows linearly: 1 ×",
        f"{each[last] / each[first]:.2f} ×",
        f"{each[last]:.1f} ms / {each[first]:.1f} ms",
    )
