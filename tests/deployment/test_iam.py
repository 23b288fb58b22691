"""Every entrypoint in its role of template.yaml: the role allows what it does, and nothing else."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from io import BytesIO
from typing import Any, cast

import pytest
import time_machine
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.awsrequest import AWSResponse

from ai_coordination_engine import bootstrap
from ai_coordination_engine.api.webhooks import signature, tenant_key
from ai_coordination_engine.assembly import MAX_RECEIVES
from ai_coordination_engine.domain.budgets import parse_tenant_budget
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.leases import new_lease
from ai_coordination_engine.engine.attempt.tries import MOST_LOST
from ai_coordination_engine.engine.control import reconcile
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.engine.scheduling.due import send_due
from ai_coordination_engine.entrypoints.aws import sweep as sweeping
from ai_coordination_engine.entrypoints.aws.api_handler import build_handler
from ai_coordination_engine.entrypoints.aws.sweep import Sweep
from ai_coordination_engine.entrypoints.aws.worker_handler import build_handler as build_worker
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.runtime_settings import A2AReceiver
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.a2a import pushes
from ai_coordination_engine.served.tasks import served_task
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT, TASK
from ai_coordination_engine.store.transitions import counter_shards
from benchmarks.harness.memory import Database
from tests.kit.api import document
from tests.kit.fakes import FakeRuntime
from tests.kit.iam import Iam, Right, rights
from tests.kit.stage import OneByOne

TENANT = "acme"
LONG = "x" * 5_000  # goes to the bucket
WEBHOOK = "WebhookSecret"
LAMBDAS_OWN = {  # what the service does in the function's name
    ("sqs:ReceiveMessage", "Queue"),
    ("sqs:DeleteMessage", "Queue"),
}
OF_OTHER_AGENTS = {  # no history has a second worker, or an agent that is a function
    ("sqs:SendMessage", "AgentsQueue"),
    ("lambda:InvokeFunction", "LambdaFunctionArns"),
}
# else a value that is missing cannot be told from one that is forbidden
LIST_BUCKET = ("s3:ListBucket", "Bucket")


class Context(LambdaContext):
    """The context of an invocation with a minute left."""

    _invoked_function_arn = "SweepFunction"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


@dataclass
class Cloud:
    """The three functions on one AWS, each in its role."""

    iam: Iam
    app: App
    runtime: FakeRuntime
    clock: Any
    runner: asyncio.Runner

    def __post_init__(self) -> None:
        self.sqs = bootstrap.client("sqs")
        self._api = build_handler(self.app, self.runner)
        self._worker = build_worker(self.app)
        self._sweep = Sweep(partial(sweep, self.app), partial(send_due, self.app)).handle

    def send(self, field: str, selection: str | None = None, /, **arguments: Any) -> Any:
        """Return the API's response for one field."""
        event = {
            "query": document(field, tuple(arguments), selection),
            "variables": arguments,
            "endpoint_id": TENANT,
        }
        with self.iam.acting("ApiRole"):
            answer = self._api(event, None)
        assert "errors" not in answer, answer["errors"]
        return answer["data"][field]

    def report(self, job: str, **says: Any) -> None:
        """Report the result of a long job by its webhook."""
        body = json.dumps({"tenant": TENANT, "asyncTaskUuid": job, **says})
        timestamp = str(int(self.app.clock.now().timestamp()))
        signed = signature(tenant_key("master", TENANT), timestamp, body.encode())
        event = {
            "version": "2.0",
            "rawPath": "/async-tasks",
            "rawQueryString": "",
            "headers": {
                "x-ace-timestamp": timestamp,
                "x-ace-signature": signed,
                "content-type": "application/json",
            },
            "requestContext": {"http": {"method": "POST"}, "stage": "$default"},
            "body": body,
            "isBase64Encoded": False,
        }
        with self.iam.acting("ApiRole"):
            answer = self._api(event, None)
        assert answer["statusCode"] == 200, answer

    def work(self, received: int = 1) -> None:
        """Let the worker process all visible messages, each as delivered for the `received`-th
        time.

        At `MAX_RECEIVES`, it processes one batch only.
        """
        while messages := self._receive():
            records = [
                {
                    "messageId": each["MessageId"],
                    "receiptHandle": each["ReceiptHandle"],
                    "body": each["Body"],
                    "attributes": {"ApproximateReceiveCount": str(received)},
                    "eventSource": "aws:sqs",
                }
                for each in messages
            ]
            with self.iam.acting("WorkerRole"):
                kept = self._worker({"Records": records}, Context())["batchItemFailures"]
            for each in messages:
                if each["MessageId"] not in {failure["itemIdentifier"] for failure in kept}:
                    self._delete(each)
            assert self.iam.refused == {}
            if received == MAX_RECEIVES:
                return

    def sweep(self, seconds: float = 1_000) -> int:
        """Let time pass and run the sweep."""
        self.clock.shift(seconds)
        with self.iam.acting("SweepRole"):
            return self._sweep({}, Context())["sessions"]

    def lose_messages(self) -> None:
        while messages := self._receive():
            for each in messages:
                self._delete(each)

    def _receive(self) -> list[Any]:
        answer = self.sqs.receive_message(
            QueueUrl=self.app.settings.queue_url, MaxNumberOfMessages=10
        )
        return list(answer.get("Messages", ()))

    def _delete(self, message: Any) -> None:
        self.sqs.delete_message(
            QueueUrl=self.app.settings.queue_url, ReceiptHandle=message["ReceiptHandle"]
        )

    # Sessions

    def define(self, graph: dict[str, str], **actions: Any) -> dict[str, str]:
        """Create a coordination and a task with large texts: each agent's predecessors
        and action.
        """
        agents = [{"agentUuid": each, "agentDescription": LONG} for each in graph]
        made = self.send("insertUpdateCoordination", agents=agents, updatedBy="me")
        above = {"coordinationUuid": made["coordination"]["coordinationUuid"]}
        found = {
            each: {"predecessors": list(graph[each]), **actions.get(each, {})} for each in graph
        }
        task = self.send(
            "insertUpdateTask",
            **above,
            taskName="t",
            agentActions=found,
            initialTaskQuery=LONG,
            updatedBy="me",
        )
        return {**above, "taskUuid": task["task"]["taskUuid"]}

    def start(self, task: dict[str, str]) -> dict[str, str]:
        """Return the key of a new session."""
        made = self.send(
            "executeProcedureTaskSession", "{ procedureTaskSession { sessionUuid } }", **task
        )
        session = made["procedureTaskSession"]["sessionUuid"]
        return {"coordinationUuid": task["coordinationUuid"], "sessionUuid": session}

    def run(self, graph: dict[str, str], **actions: Any) -> dict[str, str]:
        """Start a session and work until nothing happens any more; return its key."""
        session = self.start(self.define(graph, **actions))
        self.work()
        return session

    def status(self, session: dict[str, str]) -> str:
        found: Session = self.app.records.table(SESSION).get(
            TENANT, cast(Any, tuple(session.values()))
        )
        return str(found.status)

    def agents(self, session: dict[str, str]) -> list[SessionAgent]:
        return list(
            self.app.records.table(SESSION_AGENT).query_all(
                TENANT, session["sessionUuid"], consistent=True
            )
        )

    def agent(self, session: dict[str, str], agent_uuid: str) -> dict[str, str]:
        """Return the key of the only session agent of this agent."""
        (found,) = [each for each in self.agents(session) if each.agent_uuid == agent_uuid]
        return {"sessionUuid": found.session_uuid, "sessionAgentUuid": found.session_agent_uuid}

    def behave(self, agent_uuid: str, behaviour: Callable[[AgentRequest], Any]) -> None:
        self.runtime.behaviours[agent_uuid] = behaviour


