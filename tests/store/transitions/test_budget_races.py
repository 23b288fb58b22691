"""Fifty attempts at once against a budget for ten: ten are dispatched, and what is spent and
reserved never exceeds the limit, in 200 of 200 tries, wherever some of them die.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path
from random import Random
from threading import local

import pytest

from ai_coordination_engine.domain.budgets import NOTHING, Amount
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.budget_items import BudgetCounter, Reservation
from ai_coordination_engine.store.transitions.budgets import UNKNOWN, Budgets, Full, Period, Spent
from tests.kit import budget_races
from tests.kit.budget_races import (
    AT_ONCE,
    FITTING,
    LIMIT,
    NEED,
    PROCESSES,
    RACES,
    TENANT,
    agent_of,
    scopes_of,
    used,
)
from tests.kit.commands import ENVIRONMENT
from tests.kit.crashes import Crash, Turns
from tests.kit.homes import CI
from tests.kit.servers import ROOT
from tests.kit.stage import Stage, stage_of

TRIES = 200 if CI else 20
DYING = 8  # attempts of a try
MOST_BORDERS = 4  # those of two calls: it reserves and settles, or looks why it is refused


class Attempts:
    """The attempts of one try, one call after the other in a drawn order. Those with a number in
    `deaths` die at that border of a call: before the first one, after it, before the second one, …
    """

    def __init__(self, stage: Stage, name: int) -> None:
        random = Random(name)
        self.stage, self.name, self.turns = stage, name, Turns(random)
        self.budgets, self.looking = stage.app.budgets, Budgets(stage.looking)
        self.scopes = scopes_of(name)
        dying = random.sample(range(AT_ONCE), DYING)
        self.deaths = {each: random.randrange(MOST_BORDERS) for each in dying}
        self.borders = [0] * AT_ONCE
        self.mine = local()
        self.dispatched: list[int] = []
        self.died: list[int] = []

    def run(self) -> None:
        """Run all attempts; then settle for those that died."""
        self.stage.boundary.reach = self.reach
        self.turns.run([partial(self.attempt, each) for each in range(AT_ONCE)])
        self.stage.boundary.reach = lambda name: None
        for each in self.died:
            agent = agent_of(self.name, each)
            self.budgets.settle_of(agent, agent.run_uuid, UNKNOWN)

    def reach(self, name: str) -> None:
        number = getattr(self.mine, "number", None)
        if number is None:
            return
        border, self.borders[number] = self.borders[number], self.borders[number] + 1
        if border and border % 2 == 0:  # before a call; the first one begins when it is drawn
            self.turns.pause()
        if border == self.deaths.get(number):
            raise Crash(name)

    def attempt(self, number: int) -> None:
        self.mine.number = number
        try:
            found = self.budgets.reserve(agent_of(self.name, number), self.scopes, NEED)
            assert isinstance(found, Reservation | Full)
            if isinstance(found, Reservation):
                self.dispatched.append(number)
                assert used(self.looking, self.scopes[0]).all.tokens <= LIMIT.tokens
                self.budgets.settle(found, Spent(NEED.micro_usd, NEED.tokens))
        except Crash:
            self.died.append(number)


def test_of_fifty_at_once_ten_are_dispatched_in_each_of_200_tries(app: App) -> None:
    stage = stage_of(app)
    for seed in range(TRIES):
        tried = Attempts(stage, seed)
        tried.run()
        of_task, of_all = (used(tried.looking, each) for each in tried.scopes)
        assert (of_task.spent, of_task.reserved) == (LIMIT, NOTHING), seed
        assert of_all == of_task
        assert FITTING - DYING <= len(tried.dispatched) <= FITTING


def test_whatever_is_settled_again_counts_once_and_nothing_reserved_is_negative(app: App) -> None:
    """Attempts reserve, are assumed to have spent all, report late, report twice, and are given up
    before they reserve, in a drawn order.
    """
    budgets, random, scopes = app.budgets, Random(1), scopes_of("again")
    reserved: dict[int, Reservation] = {}
    spent: dict[int, int] = {}  # what an attempt has told, or is assumed to have spent
    told: set[int] = set()
    for _ in range(150):
        number = random.randrange(30)
        agent, tokens = agent_of("again", number), random.randrange(2 * NEED.tokens)
        step = random.choice(("reserve", "settle", "assume", "report", "report"))
        if step == "reserve":
            found = budgets.reserve(agent, scopes, NEED)
            if isinstance(found, Reservation):
                assert number not in spent
                reserved[number] = found
            elif number not in spent:
                assert isinstance(found, Full)
                assert number not in reserved
        else:
            known = Spent(tokens, tokens) if step != "assume" else UNKNOWN
            if step == "settle" and number in reserved:
                budgets.settle(reserved[number], known)
            else:
                budgets.settle_of(agent, agent.run_uuid, known)
            if number not in reserved:
                spent[number] = 0
                told.add(number)
            elif number not in told:
                spent[number] = NEED.tokens if known == UNKNOWN else tokens
                told |= {number} if known != UNKNOWN else set()
        now = used(budgets, scopes[0])
        still_open = reserved.keys() - spent.keys()
        assert now.reserved == Amount(
            NEED.micro_usd * len(still_open), NEED.tokens * len(still_open)
        )
        assert now.spent.tokens == sum(spent.values())


def test_a_counter_that_has_expired_gets_nothing_back_and_the_others_do(app: App) -> None:
    """The counter of a period expires 100 days after the last attempt that began in it; a long job
    may end, or report late, after that.
    """
    budgets, spent = app.budgets, Spent(1, 10)
    counters = app.records.tables[BudgetCounter]
    reserved = [budgets.reserve(agent_of("old", each), scopes_of("old"), NEED) for each in range(2)]
    agents = [agent_of("old", each) for each in range(2)]
    budgets.settle_of(agents[0], agents[0].run_uuid, UNKNOWN)
    of_day = Period.of(scopes_of("old")[1])
    counters.delete(TENANT, of_day.key, BudgetCounter.scope.exists())
    assert isinstance(reserved[1], Reservation)
    budgets.settle(reserved[1], spent)
    budgets.settle_of(agents[0], agents[0].run_uuid, spent)
    assert counters.get(TENANT, of_day.key, consistent=True) is None
    now = used(budgets, scopes_of("old")[0])
    assert (now.spent, now.reserved) == (Amount(2, 20), NOTHING)


# Really at the same time


@pytest.mark.only_on("sqlite")  # several processes share a file
def test_processes_that_share_a_file_keep_to_it(app: App, tmp_path: Path) -> None:
    command = [sys.executable, "-m", budget_races.__name__, str(tmp_path / "ace.db")]
    processes = [
        subprocess.Popen(
            [*command, str(each)],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for each in range(PROCESSES)
    ]
    assert [each.stdout.readline() for each in processes if each.stdout] == ["ready\n"] * PROCESSES
    for each in processes:
        print(file=each.stdin, flush=True)
    found = [each.communicate(timeout=60)[0].split() for each in processes]
    assert [sum(map(int, each)) for each in zip(*found, strict=True)] == [FITTING] * RACES
    for name in range(RACES):
        of_task = used(app.budgets, scopes_of(name)[0])
        assert (of_task.spent, of_task.reserved) == (LIMIT, NOTHING)
