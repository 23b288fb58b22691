"""`make chaos`: run crash points and random histories for an hour and check all promises.

The seed is printed; `ARGS="--seed 7"` repeats the histories of a seed.
"""

import argparse
import logging
import multiprocessing
import secrets
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Any

from tests.kit import crashes
from tests.kit.calls import CALLS, unrepeated
from tests.kit.drawn import tried
from tests.kit.homes import HOMES
from tests.kit.shapes import SHAPES, deaths
from tests.kit.stage import Stage
from tests.kit.staging import staged

MOST_AGENTS = 30
HISTORIES = 10  # drawn from one seed
POINTS = 2.5  # crash points per history; at least 50,000 and 20,000 an hour are required


def main() -> None:
    """Print progress every minute and each failure with how to repeat it; exit with 1 on
    failures.
    """
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=60)
    arguments.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    arguments.add_argument("--at-once", type=int, default=multiprocessing.cpu_count())
    given = arguments.parse_args()
    until = time.monotonic() + given.minutes * 60
    print(f"seed {given.seed}, {given.at_once} processes, {given.minutes:g} minutes", flush=True)
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    processes = [
        context.Process(
            target=work, args=(given.seed * 1_000 + number, until - time.monotonic(), told)
        )
        for number in range(given.at_once)
    ]
    for process in processes:
        process.start()
    told_of, failures = _listen(told, len(processes))
    for process in processes:
        process.join()
    print(f"seed {given.seed}, {given.at_once} processes, {given.minutes:g} minutes: {told_of}")
    sys.exit(bool(failures))


def _listen(told: Any, alive: int) -> tuple[str, int]:
    """Return a summary of what was tried, and the number of failures."""
    points = histories = failures = 0
    shown = time.monotonic()
    while alive:
        what, value = told.get()
        if what == "done":
            alive -= 1
        elif what == "failed":
            failures += 1
            print(value, flush=True)
        else:
            points, histories = points + value[0], histories + value[1]
        told_of = f"crash points: {points}, random histories: {histories}, failures: {failures}"
        if time.monotonic() > shown + 60:
            shown = time.monotonic()
            print(told_of, flush=True)
    return told_of, failures


def work(seed: int, seconds: float, told: Any) -> None:
    """Run one process, which tries crash points or random histories, whichever is behind."""
    logging.disable(logging.CRITICAL)
    until, random = time.monotonic() + seconds, Random(seed)
    points = histories = 0
    with ExitStack() as open_stages:
        stages = [open_stages.enter_context(staged(home)) for home in HOMES]
        while time.monotonic() < until:
            stage = random.choice(stages)
            before = crashes.deaths[0], crashes.histories[0]
            again, part = (
                _some_deaths(stage, random)
                if points <= POINTS * histories
                else _some_histories(stage, random)
            )
            try:
                part()
            except BaseException:
                told.put(("failed", f"{stage.home}: {again}\n{traceback.format_exc()}"))
            tried_now = crashes.deaths[0] - before[0], crashes.histories[0] - before[1]
            points, histories = points + tried_now[0], histories + tried_now[1]
            told.put(("tried", tried_now))
    told.put(("done", None))


def _some_deaths(stage: Stage, random: Random) -> tuple[str, Callable[[], object]]:
    """Draw a kind of session or call that dies at each of its points; return how to
    repeat it, too.
    """
    name, order, apart = (
        random.choice([*SHAPES, *CALLS]),
        random.randrange(1_000),
        random.choice([0, *range(1, 40)]),
    )
    if name in CALLS:
        return f"unrepeated(stage, CALLS[{name!r}])", partial(unrepeated, stage, CALLS[name])
    again = f"deaths(stage, SHAPES[{name!r}], order={order}, apart={apart})"
    return again, partial(deaths, stage, SHAPES[name], order=order, apart=apart)


def _some_histories(stage: Stage, random: Random) -> tuple[str, Callable[[], object]]:
    number = random.randrange(10**9)
    again = f"tried(stage, {HISTORIES}, {number}, {MOST_AGENTS})"
    return again, partial(tried, stage, HISTORIES, number, MOST_AGENTS)


if __name__ == "__main__":
    main()
