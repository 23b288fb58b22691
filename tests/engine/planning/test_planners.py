"""What a planned session costs beside the same graph given statically."""

import pytest

from ai_coordination_engine.engine.app import App
from benchmarks.harness.api import Api, Calls, Worker
from benchmarks.sessions import Graph, Plan, chain, diamond

ROOTS: Graph = {"a": [], "b": [], "c": [], "d": ["a", "b", "c"]}


@pytest.mark.only_on("dynamodb")  # requests to AWS are counted
@pytest.mark.parametrize(
    ("graph", "more"),
    [(chain(5), 3), (diamond(), 3), (ROOTS, 1)],
    ids=["chain", "diamond", "three roots"],
)
def test_a_plan_costs_few_calls_more(app: App, api: Api, graph: Graph, more: int) -> None:
    """It takes a claim, a run, the session and the pinning; the batch of a start is saved."""
    runtime = {"runtimes": {each: {"name": "echo"} for each in graph}}
    plans = [Plan.of(api, graph, **runtime), Plan.planned(api, graph)]  # type: ignore[arg-type]
    calls, worker = Calls(app), Worker(app)
    worker.client.meta.events.register("before-call.*.*", calls._count)
    taken = []
    for plan in plans:
        calls.taken()
        plan.start()
        worker.drain()
        taken.append(calls.taken())
    static, planned = taken
    assert sum(planned.values()) - sum(static.values()) == more <= 6
    assert planned["TransactWriteItems"] == 1
    assert planned["PutItem"] - static["PutItem"] == 1  # the run
    assert planned["GetItem"] - static["GetItem"] == 1  # the session
