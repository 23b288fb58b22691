"""Deploy template.yaml as a stack, with its code uploaded as `aws cloudformation package` does."""

import json
import mimetypes
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import WaiterError

from benchmarks.harness.emulator import REGION, Emulator

ROOT = Path(__file__).parents[2]
CODE_BUCKET = "code"
TOOLS = """
def stock(item: str) -> int:
    '''How many of an item there are.'''
    return {"tea": 3}.get(item, 0)
"""
_IMAGE = """\
      CodeUri: !Ref AWS::NoValue
      PackageType: Image
      ImageUri: !Ref AgentsImageUri"""
_WITHOUT_GLOBALS = "IgnoreGlobals: [Layers, Runtime]"
_PACKAGE = """\
      CodeUri: build/lambda/
      Handler: ai_coordination_engine.entrypoints.aws.worker.handler
      Layers: [!Sub "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:layer:agents:1"]"""


def build_package() -> Path:
    """Build the Lambda package for this machine."""
    target = ROOT / "build" / "host"
    subprocess.run(
        [sys.executable, ROOT / ".ci" / "package", "--arch", "host", "--to", target], check=True
    )
    return target.with_name("host.zip")


def upload(emulator: Emulator, package: Path) -> None:
    """Upload the package, and as a layer what the image of the second worker has beside it."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=CODE_BUCKET)
    s3.upload_file(str(package), CODE_BUCKET, "package.zip")
    emulator.client("lambda").publish_layer_version(
        LayerName="agents", Content={"ZipFile": _layer()}
    )


def _layer() -> bytes:
    """The extra `agents`, where it is installed already, and a module of tools."""
    libraries = Path(sysconfig.get_path("purelib"))
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(
            f"python/lib/{libraries.parent.name}/site-packages/extra.pth", str(libraries)
        )
        archive.writestr("python/desk_tools.py", TOOLS)
    return file.getvalue()


def template() -> str:
    text = (ROOT / "template.yaml").read_text()
    assert text.count("CodeUri: build/lambda/") == 5
    assert text.count(_IMAGE) == text.count(_WITHOUT_GLOBALS) == 1
    # the emulator runs no images here: the second worker gets the package, too, and a layer
    text = text.replace(_IMAGE, _PACKAGE).replace(_WITHOUT_GLOBALS, "IgnoreGlobals: [Layers]")
    return text.replace("CodeUri: build/lambda/", f"CodeUri: s3://{CODE_BUCKET}/package.zip")


@dataclass(frozen=True)
class Stack:
    """A deployed stack."""

    emulator: Emulator
    name: str
    outputs: dict[str, str]

    @property
    def host(self) -> str:
        """The host name of the HTTP API."""
        return f"{self.outputs['HttpApiId']}.execute-api.localhost:{self.emulator.port}"

    def url(self, path: str) -> str:
        """Return the URL of a path for clients that cannot use the host name."""
        return f"{self.emulator.url}/_aws/execute-api/{self.outputs['HttpApiId']}/$default{path}"

    @property
    def socket(self) -> str:
        """The URL of the WebSocket API."""
        path = f"/_aws/execute-api/{self.resource('SocketApi')}/graphql"
        return f"ws://127.0.0.1:{self.emulator.port}{path}"

    def signed(self, path: str, body: str, credentials: Credentials) -> httpx.Response:
        """POST `body` with the signature of an IAM principal."""
        headers = {"content-type": "application/json"}
        request = AWSRequest("POST", f"http://{self.host}{path}", data=body, headers=headers)
        SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
        return self.request("POST", path, dict(request.headers), content=body)

    def request(
        self, method: str, path: str, headers: dict[str, str], **content: Any
    ) -> httpx.Response:
        """Call the deployed HTTP API; the emulator finds it by the host name."""
        return httpx.request(
            method,
            f"{self.emulator.url}{path}",
            headers={"host": self.host} | headers,
            timeout=60,
            **content,
        )

    def browsed(self, path: str, *, secure: bool = True) -> httpx.Response:
        """GET a path of the console, as CloudFront serves it."""
        host = self.outputs["ConsoleUrl"].removeprefix("https://").rstrip("/")
        scheme = {"host": host, "x-forwarded-proto": "https" if secure else "http"}
        return httpx.get(f"{self.emulator.url}{path}", headers=scheme, timeout=60)

    def resource(self, logical_id: str) -> str:
        """Return the physical id of a resource."""
        resources = self.emulator.client("cloudformation").describe_stack_resources(
            StackName=self.name
        )
        found = {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in resources["StackResources"]
        }
        return str(found[logical_id])

    def depth(self, queue: str) -> int:
        """Return the number of messages in a queue, hidden ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.emulator.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs[queue], AttributeNames=names
        )
        return sum(int(answer["Attributes"][name]) for name in names)


