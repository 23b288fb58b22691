"""Measure the workloads W1 to W7 on a home, through `ace serve` and GraphQL over HTTP.

Each run is verified. `benchmarks.peers` runs the same workloads on other engines too.
"""

from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.engines import served, side_by_side
from benchmarks.table import Row, number
from benchmarks.workloads import GROWTH, WORKLOADS, Figure, Ran, Workload

KEPT = {
    "W1": "≤ 1.2 ms",
    "W5": "≤ 1.2 ms",
    "W2": "≤ 110 ms",
    "W3": "≥ 120",
    "W4": "≤ 1.05 ×",
    "W6": "≤ 0.6 s",
    "W7": "≤ 4 s",
    "memory": "≤ 150 MB",
    "growth": "≤ 1.2 × of 10 agents",
}
TWO = {"W2": "≤ 60 ms", "W3": "≥ 200"}
REACH = {"sqlite": KEPT, "sqlite, 2 workers": KEPT | TWO, "ministack": {"W4": "≤ 1.3 ×"}}
CHECKED = "each agent ran once, outputs right"


def measure(home: str) -> Iterator[Row]:
    reach = REACH.get(home, {})
    with served(home) as ace:
        for workload in WORKLOADS:
            ran = side_by_side({home: ace}, workload)[home]
            for name, figure in workload.figures.items():
                values = of(figure, workload, ran)
                yield Row(
                    f"{name} {workload.what}, {home}",
                    reach.get(name, "–"),
                    f"{number(median(values))} {figure.unit}",
                    f"{figure.how}; {spread(values)}; {CHECKED}",
                )
        yield Row(
            f"memory of all our processes after W1 to W7, {home}",
            reach.get("memory", "–"),
            f"{ace.peak():.0f} MB",
            "largest resident sets since the restart of W6",
        )
        found = []
        for workload in GROWTH:
            figure = workload.figures["growth"]
            found.append(median(of(figure, workload, side_by_side({home: ace}, workload)[home])))
        yield Row(
            f"time an agent at {' · '.join(workload.what for workload in GROWTH)}, {home}",
            reach.get("growth", "–"),
            f"{' · '.join(map(number, found))} ms ({found[-1] / found[0]:.2f} ×)",
            f"1 → n → 1, {figure.how}; {CHECKED}",
        )


def of(figure: Figure, workload: Workload, ran: Sequence[Ran]) -> list[float]:
    """Return a figure of each run."""
    return [figure.of(workload, each) for each in ran]


def spread(values: Sequence[float]) -> str:
    """Return the number of values and their range as text."""
    if len(values) == 1:
        return "one run"
    return f"median of {len(values)}, {number(min(values))}–{number(max(values))}"
