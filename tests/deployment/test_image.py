"""What .ci/agents.Dockerfile makes runs an agent with tools, by Lambda's runtime interface client.

`make image` runs the steps of that file without Docker, and then this.
"""

import asyncio
import json
import os
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import boto3
import pytest

from ai_coordination_engine.bootstrap import build_app, create_queue_and_bucket, create_tables
from ai_coordination_engine.settings import Settings
from benchmarks.harness.api import Api
from tests.deployment import model, runtime_api
from tests.deployment.calling import CREATE_COORDINATION, CREATE_TASK, EXECUTE, READ
from tests.deployment.stack import TOOLS
from tests.kit.telemetry import collecting

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-image" / "bin" / "python"
IMAGE = Path(os.environ.get("IMAGE", "nowhere")).resolve()
TASK_ROOT = IMAGE / "var" / "task"
LIMIT_MB = 400  # an image may have 10 GB, and the larger it is, the longer is a cold start

pytestmark = pytest.mark.skipif(
    not IMAGE.exists(), reason="needs the files of the image: make image"
)


@pytest.fixture
def home(moto_server: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of an empty AWS on loopback with the queues of both workers."""
    for name, value in moto_server.items():
        monkeypatch.setenv(name, value)
    settings = create_queue_and_bucket(Settings(auth="local"))
    create_tables(settings)
    url = boto3.client("sqs").create_queue(QueueName="agents")["QueueUrl"]
    yield settings.model_copy(update={"agents_queue_url": url})


def event_of(url: str) -> dict[str, Any]:
    """Receive what waits in a queue, as the event that Lambda makes of it."""
    found = boto3.client("sqs").receive_message(QueueUrl=url, AttributeNames=["All"])
    records = [
        {
            "messageId": each["MessageId"],
            "receiptHandle": each["ReceiptHandle"],
            "body": each["Body"],
            "attributes": each["Attributes"],
        }
        for each in found["Messages"]
    ]
    return {"Records": records}


def test_an_agent_with_tools_runs_from_the_files_of_the_image(
    home: Settings, moto_server: Mapping[str, str]
) -> None:
    (TASK_ROOT / "desk_tools.py").write_text(TOOLS)  # a function of one's own is in the image
    with asyncio.Runner() as runner, model.running() as small, collecting() as collector:
        api = Api(build_app(home), runner)
        runtime = {"kind": "agent", "endpoint": "desk", "tools": ["stock"]}
        agents = [{"agentUuid": "a", "runtime": runtime}]
        created = api.data(CREATE_COORDINATION, agents=agents)
        uuid = created["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
        task = api.data(CREATE_TASK, coordinationUuid=uuid, agentActions={})
        started = api.data(
            EXECUTE,
            coordinationUuid=uuid,
            taskUuid=task["insertUpdateTask"]["task"]["taskUuid"],
        )["executeProcedureTaskSession"]["procedureTaskSession"]
        desk = {"base_url": small.url, "model": "small", "api_key": "a key"}
        variables = {
            **moto_server,
            "ACE_QUEUE_URL": home.queue_url,
            "ACE_AGENTS_QUEUE_URL": home.agents_queue_url,
            "ACE_WORKER_EXTRA": "agents",
            "ACE_BUCKET": home.bucket,
            "ACE_OPENAI_ENDPOINTS": json.dumps({"desk": desk}),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "ACE_TOOLS": json.dumps({"stock": "desk_tools:stock"}),
        }
        handler = (IMAGE / "handler").read_text()
        with runtime_api.running(PYTHON, TASK_ROOT, handler, **variables) as function:
            event = event_of(home.agents_queue_url)
            assert function.invoke(event) == {"batchItemFailures": []}
            again = function.invoke(event)
        session = api.data(READ, coordinationUuid=uuid, sessionUuid=started["sessionUuid"])
    assert again == {"batchItemFailures": []}
    assert session["session"]["status"] == "completed"
    (agent,) = session["session"]["sessionAgents"]
    (run,) = session["session"]["sessionRuns"]
    assert (agent["agentOutput"], run["requests"]) == ("3 of tea", 2)
    assert [key for key, _ in small.asked] == ["a key", "a key"]
    names = ["chat small-1", "execute_tool stock", "invoke_agent a", "invoke_workflow"]
    assert sorted(each.name for each in collector.spans()) == names


def test_the_libraries_of_the_lock_lie_beside_the_code() -> None:
    lock = (ROOT / ".ci" / "constraints-agents-lambda.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9-]+==[^ ]+)", lock, re.MULTILINE))
    found = {
        f"{re.sub('[-_.]+', '-', each.name).lower()}=={each.version}"
        for each in distributions(path=[str(TASK_ROOT)])
    }
    assert found == pinned


def test_the_image_is_small_compiled_and_has_no_console() -> None:
    files = [path for path in TASK_ROOT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LIMIT_MB * 1_000_000
    package = TASK_ROOT / "ai_coordination_engine"
    assert not (package / "console").exists()
    compiled = {path.name.partition(".")[0] for path in package.rglob("*.pyc")}
    assert compiled == {path.stem for path in package.rglob("*.py")}
