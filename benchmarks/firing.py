"""Measure how schedules fire: the calls of one, the delay of some, ten thousand in one minute."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from uuid import uuid4

from ai_coordination_engine.domain.schedules import ScheduleKey, session_uuid_of
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import reconcile
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.engine.scheduling.due import send_due
from ai_coordination_engine.engine.scheduling.firing import fire
from ai_coordination_engine.entrypoints.local.local_sweep import EVERY_SECONDS, LocalSweep
from ai_coordination_engine.ports import Fire, QueueMessage, Wake
from ai_coordination_engine.store.models import TaskSchedule
from ai_coordination_engine.store.records.entities import SESSION, TASK_SCHEDULE
from ai_coordination_engine.store.records.schedule_times import firing_at
from benchmarks import backends, functions, sessions
from benchmarks.harness.api import Calls, Worker
from benchmarks.sessions import TENANT, Plan
from benchmarks.table import Row

MANY = 10_000
TIMES = 20  # one second apart
ALONE = {"a": ()}


def measure() -> Iterator[Row]:
    """Yield the rows of the table."""
    with backends.in_process() as app, sessions.client(app) as api:
        yield _calls(app, Plan.of(api, ALONE))
        plan = Plan.of(api, ALONE)
        yield _idle(app, plan)
        yield _many(app, plan)
    for name, backend in backends.offered().items():
        with backend() as made, backends.working(made) as app, sessions.client(app) as api:
            yield _delay(name, app, Plan.of(api, ALONE))


def _calls(app: App, plan: Plan) -> Row:
    worker, calls, taken = Worker(app), Calls(app), dict[str, int]()
    start = Start(plan.coordination_uuid, plan.task_uuid, session_uuid=str(uuid4()))
    execute_procedure(app, TENANT, start)
    of_a_start = sum(calls.taken().values())
    schedule = _schedule(app, plan, app.clock.now(), expression="* * * * *")
    worker.drain()
    for _ in range(2):  # the second one looks whether the session of the first has ended
        now = app.records.get(TASK_SCHEDULE, TENANT, schedule.key, consistent=True)
        assert now is not None
        message = _message(now)
        calls.taken()
        fire(app, message)
        taken = calls.taken()
        worker.drain()
    return Row(
        "calls of one firing beyond the start of its session",
        "≤ 3 calls",
        f"{sum(taken.values()) - of_a_start} calls",
        "1 GetItem and 1 UpdateItem of the schedule, 1 BatchGetItem of its earlier sessions; a"
        " message beside, of which the sweep sends ten at once",
    )


def _idle(app: App, plan: Plan) -> Row:
    for _ in range(MANY):
        _schedule(app, plan, app.clock.now() + timedelta(days=1))
    calls = Calls(app)
    send_due(app)
    reconcile.sweep(app)
    taken = calls.taken()
    return Row(
        f"a minute of the sweep in which nothing is due, {MANY:,} active schedules",
        "≤ 10 Queries",
        f"{taken.pop('Query')} Queries",
        "2 shards of schedules, 7 of sessions, and 1 of those of earlier versions in turn; counted,"
        f" DynamoDB in memory; {sum(taken.values())} other calls",
    )


class _Collected:
    """A queue that keeps the messages of schedules and drops those of agents."""

    def __init__(self) -> None:
        self.fires: list[Fire] = []

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        self.fires += [each for each in messages if isinstance(each, Fire)]

    def dead_letter(self, wake: Wake) -> None:
        raise NotImplementedError


def _many(app: App, plan: Plan) -> Row:
    """Fire many schedules: two sweeps send them, and workers process the messages in
    random order.
    """
    for _ in range(MANY):
        _schedule(app, plan, app.clock.now() - timedelta(seconds=1))
    queue, calls = _Collected(), Calls(app)
    app = replace(app, queue=queue)
    begun = time.perf_counter()
    sent = [send_due(app), send_due(app)]
    swept = (time.perf_counter() - begun) / 2
    random.Random(7).shuffle(queue.fires)
    calls.taken()
    begun = time.perf_counter()
    for each in queue.fires:
        fire(app, each)
    seconds = time.perf_counter() - begun
    table = app.records.table(TASK_SCHEDULE)
    rows = [each for each in table.query_all(TENANT, plan.task_uuid) if each.last_fire_at]
    once = sum(each.run_count == 1 and each.status == "completed" for each in rows)
    started = sum(1 for _ in app.records.table(SESSION).query_all(TENANT, plan.coordination_uuid))
    return Row(
        f"{MANY:,} schedules due in the same minute",
        "all fire, each once",
        f"{once:,} fire once, {started:,} sessions, {seconds:.0f} s",
        f"one process, DynamoDB in memory; {sum(sent):,} messages of two sweeps ({swept:.1f} s"
        f" each) in random order, {sum(calls.taken().values()) / MANY:.1f} calls a schedule; that"
        f" is {MANY / seconds:.0f} a second and process",
    )


def _delay(name: str, app: App, plan: Plan) -> Row:
    with _sweeping(app):
        clock = time.time() - time.perf_counter()
        beat = datetime.fromtimestamp(-(-time.time() // EVERY_SECONDS) * EVERY_SECONDS, UTC)
        first = beat + timedelta(seconds=3)
        made = [_schedule(app, plan, first + timedelta(seconds=number)) for number in range(TIMES)]
        functions.started.clear()
        last = made[-1].next_fire_at + 10
        while len(functions.started) < TIMES and time.time() < last:
            threading.Event().wait(0.2)
        delays = []
        for each in made:
            nominal = datetime.fromtimestamp(each.next_fire_at, UTC)
            uuid = session_uuid_of(ScheduleKey(TENANT, *each.key), nominal)
            delays.append(functions.started.pop((uuid, "a")) + clock - each.next_fire_at)
    delays.sort()
    return Row(
        f"nominal time → first agent starts, {name}",
        "≤ 0.3 s · 1 s",
        f"{median(delays):.2f} s · {delays[int(len(delays) * 0.95) - 1]:.2f} s",
        f"median · 95 % of {len(delays)} times, one a second; the sweep of one machine, which comes"
        " at the beginning of a second; on AWS add up to a second, of which SQS counts whole ones",
    )


@contextmanager
def _sweeping(app: App) -> Iterator[None]:
    """Run the sweep of the local server while the context is open."""
    sweep = LocalSweep(partial(reconcile.sweep, app), partial(send_due, app, EVERY_SECONDS))
    sweep.start()
    try:
        yield
    finally:
        sweep.stop(5)


def _schedule(app: App, plan: Plan, at: datetime, expression: str | None = None) -> TaskSchedule:
    """Create an active schedule that first fires at `at`; without an expression, only once."""
    nominal, uuid = at.replace(microsecond=0), str(uuid4())
    key = ScheduleKey(TENANT, plan.task_uuid, uuid)
    schedule = TaskSchedule(
        plan.task_uuid,
        uuid,
        partition_key=TENANT,
        coordination_uuid=plan.coordination_uuid,
        schedule=expression or f"at({nominal:%Y-%m-%dT%H:%M:%S})",
        status="active",
        revision="r",
        created_at=nominal,
        updated_at=nominal,
        updated_by="benchmark",
    )
    for field, value in firing_at(key, nominal, None).items():
        setattr(schedule, field, value)
    app.records.table(TASK_SCHEDULE).put_new(schedule)
    return schedule


def _message(schedule: TaskSchedule) -> Fire:
    nominal = int(schedule.next_fire_at)
    return Fire(TENANT, *schedule.key, nominal, str(schedule.revision), sent_at=nominal)