@pytest.fixture
def cloud(aws: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    # so that small joins are counted like wide ones
    monkeypatch.setattr(counter_shards, "COUNTER_SHARD", 2)
    iam = Iam(monkeypatch)
    settings = Settings(auth="jwt", inline_limit=256, webhook_key_secret=WEBHOOK)
    with (
        time_machine.travel("2027-01-01T12:00:00Z", tick=False) as clock,
        asyncio.Runner() as runner,
    ):
        bootstrap.create_tables(settings)
        app = bootstrap.build_app(bootstrap.create_queue_and_bucket(settings))
        bootstrap.client("secretsmanager").create_secret(Name=WEBHOOK, SecretString="master")
        app.records.parallel = OneByOne()
        runtime = FakeRuntime({"a": lambda request: json.dumps([LONG, LONG, LONG])})
        yield Cloud(iam, replace(app, runtimes=runtime), runtime, clock, runner)


def expire(cloud: Cloud) -> None:
    cloud.clock.shift(cloud.app.settings.lease_seconds + 1)


def die(cloud: Cloud, session: dict[str, str], agent_uuid: str = "a") -> None:
    """Let a worker claim the agent and die; its lease expires."""
    key = tuple(cloud.agent(session, agent_uuid).values())
    cloud.app.agents.claim(TENANT, cast(Any, key), new_lease(cloud.app))
    expire(cloud)


def job(uuid: str) -> Callable[[AgentRequest], Any]:
    return lambda request: AgentResult("", async_task_uuid=uuid, heartbeat_seconds=60)


def forget(cloud: Cloud, *records: Record) -> None:
    """Delete these items without regard to what depends on them, as an operator can."""
    for each in records:
        table = cloud.app.records.tables[type(each)]
        key = (getattr(each, table.hash_key), getattr(each, table.range_key))
        table.delete(TENANT, key, table.model.partition_key == TENANT)


# What people and workers do


def plans_run(cloud: Cloud) -> None:
    """Run a map, a wide join, a condition, and an action that waits for a person; read
    everything.
    """
    graph = {"a": "", "m": "a", "c": "a", "d": "a", "z": "mcd"}
    session = cloud.run(
        graph, m={"map": {"over": "a"}}, c={"userInTheLoop": "ann"}, d={"conditions": {"a": "[9]"}}
    )
    cloud.send("userInbox")
    cloud.send("executeForUserInput", **cloud.agent(session, "c"), userInput=LONG)
    cloud.work()
    assert cloud.status(session) == "completed"
    everything = (
        "{ task { taskName } sessionAgents { agentInput whyNotRunning { code } } sessionRuns {"
        " asyncTask } }"
    )
    cloud.send("session", everything, **session)
    cloud.send("sessionList", "{ sessionList { coordination { agents } } }")
    cloud.send("sessionList", statuses=["failed"])
    cloud.send("coordinationList")
    cloud.send("taskList")
    cloud.send("taskScheduleList")
    cloud.send("rerunSessionAgent", **cloud.agent(session, "c"))
    cloud.send("cancelSession", **session)
    cloud.send("retrySession", **session)
    cloud.send(
        "forkSession", **session, fromSessionAgentUuid=cloud.agent(session, "c")["sessionAgentUuid"]
    )
    cloud.lose_messages()


def schedules_fire(cloud: Cloud) -> None:
    """Fire schedules automatically, also with `cancel_other`, and by request."""
    task = cloud.define({"a": "", "b": "a", "c": "b"}, a={"userInTheLoop": "ann"})
    schedule = {"taskUuid": task["taskUuid"], "scheduleUuid": "fires"}
    given = {"schedule": "rate(1 minute)", "status": "active", "overlapPolicy": "cancel_other"}
    cloud.send(
        "insertUpdateTaskSchedule",
        **task,
        **given,
        scheduleUuid="fires",
        taskQuery=LONG,
        updatedBy="me",
    )
    for _ in range(3):
        cloud.sweep(60)
        cloud.clock.shift(61)
        cloud.work()
    counted = "{ taskSchedule { runCount sessions { status } } }"
    ran = cloud.send("runTaskSchedule", counted, **schedule)["taskSchedule"]
    assert ran["runCount"] >= 4
    assert "cancelled" in {each["status"] for each in ran["sessions"]}
    now = cloud.app.clock.now()
    past = {"from": (now - timedelta(minutes=2)).isoformat(), "to": now.isoformat()}
    assert cloud.send("backfillTaskSchedule", counted, **schedule, **past)["taskSchedule"]
    cloud.send("deleteTaskSchedule", **schedule)
    cloud.lose_messages()


def records_come_and_go(cloud: Cloud) -> None:
    coordination = cloud.send(
        "insertUpdateCoordination", agents=[{"agentUuid": "a", "x": LONG}], updatedBy="me"
    )
    above = {"coordinationUuid": coordination["coordination"]["coordinationUuid"]}
    task = cloud.send(
        "insertUpdateTask",
        **above,
        taskName="t",
        taskDescription=LONG,
        exposeAs={"name": "t"},
        updatedBy="me",
    )["task"]
    schedule = {"taskUuid": task["taskUuid"], "scheduleUuid": "s"}
    cloud.send("insertUpdateTaskSchedule", **above, **schedule, updatedBy="me")
    cloud.send("taskSchedule", **schedule)
    cloud.send("insertUpdateSession", **above, sessionUuid="s", updatedBy="me", taskQuery=LONG)
    agent = {"sessionUuid": "s", "sessionAgentUuid": "sa"}
    cloud.send("insertUpdateSessionAgent", **above, **agent, agentUuid="a", updatedBy="me")
    run = {**above, "sessionUuid": "s", "runUuid": "r"}
    cloud.send(
        "insertUpdateSessionRun",
        **run,
        threadUuid="t",
        agentUuid="a",
        asyncTaskUuid="t",
        updatedBy="me",
    )
    cloud.send("deleteSessionRun", **run)
    cloud.send("deleteSessionAgent", **agent)
    cloud.send("deleteSession", **above, sessionUuid="s")
    cloud.send("deleteTaskSchedule", **schedule)
    cloud.send("deleteTask", **above, taskUuid=task["taskUuid"])
    cloud.send("deleteCoordination", **above)


def long_jobs_end(cloud: Cloud) -> None:
    for uuid in ("done", "reported", "silent"):
        cloud.behave("a", job(uuid))
        session = cloud.run({"a": ""})
        cloud.send("heartbeatAsyncTask", asyncTaskUuid=uuid)
        if uuid == "done":
            cloud.send("completeAsyncTask", asyncTaskUuid=uuid, result=LONG)
        elif uuid == "reported":
            cloud.report(uuid, result=LONG)
        else:
            cloud.send("sessionRunList", "{ sessionRunList { status } }", **session)
            cloud.clock.shift(61)
            cloud.behave("a", lambda request: LONG)
        cloud.work()
        cloud.clock.shift(61)
        cloud.work()
        assert cloud.status(session) == "completed"


def questions_are_answered(cloud: Cloud) -> None:
    above = {"coordinationUuid": cloud.define({"q": ""})["coordinationUuid"]}
    asked = cloud.send("askOperationHub", **above, userQuery=LONG)
    session = {**above, "sessionUuid": asked["sessionUuid"]}
    cloud.work()
    assert [each.state for each in cloud.agents(session)] == ["completed"]
    assert cloud.send(
        "askOperationHub", **session, userQuery="and?", threadUuid=asked["threadUuid"]
    )
    cloud.work()


def attempts_are_lost(cloud: Cloud) -> None:
    session = cloud.start(cloud.define({"a": ""}))
    die(cloud, session)
    cloud.work()
    assert cloud.status(session) == "completed"


def an_agent_kills_its_workers(cloud: Cloud) -> None:
    session = cloud.start(cloud.define({"k": ""}))
    die(cloud, session, "k")
    for _ in range(MOST_LOST - 1):
        (agent,) = cloud.agents(session)
        cloud.app.agents.take_over(agent, new_lease(cloud.app))
        expire(cloud)
    cloud.work()
    assert cloud.status(session) == "failed"


def a_message_cannot_be_worked_off(cloud: Cloud) -> None:
    def raise_it(request: AgentRequest) -> str:
        raise RuntimeError("a bug")

    cloud.behave("r", raise_it)
    session = cloud.start(cloud.define({"r": ""}))
    cloud.work(received=1)
    cloud.clock.shift(1_000)
    cloud.work(received=MAX_RECEIVES)
    assert cloud.status(session) == "failed"
    cloud.lose_messages()


def an_agent_that_a_client_made_is_answered(cloud: Cloud) -> None:
    above = {"coordinationUuid": cloud.define({"a": ""})["coordinationUuid"]}
    session = {
        **above,
        "sessionUuid": cloud.send("insertUpdateSession", **above, updatedBy="me")["session"][
            "sessionUuid"
        ],
    }
    given = {"agentUuid": "a", "inDegree": 0, "state": "wait_for_user_input", "updatedBy": "me"}
    made = cloud.send("insertUpdateSessionAgent", **session, **given)["sessionAgent"]
    agent = {"sessionUuid": session["sessionUuid"], "sessionAgentUuid": made["sessionAgentUuid"]}
    cloud.send("executeForUserInput", **agent, userInput="yes")
    cloud.work()
    assert [each.state for each in cloud.agents(session)] == ["completed"]


def a_message_comes_to_an_agent_that_was_deleted(cloud: Cloud) -> None:
    session = cloud.start(cloud.define({"a": ""}))
    forget(cloud, *cloud.agents(session))
    cloud.work()


def an_agent_is_deleted_while_it_runs(cloud: Cloud) -> None:
    cloud.behave("d", lambda request: forget(cloud, *cloud.agents(session)[1:]) or LONG)
    session = cloud.start(cloud.define({"a": "", "d": "a"}))
    cloud.work()
    cloud.send("reconcileSession", **session)


def a_map_is_cancelled_while_it_expands(cloud: Cloud) -> None:
    def cancel(right: Right) -> None:
        if right == ("dynamodb:PutItem", "SessionAgents"):
            cloud.iam.watch = lambda right: None
            with cloud.iam.acting(None):
                cloud.send("cancelSession", **session)

    session = cloud.start(cloud.define({"a": "", "m": "a"}, m={"map": {"over": "a"}}))
    cloud.behave("a", lambda request: setattr(cloud.iam, "watch", cancel) or json.dumps(["x", "y"]))
    cloud.work()
    cloud.behave("a", lambda request: json.dumps([LONG, LONG, LONG]))
    assert [each.agent_uuid for each in cloud.agents(session)] == ["a", "m"]


def budgeted(cloud: Cloud, tokens: int, together: int = 10_000_000) -> dict[str, str]:
    """Create a task whose agent reserves some 100,000 tokens of its budget, and of that of its
    coordination, `together`.
    """
    task = cloud.define({"q": ""})
    runtime = {"kind": "function", "name": "f", "max_tokens": 100_000}
    cloud.send(
        "insertUpdateCoordination",
        coordinationUuid=task["coordinationUuid"],
        agents=[{"agentUuid": "q", "runtime": runtime}],
        budget={"tokens": together, "per": "total", "onExceeded": "pause"},
        updatedBy="me",
    )
    limit(cloud, task, tokens)
    return task


def limit(cloud: Cloud, task: dict[str, str], tokens: int) -> None:
    budget = {"tokens": tokens, "per": "total", "onExceeded": "pause"}
    cloud.send("insertUpdateTask", **task, taskName="t", budget=budget, updatedBy="me")


def reserving(cloud: Cloud, task: dict[str, str], uuid: str) -> dict[str, str]:
    """Start a session whose long job keeps what it has reserved."""
    cloud.behave("q", job(uuid))
    session = cloud.start(task)
    cloud.work()
    cloud.behave("q", lambda request: AgentResult(LONG, {"input_tokens": 1, "output_tokens": 1}))
    return session


def waiting(cloud: Cloud, task: dict[str, str]) -> dict[str, str]:
    """Start a session whose agent waits for room in the budget."""
    session = cloud.start(task)
    cloud.work()
    agent = "{ sessionAgents { whyNotRunning { code } } }"
    (found,) = cloud.send("session", agent, **session)["sessionAgents"]
    assert found["whyNotRunning"]["code"] == "WAITS_FOR_BUDGET"
    return session


def budgets_are_kept(cloud: Cloud) -> None:
    """Let agents wait for room that a worker makes, and for room that a higher limit makes."""
    task = budgeted(cloud, 150_000)
    sessions = list[dict[str, str]]()

    def meanwhile(request: AgentRequest) -> AgentResult:
        """Another one begins to wait before this one has ended."""
        cloud.behave("q", lambda request: small)
        sessions.append(waiting(cloud, task))
        return small

    small = AgentResult(LONG, {"input_tokens": 1, "output_tokens": 1})
    cloud.behave("q", meanwhile)
    sessions.append(cloud.start(task))
    cloud.work()
    assert [*map(cloud.status, sessions)] == ["completed"] * 2
    reserving(cloud, task, "small")
    session = waiting(cloud, task)
    usage = {"inputTokens": 1, "outputTokens": 1}
    cloud.send("completeAsyncTask", asyncTaskUuid="small", result=LONG, usage=usage)
    cloud.work()
    assert cloud.status(session) == "completed"
    dropped = reserving(cloud, task, "dropped")
    session = waiting(cloud, task)
    cloud.send("cancelSession", **dropped)
    spent = cloud.send("session", "{ budgets { spentTokens } }", **dropped)
    assert spent["budgets"][0]["spentTokens"] > 100_000
    limit(cloud, task, 300_000)
    cloud.work()
    assert cloud.status(session) == "completed"


def a_budget_comes_while_a_job_runs(cloud: Cloud) -> None:
    cloud.behave("q", job("unbounded"))
    session = cloud.run({"q": ""})
    with pytest.MonkeyPatch.context() as patched:
        budget = parse_tenant_budget({"tokens": 1}, "ACE_BUDGETS")
        patched.setitem(cloud.app.tenant_budgets, TENANT, budget)
        cloud.send("cancelSession", **session)


# What is left to the sweep


def budgets_are_settled(cloud: Cloud) -> None:
    """Cancel sessions with a lost attempt and with a long job, for whose room an agent waits: that
    of the task, and that of the coordination.
    """
    for limits in ((150_000, 10_000_000), (10_000_000, 150_000)):
        budget_is_settled(cloud, budgeted(cloud, *limits))


def budget_is_settled(cloud: Cloud, task: dict[str, str]) -> None:
    lost = cloud.start(task)
    cloud.lose_messages()
    die(cloud, lost, "q")
    sessions = [lost, reserving(cloud, task, f"forgotten {task['taskUuid']}")]
    cloud.send("cancelSession", **waiting(cloud, task))
    for session in sessions:
        key = cast(Any, tuple(session.values()))
        cancelled = [Session.status.set("cancelled")]
        cloud.app.records.table(SESSION).update(TENANT, key, cancelled, Session.status.exists())
    cloud.sweep()
    states = [each.state for session in sessions for each in cloud.agents(session)]
    assert states == ["cancelled", "cancelled"]


def messages_are_lost(cloud: Cloud) -> None:
    session = cloud.start(
        cloud.define({"a": "", "m": "a", "b": "a", "z": "mb"}, m={"map": {"over": "a"}})
    )
    while cloud.status(session) != "completed":
        cloud.lose_messages()
        cloud.sweep()
        cloud.work()


def messages_to_many_sinks_are_lost(cloud: Cloud) -> None:
    """Lose messages to many sinks, and delete an agent for which another one waits."""
    session = cloud.start(cloud.define({"b": "", "c": "", "d": "c", "e": "c"}))
    cloud.lose_messages()
    forget(cloud, *(each for each in cloud.agents(session) if each.agent_uuid == "c"))
    for _ in range(2):
        cloud.sweep()
        cloud.work()
    assert cloud.status(session) == "failed"  # for want of its output


def much_is_due(cloud: Cloud) -> None:
    """Let the sweep invoke itself for each shard."""
    invoked: list[dict[str, int]] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        invoked.append(json.loads(request.body))
        return AWSResponse(request.url, 202, {}, BytesIO())

    task = cloud.define({"a": ""})
    sessions = [cloud.start(task) for _ in range(4)]
    cloud.lose_messages()
    function = bootstrap.client("lambda")
    function.meta.events.register("before-send.lambda.Invoke", answer)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reconcile, "MUCH", 3)
        patched.setattr(sweeping, "_client", lambda: function)
        cloud.sweep()
    assert sorted(each["shard"] for each in invoked) == sorted(
        {int(each["shard"]) for each in invoked}
    )
    assert invoked
    cloud.work()
    assert {cloud.status(each) for each in sessions} == {"completed"}


