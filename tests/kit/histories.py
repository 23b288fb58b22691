"""Random histories of a session: several workers with own clocks on one queue, and faults."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any, TypeVar

from ai_coordination_engine import backend
from ai_coordination_engine.assembly import MAX_RECEIVES
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.statuses import (
    OPEN_AGENT_STATES,
    TERMINAL_AGENT_STATES,
    TERMINAL_SESSION_STATUSES,
)
from ai_coordination_engine.engine.advance import conclusion
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.tries import MOST_LOST
from ai_coordination_engine.engine.control import reconcile, restart
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.engine.work import poison, process_message
from ai_coordination_engine.entrypoints import deliveries
from ai_coordination_engine.entrypoints.aws.worker_handler import LONGEST_BACKOFF
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.observability import configure
from ai_coordination_engine.store.models import ParentKey, Session, SessionAgent
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.transitions import session_watches
from ai_coordination_engine.store.transitions.attempts import died_in_a_row
from benchmarks.harness.memory.table import Table
from tests.kit.crashes import Crash, Refusals, Turns, dying
from tests.kit.fakes import Delivery
from tests.kit.plans import Plan, Trouble
from tests.kit.promises import Found, check, found
from tests.kit.stage import TENANT, Stage
from tests.kit.staging import SECRETS, define, skewed, staged
from tests.kit.world import World

A = TypeVar("A")
R = TypeVar("R", bound=Record)
WORKERS = 3
MOST_ROUNDS = 1_000  # of work and waiting; a history with more counts as hanging
CALLS = 25  # database calls for each agent, fault and sweep, at most
MOST_TROUBLES = 60  # faults of a history, so that it ends
STILL = 2  # sweeps after which an unfinished client call no longer progresses by itself


class History:
    """A session of a plan, with its forks, from the start until the queue is empty.

    `happened` counts the faults; `trace` lists the side effects in order.
    """

    def __init__(self, stage: Stage, plan: Plan, trouble: Trouble) -> None:
        self.happened: Counter[str] = Counter()
        self.trace: list[str] = []
        assert stage.database is not None
        self._stage, self._database = stage, stage.database
        self.plan, self.trouble = plan, trouble
        self.random = Random(trouble.seed)
        self.names = ("", "")  # of the coordination and the task
        self._outputs = Turns(self.random)
        self._sweeps = 0
        self._swept_at = stage.clock.now()
        self.still = 0  # sweeps since a client gave up
        self._aside = False
        self._session = Session()
        self._known: dict[int, tuple[Mapping[str, Any], Record]] = {}  # by the item
        self._world = World(self, stage)

    def run(self) -> Found:
        """Run the history; return how it ended."""
        for module in (
            conclusion,
            deliveries,
            session_watches,
            backend,
        ):  # their backoff and jitter are random
            module._RANDOM.seed(self.trouble.seed)
        SECRETS.seed(self.trouble.seed)  # of uuids and tokens
        stage, database = self._stage, self._database
        stage.renew(
            self.random,
            {name: self._world.behaviour(node) for name, node in self.plan.agents.items()},
        )
        stage.requests.clear()
        database.clear()
        stage.clock.begin()  # so that a history does not depend on earlier ones
        self._swept_at = stage.clock.now()
        self.names = define(stage, self.plan)
        skew = self.trouble.skew
        apps = [skewed(stage, self.random.uniform(-skew, skew)) for _ in range(WORKERS)]
        if not self.trouble.starts:
            self._session = stage.start(self.names)
        stage.boundary.reach = Refusals(self._refuse_alone, self._reach)
        database.repeats = self._repeat
        database.lags = lambda: self.happens("lag", self.trouble.lags)
        database.leaves_over = lambda: self.happens("leftover", self.trouble.leftovers)
        dying[0] = "random" if self.trouble.crashes else ""
        try:
            self._go_through(apps)
        finally:
            dying[0] = ""
            database.repeats = lambda operation: False
            database.lags = database.leaves_over = lambda: False
            stage.boundary.reach = lambda name: None
            stage.clock.every, stage.clock.tick = None, lambda: None
        self._check_calls()
        return self._found()

    def _go_through(self, apps: list[App]) -> None:
        if self.trouble.starts:
            self._start(apps)
        self._work_until_done(apps)
        if self.trouble.again and self._exists():
            self._run_again(apps)
            self._work_until_done(apps)

    def _work_until_done(self, apps: list[App]) -> None:
        """Work until everything has ended; run the sweep when no message is left."""
        queue, clock, watch_seconds = (
            self._stage.queue,
            self._stage.clock,
            self._stage.app.settings.watch_seconds,
        )
        for _ in range(MOST_ROUNDS):
            workers = [self._as("WorkerRole", self._work, app) for app in apps]
            self._outputs.run([*workers, self._as("ApiRole", self._world.turn, apps[0])])
            takes, self._world.takes = self._world.takes, 0
            clock.advance(takes)
            if self._has_ended() and not queue.waiting:
                return
            if self._world.acts():
                continue
            if seconds := queue.next_visible_in():
                clock.advance(seconds)
                if self._world.given_up and clock.now() > self._swept_at + timedelta(
                    seconds=watch_seconds
                ):
                    self._sweep(apps[0])  # heartbeats of a job would otherwise keep it waiting
            elif not queue.waiting:
                clock.advance(watch_seconds + 2 * self.trouble.skew + 1)
                self._sweep(apps[0])
        raise AssertionError(f"does not end: {self._found()}")

    def _start(self, apps: list[App]) -> None:
        uuid = new_uuid(self._stage.clock.now())
        self._session = Session(self.names[0], uuid, partition_key=TENANT)
        begun: list[Session] = []

        def client(app: App) -> None:
            start = Start(*self.names, session_uuid=uuid)
            self._world.call(lambda: begun.append(execute_procedure(app, TENANT, start)))

        def meanwhile(app: App) -> None:
            if self.happens("delete", self.trouble.deletes):
                self._world.call(self._world.deletion(app, self._session))

        while not begun and not self._is_gone():
            others = [self._as("ApiRole", meanwhile, apps[2])] if self.trouble.deletes else []
            self._outputs.run([*(self._as("ApiRole", client, app) for app in apps[:2]), *others])
            self._outputs.run([self._as("WorkerRole", self._work, app) for app in apps])
            if not begun:
                self._stage.clock.advance(
                    self._stage.app.settings.watch_seconds + 2 * self.trouble.skew + 1
                )
                self._sweep(apps[0])
                if self.trouble.gives_up and self._exists():
                    return  # the client does not repeat the start, but the session continues

    def _sweep(self, app: App) -> None:
        self._sweeps += 1
        self._swept_at = self._stage.clock.now()
        if self.still > STILL:
            self._world.repeat()
        swept: list[int] = []
        self._outputs.run(
            [self._as("SweepRole", self._world.call, lambda: swept.append(reconcile.sweep(app)))]
        )
        self.still += len(swept)

    def _run_again(self, apps: list[App]) -> None:
        session, agents = self._session, self.agents(self._session)
        key = f"{self.trouble.seed}"
        planned = [each for each in agents if each.map_ordinal is None]
        if not planned:  # all of them were deleted
            return
        agent = self.random.choice(planned)
        status = self._now().status
        retry = partial(
            restart.retry_session, apps[0], TENANT, session.coordination_uuid, session.session_uuid
        )
        rerun = partial(
            restart.rerun_session_agent,
            apps[0],
            TENANT,
            session.session_uuid,
            agent.session_agent_uuid,
        )
        done: list[Session] = []
        is_retry = status in ("failed", "cancelled")
        call = partial(retry if is_retry else rerun, idempotency_key=key)
        self.happened["retry" if is_retry else "rerun"] += 1
        self._world.cancelled.discard(session.session_uuid)
        clients = [self._as("ApiRole", self._world.call, lambda: done.append(call()))]
        if self.trouble.deletes and self.happens("delete", self.trouble.deletes):
            clients.append(
                self._as("ApiRole", self._world.call, self._world.deletion(apps[1], session))
            )
        conflicts = self.happened["conflict"]
        while not done and conflicts == self.happened["conflict"]:
            self._outputs.run(clients)
            if self.trouble.gives_up:
                return

    def _check_calls(self) -> None:
        """Check that the number of calls is linear in agents and faults; a pause goes to each agent
        twice.
        """
        agents = len(self.agents())
        pauses = 2 * agents * self.happened["control"]
        most = CALLS * (agents + self.happened.total() + self._sweeps + 1) + pauses
        assert self._stage.requests.total() <= most, (most, self._stage.requests)

    def _found(self) -> Found:
        stage, world = self._stage, self._world
        ended: list[Found] = []
        planned = {name for name, node in self.plan.agents.items()}
        for each in self.sessions():
            is_fork = each.session_uuid != self._session.session_uuid
            end = found(stage, each)
            there = {agent.session_agent_uuid for agent in self.agents(each)}
            assert not there & world.deleted, "an agent is there that was deleted"
            end.is_fork, end.cut = is_fork, bool(self.happened["cancel"])
            end.again = not is_fork and bool(self.happened["retry"] + self.happened["rerun"])
            end.deleted = bool(self.happened["delete"]) and (
                bool(world.deleted) or set(end.states) != planned
            )
            if each.session_uuid in world.cancelled and each.status != "cancelled":
                world.broken.append(f"{each.session_uuid} was cancelled and is {each.status}")
            ended.append(end)
        uuids = {each.session_uuid for each in self.sessions()}
        world.broken += [f"{each} was forked and is not there" for each in world.forked - uuids]
        assert world.broken == [], world.broken
        origin = [each for each in ended if not each.is_fork] or [Found(None)]
        return replace(origin[0], forks=[each for each in ended if each.is_fork])

    def _has_ended(self) -> bool:
        return all(
            each.status in TERMINAL_SESSION_STATUSES
            and each.unconfirmed is None
            and (each.status != "cancelled" or each.watch_at is None)  # else the sweep owes runs
            for each in self.sessions()
        ) and all(each.state in TERMINAL_AGENT_STATES for each in self.agents())

    def _work(self, app: App) -> None:
        queue = self._stage.queue
        consumer = deliveries.Deliveries(queue, partial(poison, app), LONGEST_BACKOFF)  # type: ignore[arg-type]
        while delivery := queue.receive(self.random.randrange(10_000)):
            if delivery.received > MAX_RECEIVES:
                self.happened["dead letter"] += 1
                continue
            if self.happens("duplicate", self.trouble.duplicates):
                queue.put_back(Delivery(delivery.wake))
            now = app.clock.now().timestamp()
            self._stage.width = self.random.randrange(4)
            work = partial(
                process_message,
                app,
                deadline=now + 31 if self.trouble.deadline else None,
                branches=self._stage.branches(),
            )
            message = deliveries.Delivery(delivery.wake, "a message", delivery.received)  # type: ignore[arg-type]
            try:
                seconds = consumer.process(message, work)
                if seconds is None:
                    queue.delete(delivery)
                else:
                    queue.put_back(delivery, seconds)
            except Crash:
                queue.put_back(delivery)

    def _as(self, role: str, work: Callable[[A], object], what: A) -> Callable[[], None]:
        """Return the work as a function of the template does it, with its role."""

        def act() -> None:
            with self._acting(role):
                work(what)

        return act

    def _acting(self, role: str | None) -> AbstractContextManager[None]:
        iam = self._stage.iam
        return nullcontext() if iam is None else iam.acting_alone(role)

    # Reads. Items are only replaced, so that each is parsed once.

    def sessions(self) -> list[Session]:
        """Return the session and its forks, confirmed or not, in order of creation."""
        found = [self._read(Session, each) for each in self._table("sessions").items.values()]
        return sorted(found, key=lambda each: each.created_at)

    def agents(self, session: Session | None = None) -> list[SessionAgent]:
        """Return the session agents of one session, or of all, by their ordinals."""
        sessions = [session] if session is not None else self.sessions()
        return [one for each in sessions for one in self._agents_of(each)]

    def _agents_of(self, session: Session) -> list[SessionAgent]:
        table, key = self._table("session_agents"), ParentKey.stored(TENANT, session.session_uuid)
        return [
            self._read(SessionAgent, table.items[key, each]) for each in table.ranges.get(key, ())
        ]

    def _now(self) -> Session:
        return next(
            each for each in self.sessions() if each.session_uuid == self._session.session_uuid
        )

    def _exists(self) -> bool:
        return any(each.session_uuid == self._session.session_uuid for each in self.sessions())

    def _is_gone(self) -> bool:
        """Whether the coordination was deleted."""
        return not self._table("coordinations").items

    def _table(self, name: str) -> Table:
        return self._database.tables[f"{self._stage.app.settings.table_prefix}-{name}"]

    def _read(self, model: type[R], item: dict[str, Any]) -> R:
        _, record = known = self._known.get(id(item)) or (
            item,
            model.from_raw_data(item, self._stage.blobs),
        )
        self._known[id(item)] = known
        return record  # type: ignore[return-value]

    # Faults

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Run the context without faults and without turns of others."""
        before, self._aside = self._aside, True
        try:
            with self._acting(None):
                yield
        finally:
            self._aside = before

    def _reach(self, name: str) -> None:
        self._outputs.pause()
        if self.happens("delay", self.trouble.delays) and self._all_may_die():
            self._stage.clock.advance(
                self._stage.app.settings.lease_seconds + 2 * self.trouble.skew + 1
            )
        self._refuse(name)

    def _refuse(self, name: str) -> None:
        self.trace.append(name)
        if self.happens("crash", self.trouble.crashes) and self._all_may_die():
            raise Crash(name)
        if name not in ("run", "act", "delete") and self.happens(
            "throttle", self.trouble.throttles
        ):
            raise Throttled(name)

    def _refuse_alone(self, name: str) -> None:
        """Refuse in a transaction that has written something."""
        try:
            self._refuse(name)
        except (Crash, Throttled):
            self.happened["rollback"] += 1
            raise

    def _repeat(self, operation: str) -> bool:
        """Whether a write is repeated after it was carried out."""
        if self._aside or not self.happens("repeat", self.trouble.repeats):
            return False
        self._outputs.pause()
        return True

    def _all_may_die(self) -> bool:
        """Whether all workers may die now without an agent being given up.

        An agent whose worker dies too often in a row fails.
        """
        return all(
            died_in_a_row(each) + 1 < MOST_LOST and (each.resumed or 0) + 2 < MOST_LOST
            for each in self.agents()
            if each.state in OPEN_AGENT_STATES
        )

    def happens(self, what: str, chance: float) -> bool:
        """Whether this fault happens now, according to the seed; counts it in `happened`."""
        if self.happened.total() < MOST_TROUBLES and self.random.random() < chance:
            self.happened[what] += 1
            return True
        return False


def script(plan: Plan, trouble: Trouble, home: str) -> str:
    """Return Python code that replays a history and checks it again."""
    return (
        "from tests.kit.histories import replay\nfrom tests.kit.plans import Node, Plan,"
        f" Trouble\n\nreplay({Plan(dict(plan.agents), plan.on_failure)!r}, {trouble!r}, {home!r})\n"
    ).replace("Node(", "\n    Node(")


def replay(plan: Plan, trouble: Trouble, home: str) -> None:
    """Run a history, print how it ended, and check it. Raises `AssertionError`."""
    from tests.kit.outcomes import outcomes

    configure("CRITICAL")  # what a backend refuses is logged
    with staged(home) as stage:
        found = History(stage, plan, trouble).run()
        print(found)  # noqa: T201
        check(stage, found, outcomes(plan))
