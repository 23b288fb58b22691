"""Fifty attempts at once against a budget for ten: on moto and on Amazon's DynamoDB Local, whose
transactions exclude each other.
"""

from concurrent.futures import ThreadPoolExecutor

from ai_coordination_engine.domain.budgets import NOTHING
from ai_coordination_engine.store.transitions.budgets import Budgets
from tests.kit.budget_races import AT_ONCE, FITTING, LIMIT, dispatched, scopes_of, used
from tests.kit.dynamodb_local import Store


def test_threads_of_several_processes_keep_to_it_on_dynamodb(store: Store) -> None:
    budgets = [Budgets(each) for each in store.processes]
    threads = 2 * len(budgets)
    for name in range(2):
        with ThreadPoolExecutor(threads) as pool:
            parts = [
                pool.submit(
                    dispatched, budgets[each % len(budgets)], name, range(each, AT_ONCE, threads)
                )
                for each in range(threads)
            ]
            assert sum(each.result() for each in parts) == FITTING
        found = used(budgets[0], scopes_of(name)[0])
        assert (found.spent, found.reserved) == (LIMIT, NOTHING)