def a_failure_is_not_handed_on(cloud: Cloud) -> None:
    session = cloud.start(cloud.define({"a": "", "b": "a", "z": "ab"}))
    cloud.lose_messages()
    key = cloud.agent(session, "a").values()
    failed = [SessionAgent.state.set("failed"), SessionAgent.notes.set(LONG)]
    cloud.app.records.table(SESSION_AGENT).update(
        TENANT, cast(Any, tuple(key)), failed, SessionAgent.state.exists()
    )
    cloud.sweep()
    assert cloud.status(session) == "failed"


def a_restart_dies(cloud: Cloud) -> None:
    def fail(request: AgentRequest) -> str:
        raise AgentFailure("no")

    def die_first(right: Right) -> None:
        if right == ("dynamodb:PutItem", "SessionAgents"):
            raise KeyboardInterrupt

    cloud.behave("f", fail)
    session = cloud.run({"a": "", "b": "", "f": "ab", "z": "abf"})
    cloud.behave("f", lambda request: "ok")
    cloud.iam.watch = die_first
    with pytest.raises(KeyboardInterrupt):
        cloud.send("retrySession", **session)
    cloud.iam.watch = lambda right: None
    assert cloud.status(session) == "in_transit"
    cloud.sweep()
    cloud.work()
    assert cloud.status(session) == "completed"


