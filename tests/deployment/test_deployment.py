"""template.yaml with the packaged code in an AWS emulator: API, queue and worker work together."""

import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials

from ai_coordination_engine.adapters.sqs import body_of
from ai_coordination_engine.api.webhooks import signature, tenant_key
from ai_coordination_engine.client import Forbidden
from ai_coordination_engine.ports import Wake
from benchmarks.harness import emulator
from benchmarks.harness.emulator import REGION, Emulator
from tests.deployment import issuer, model
from tests.deployment.calling import (
    CREATE_COORDINATION,
    CREATE_TASK,
    EXECUTE,
    READ,
    Client,
    wait_for,
)
from tests.deployment.issuer import Issuer
from tests.deployment.model import ARGUMENTS, Model
from tests.deployment.stack import Stack, build_package, deploy, upload, upload_console
from tests.deployment.watching import ANSWER, seen_in_python, states, watching
from tests.examples import scripts
from tests.kit.node import needs_node

pytestmark = [
    pytest.mark.deployment,
    pytest.mark.skipif(
        not emulator.PYTHON.exists() and not os.environ.get("CI"),
        reason="needs the emulator's environment: make test creates it",
    ),
]

AUDIENCE = "ace"
MASTER_KEY = "a master key"
MODEL_KEY = "a key of the model"
PRICE = {"inputMicroUsdPerMillion": 1_000_000, "outputMicroUsdPerMillion": 2_000_000}
USERS = "arn:aws:iam::000000000000:user"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    package = build_package()
    with emulator.running(tmp_path_factory.mktemp("aws")) as running:
        upload(running, package)
        yield running


@pytest.fixture(scope="module")
def tokens() -> Iterator[Issuer]:
    with issuer.running() as running:
        yield running


@pytest.fixture(scope="module")
def small_model() -> Iterator[Model]:
    with model.running() as running:
        yield running


@pytest.fixture(scope="module")
def stack(aws: Emulator, tokens: Issuer, small_model: Model) -> Stack:
    create_secret = aws.client("secretsmanager").create_secret
    secret = create_secret(Name="webhook", SecretString=MASTER_KEY)["ARN"]
    model_key = create_secret(Name="model", SecretString=MODEL_KEY)["ARN"]
    desk = {"base_url": small_model.url, "model": "small", "api_key_secret": model_key}
    writer = write_function(aws, "writer", WRITER)
    return deploy(
        aws,
        "engine",
        LambdaFunctions=json.dumps({"writer": writer}),
        LambdaFunctionArns=writer,
        AgentsImageUri="an image",
        OpenAIEndpoints=json.dumps({"desk": desk}),
        SecretArns=model_key,
        Tools=json.dumps({"stock": "desk_tools:stock"}),
        Prices=json.dumps({"small-1": PRICE}),
        JwtIssuer=tokens.url,
        JwtAudience=AUDIENCE,
        WebhookSecret=secret,
        Console="true",
        ConsoleClientId="console",
        ConsoleSignInOrigins="https://issuer.example",
    )


@pytest.fixture
def client(stack: Stack, tokens: Issuer) -> Client:
    return Client(stack, tokens.token(AUDIENCE, tenant=["acme", "other"]))


def write_function(aws: Emulator, name: str, code: str) -> str:
    """Create a Lambda function; return its ARN."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    policy = {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
    role = aws.client("iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(policy)
    )["Role"]["Arn"]
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", code)
    made = aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler=f"{name}.handler",
        Code={"ZipFile": file.getvalue()},
    )
    return str(made["FunctionArn"])


WRITER = """
def handler(event, context):
    return {"output": event["input"].upper(), "usage": {"input_tokens": 3}}
