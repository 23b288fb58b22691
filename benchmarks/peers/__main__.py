"""`python -m benchmarks.peers`: run the same workloads in turn on our engine and on others.

Each run is verified. A ratio is our time divided by a peer's: below 1, we are faster. Nothing
passes or fails.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from statistics import median

from benchmarks import homes
from benchmarks.engines import Engine, served, side_by_side
from benchmarks.graphs import of
from benchmarks.peers.processes import PEERS, running
from benchmarks.server import ROOT
from benchmarks.table import aligned, number
from benchmarks.workloads import WORKLOADS, Figure, Workload


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument(
        "--home", action="append", choices=homes.HOMES, help="of ours; may be repeated"
    )
    parser.add_argument("--peer", action="append", choices=PEERS, help="may be repeated")
    names = [figure for workload in WORKLOADS for figure in workload.figures]
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    given = parser.parse_args()
    peers = [name for name in given.peer or PEERS if PEERS[name].is_there]
    for name in set(given.peer or PEERS) - set(peers):
        print(f"{name} is not installed (make bench-peers installs it): left out", file=sys.stderr)
    chosen = given.home or homes.offered()[:1]
    with ExitStack() as stack:
        engines: dict[str, Engine] = {
            f"ours, {home}": stack.enter_context(served(home)) for home in chosen
        }
        ours = list(engines)
        engines |= {name: stack.enter_context(running(PEERS[name])) for name in peers}
        lines = [heading(ours, peers)]
        for workload in WORKLOADS:
            if given.only and not set(given.only) & set(workload.figures):
                continue
            print(f"{workload.what} …", file=sys.stderr, flush=True)
            lines += compared(workload, engines, ours)
        lines.append(memory(engines, ours))
    print(aligned(lines))


def heading(ours: Sequence[str], peers: Sequence[str]) -> list[str]:
    ratios = [f"{each} / {peer}" for each in ours for peer in peers]
    return ["what", "unit", *ours, *(f"{peer} {version(peer)}".strip() for peer in peers), *ratios]


def compared(
    workload: Workload, engines: Mapping[str, Engine], ours: Sequence[str]
) -> list[list[str]]:
    """Return a line for each figure of the workload."""
    ran = side_by_side(engines, workload)
    lines = []
    for name, figure in workload.figures.items():
        values = {engine: median(of(figure, workload, runs)) for engine, runs in ran.items()}
        shown = list(map(number, values.values()))
        lines.append(
            [f"{name} {workload.what}", figure.unit, *shown, *ratios(figure, values, ours)]
        )
    return lines


def ratios(figure: Figure, values: Mapping[str, float], ours: Sequence[str]) -> list[str]:
    """Return our time divided by that of each peer, a dash where theirs is 0."""
    found = []
    for own in ours:
        for peer in values:
            if peer not in ours:
                over, under = values[own], values[peer]
                if figure.more_is_better:
                    over, under = under, over
                found.append(f"{number(over / under)} ×" if under else "–")
    return found


def memory(engines: Mapping[str, Engine], ours: Sequence[str]) -> list[str]:
    """Return the line of peak memory since the last start of each engine."""
    peaks = {name: engine.peak() for name, engine in engines.items()}
    whole = Figure("", "MB", lambda *_: 0)
    return ["memory", "MB", *map(number, peaks.values()), *ratios(whole, peaks, ours)]


def version(peer: str) -> str:
    """Return the pinned version of a peer's library."""
    lock = ROOT / ".ci" / f"constraints-{peer.lower()}.txt"
    found = re.search(rf"^{peer.lower()}==(\S+)", lock.read_text(), re.M) if lock.exists() else None
    return found[1] if found else ""


if __name__ == "__main__":
    main()