def a_worker_dies_in_a_cancelled_session(cloud: Cloud) -> None:
    session = cloud.start(cloud.define({"a": ""}))
    cloud.lose_messages()
    die(cloud, session)
    key = cast(Any, tuple(session.values()))
    cancelled = [Session.status.set("cancelled")]
    cloud.app.records.table(SESSION).update(TENANT, key, cancelled, Session.status.exists())
    cloud.sweep()
    assert [each.state for each in cloud.agents(session)] == ["cancelled"]


def a_start_dies_behind_its_messages(cloud: Cloud) -> None:
    session = cloud.run({"a": "", "b": "a"})
    forget(cloud, cloud.agents(session)[0])  # which would confirm it
    key = cast(Any, tuple(session.values()))
    reservation = Session.unconfirmed.set("0")
    watched = [Session.watch.set("00"), Session.watch_at.set(0)]
    cloud.app.records.table(SESSION).update(
        TENANT, key, [reservation, *watched], Session.status.exists()
    )
    cloud.sweep()
    assert cloud.agents(session) == []


def writers_die_below_one_another(cloud: Cloud) -> None:
    """Nested reservations of dead writers do not block a delete for ever."""
    task = cloud.define({"a": ""})
    above = {"coordinationUuid": task["coordinationUuid"]}
    session = {**above, "sessionUuid": "dead"}
    cloud.send("insertUpdateSession", **session, updatedBy="me")
    cloud.send("insertUpdateTaskSchedule", **task, scheduleUuid="dead", updatedBy="me")
    given = {"threadUuid": "t", "agentUuid": "a", "asyncTaskUuid": "t", "updatedBy": "me"}
    cloud.send("insertUpdateSessionRun", **session, runUuid="dead", **given)
    for entity, key in ((SESSION, session), (TASK, task)):
        table = cloud.app.records.table(entity)
        reservation = table.model.unconfirmed.set("0")
        table.update(
            TENANT,
            cast(Any, tuple(key.values())),
            [reservation],
            table.model.partition_key == TENANT,
        )
    cloud.send("deleteCoordination", **above)


