"""Count the AWS calls that accounts and budgets of what models use add to a session.

All are of one run: the agents of a chain report no usage, they report it, and they have a budget,
too. One more agent is what a longer chain takes that a shorter one does not.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import backends, sessions
from benchmarks.harness.api import Api, Worker
from benchmarks.meter import Meter
from benchmarks.table import Row

SHORT, LONG = 5, 10
USED = {"inputTokens": 100, "outputTokens": 10, "model": "gpt-4o-mini", "provider": "openai"}
BUDGET = {"tokens": 10**9, "microUsd": 10**9}
MODEL = {"model": "gpt-4o-mini", "maxTokens": 100}
Calls = Mapping[int, Counter[str]]
"""The calls of a whole session, by the length of its chain."""


def measure() -> Iterator[Row]:
    plain, metered, limited = chains()
    how = f"chains of {LONG} and {SHORT}, side by side in one run"
    yield Row(
        "calls that accounts add to one more agent that asks a model",
        "0",
        *_more(one_more(metered), one_more(plain), LONG - SHORT, how),
    )
    yield Row(
        "calls that accounts add to the end of a session whose agents ask models",
        "–",
        *_more(metered[SHORT], plain[SHORT], 1, f"a chain of {SHORT}: its runs, and the counters"),
    )
    yield Row(
        "calls that a budget adds to one more agent",
        "≤ 2 writes",
        *_more(one_more(limited), one_more(metered), LONG - SHORT, how),
    )


def chains() -> tuple[Calls, Calls, Calls]:
    """Sessions that ask no model, those that do, and those that have a budget, too."""
    with backends.in_process() as app, sessions.client(app) as api:
        worker = Worker(app)
        meter = Meter(app, worker.client)
        return (
            _calls(api, worker, meter),
            _calls(api, worker, meter, usage=USED),
            _calls(api, worker, meter, usage=USED, budget=BUDGET, **MODEL),
        )


def one_more(calls: Calls) -> Counter[str]:
    """What the agents of the longer chain take that those of the shorter one do not."""
    more = calls[LONG].copy()
    more.subtract(calls[SHORT])
    return more


def _calls(api: Api, worker: Worker, meter: Meter, **given: Any) -> Calls:
    found: dict[int, Counter[str]] = {}
    for length in (SHORT, LONG):
        plan = sessions.Plan.of(api, sessions.chain(length), name="model", **given)
        for _ in range(2):  # the first one does what happens only once a process
            meter.taken()
            plan.start()
            worker.drain()
            found[length] = meter.taken().calls
    return found


def _more(calls: Counter[str], beside: Counter[str], agents: int, how: str) -> tuple[str, str]:
    """What is measured, and how it was counted."""
    names = sorted(name for name in calls | beside if calls[name] != beside[name])
    more = {name: (calls[name] - beside[name]) / agents for name in names}
    told = ", ".join(f"{count:g} {name}" for name, count in more.items())
    return f"{sum(more.values()):g}", f"{told or 'the same calls'}; {how}"