"""

COMPLETE = """
mutation ($job: String!) { completeAsyncTask(asyncTaskUuid: $job, result: "later") { ok } }"""

PLAN = """
query ($coordinationUuid: String!, $taskUuid: String!) {
  planSession(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid) { layers costMicroUsd }
}"""

USAGE = """
query ($coordinationUuid: String!, $day: DateTime!) {
  usageByDay(from: $day, to: $day, coordinationUuid: $coordinationUuid) {
    usageByDayList { agentUuid model microUsd toolCalls }
  }
}"""

SCHEDULE = """
mutation ($coordinationUuid: String!, $taskUuid: String!, $schedule: String!) {
  insertUpdateTaskSchedule(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid,
      schedule: $schedule, status: "active", updatedBy: "test") {
    taskSchedule { scheduleUuid }
  }
}"""

READ_SCHEDULE = """
query ($taskUuid: String!, $scheduleUuid: String!) {
  taskSchedule(taskUuid: $taskUuid, scheduleUuid: $scheduleUuid) {
    status runCount missedCount whyNotFired { code } sessions { status createdAt }
  }
}"""


def run_session(
    client: Client,
    agents: list[dict[str, Any]],
    query: str,
    meanwhile: Callable[[dict[str, Any]], None] = lambda session: None,
) -> dict[str, Any]:
    """Run a session of the agents `left`, `right` and `join`, which waits for both; return it.
    `meanwhile` sees it until it has ended.
    """
    created = client.data(CREATE_COORDINATION, agents=agents)["insertUpdateCoordination"][
        "coordination"
    ]
    assert created["partitionKey"] == "acme"
    coordination = created["coordinationUuid"]
    actions = {"join": {"predecessors": ["left", "right"]}}
    task = client.data(CREATE_TASK, coordinationUuid=coordination, agentActions=actions)
    task_uuid = task["insertUpdateTask"]["task"]["taskUuid"]
    started = client.data(
        EXECUTE, coordinationUuid=coordination, taskUuid=task_uuid, taskQuery=query
    )
    session_uuid = started["executeProcedureTaskSession"]["procedureTaskSession"]["sessionUuid"]

    def ended() -> dict[str, Any] | None:
        session = client.data(READ, coordinationUuid=coordination, sessionUuid=session_uuid)[
            "session"
        ]
        meanwhile(session)
        return session if session["status"] in ("completed", "failed") else None

    return dict(wait_for("the end of the session", ended))


AGENTS = [{"agentUuid": name, "agentName": name.title()} for name in ("left", "right", "join")]


@pytest.mark.parametrize(
    "query", ["Say hello", "long " * 50_000], ids=["short", "too long for an item"]
)
def test_session_runs_through_api_queue_and_worker(
    client: Client, stack: Stack, query: str
) -> None:
    session = run_session(client, AGENTS, query)
    agents = {agent["agentUuid"]: agent for agent in session["sessionAgents"]}
    assert session["status"] == "completed"
    assert {name: (agent["state"], agent["inDegree"]) for name, agent in agents.items()} == {
        "left": ("completed", 0),
        "right": ("completed", 0),
        "join": ("completed", 0),
    }
    assert agents["left"]["agentOutput"] == query
    assert agents["join"]["agentOutput"].count(query) == 3
    assert sorted(run["agentUuid"] for run in session["sessionRuns"]) == ["join", "left", "right"]
    wait_for("the end of the messages", lambda: stack.depth("QueueUrl") == 0)
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_agent_that_fails_fails_its_session_with_a_note(client: Client, stack: Stack) -> None:
    broken = {"agentUuid": "left", "runtime": {"kind": "function", "name": "unknown"}}
    session = run_session(client, [broken, *AGENTS[1:]], "Say hello")
    states = {agent["agentUuid"]: agent["state"] for agent in session["sessionAgents"]}
    assert (session["status"], states["left"]) == ("failed", "failed")
    assert "unknown" in session["logs"]
    wait_for("the end of the messages", lambda: stack.depth("QueueUrl") == 0)
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_agents_may_be_lambda_functions_that_answer_or_do_long_jobs(
    client: Client, stack: Stack
) -> None:
    runtime = {"kind": "lambda", "function": "writer"}
    left = {"agentUuid": "left", "runtime": runtime}
    right = {"agentUuid": "right", "runtime": {**runtime, "longJob": True}}
    completed: set[str] = set()

    def complete(session: dict[str, Any]) -> None:
        runs = [run for run in session["sessionRuns"] if run["agentUuid"] == "right"]
        for job in {run["asyncTaskUuid"] for run in runs} - completed:
            client.data(COMPLETE, job=job)
            completed.add(job)

    session = run_session(client, [left, right, AGENTS[2]], "Say hello", complete)
    outputs = {each["agentUuid"]: each["agentOutput"] for each in session["sessionAgents"]}
    assert (session["status"], len(completed)) == ("completed", 1)
    assert (outputs["left"], outputs["right"]) == ("SAY HELLO", "later")


def test_the_second_worker_runs_agents_with_tools_and_sends_on_what_is_not_its_own(
    client: Client, stack: Stack, small_model: Model
) -> None:
    runtime = {"kind": "agent", "endpoint": "desk", "tools": ["stock"]}
    with_tools = {"agentUuid": "left", "runtime": runtime}
    session = run_session(client, [with_tools, *AGENTS[1:]], "How much tea?")
    agents = {each["agentUuid"]: each for each in session["sessionAgents"]}
    assert (session["status"], agents["left"]["agentOutput"]) == ("completed", "3 of tea")
    assert "3 of tea" in agents["join"]["agentOutput"]
    (run,) = (each for each in session["sessionRuns"] if each["agentUuid"] == "left")
    (call,) = run["toolCalls"]
    assert (call["name"], call["outcome"]) == ("stock", "completed")
    assert (call["arguments"], call["result"]) == (json.loads(ARGUMENTS), 3)
    assert (run["model"], run["requests"], run["totalTokens"]) == ("small-1", 2, 24)
    assert [key for key, _ in small_model.asked] == [MODEL_KEY, MODEL_KEY]
    # what it has cost is counted, and foretells what the next session costs
    assert session["cost"] == {"microUsd": 28}
    uuids = {name: session[name] for name in ("coordinationUuid", "taskUuid")}
    plan = client.data(PLAN, **uuids)["planSession"]
    assert plan["layers"] == [["left", "right"], ["join"]]
    assert plan["costMicroUsd"]["expected"] == 28
    today = datetime.now(UTC).isoformat()
    used = client.data(USAGE, day=today, coordinationUuid=uuids["coordinationUuid"])["usageByDay"]
    assert used["usageByDayList"] == [
        {"agentUuid": "left", "model": "small-1", "microUsd": 28, "toolCalls": 1}
    ]
    wake = Wake("acme", session["sessionUuid"], agents["right"]["sessionAgentUuid"])
    sqs = stack.emulator.client("sqs")
    sqs.send_message(QueueUrl=stack.outputs["AgentsQueueUrl"], MessageBody=body_of(wake))
    for queue in ("AgentsQueueUrl", "QueueUrl"):
        wait_for("the end of the messages", lambda queue=queue: stack.depth(queue) == 0)
    for queue in ("AgentsDeadLetterQueueUrl", "DeadLetterQueueUrl"):
        assert stack.depth(queue) == 0
    variables = stack.emulator.client("lambda").get_function_configuration(
        FunctionName=stack.resource("AgentsFunction")
    )["Environment"]["Variables"]
    assert variables["ACE_WORKER_EXTRA"] == "agents"
    assert variables["ACE_AGENTS_QUEUE_URL"] == stack.outputs["AgentsQueueUrl"]


def test_value_too_large_for_an_item_goes_through_the_bucket(client: Client, stack: Stack) -> None:
    text = "large " * 100_000
    created = client.data(
        CREATE_COORDINATION, agents=[{"agentUuid": "a", "agentDescription": text}]
    )
    uuid = created["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
    read = client.data(
        "query ($uuid: String!) { coordination(coordinationUuid: $uuid) { agents } }", uuid=uuid
    )
    assert read["coordination"]["agents"][0]["agentDescription"] == text
    objects = stack.emulator.client("s3").list_objects_v2(Bucket=stack.outputs["BucketName"])
    assert objects["KeyCount"] >= 1


@pytest.mark.parametrize("path", ["/graphql", "/acme/graphql", "/acme/ai_coordination_graphql"])
def test_every_route_answers(stack: Stack, tokens: Issuer, path: str) -> None:
    headers = {"authorization": f"Bearer {tokens.token(AUDIENCE, tenant='acme')}"}
    posted = stack.request("POST", path, headers, json={"query": "{ ping }"})
    got = stack.request("GET", path, headers, params={"query": "{ ping }"})
    assert (posted.status_code, got.status_code) == (200, 200)
    assert posted.json()["data"]["ping"].startswith("Hello at ")
    assert got.json()["data"]["ping"].startswith("Hello at ")


def test_other_systems_find_what_is_exposed_to_them(stack: Stack, tokens: Issuer) -> None:
    headers = {"authorization": f"Bearer {tokens.token(AUDIENCE, tenant='nobody')}"}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for path in ("/mcp", "/nobody/mcp"):
        answered = stack.request("POST", path, headers, json=asked)
        assert (answered.status_code, answered.json()["error"]["message"]) == (
            404,
            "nothing is exposed to other systems here",
        )
    assert stack.request("POST", "/acme/mcp", headers, json=asked).status_code == 403


def test_run_files_are_checked_for_who_may_call(stack: Stack, tokens: Issuer) -> None:
    headers = {"authorization": f"Bearer {tokens.token(AUDIENCE, tenant='acme')}"}
    text = """
        coordination: {name: c, agents: [{name: a}]}
        task: {subtasks: [{agent: a, query: q}, {agent: b, query: q}]}
    """
    for path in ("/run-file", "/acme/run-file"):
        answered = stack.request("POST", path, headers, json={"text": text}).json()
        (problem,) = answered["problems"]
        assert (problem["kind"], problem["line"], answered["run"]) == ("error", 3, None)
    assert stack.request("POST", "/other/run-file", headers, json={"text": text}).status_code == 403


EXPOSE = """
mutation ($coordinationUuid: String!) {
  insertUpdateTask(coordinationUuid: $coordinationUuid, taskName: "echo", updatedBy: "test",
      exposeAs: {name: "echo", as: ["a2a", "mcp"]}) { task { taskUuid } }
}"""


def test_an_exposed_task_is_a_tool_of_mcp_and_called_by_a2a(stack: Stack, tokens: Issuer) -> None:
    token = tokens.token(AUDIENCE, tenant="agents")
    headers = {"authorization": f"Bearer {token}", "a2a-version": "1.0"}
    of = partial(Client(stack, token).answer, tenant="agents")
    created = of(CREATE_COORDINATION, agents=[{"agentUuid": "a"}])["data"]
    uuid = created["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
    assert "errors" not in of(EXPOSE, coordinationUuid=uuid)
    card = stack.request("GET", "/agents/.well-known/agent-card.json", headers).json()
    assert ([each["id"] for each in card["skills"]], card["capabilities"]["streaming"]) == (
        ["echo"],
        False,
    )
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    tools = stack.request("POST", "/agents/mcp", headers, json=asked).json()["result"]["tools"]
    assert [each["name"] for each in tools] == ["echo", "get_session_result"]
    message = {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": "Say hello"}]}
    sent = {"message": message, "configuration": {"returnImmediately": True}}
    path = "/agents/a2a"
    begun = stack.request("POST", f"{path}/message:send", headers, json=sent).json()["task"]
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    task = stack.request("POST", path, headers, json=call).json()["result"]["task"]
    assert (task["id"], task["status"]["state"]) == (begun["id"], "TASK_STATE_COMPLETED")
    assert task["artifacts"][0]["parts"][0]["text"].startswith("Say hello")
    assert stack.request("GET", f"{path}/tasks/{task['id']}", headers).json() == task
    found = stack.request("GET", f"{path}/tasks?status=TASK_STATE_COMPLETED", headers).json()
    assert ([each["id"] for each in found["tasks"]], found["totalSize"]) == ([task["id"]], 1)
    cancel = stack.request("POST", f"{path}/tasks/{task['id']}:cancel", headers)
    assert cancel.json()["error"]["details"][0]["reason"] == "TASK_NOT_CANCELABLE"


def test_caller_without_good_token_is_refused(stack: Stack, tokens: Issuer) -> None:
    good = tokens.token(AUDIENCE, tenant="acme")
    forged = f"{good.rpartition('.')[0]}.{tokens.token(AUDIENCE, tenant='x').rpartition('.')[2]}"
    bad = [
        {},
        {"authorization": f"Bearer {tokens.token('another', tenant='acme')}"},
        {"authorization": f"Bearer {tokens.token(AUDIENCE, lifetime=-10, tenant='acme')}"},
        {"authorization": f"Bearer {forged}"},
    ]
    statuses = [
        stack.request("POST", "/acme/graphql", each, json={"query": "{ ping }"}).status_code
        for each in bad
    ]
    assert statuses == [401, 401, 401, 401]


@pytest.mark.parametrize("claims", [{}, {"tenant": "other"}, {"tenant": ["a", "b"]}])
def test_token_for_another_tenant_is_forbidden(
    stack: Stack, tokens: Issuer, claims: dict[str, Any]
) -> None:
    answer = Client(stack, tokens.token(AUDIENCE, **claims)).answer("{ ping }")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


def test_another_service_invokes_the_api(stack: Stack) -> None:
    event = {"query": "{ ping }", "variables": {}, "operationName": None, "endpoint_id": "acme"}
    answer = stack.emulator.client("lambda").invoke(
        FunctionName=stack.outputs["ApiFunctionArn"], Payload=json.dumps(event).encode()
    )
    assert json.load(answer["Payload"])["data"]["ping"].startswith("Hello at ")


def test_reports_of_long_jobs_need_a_signature_and_nothing_else(stack: Stack) -> None:
    body = json.dumps({"tenant": "acme", "asyncTaskUuid": "unknown", "result": "done"})
    unsigned = stack.request(
        "POST", "/async-tasks", {"content-type": "application/json"}, content=body
    )
    assert unsigned.status_code == 401
    timestamp = str(int(time.time()))
    headers = {
        "content-type": "application/json",
        "x-ace-timestamp": timestamp,
        "x-ace-signature": signature(tenant_key(MASTER_KEY, "acme"), timestamp, body.encode()),
    }
    assert stack.request("POST", "/async-tasks", headers, content=body).status_code == 404


def test_a_schedule_starts_the_sweep_which_may_do_what_it_must(stack: Stack) -> None:
    function, rule = stack.resource("SweepFunction"), stack.resource("SweepRule")
    targets = stack.emulator.client("events").list_targets_by_rule(Rule=rule)["Targets"]
    assert [target["Arn"].rpartition(":")[2] for target in targets] == [function]
    answer = stack.emulator.client("lambda").invoke(FunctionName=function, Payload=b"{}")
    assert json.load(answer["Payload"]) == {"sessions": 0, "shards": 0}


def test_a_schedule_fires_one_session_at_its_time(client: Client, stack: Stack) -> None:
    created = client.data(CREATE_COORDINATION, agents=[{"agentUuid": "a"}])
    coordination = created["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
    task = client.data(CREATE_TASK, coordinationUuid=coordination, agentActions={})
    task_uuid = task["insertUpdateTask"]["task"]["taskUuid"]
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=6)
    saved = client.data(
        SCHEDULE,
        coordinationUuid=coordination,
        taskUuid=task_uuid,
        schedule=f"at({at:%Y-%m-%dT%H:%M:%S})",
    )
    uuid = saved["insertUpdateTaskSchedule"]["taskSchedule"]["scheduleUuid"]
    sweep = stack.resource("SweepFunction")
    answer = stack.emulator.client("lambda").invoke(FunctionName=sweep, Payload=b"{}")
    assert "FunctionError" not in answer  # the same time is sent a second time

    def fired() -> dict[str, Any] | None:
        found = client.data(READ_SCHEDULE, taskUuid=task_uuid, scheduleUuid=uuid)["taskSchedule"]
        done = [each for each in found["sessions"] if each["status"] == "completed"]
        return dict(found) if done and found["status"] == "completed" else None

    found = wait_for("the session of the schedule", fired)
    assert (found["runCount"], found["missedCount"]) == (1, 0)
    assert found["whyNotFired"] == {"code": "ENDED"}
    (session,) = found["sessions"]
    assert datetime.fromisoformat(session["createdAt"]) >= at
    wait_for("the end of the messages", lambda: stack.depth("QueueUrl") == 0)
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_poison_message_ends_in_the_dead_letter_queue(stack: Stack) -> None:
    stack.emulator.client("sqs").send_message(QueueUrl=stack.outputs["QueueUrl"], MessageBody="{")
    wait_for("the poison message's end", lambda: stack.depth("DeadLetterQueueUrl") == 1)
    stack.emulator.client("sqs").purge_queue(QueueUrl=stack.outputs["DeadLetterQueueUrl"])


@pytest.fixture(scope="module")
def iam_stack(aws: Emulator) -> Stack:
    tenants = json.dumps({f"{USERS}/caller": ["acme"], f"{USERS}/example": ["examples"]})
    return deploy(aws, "iam", TablePrefix="iam", AuthMode="IAM", IamTenants=tenants)


def principal(aws: Emulator, name: str) -> Credentials:
    """A user who may call every API."""
    iam = aws.client("iam")
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="call", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def test_iam_principal_acts_for_its_tenants_alone(aws: Emulator, iam_stack: Stack) -> None:
    body = json.dumps({"query": "{ ping coordinationList { total } }"})
    caller, stranger = principal(aws, "caller"), principal(aws, "stranger")
    own = iam_stack.signed("/acme/graphql", body, caller).json()
    assert (own["data"]["ping"][:9], own["data"]["coordinationList"]) == ("Hello at ", {"total": 0})
    refused = [
        iam_stack.signed("/other/graphql", body, caller).json(),
        iam_stack.signed("/acme/graphql", body, stranger).json(),
    ]
    assert [answer["errors"][0]["extensions"]["code"] for answer in refused] == [
        "FORBIDDEN",
        "FORBIDDEN",
    ]
    assert iam_stack.request("POST", "/acme/graphql", {}, content=body).status_code == 403


def test_the_example_in_python_calls_it_with_a_token_or_signed(
    stack: Stack, iam_stack: Stack, tokens: Issuer, aws: Emulator, tmp_path: Path
) -> None:
    token = tokens.token(AUDIENCE, tenant="examples")
    run = partial(scripts.python, name="api_python", script="client.py")
    assert run(tmp_path / "token", API=stack.url("/examples/graphql"), TOKEN=token) == scripts.PAGE
    key = principal(aws, "example")
    keys = {"AWS_ACCESS_KEY_ID": key.access_key, "AWS_SECRET_ACCESS_KEY": key.secret_key}
    assert (
        run(tmp_path / "key", API=iam_stack.url("/examples/graphql"), SIGN=REGION, **keys)
        == scripts.PAGE
    )


@needs_node
def test_a_client_in_node_sees_a_session_move_to_its_end(
    client: Client, stack: Stack, tokens: Issuer
) -> None:
    created = client.data(CREATE_COORDINATION, agents=AGENTS)
    coordination = created["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
    actions = {"right": {"userInTheLoop": "ann"}, "join": {"predecessors": ["left", "right"]}}
    task = client.data(CREATE_TASK, coordinationUuid=coordination, agentActions=actions)
    started = client.data(
        EXECUTE,
        coordinationUuid=coordination,
        taskUuid=task["insertUpdateTask"]["task"]["taskUuid"],
    )
    session = started["executeProcedureTaskSession"]["procedureTaskSession"]["sessionUuid"]
    watched = {"COORDINATION": coordination, "SESSION": session, "TENANT": "acme"}
    with watching(stack, client.token, **watched) as seen:
        wait_for("the question", lambda: "wait_for_user_input" in states(seen))
        (waiting,) = client.data("{ userInbox { sessionAgentList { sessionAgentUuid } } }")[
            "userInbox"
        ]["sessionAgentList"]
        client.data(ANSWER, s=session, a=waiting["sessionAgentUuid"])
    assert seen[-1] == {
        "status": "completed",
        "sessionAgents": [
            {"agentUuid": each["agentUuid"], "state": "completed"} for each in AGENTS
        ],
    }
    stranger = tokens.token(AUDIENCE, tenant="other")
    with watching(stack, stranger, **watched) as refused:
        pass
    assert refused == [
        {"told": {"code": 4403, "reason": "Forbidden: the token does not allow this tenant"}},
        {"ended": "Message is missing the 'type' property"},
    ]
    assert stack.depth("SocketDeadLetterQueueUrl") == 0


def test_the_python_client_watches_and_answers_a_session(stack: Stack, tokens: Issuer) -> None:
    seen = seen_in_python(stack, tokens.token(AUDIENCE, tenant="python"), tenant="python")
    assert seen[-1] == ("completed", "completed")
    assert any(state == "wait_for_user_input" for _, state in seen)
    with pytest.raises(Forbidden, match="the token does not allow this tenant"):
        seen_in_python(stack, tokens.token(AUDIENCE, tenant="other"), tenant="python", of="any")


@needs_node
def test_the_example_in_typescript_calls_it_with_a_token(
    stack: Stack, tokens: Issuer, tmp_path: Path
) -> None:
    variables = {
        "API": stack.url("/examples/graphql"),
        "TOKEN": tokens.token(AUDIENCE, tenant="examples"),
    }
    assert scripts.typescript(tmp_path, "api_typescript", "client.ts", **variables) == scripts.PAGE


def test_the_console_is_served_with_strict_headers_beside_the_api(
    stack: Stack, tokens: Issuer
) -> None:
    upload_console(stack)
    page = stack.browsed("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    policy = page.headers["content-security-policy"]
    socket = f"wss://{stack.resource('SocketApi')}.execute-api.{REGION}.amazonaws.com"
    assert f"connect-src 'self' {socket} https://issuer.example;" in policy
    assert page.headers["strict-transport-security"].startswith("max-age=")
    for name in re.findall(r'"/(console/[^"]+)"', page.text):
        assert stack.browsed(f"/{name}").status_code == 200, name
    config = stack.browsed("/console/config.json").json()
    assert config["signIn"] == {"issuer": tokens.url, "clientId": "console", "scope": "openid"}
    assert config["websocket"].endswith("/graphql")
    assert stack.browsed("/", secure=False).status_code in (301, 302)


def test_stack_without_a_master_key_takes_no_reports(iam_stack: Stack) -> None:
    assert iam_stack.request("POST", "/async-tasks", {}, content="{}").status_code == 404


def test_stack_without_an_issuer_is_refused(aws: Emulator) -> None:
    with pytest.raises(Exception, match="JwtIssuer"):
        deploy(aws, "open", TablePrefix="open")


def test_emulator_listens_on_loopback_only(aws: Emulator) -> None:
    listening = Path("/proc/net/tcp")
    if not listening.exists():
        pytest.skip("needs /proc")
    rows = [line.split() for line in listening.read_text().splitlines()[1:]]
    hosts = {
        row[1].split(":")[0]
        for row in rows
        if row[3] == "0A" and int(row[1].split(":")[1], 16) == aws.port
    }
    assert hosts == {"0100007F"}