def receivers_come_and_go(cloud: Cloud) -> None:
    """Ask for notices of a task, as systems do by A2A."""
    cloud.send(
        "insertUpdateTask",
        **cloud.define({"a": ""}),
        taskName="t",
        exposeAs={"name": "n"},
        updatedBy="me",
    )
    queue = cloud.sqs.create_queue(QueueName="ace-sockets")["QueueUrl"]
    settings = cloud.app.settings.model_copy(
        update={"a2a_push": {"https://ok.example": A2AReceiver()}, "socket_queue_url": queue}
    )
    app = bootstrap.build_app(settings)
    with cloud.iam.acting("ApiRole"):
        begun = sessions.start(
            app, TENANT, served_task(app, TENANT, "a2a", "n"), {"query": "x"}, protocol="a2a"
        )
        asked = {"taskId": begun.handle, "url": "https://ok.example/hook", "id": "1"}
        for method in (pushes.create, pushes.get, pushes.listed, pushes.delete):
            method(app, TENANT, asked)
    cloud.work()


HISTORIES = (
    plans_run,
    schedules_fire,
    records_come_and_go,
    long_jobs_end,
    questions_are_answered,
    attempts_are_lost,
    an_agent_kills_its_workers,
    a_message_cannot_be_worked_off,
    an_agent_that_a_client_made_is_answered,
    a_message_comes_to_an_agent_that_was_deleted,
    an_agent_is_deleted_while_it_runs,
    a_map_is_cancelled_while_it_expands,
    budgets_are_kept,
    a_budget_comes_while_a_job_runs,
    budgets_are_settled,
    messages_are_lost,
    messages_to_many_sinks_are_lost,
    much_is_due,
    a_failure_is_not_handed_on,
    a_restart_dies,
    a_worker_dies_in_a_cancelled_session,
    a_start_dies_behind_its_messages,
    writers_die_below_one_another,
    receivers_come_and_go,
)


def test_every_function_may_do_what_it_does_and_no_more(cloud: Cloud) -> None:
    for history in HISTORIES:
        history(cloud)
        assert cloud.iam.refused == {}, history.__name__
    services = ("dynamodb", "s3", "sqs", "lambda")
    for role in ("ApiRole", "WorkerRole", "SweepRole"):
        assert LIST_BUCKET in rights(role)
        allowed = (
            {right for right in rights(role) if right[0].startswith(services)}
            - LAMBDAS_OWN
            - OF_OTHER_AGENTS
            - {LIST_BUCKET}
        )
        assert allowed - cloud.iam.used[role] == set(), role
