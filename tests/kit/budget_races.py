"""Attempts against a budget that has room for some of them.

As a program, it makes its part of them on a file that other processes share, once it reads a line.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.domain.budgets import MOST, Amount, Budget, Scope
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.local_bootstrap import build_local_app
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.budget_items import Reservation
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.transitions.budgets import Budgets, Period, Spent, Used

T = TypeVar("T")
TENANT = "acme"
AT_ONCE, FITTING = 50, 10
NEED = Amount(7, 100)
LIMIT = Amount(FITTING * NEED.micro_usd, FITTING * NEED.tokens)
PROCESSES, RACES = 3, 10


def scopes_of(name: object) -> list[Scope]:
    """A budget that has room for some, and one that has room for all."""
    day = Scope("coordination", f"c{name}", "2026-11-02", Budget(micro_usd=MOST))
    return [Scope("task", f"t{name}", "total", Budget(tokens=LIMIT.tokens)), day]


def agent_of(name: object, number: int) -> SessionAgent:
    key = f"session {name}", f"agent {number}"
    return SessionAgent(
        *key, partition_key=TENANT, coordination_uuid="c", run_uuid=f"{name}-{number}"
    )


def used(budgets: Budgets, scope: Scope) -> Used:
    period = Period.of(scope)
    return budgets.used(TENANT, [period])[period]


def dispatched(budgets: Budgets, name: object, numbers: Sequence[int]) -> int:
    """How many of these attempts are dispatched; each spends what it has reserved."""
    count, spent = 0, Spent(NEED.micro_usd, NEED.tokens)
    for each in numbers:
        found = _until_it_succeeds(
            partial(budgets.reserve, agent_of(name, each), scopes_of(name), NEED)
        )
        if isinstance(found, Reservation):
            count += 1
            _until_it_succeeds(partial(budgets.settle, found, spent))
    return count


def _until_it_succeeds(call: Callable[[], T]) -> T:
    """Call it as a worker does that is refused for load."""
    while True:
        try:
            return call()
        except Throttled:
            continue


def _tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def work(path: str, process: str) -> None:
    """Make a part of the attempts of each race; print how many were dispatched."""
    with closing(DatabaseFile(Path(path), "none", alone=False)) as file:
        budgets = build_local_app(Settings(auth="local"), file).budgets
        _tell("ready")
        sys.stdin.readline()
        mine = range(int(process), AT_ONCE, PROCESSES)
        found = [dispatched(budgets, each, mine) for each in range(RACES)]
        _tell(*found)


if __name__ == "__main__":
    work(*sys.argv[1:])