def deploy(emulator: Emulator, name: str, **parameters: str) -> Stack:
    """Create the stack and wait for it; raises `RuntimeError` with the resource that failed and
    why.
    """
    cloudformation = emulator.client("cloudformation")
    # more than 51,200 bytes come from a bucket ("AWS CloudFormation quotas")
    emulator.client("s3").put_object(
        Bucket=CODE_BUCKET, Key="template.yaml", Body=template().encode()
    )
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=f"{emulator.url}/{CODE_BUCKET}/template.yaml",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
    )
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.config.delay = 1
    try:
        waiter.wait(StackName=name)
    except WaiterError as error:
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        failures = [event for event in events if "FAILED" in event["ResourceStatus"]]
        reasons = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
            for event in failures
        ]
        raise RuntimeError("\n".join(reasons) or str(error)) from error
    found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    stack = Stack(
        emulator, name, {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
    )
    _wait_for_the_snapshot(stack)
    _repair_numbers(stack)
    _allow_batches(stack)
    _name_apis(stack)
    _allow_plain_http(stack)
    return stack


def _allow_plain_http(stack: Stack) -> None:
    """Let the buckets be read without TLS, which the emulator does not speak."""
    s3 = stack.emulator.client("s3")
    for name in ("BucketName", "ConsoleBucketName"):
        if (bucket := stack.outputs.get(name)) is None:
            continue
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        statements = [each for each in policy["Statement"] if each["Sid"] != "TlsOnly"]
        s3.delete_bucket_policy(Bucket=bucket)
        if statements:
            text = json.dumps({**policy, "Statement": statements})
            s3.put_bucket_policy(Bucket=bucket, Policy=text)


def upload_console(stack: Stack) -> None:
    """Upload the console as docs/operations.md says."""
    s3, bucket = stack.emulator.client("s3"), stack.outputs["ConsoleBucketName"]
    for path in sorted((ROOT / "ai_coordination_engine" / "console").iterdir()):
        key = path.name if path.name == "index.html" else f"console/{path.name}"
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ContentType=kind)
    s3.put_object(
        Bucket=bucket,
        Key="console/config.json",
        Body=stack.outputs["ConsoleConfig"].encode(),
        ContentType="application/json",
    )


def _wait_for_the_snapshot(stack: Stack) -> None:
    """Wait until the published version is active, as CloudFormation itself does."""
    waiter = stack.emulator.client("lambda").get_waiter("published_version_active")
    waiter.config.delay = 1
    waiter.wait(FunctionName=stack.outputs["ApiFunctionArn"])


def _repair_numbers(stack: Stack) -> None:
    """Set the event source's numbers again, because the emulator keeps a Number parameter
    as text.
    """
    functions = stack.emulator.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if "ScalingConfig" not in mapping:  # that of a stream
            continue
        functions.update_event_source_mapping(
            UUID=mapping["UUID"],
            BatchSize=int(mapping["BatchSize"]),
            ScalingConfig={
                "MaximumConcurrency": int(mapping["ScalingConfig"]["MaximumConcurrency"])
            },
        )


def _name_apis(stack: Stack) -> None:
    """Tell the functions of subscriptions the addresses of the emulator's APIs, which have no names
    that a function can look up.
    """
    functions = stack.emulator.client("lambda")
    socket_api = f"/_aws/execute-api/{stack.resource('SocketApi')}/graphql"
    addresses = {
        "ACE_SOCKET_API_URL": f"{stack.emulator.url}{socket_api}",
        "ACE_HTTP_API_URL": stack.url(""),
    }
    for each in ("SocketFunction", "PushFunction"):
        name = stack.resource(each)
        found = functions.get_function_configuration(FunctionName=name)
        variables = found["Environment"]["Variables"] | addresses
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": variables}
        )


def _allow_batches(stack: Stack) -> None:
    """Allow an action that only the emulator has: AWS authorizes SendMessageBatch as
    SendMessage.
    """
    resources = stack.emulator.client("cloudformation").describe_stack_resources(
        StackName=stack.name
    )
    statement = {"Effect": "Allow", "Action": "sqs:SendMessageBatch", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    for resource in resources["StackResources"]:
        if resource["ResourceType"] == "AWS::IAM::Role":
            stack.emulator.client("iam").put_role_policy(
                RoleName=resource["PhysicalResourceId"], PolicyName="batches", PolicyDocument=policy
            )
