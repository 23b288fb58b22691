"""Measure how much longer a session takes than its agents."""

from collections.abc import Iterator
from statistics import median

from benchmarks import backends, sessions
from benchmarks.table import Row

LAYERS, WIDTH, SECONDS, RUNS = 3, 3, 0.1, 9
REACH = {"embedded": 2.5, "ministack": 1.5}


def measure() -> Iterator[Row]:
    for name, backend in backends.offered().items():
        with backend() as made, backends.working(made) as app, sessions.client(app) as api:
            plan = sessions.Plan.of(api, sessions.layers(LAYERS, WIDTH), SECONDS)
            plan.run()
            taken = sorted(plan.run()[1] for _ in range(RUNS))
        ideal = LAYERS * SECONDS
        yield Row(
            f"makespan of {LAYERS} layers × {WIDTH} agents of {SECONDS * 1000:.0f} ms, {name}",
            f"≤ {REACH[name]} × {ideal * 1000:.0f} ms",
            f"{median(taken) / ideal:.2f} × ({median(taken) * 1000:.0f} ms)",
            f"request to completing write, median of {RUNS},"
            f" {taken[0] * 1000:.0f}–{taken[-1] * 1000:.0f} ms",
        )
