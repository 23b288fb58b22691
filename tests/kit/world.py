"""The outside world of a random history: people, long jobs, and clients that control and delete."""

import json
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ai_coordination_engine.api import resources
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import controls as control
from ai_coordination_engine.engine.control import reconcile
from ai_coordination_engine.engine.planning.fork import fork_session
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task, heartbeat
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import Conflict, HasDependents, NotFound, Throttled
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION, SESSION_AGENT
from tests.kit.crashes import Crash
from tests.kit.fakes import Behaviour
from tests.kit.plans import Node
from tests.kit.stage import TENANT, Stage

if TYPE_CHECKING:
    from tests.kit.histories import History

SILENT = 7_200.0  # heartbeat timeout in seconds of a job that never reports
LONG = 2_592_000.0  # that of a job that reports, however late its client repeats the call
HEARTBEAT = 600.0  # that of a job with heartbeats; longer than a worker stalls
BEAT = 200.0  # seconds between heartbeats; works with skewed clocks
BEATS = 10_000  # heartbeats; more than any job needs
ROUND = 2 * HEARTBEAT  # seconds that such a job runs per round
ROUNDS = 3  # rounds that it takes at least
MOST_FORKS = 2
FLAKY = 2  # attempts that fail; the settings allow three


class World:
    """Everything outside the engine.

    It records what the engine acknowledged: `cancelled` (sessions), `forked` (uuids), `deleted`
    (agents). `broken` lists what the engine did not keep. A client whose call dies may never repeat
    it; `given_up` holds whose turn it would be.
    """

    def __init__(self, history: "History", stage: Stage) -> None:
        self.cancelled: set[str] = set()
        self.forked: set[str] = set()
        self.deleted: set[str] = set()
        self.broken: list[str] = []
        self.given_up: set[str] = set()
        self.takes = 0.0  # seconds by which the clock advances after the round
        self._history, self._stage = history, stage
        self._trouble, self._random = history.trouble, history.random
        self._happened = history.happened
        self._jobs: dict[str, str] = {}  # the answer of each job; empty if it never reports
        self._silent: set[str] = set()  # agents whose first job has begun
        self._absent: dict[str, bool] = {}  # by agent: whether its person never answers
        self._beating: dict[str, int] = {}  # heartbeats left, by job
        self._heard: set[str] = set()  # jobs that have sent a heartbeat
        self._forks = 0
        looking = copy(stage.looking)
        looking.clock = stage.clock
        self._apart = replace(stage.app, records=looking)

    # What the agents do

    def behaviour(self, node: Node) -> Behaviour:
        """Return the behaviour of an agent according to its node."""

        def behave(request: AgentRequest) -> str | AgentResult:
            if node.behaviour == "fail":
                raise AgentFailure("no idea")
            if node.behaviour == "tired" or (
                node.behaviour == "flaky" and request.attempt <= FLAKY
            ):
                raise AgentFailure("not now", retryable=True, error_class="unavailable")
            answer = {
                "go": node.behaviour != "stop",
                "items": list(range(node.items)),
                "run": request.run_uuid,
            }
            if node.job is None:
                return json.dumps(answer)
            return self._begin(node, request, json.dumps(answer))

        return behave

    def _begin(self, node: Node, request: AgentRequest, answer: str) -> AgentResult:
        """Start a long job; it may fail only if another attempt is left."""
        job = request.run_uuid
        may_fail = node.job in ("silent", "fades") and node.behaviour != "flaky"
        is_silent = may_fail and request.session_agent_uuid not in self._silent
        self._silent.add(request.session_agent_uuid)
        self._jobs[job] = "" if is_silent else answer
        if node.job == "beats":
            self._beating[job] = BEATS
        elif node.job == "fades" and is_silent:
            self._beating[job] = 2 * int(HEARTBEAT / BEAT)
        self.listen()
        within = SILENT if is_silent else LONG
        return AgentResult(
            "", async_task_uuid=job, heartbeat_seconds=HEARTBEAT if job in self._beating else within
        )

    def listen(self) -> None:
        """Let time pass in small steps while there are jobs that send heartbeats."""
        self._stage.clock.every = BEAT if any(self._beating.values()) else None
        self._stage.clock.tick = self._beat

    def _beat(self) -> None:
        """Send the heartbeats of all running jobs."""
        with self._history.aside():
            for job, left in list(self._beating.items()):
                if not left:
                    continue
                self._beating[job] = left - 1
                try:
                    heartbeat(self._apart, TENANT, job)
                except NotFound:
                    continue  # its worker has not written it down yet, or died before
                except Conflict as conflict:
                    if conflict.extensions["status"] == "expired" and job in self._heard:
                        self.broken.append(f"job {job} was heard of in time and given up")
                    self._beating[job] = 0
                else:
                    self._heard.add(job)

    # Its turn

    def turn(self, app: App) -> None:
        """Let people answer, jobs end, and clients control sessions; each is skipped at random."""
        self._control(app)
        for each in self._history.agents():
            if self._random.random() < 0.3:
                continue
            if each.state == "wait_for_user_input" and self._answers(each):
                key = (TENANT, each.session_uuid, each.session_agent_uuid)
                self.call(
                    partial(execute_for_user_input, app, *key, "yes"), each.session_agent_uuid
                )
            elif job := self._job_of(each):
                self._go_on(app, job)

    def acts(self) -> bool:
        """Whether anybody will do something in the next round."""
        return any(
            (each.state == "wait_for_user_input" and self._answers(each))
            or self._job_of(each) is not None
            for each in self._history.agents()
        ) or any(
            each.status == "paused" and each.session_uuid not in self.given_up
            for each in self._history.sessions()
        )

    def _answers(self, agent: SessionAgent) -> bool:
        uuid, asks = agent.session_agent_uuid, self._history.plan.agents[agent.agent_uuid].asks
        if uuid in self.given_up or asks == "expires":
            return False
        if asks == "default" and uuid not in self._absent:
            self._absent[uuid] = self._random.random() < 0.5
        return not self._absent.get(uuid)

    def _job_of(self, agent: SessionAgent) -> str | None:
        job = agent.async_task_uuid
        if agent.state != "pending" or job is None or job in self.given_up:
            return None
        return job if self._jobs.get(job) else None

    def _go_on(self, app: App, job: str) -> None:
        """End a job, or send a heartbeat if it has to run longer."""
        if self._beating.get(job, 0) > BEATS - ROUNDS * ROUND / BEAT:
            self.call(partial(heartbeat, app, TENANT, job))
            self.takes = ROUND
        else:
            self.call(partial(self._complete, app, job), job)

    def _complete(self, app: App, job: str) -> None:
        try:
            complete_async_task(app, TENANT, job, result=self._jobs[job])
        except Conflict:  # it was given up
            self._jobs[job] = ""
            raise
        self._jobs[job] = ""
        self._beating.pop(job, None)

    def call(self, call: Callable[[], Any], of: str = "") -> None:
        """Make a call as a client that gives up, or repeats it once, when its server dies.

        `of` says whose turn it was.
        """
        for _ in range(1 + self._random.randrange(2)):
            try:
                call()
            except Throttled:
                continue
            except Crash:
                if not self._trouble.gives_up:
                    continue
                self.given_up.add(of)
                self._history.still = 0 if of else self._history.still
            except (Conflict, NotFound, HasDependents):
                self._happened["conflict"] += 1
            return

    def repeat(self) -> bool:
        """Let clients that gave up repeat their calls; return whether there were any.

        Called when there is no progress any more: a call that had begun would have been finished.
        """
        repeated = self.given_up - {""}
        self.given_up.clear()
        for each in self._history.agents():
            job = each.async_task_uuid
            if each.state == "pending" and each.paused is None and job in repeated:
                task = self._apart.jobs.get(TENANT, job)
                if task is None or task.status != "pending":
                    self.broken.append(f"job {job} has ended and nobody wakes its agent")
        return bool(repeated)

    # Controls

    def _control(self, app: App) -> None:
        for session in self._history.sessions():
            names = session.key
            if session.status == "paused":
                if session.session_uuid not in self.given_up:
                    self.call(
                        partial(control.resume_session, app, TENANT, *names), session.session_uuid
                    )
            elif self._history.happens("control", self._trouble.controls):
                controls = [control.pause_session, reconcile.reconcile_session]
                self.call(partial(self._random.choice(controls), app, TENANT, *names))
            if self._chosen("cancel", self._trouble.cancels):
                self.call(partial(self._cancel, app, session))
            if self._forks < MOST_FORKS and self._chosen("fork", self._trouble.forks):
                self._forks += 1
                self.call(self._fork(app, session))
            if self._chosen("delete", self._trouble.deletes):
                self.call(self.deletion(app, session))

    def _chosen(self, what: str, chance: float) -> bool:
        return bool(chance) and self._history.happens(what, chance)

    def _cancel(self, app: App, session: Session) -> None:
        control.cancel_session(app, TENANT, session.coordination_uuid, session.session_uuid)
        self.cancelled.add(session.session_uuid)

    def _fork(self, app: App, session: Session) -> Callable[[], object]:
        agents = [each for each in self._history.agents(session) if each.map_ordinal is None]
        start = self._random.choice([None, *(each.session_agent_uuid for each in agents)])
        chosen = self._random.choice([None, new_uuid(app.clock.now())])

        def fork() -> None:
            names = session.key
            made = fork_session(
                app, TENANT, *names, from_session_agent_uuid=start, new_session_uuid=chosen
            )
            self.forked.add(made.session_uuid)

        return fork

    def deletion(self, app: App, session: Session) -> Callable[[], object]:
        """Return a call that deletes an agent, the session or its coordination, as the API does."""
        agents = self._history.agents(session)
        kind = self._random.choice(
            ["agent", "session", "coordination"] if agents else ["session", "coordination"]
        )
        if kind == "agent":
            return partial(self._delete_agent, app, self._random.choice(agents))
        key = session.key if kind == "session" else (TENANT, self._history.names[0])
        return partial(
            guards.delete, app.records, SESSION if kind == "session" else COORDINATION, TENANT, key
        )

    def _delete_agent(self, app: App, agent: SessionAgent) -> None:
        key = agent.key
        given = {"session_uuid": agent.session_uuid, "session_agent_uuid": agent.session_agent_uuid}
        context: Any = SimpleNamespace(app=app, tenant=TENANT)
        condition, conflict = resources.SESSION_AGENT.delete_condition(context, given)
        done = False
        try:
            guards.delete(
                app.records, SESSION_AGENT, TENANT, key, condition=condition, conflict=conflict
            )
            done = True
        finally:
            there = {each.session_agent_uuid for each in self._history.agents()}
            # The response may have been lost, or the server may have died.
            if done or agent.session_agent_uuid not in there:
                self.deleted.add(agent.session_agent_uuid)
