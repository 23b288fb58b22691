"""The functions of subscriptions in their roles of template.yaml: the roles allow what they do, and
nothing else.
"""

import asyncio
from collections.abc import Iterator

import pytest

from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.a2a import pushes
from ai_coordination_engine.served.tasks import served_task
from benchmarks.harness.memory import Database
from tests.kit.fakes import FakeNotices
from tests.kit.iam import Iam, rights
from tests.kit.sockets import Home, authenticated, kinds, started, subscribe

LONG = "x" * 5_000  # goes to the bucket
CANCEL = """mutation ($c: String!, $s: String!) {
  cancelSession(coordinationUuid: $c, sessionUuid: $s) { session { status } }
}"""
BUDGET = """mutation ($c: String!) {
  insertUpdateCoordination(coordinationUuid: $c, budget: { tokens: 9 }, updatedBy: "me") {
    coordination { budget } }
}"""
EXPOSED = """mutation {
  insertUpdateCoordination(coordinationUuid: "e", agents: [{agentUuid: "a"}], updatedBy: "me") {
    coordination { coordinationUuid } }
  insertUpdateTask(coordinationUuid: "e", taskName: "t", exposeAs: {name: "e"}, updatedBy: "me") {
    task { taskUuid } } }"""
# else a value that is missing cannot be told from one that is forbidden
LIST_BUCKET = ("s3:ListBucket", "Bucket")
STREAMS = {  # what the service does in the function's name
    (f"dynamodb:{action}", f"{table}.StreamArn")
    for action in ("DescribeStream", "GetRecords", "GetShardIterator")
    for table in ("Sessions", "SessionAgents")
} | {("dynamodb:ListStreams", f"{table}/stream/*") for table in ("Sessions", "SessionAgents")}
QUERIES = (  # over a WebSocket, too
    'coordination(coordinationUuid: "c") { agents }',
    "coordinationList { coordinationList { agents } }",
    'task(coordinationUuid: "c", taskUuid: "t") { coordination { agents } }',
    "taskList { taskList { taskName } }",
    'taskList(coordinationUuid: "c") { taskList { taskName } }',
    'taskScheduleList(taskUuid: "t") { taskScheduleList { status } }',
    'sessionRunList(agentUuid: "a") { sessionRunList { status } }',
    'taskSchedule(taskUuid: "t", scheduleUuid: "s") { task { taskName } }',
    "taskScheduleList { taskScheduleList { status } }",
    'sessionAgent(sessionUuid: "s", sessionAgentUuid: "a") { state }',
    'sessionRun(sessionUuid: "s", runUuid: "r") { status }',
    'sessionAgentList(sessionUuid: "s") { sessionAgentList { state } }',
    'sessionRunList(sessionUuid: "s") { sessionRunList { status } }',
)
EVERYTHING = """subscription ($c: String!, $s: String!) {
  session(coordinationUuid: $c, sessionUuid: $s) {
    status logs taskQuery budgets { spentTokens } coordination { agents } task { taskName }
    sessionAgents { sessionRuns { status } agentOutput agentAction session { status }
      whyNotRunning { code } }
    sessionRuns { agentUuid status }
  }
}"""
LISTS = (
    'sessionList(statuses: ["failed"]) { sessionList { sessionUuid } }',
    "sessionList { sessionList { task { taskName } coordination { agents } } }",
    "userInbox { sessionAgentList { session { status } } }",
)


@pytest.fixture
def home(aws: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Home, Iam]]:
    iam = Iam(monkeypatch)
    with asyncio.Runner() as runner:
        yield Home(aws, runner, inline_limit=256), iam


def told_of_a_task(deployed: Home) -> FakeNotices:
    """Ask for notices of a task, and let it end."""
    deployed.api("acme").data(EXPOSED)
    app = deployed.live.app
    task = served_task(app, "acme", "a2a", "e")
    begun = sessions.start(app, "acme", task, {"query": "x"}, protocol="a2a")
    pushes.create(app, "acme", {"taskId": begun.handle, "url": "https://ok.example/hook"})
    deployed.worker.drain()
    return deployed.notices


def test_the_functions_of_subscriptions_may_do_what_they_do(home: tuple[Home, Iam]) -> None:
    deployed, iam = home
    session = started(deployed, query=LONG, userInTheLoop="ann")
    deployed.api("acme").data(BUDGET, c=session["c"])
    deployed.worker.drain()
    deployed.push()
    with iam.acting("SocketRole"):
        for connection in ("c1", "c2"):
            authenticated(deployed, connection)
            subscribe(deployed, EVERYTHING, connection, **session)
            output = f'agentOutput(sessionUuid: "{session["s"]}", sessionAgentUuid: "a") {{ done }}'
            mine = f'sessionList(coordinationUuid: "{session["c"]}") {{ sessionList {{ status }} }}'
            subscribe(deployed, f"subscription {{ {output} }}", connection, "output")
            for number, each in enumerate((*LISTS, mine)):
                subscribe(deployed, f"subscription {{ {each} }}", connection, f"l{number}")
                subscribe(deployed, f"query {{ {each} }}", connection, f"q{number}")
        for number, each in enumerate(QUERIES):
            subscribe(deployed, f"{{ {each} }}", "c1", f"r{number}")
        assert "error" not in kinds(deployed.received())
        deployed.send({"id": "l1", "type": "complete"}, "c2")
        deployed.event("c2", "$disconnect")
    deployed.api("acme").data(CANCEL, **session)
    deployed.worker.drain()
    with iam.acting("PushRole"):
        assert deployed.push() == deployed.remind() == []
    notices = told_of_a_task(deployed)
    with iam.acting("PushRole"):
        assert deployed.push() == deployed.remind() == []
    assert [body["task"]["status"]["state"] for _, body in notices.got] == ["TASK_STATE_COMPLETED"]
    assert iam.refused == {}
    for role in ("SocketRole", "PushRole"):
        ours = {
            right for right in rights(role) if right[0].startswith(("dynamodb:", "s3:"))
        } - STREAMS
        assert ours - iam.used[role] - {LIST_BUCKET} == set(), role
        assert LIST_BUCKET in ours
