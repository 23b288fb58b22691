"""Compare the handlers' cold starts with that of their libraries alone.

Times depend on what else the machine does; instructions, which valgrind counts where it is
installed, do not. `EARLIER` are those of the release before agents with tools, accounts, budgets
and what is served, counted in the same way.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from statistics import median

from benchmarks.backends import NOBODY
from benchmarks.table import Row

RUNS = 9
ROOT = Path(__file__).parents[1]
LIBRARIES = """
import graphene
from pynamodb.models import Model
from pydantic import BaseModel
import botocore.session
session = botocore.session.get_session()
for name in "dynamodb", "sqs":
    session.create_client(name)
"""
HANDLER = "from ai_coordination_engine.entrypoints.aws.graphql_api import handler"
WORKER = "from ai_coordination_engine.entrypoints.aws.worker import handler"
EARLIER = {"API handler": 1.59, "worker": 1.17}  # times the instructions of the libraries
TIMED = """
import time
begun = time.perf_counter(), time.process_time()
{}
print(time.perf_counter() - begun[0], time.process_time() - begun[1])
"""


def measure() -> Iterator[Row]:
    programs = {"libraries": LIBRARIES, "API handler": HANDLER, "worker": WORKER}
    for program in programs.values():
        _seconds(program)  # compiles to bytecode
    runs = [{name: _seconds(program) for name, program in programs.items()} for _ in range(RUNS)]
    for name in "API handler", "worker":
        wall, cpu = (
            median(run[name][clock] / run["libraries"][clock] for run in runs) for clock in (0, 1)
        )
        own, libraries = (
            median(run[each][0] for run in runs) * 1000 for each in (name, "libraries")
        )
        yield Row(
            f"cold start of the {name}",
            "≤ 1.15 × its libraries",
            f"{wall:.2f} × ({own:.0f} ms)",
            f"new processes in turn, median of {RUNS} ratios; libraries {libraries:.0f} ms; by CPU"
            f" time {cpu:.2f} ×",
        )
    if which("valgrind"):
        yield from _counted(programs)


def _counted(programs: dict[str, str]) -> Iterator[Row]:
    """The instructions of each program, and the modules that it loads."""
    counts = {name: _instructions(program) for name, program in programs.items()}
    for name, earlier in EARLIER.items():
        own, modules = counts[name] / counts["libraries"], _modules(programs[name])
        yield Row(
            f"cold start of the {name}, instructions",
            f"≤ {earlier * 1.02:.2f} × its libraries",
            f"{own:.2f} × ({counts[name] / 1e6:,.0f} million)",
            f"valgrind; {earlier:.2f} × before agents with tools, budgets and what is served;"
            f" {modules[0]} modules, {modules[1]} of them our own",
        )


def _instructions(program: str) -> int:
    counter = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    found = re.search(r"I +refs: +([0-9,]+)", _run("-c", program, counter=counter).stderr)
    assert found is not None
    return int(found[1].replace(",", ""))


def _modules(program: str) -> tuple[int, int]:
    loaded = _run("-c", f"{program}\nimport sys\nprint(*sys.modules)").stdout.split()
    return len(loaded), sum(name.startswith("ai_coordination_engine") for name in loaded)


def import_times(most: int = 30) -> str:
    """Return the import times of the API handler (`python -X importtime`), the longest first."""
    told = _run("-X", "importtime", "-c", HANDLER).stderr.splitlines()
    times = [
        line.removeprefix("import time:").split("|")
        for line in told
        if line.startswith("import time:")
    ]
    modules = [(int(own), int(all_), name.strip()) for own, all_, name in times[1:]]
    longest = sorted(modules, reverse=True)[:most]
    lines = [f"{own / 1000:8.1f} {all_ / 1000:10.1f}  {name}" for own, all_, name in longest]
    return "\n".join(["  own ms    with its  module", *lines])


def _seconds(program: str) -> tuple[float, float]:
    """Return wall time and CPU time of a program, without the start of the interpreter."""
    wall, cpu = _run("-c", TIMED.format(program)).stdout.split()
    return float(wall), float(cpu)


def _run(*arguments: str, counter: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "ACE_AUTH": "iam", "PYTHONHASHSEED": "0", **NOBODY}
    return subprocess.run(
        [*counter, sys.executable, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
